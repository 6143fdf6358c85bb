#!/usr/bin/env bash
# Correctness first, then speed, on one GPU; the same on the CPU with tiny shapes where there is none. In minutes, no
# network, nothing installed.
#
#     benchmarks/gpu.sh [--out DIR] [--section NAME ...] [--quick] [--seconds 285] [--list]
#
# Prints one table; DIR (default: $OUT, else runs/bench/gpu) gets gpu.json, gpu.md and gpu.log.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" "$root/benchmarks/gpu.py" "$@"
