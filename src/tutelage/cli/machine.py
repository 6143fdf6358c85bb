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

from tutelage.model.footprint import SAMPLING_ROWS, Shape, ppo_bytes, sft_bytes
from tutelage.training.config import TextConfig, TrainingConfig

if TYPE_CHECKING:
    import torch

# (package, what needs it, the extra that installs it)
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
# Well-known model shapes, from small to large, whose memory use is shown.
SHAPES = {
    "SmolLM2-135M": Shape(width=576, num_layers=30, key_width=192, inner_width=1536, vocab_size=49152),
    "SmolLM2-360M": Shape(width=960, num_layers=32, key_width=320, inner_width=2560, vocab_size=49152),
    "Llama-3.2-1B": Shape(width=2048, num_layers=16, key_width=512, inner_width=8192, vocab_size=128256),
    "SmolLM2-1.7B": Shape(width=2048, num_layers=24, key_width=2048, inner_width=8192, vocab_size=49152),
    "Llama-3.2-3B": Shape(width=3072, num_layers=28, key_width=1024, inner_width=8192, vocab_size=128256),
    "Llama-3.1-8B": Shape(
        width=4096, num_layers=32, key_width=1024, inner_width=14336, vocab_size=128256, has_own_head=True
    ),
}
LORA_RANK = 16  # that of the one-gpu recipes


def show_machine() -> None:
    """Print devices, memory, packages and which models would fit."""
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
    _show_what_fits(console, capacity)


def _show_what_fits(console: Console, capacity: float) -> None:
    """Print the peak memory of training each shape in float32 with the default sizes, and whether it fits."""
    num_tokens, text = TrainingConfig.model_fields["tokens_per_microbatch"].default, TextConfig()
    num_columns = text.max_prompt_tokens + text.max_response_tokens
    table = Table(box=None, padding=(0, 2), title="\nPeak memory of training, GiB", title_justify="left")
    for heading in ("", "SFT, reward", "with LoRA", "PPO", "with LoRA"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, shape in SHAPES.items():
        peaks = [sft_bytes(shape, tokens_per_microbatch=num_tokens, lora_rank=rank) for rank in (0, LORA_RANK)]
        peaks += [
            ppo_bytes(shape, tokens_per_microbatch=num_tokens, num_columns=num_columns, lora_rank=rank)
            for rank in (0, LORA_RANK)
        ]
        table.add_row(name, *(_gib(peak, capacity) for peak in peaks))
    console.print(table)
    console.print(
        f"In float32: weights, gradients, Adam, activations and logits of tokens_per_microbatch {num_tokens}, and for "
        f"PPO the sampling of {SAMPLING_ROWS} responses with text.max_prompt_tokens + text.max_response_tokens "
        f"{num_columns}. Lower these two first. Not counted: about 0.4 GiB for the program itself, and the copies of a "
        f"prompt made for a ranking's completions. [green]Green[/green] fits the {capacity / 2**30:.1f} GiB here.",
        soft_wrap=True,
        highlight=False,
    )


def _gib(num_bytes: float, capacity: float) -> str:
    shown = f"{num_bytes / 2**30:.1f}"
    return f"[green]{shown} fits[/green]" if num_bytes <= capacity else shown


def _add_devices(table: Table, memory: float) -> float:
    """Add rows for the devices; returns the memory available to a model, in bytes."""
    import torch

    table.add_row("torch threads", str(torch.get_num_threads()))
    for dtype in (torch.float32, torch.bfloat16):
        table.add_row(f"matrix product {str(dtype).removeprefix('torch.')}", f"{_gflops(dtype):.0f} GFLOP/s")
    if not torch.cuda.is_available():
        table.add_row("GPU", "none usable by torch: everything runs on the CPU")
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
                package, f"[yellow]not installed[/yellow]: {purpose} will not work; pip install 'tutelage\\[{extra}]'"
            )
        else:
            table.add_row(package, f"{metadata.version(package)}: {purpose}")
    return table


def _memory_bytes() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
