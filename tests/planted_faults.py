"""Plant one fault at a time in the package and see that a test finds it.

    python tests/planted_faults.py [WORD ...]      # only the faults whose file or name contains every WORD

The lists are `faults/*.txt`, one per room. A block is `@ FILE: NAME | TESTS`, then `-` lines (what the source says) and
`+` lines (what the fault says instead). FILE is relative to src/tutelage; TESTS are the test files that must see the
fault, and may be left out for the objectives, where all of theirs are tried. The text after the sign and one space is
taken as it is and must be in the file exactly once. Each fault is planted in a copy of the package. A fault that no
test finds, a snippet that is not in the source exactly once, and a fault that keeps the tests from running at all end
in status 1.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/tutelage")
OBJECTIVES_TESTS = tuple(sorted(path.name for path in ROOT.glob("tests/test_objectives_*.py")))
NUM_AT_ONCE = min(2, os.cpu_count() or 1)
NO_TESTS = 5  # pytest's exit status where everything was skipped
IMPORTED_ONCE = (
    *("torch", "numpy", "scipy.stats", "pydantic", "yaml", "rich.console", "typer", "jinja2", "peft", "tokenizers"),
    *("transformers.models.llama.modeling_llama", "transformers.models.auto.modeling_auto", "safetensors.torch"),
    *("fastapi.testclient", "sqlalchemy.orm", "uvicorn", "matplotlib.figure", "matplotlib.backends.backend_svg"),
)
T = TypeVar("T")
Outcome = tuple[bool, str]


@dataclass(frozen=True, slots=True)
class Fault:
    file: str
    name: str
    right: str
    wrong: str
    tests: tuple[str, ...]


def read_faults() -> list[Fault]:
    """The blocks of every list, by list and in their order."""
    return [fault for path in sorted(ROOT.glob("tests/faults/*.txt")) for fault in parse_faults(path.read_text())]


def parse_faults(text: str) -> list[Fault]:
    """The blocks of one list; what stands before the first is a comment."""
    faults = []
    for block in text.split("\n@ ")[1:]:
        title, *lines = block.rstrip("\n").split("\n")
        file, _, rest = title.partition(": ")
        name, _, tests = rest.partition(" | ")
        sides = {sign: "\n".join(line[2:] for line in lines if line[:2] == sign) for sign in ("- ", "+ ")}
        named = tuple(tests.split()) or (OBJECTIVES_TESTS if file.startswith("objectives/") else ())
        faults.append(Fault(file, name, sides["- "], sides["+ "], named))
    return faults


def find_problem(fault: Fault) -> str | None:
    """Why this fault cannot be planted, or None."""
    source = ROOT / PACKAGE / fault.file
    if not source.exists():
        return f"{fault.name}: there is no {fault.file}"
    missing = [name for name in fault.tests if not (ROOT / "tests" / name).exists()]
    if missing or not fault.tests:
        return f"{fault.name}: names no test file" if not fault.tests else f"{fault.name}: no test file {missing[0]}"
    count = source.read_text().count(fault.right)
    return None if count == 1 else f"its snippet is in {fault.file} {count} times, not once: {fault.right!r}"


def plant(fault: Fault | None, copy: Path) -> None:
    """A copy of the project in `copy`, with at most one fault. What the tests only read is linked."""
    copy.mkdir()
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "docs", "examples", "benchmarks", "README.md", "CONTRIBUTING.md", "Makefile"):
        (copy / name).symlink_to(ROOT / name)
    if fault is not None:
        target = copy / PACKAGE / fault.file
        target.write_text(target.read_text().replace(fault.right, fault.wrong))


def run_tests(fault: Fault | None, tests: Sequence[str]) -> tuple[int, str]:
    """Pytest's exit status and its output, up to the first test that fails: in this process, which must then end."""
    with tempfile.TemporaryDirectory(prefix="planted-fault-") as name, open(Path(name) / "printed", "w+b") as printed:
        folder = Path(name) / "project"
        plant(fault, folder)
        os.chdir(folder)
        sys.path[:0] = [f"{folder}/src", f"{folder}/tests"]
        os.environ["PYTHONPATH"] = f"{folder}/src"
        for stream in (1, 2):
            os.dup2(printed.fileno(), stream)
        import pytest

        # anyio is imported by then, and is a plugin of pytest, too.
        plain = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = pytest.main([*plain, *(f"tests/{test}" for test in tests)])
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(ROOT)
        printed.seek(0)
        return int(status), printed.read().decode(errors="replace")


def import_what_tests_import() -> None:
    """Once, before there are processes for the faults: importing PyTorch takes longer than most tests."""
    for name in IMPORTED_ONCE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def apart(call: Callable[[T], Outcome], argument: T) -> Outcome:
    """`call(argument)` in a process of its own: what a fault or a test leaves behind in it reaches no other."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(call(argument)))
    process.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        return False, f"BROKEN: its process ended without a result for {argument}"
    finally:
        process.join()


def passes(test: str) -> tuple[bool, str]:
    """Whether a test file passes without any fault."""
    status, output = run_tests(None, [test])
    return status in (0, NO_TESTS), output


def find_catcher(fault: Fault) -> tuple[bool, str]:
    """Whether a test failed, and which; or what went wrong."""
    problem = find_problem(fault)
    if problem is not None:
        return False, f"STALE: {problem}"
    # The tests that are named after the faulty file first: they are the most likely to find it.
    stem = Path(fault.file).stem
    status, output = run_tests(fault, sorted(fault.tests, key=lambda name: not name.endswith(f"_{stem}.py")))
    failed = re.search(r"^(?:FAILED|ERROR) tests/(\S+)", output, re.MULTILINE)
    if status == 1 and failed:
        return True, failed.group(1)
    return False, "NOT CAUGHT" if status == 0 else f"BROKEN: pytest ended with {status}\n{output}"


def main(words: list[str]) -> int:
    chosen = [fault for fault in read_faults() if all(word in f"{fault.file} {fault.name}" for word in words)]
    tests = sorted({name for fault in chosen for name in fault.tests})
    import_what_tests_import()
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        for test, (is_passing, output) in zip(tests, pool.map(partial(apart, passes), tests), strict=True):
            if not is_passing:
                print(f"{test} fails without any fault:\n{output}")
                return 1
        width = max((len(fault.name) for fault in chosen), default=0)
        num_caught = 0
        for fault, (is_caught, by) in zip(chosen, pool.map(partial(apart, find_catcher), chosen), strict=True):
            num_caught += is_caught
            print(f"{fault.file:<24} {fault.name:<{width}}  {by}", flush=True)
    print(f"{num_caught} of {len(chosen)} planted faults caught")
    return 0 if chosen and num_caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
