"""What this machine can do, for `tutelage doctor`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import torch

# (package, what needs it, the extra that brings it)
PACKAGES = (
    ("torch", "training and sampling", "train"),
    ("transformers", "models and tokenizers", "train"),
    ("safetensors", "weights", "train"),
    ("peft", "LoRA adapters", "train"),
    ("pyarrow", "Parquet files", "data"),
    ("datasets", "data sets of the hub", "data"),
    ("tensorboard", "metrics in TensorBoard", "track"),
    ("wandb", "metrics in Weights & Biases", "track"),
)
# float32 weights, gradients and Adam's two moments of policy and value model, plus reference and reward model.
BYTES_PER_PARAMETER_PPO = 2 * 16 + 2 * 4


def show_machine() -> None:
    """Print devices, memory, packages and the largest model that PPO would fit."""
    console = Console()
    table = Table(show_header=False, box=None, padding=(0, 2), title="This machine", title_justify="left")
    table.add_row("python", sys.version.split()[0])
    table.add_row("CPU cores", str(os.cpu_count()))
    memory = _memory_bytes()
    table.add_row("memory", f"{memory / 2**30:.1f} GiB")
    table.add_row("free disk here", f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB")
    capacity = memory
    if importlib.util.find_spec("torch") is not None:
        capacity = _add_devices(table, memory)
    console.print(table)
    console.print(_packages())
    largest = capacity / BYTES_PER_PARAMETER_PPO
    console.print(
        f"\nFull PPO (policy, value model, reference, reward model; float32 weights, Adam) fits models up to about "
        f"{largest / 1e9:.2g}B parameters here, less what activations take; LoRA (lora.rank: 8) up to about "
        f"{capacity / (3 * 4) / 1e9:.2g}B.",
        soft_wrap=True,
        highlight=False,
    )


def _add_devices(table: Table, memory: float) -> float:
    """Rows for the devices; returns the memory that a model may take."""
    import torch

    table.add_row("torch threads", str(torch.get_num_threads()))
    for dtype in (torch.float32, torch.bfloat16):
        table.add_row(f"matrix product {str(dtype).removeprefix('torch.')}", f"{_gflops(dtype):.0f} GFLOP/s")
    if not torch.cuda.is_available():
        table.add_row("GPU", "none that torch can use: everything runs on the CPU")
        return memory
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        table.add_row(f"GPU {index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    return float(torch.cuda.get_device_properties(0).total_memory)


def _gflops(dtype: torch.dtype, width: int = 512) -> float:
    from tutelage.model.speed import seconds_of_product

    return 2 * width**3 / seconds_of_product(dtype, width=width) / 1e9


def _packages() -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2), title="\nPackages", title_justify="left")
    for package, purpose, extra in PACKAGES:
        if importlib.util.find_spec(package) is None:
            table.add_row(
                package, f"[yellow]not installed[/yellow]: {purpose} would not run; pip install 'tutelage\\[{extra}]'"
            )
        else:
            table.add_row(package, f"{metadata.version(package)}: {purpose}")
    return table


def _memory_bytes() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
