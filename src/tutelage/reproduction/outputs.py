"""What each step of a run left in its folder, as digests: a step is skipped only while that is still there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tutelage
from tutelage.errors import CheckpointError
from tutelage.store.fingerprints import hash_file
from tutelage.store.lock import LOCK_NAME

# Folders of reports and of people. No step writes a file right into the folder of the run.
NOT_OF_STEPS = ("figures", "studio", "your-labels")
_NUM_SHOWN = 3

State = dict[str, tuple[int, int]]


def read_state(out: Path) -> State:
    """Size and time of change of every file that may be a step's, by its path in the folder."""
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in _files(out)}


def digests_of_step(out: Path, before: State, owned: Collection[str]) -> dict[str, str]:
    """Digests of what a step has left, by path: the files written since `before`, and those that no other step owns.

    The latter are of an earlier attempt at the step, which was interrupted.
    """
    return {
        name: hash_file(out / name)
        for name, state in read_state(out).items()
        if before.get(name) != state or name not in owned
    }


def _files(out: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out)
        is_hidden = any(part.startswith(".") for part in name.parts)
        is_of_step = len(name.parts) > 1 and name.parts[0] not in NOT_OF_STEPS and path.name != LOCK_NAME
        if is_of_step and not is_hidden and path.is_file():
            yield name.as_posix(), path.stat()


def require_unchanged(out: Path, outputs: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse to skip steps whose files are gone or hold something else. Raises `CheckpointError`.

    Reading them costs about a second per gigabyte.
    """
    for step, files in outputs.items():
        wrong = [name for name, digest in files.items() if not _holds(out / name, digest)]
        if wrong:
            more = f" and {len(wrong) - _NUM_SHOWN} more" if len(wrong) > _NUM_SHOWN else ""
            raise CheckpointError(
                f"{out}: {', '.join(wrong[:_NUM_SHOWN])}{more} changed after step {step!r} had written it, and later "
                f"steps rest on it. Restore it, or do that step and all after it again with --redo {step}"
            )


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and hash_file(path) == digest


def remove_outputs(out: Path, files: Mapping[str, str]) -> None:
    """Delete what a step wrote, and the folders that are empty then."""
    for name in files:
        path = out / name
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == out or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()


@cache
def code_digest() -> str:
    """Sixteen hexadecimal digits that depend on every Python file and recipe of this package."""
    package = Path(tutelage.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.yaml")]):
        digest.update(f"{path.relative_to(package).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()[:16]
