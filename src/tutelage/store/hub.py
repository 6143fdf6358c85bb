"""Hugging Face datasets: a hub id, a folder written by `save_to_disk`, a folder of Parquet or JSON lines files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.errors import DataError
from tutelage.store.jsonl import is_record_file
from tutelage.store.parquet import without_nulls

_HUB_ID = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(/(?P<config>[\w.-]+))?(:(?P<split>[\w.-]+))?")
_SPLIT_NAME = re.compile(r"^(train|test|validation|valid|dev|eval)(?![a-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubId:
    """A dataset on the hub: owner/name, with a configuration and a split if given."""

    name: str
    config: str | None
    split: str | None


def parse_hub_id(source: str) -> HubId | None:
    """`hf:owner/name`, `hf:owner/name/config:split`, or the same without `hf:`; else None.

    Without `hf:`, a local path, or what could be a mistyped one (its first folder exists), is not treated as a hub id.
    """
    text = source.removeprefix("hf:")
    if text == source and (Path(source.split("/")[0]).exists() or is_record_file(Path(source))):
        return None
    match = _HUB_ID.fullmatch(text)
    if match is None:
        return None
    return HubId(name=match["name"], config=match["config"], split=match["split"])


def _datasets(source: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"{source!r} is read with the datasets package, which is not installed. "
            "Run: pip install 'tutelage[data]', or give the path of a .jsonl or .parquet file."
        ) from None
    return datasets


def hub_rows(hub_id: HubId, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a dataset on the hub with their numbers from 1, streamed.

    `split` is used if the id names none. Raises `DataError`.
    """
    datasets = _datasets(hub_id.name)
    split, number = hub_id.split or split, 0
    try:
        rows = datasets.load_dataset(hub_id.name, hub_id.config, split=split, streaming=True)
        for number, row in enumerate(rows, start=1):
            yield number, without_nulls(row)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"dataset {hub_id.name!r} (split {split!r}) cannot be read after row {number}: "
            f"{_first_line(error)}. Check its name, its split and the connection, or give a local path."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def is_saved_dataset(folder: Path) -> bool:
    """Whether `folder` was written by `save_to_disk` of the datasets package."""
    return (folder / "state.json").exists() or (folder / "dataset_dict.json").exists()


def saved_rows(folder: Path, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a folder written by `save_to_disk`; with several splits, those of `split`. Raises `DataError`."""
    datasets = _datasets(str(folder))
    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be read: {_first_line(error)}. Write the dataset again.") from error
    if isinstance(loaded, dict):
        if split not in loaded:
            raise DataError(
                f"{folder} has no split {split!r}; it has {', '.join(map(repr, loaded))}. Choose one of them."
            )
        loaded = loaded[split]
    for number, row in enumerate(loaded, start=1):
        yield number, without_nulls(row)


def files_in(folder: Path, split: str) -> list[Path]:
    """The files of records under `folder`, in order.

    Of files named after a split (train-..., test-...) only those of `split` are used. Raises `DataError` if there are
    none.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_record_file(path)]
    kept = [path for path in files if (match := _SPLIT_NAME.match(path.name)) is None or match[1] == split]
    if not kept:
        found = ", ".join(path.name for path in files[:5]) or "none at all"
        raise DataError(
            f"{folder} has no file of records for split {split!r}; files there: {found}. Give another folder or split."
        )
    return kept
