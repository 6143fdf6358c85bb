"""One section of the GPU script: load, wait for a word on standard input, measure, append rows to a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

loading = time.perf_counter()

import gpu_chain  # noqa: E402
import gpu_correctness  # noqa: E402
import gpu_peers  # noqa: E402
import gpu_speed  # noqa: E402
from gpu_world import Report, World, make_world  # noqa: E402

RUN: dict[str, Callable[[World, Report, str], None]] = {
    "machine": gpu_speed.machine,
    "correctness": gpu_correctness.correctness,
    "chain": gpu_chain.chain,
    "sampling": gpu_speed.sampling,
    "train": gpu_speed.training,
    "ppo": gpu_speed.ppo_step,
    "profile": gpu_speed.profile,
    "generate": gpu_peers.generate,
    "plain-ppo": gpu_peers.plain_ppo,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("section")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    kind, _, model = arguments.section.rpartition("-") if arguments.section[-1] in "BM" else (arguments.section, "", "")
    print(f"loaded in {time.perf_counter() - loading:.1f} s", flush=True)
    if not sys.stdin.readline():
        sys.exit("nobody said to begin")
    world = make_world(arguments.device, arguments.scratch, is_quick=arguments.quick)
    RUN[kind](world, Report(arguments.rows), model)


if __name__ == "__main__":
    main()
