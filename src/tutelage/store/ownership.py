"""Ownership of folders: run.json records what a run was started with, and only files it wrote are ever replaced."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from tutelage.errors import CheckpointError, StorageError
from tutelage.store.atomic import atomic_file
from tutelage.store.lock import LOCK_NAME
from tutelage.store.named_source import NamedSource

IDENTITY_NAME = "run.json"
_NUM_SHOWN = 5


def require_unowned_inputs(out: Path, inputs: Mapping[str, Path | str]) -> None:
    """Refuse inputs inside the output folder, naming their key. Raises `StorageError`."""
    folder = out.resolve()
    for key, source in inputs.items():
        path = Path(NamedSource.parse(source).source)
        if path.exists() and path.resolve().is_relative_to(folder):
            raise StorageError(
                f"{key} is {source}, inside the output folder {out}, where it could be replaced. Nothing was changed. "
                "Choose another output folder."
            )


def require_own_folder(
    out: Path, own_names: Collection[str] = (), *, may_hold_others: bool = False, how_else: str = ""
) -> None:
    """Refuse to start in a folder with files that this program did not write. Raises `StorageError`.

    With `may_hold_others`, only files with names that the run itself will write are refused. `how_else` adds a remedy
    to the message besides another folder.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise StorageError(f"{out} is a file; the output folder must be a folder. Choose another.")
    names = sorted(path.name for path in out.iterdir() if path.name != LOCK_NAME)
    foreign = [name for name in names if not may_hold_others or name in own_names]
    if foreign:
        more = f" and {len(foreign) - _NUM_SHOWN} more" if len(foreign) > _NUM_SHOWN else ""
        raise StorageError(
            f"{out} contains files that no run wrote: {', '.join(foreign[:_NUM_SHOWN])}{more}. Nothing was changed. "
            f"Choose an empty or new folder{how_else}."
        )


def new_identity(**facts: Any) -> dict[str, Any]:
    """The contents of run.json: `facts`, and a unique id."""
    return {"run_id": secrets.token_hex(8), **facts}


def write_identity(out: Path, identity: Mapping[str, Any]) -> None:
    """Write run.json atomically."""
    with atomic_file(out / IDENTITY_NAME) as handle:
        handle.write(json.dumps(identity, indent=1, ensure_ascii=False).encode() + b"\n")


def read_identity(out: Path, keys: Iterable[str]) -> dict[str, Any] | None:
    """The contents of run.json; None if there is none. Raises `CheckpointError` if it cannot be ours."""
    path = out / IDENTITY_NAME
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, OSError):
        found = None
    if not isinstance(found, dict) or any(key not in found for key in ("run_id", *keys)):
        raise CheckpointError(
            f"{path} is corrupted or was not written by this program, so it is unknown what {out} was started "
            "with. Restore it, or start a new run in another folder."
        )
    return found
