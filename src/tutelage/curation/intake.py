"""Reading the sources of a build into its ledger: what each contained, and what could not be used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tutelage.curation.decide import enter
from tutelage.curation.ledger import Ledger
from tutelage.curation.manifest import PromptFile
from tutelage.errors import DataError
from tutelage.progress import Progress
from tutelage.prompts.config import PromptsConfig
from tutelage.prompts.privacy import scrub
from tutelage.records import Prompt
from tutelage.store.compressed import compressible, open_binary
from tutelage.store.jsonl import SkipLog, Skipped, read_rows
from tutelage.store.sources import load_prompts

ShowProgress = Callable[..., AbstractContextManager[Progress]]
_BLOCK_BYTES = 1 << 20


def read_sources(
    ledger: Ledger, sources: Sequence[Path | str], config: PromptsConfig, *, skip_bad: bool, progress: ShowProgress
) -> tuple[PromptFile, ...]:
    """Add the prompts of every source to the ledger. Raises like `build_prompts`."""
    if not sources:
        raise DataError("no source was given. Give at least one file, folder or dataset of prompts.")
    total = sum(map(_num_rows, sources))
    with progress("read prompts", total, unit="prompts") as shown:
        return tuple(_read(ledger, source, config, skip_bad, shown) for source in sources)


def _read(ledger: Ledger, source: Path | str, config: PromptsConfig, skip_bad: bool, shown: Progress) -> PromptFile:
    num_left_out = 0

    def leave_out(path: str, line: int, message: str) -> None:
        nonlocal num_left_out
        num_left_out += 1
        # The message quotes the record's text.
        ledger.leave_out(path, line, scrub(message, config.pii)[0])

    def on_skip(skipped: Skipped) -> None:
        leave_out(skipped.path, skipped.line, skipped.message)

    def refuse(error: DataError) -> None:
        leave_out(str(source), 0, str(error))

    before = ledger.num_prompts
    prompts: Iterator[Prompt] = load_prompts(source, skip_bad=skip_bad, on_skip=on_skip)
    for number in enter(ledger, prompts, config, refuse=refuse if skip_bad else None):
        shown.advance(number)
    return PromptFile(
        path=str(source),
        sha256=_sha256(Path(source)),
        num_prompts=ledger.num_prompts - before,
        num_left_out=num_left_out,
    )


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _num_rows(source: Path | str) -> int:
    """The approximate number of rows of a file, for the progress bar; 0 if only reading it would tell."""
    path = Path(source)
    if not path.is_file():
        return 0
    if path.name.endswith(compressible(".jsonl")):
        with open_binary(path) as handle:
            return sum(block.count(b"\n") for block in iter(lambda: handle.read(_BLOCK_BYTES), b""))
    return sum(1 for _ in read_rows(path, SkipLog(path, skip_bad=True, on_skip=lambda _: None)))
