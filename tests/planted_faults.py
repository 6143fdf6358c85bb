"""Plant one fault at a time in the objectives and see that the tests of the objectives find it.

    python tests/planted_faults.py [WORD]      # only the faults whose file or name contains WORD

planted_faults.txt lists them. Each replaces one snippet of src/tutelage/objectives in a copy of the package; the tests
run against that copy. A fault that no test finds, a snippet that is not in the source exactly once, and a fault that
keeps the tests from running at all end in status 1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OBJECTIVES = Path("src/tutelage/objectives")
TESTS = sorted(path.name for path in ROOT.glob("tests/test_objectives_*.py"))
NUM_AT_ONCE = min(2, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Fault:
    file: str
    name: str
    right: str
    wrong: str


def read_faults() -> list[Fault]:
    """The blocks of planted_faults.txt: `@ file: name`, then `-` lines (the source) and `+` lines (the fault)."""
    faults = []
    for block in (ROOT / "tests/planted_faults.txt").read_text().split("\n@ ")[1:]:
        title, *lines = block.rstrip("\n").split("\n")
        file, name = title.split(": ", 1)
        sides = {sign: "\n".join(line[2:] for line in lines if line[:2] == sign) for sign in ("- ", "+ ")}
        faults.append(Fault(file, name, sides["- "], sides["+ "]))
    return faults


def misplaced(fault: Fault) -> str | None:
    """Why this fault cannot be planted, or None."""
    found = (ROOT / OBJECTIVES / fault.file).read_text().count(fault.right)
    return None if found == 1 else f"its snippet is in {fault.file} {found} times, not once: {fault.right!r}"


def plant(fault: Fault | None, house: Path) -> None:
    """A copy of the package and of the tests of the objectives in `house`, with at most one fault."""
    shutil.copytree(ROOT / "src/tutelage/objectives", house / OBJECTIVES, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "src/tutelage/__init__.py", house / "src/tutelage")
    (house / "tests").mkdir()
    for name in ("reference.py", *TESTS):
        shutil.copy(ROOT / "tests" / name, house / "tests")
    shutil.copy(ROOT / "pyproject.toml", house)
    if fault is not None:
        target = house / OBJECTIVES / fault.file
        target.write_text(target.read_text().replace(fault.right, fault.wrong))


def run_tests(fault: Fault | None) -> tuple[int, str]:
    """Pytest's exit status and its output, up to the first test that fails."""
    with tempfile.TemporaryDirectory(prefix="planted-fault-") as house:
        plant(fault, Path(house))
        environment = {**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        # The tests of the faulty file first: they are the likeliest to find it.
        tests = sorted(TESTS, key=lambda name: fault is None or not name.endswith(f"_{fault.file}"))
        paths = [f"tests/{name}" for name in tests]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *paths]
        done = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def caught_by(fault: Fault) -> tuple[bool, str]:
    """Whether a test failed, and which; or what went wrong."""
    problem = misplaced(fault)
    if problem is not None:
        return False, f"STALE: {problem}"
    status, output = run_tests(fault)
    failed = re.search(r"^FAILED tests/(\S+)", output, re.MULTILINE)
    if status == 1 and failed:
        return True, failed.group(1).removeprefix("test_objectives_")
    return False, "NOT CAUGHT" if status == 0 else f"BROKEN: pytest ended with {status}\n{output}"


def main(words: list[str]) -> int:
    status, output = run_tests(None)
    if status != 0:
        print(f"The tests fail without any fault:\n{output}")
        return 1
    chosen = [fault for fault in read_faults() if all(word in f"{fault.file} {fault.name}" for word in words)]
    width = max((len(fault.name) for fault in chosen), default=0)
    num_caught = 0
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        for fault, (is_caught, by) in zip(chosen, pool.map(caught_by, chosen), strict=True):
            num_caught += is_caught
            print(f"{fault.file:<14} {fault.name:<{width}}  {by}", flush=True)
    print(f"{num_caught} of {len(chosen)} planted faults caught")
    return 0 if chosen and num_caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
