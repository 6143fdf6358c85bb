"""Digests of file contents: the same content is the same input, whatever its location and name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tutelage.store.named_source import NamedSource

_CHUNK = 1 << 22
_UNKNOWN = "hub:?"


def fingerprint(source: Path | str) -> str:
    """`sha256:` of a file's bytes, or of the names and bytes in a folder; `hub:` and the revision for a hub id.

    Reading costs about a second per gigabyte. A hub id that is not in the local cache has no revision: `hub:?`. The
    column that ranks is part of it: another one makes other rankings.
    """
    place = NamedSource.parse(source)
    digest = _content(place.source)
    return digest if place.by is None or digest == _UNKNOWN else f"{digest}?by={place.by}"


def _content(source: str) -> str:
    path = Path(source)
    if path.is_file():
        return f"sha256:{hash_file(path)}"
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            name = file.relative_to(path)
            if not any(part.startswith(".") for part in name.parts):
                digest.update(f"{name.as_posix()}\0{hash_file(file)}\n".encode())
        return f"sha256:{digest.hexdigest()}"
    revision = _cached_revision(source)
    return _UNKNOWN if revision is None else f"hub:{revision}"


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_same(before: str, now: str) -> bool:
    """Whether two fingerprints can be of the same content; a hub id with an unknown revision is accepted."""
    return before == now or (before.startswith("hub:") and now.startswith("hub:") and "hub:?" in (before, now))


def _cached_revision(repository: str) -> str | None:
    """The commit of a hub repository in the local cache."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    for kind in ("models", "datasets"):
        reference = cache / f"{kind}--{repository.replace('/', '--')}" / "refs" / "main"
        if reference.is_file():
            return reference.read_text().strip()
    return None
