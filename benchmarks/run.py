"""Side by side with peers, every row ours and peer in turn, in one session; medians and ranges to docs/speed.md.

python benchmarks/run.py [--rows NAME ...] [--repeats 5] [--threads 2] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shapes import ROWS, Shape, row_named
from table import machine, summary_of, write_table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEER_ENVIRONMENT = ROOT / ".bench-venv"
SIDES = ("ours", "peer")


def main() -> None:
    arguments = _arguments()
    peer_python = peer_environment()
    work = ROOT / "runs" / "bench" / ("quick" if arguments.quick else "full")
    found = json.loads(arguments.json.read_text()) if arguments.json.exists() else {"rows": {}}
    for name in arguments.rows:
        shape = row_named(name, is_quick=arguments.quick)
        materials = work / name
        if not arguments.keep_materials or not materials.exists():
            _run([sys.executable, HERE / "materials.py", *_row_options(shape, arguments.quick), "--out", materials], 1)
        row: dict[str, Any] = {"threads": arguments.threads, **machine(), "ours": [], "peer": []}
        for repeat in range(arguments.repeats):
            # The side that goes first changes, so that a machine that slows down or speeds up favours neither.
            for side in SIDES if repeat % 2 == 0 else SIDES[::-1]:
                python = Path(sys.executable) if side == "ours" else peer_python
                row[side].append(_measure(side, python, shape, materials, repeat, arguments))
        found["rows"][name] = row | summary_of(shape, row)
        print(json.dumps(summary_of(shape, row), indent=1), flush=True)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    if not arguments.quick:
        write_table(found["rows"], arguments.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=[shape.name for shape in ROWS])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "speed.md")
    parser.add_argument(
        "--json", type=Path, help="default: benchmarks/results.json, with --quick runs/bench/quick.json"
    )
    parser.add_argument("--repeats", type=int, help="default: 5, with --quick 1")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="small shapes, once: only shows that both sides run")
    parser.add_argument("--keep-materials", action="store_true", help="do not make a row's models and records again")
    arguments = parser.parse_args()
    quick_json = ROOT / "runs" / "bench" / "quick.json"
    arguments.json = arguments.json or (quick_json if arguments.quick else HERE / "results.json")
    arguments.repeats = arguments.repeats or (1 if arguments.quick else 5)
    return arguments


def peer_environment() -> Path:
    """The peers' Python, in an environment that is made where it is missing or its requirements have changed."""
    wanted = (HERE / "peer-requirements.txt").read_text()
    mark, python = PEER_ENVIRONMENT / "installed.txt", PEER_ENVIRONMENT / "bin" / "python"
    if not mark.exists() or mark.read_text() != wanted:
        subprocess.run([os.environ.get("PYTHON", sys.executable), "-m", "venv", PEER_ENVIRONMENT], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--requirement", HERE / "peer-requirements.txt"], check=True
        )
        mark.write_text(wanted)
    return python


def _measure(
    side: str, python: Path, shape: Shape, materials: Path, repeat: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    scratch = ROOT / "runs" / "bench" / "scratch" / side
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    command = [
        python,
        HERE / f"{side}_{shape.kind}.py",
        *_row_options(shape, arguments.quick),
        *("--materials", materials, "--scratch", scratch, "--seed", str(repeat)),
    ]
    _run(command, arguments.threads)
    found: dict[str, Any] = json.loads((scratch / "result.json").read_text())
    shutil.rmtree(scratch)
    return found


def _row_options(shape: Shape, is_quick: bool) -> list[str]:
    return ["--row", shape.name, *(["--quick"] if is_quick else [])]


def _run(command: Sequence[str | Path], threads: int) -> None:
    """Run a worker; what it prints is shown only where it fails."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])),
    }
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


if __name__ == "__main__":
    main()
