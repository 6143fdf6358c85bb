"""`tutelage prompts build`: from files of raw prompts to a folder of curated ones, written atomically."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tutelage import __version__
from tutelage.curation.decide import NUM_STEPS, decide, kept_prompts
from tutelage.curation.intake import ShowProgress, read_sources
from tutelage.curation.ledger import Ledger
from tutelage.curation.manifest import Manifest, PromptFile, RejectedRecord
from tutelage.progress import Progress
from tutelage.progress import progress as show_progress
from tutelage.prompts.allot import writer_of
from tutelage.prompts.config import PromptsConfig
from tutelage.prompts.tables import in_order, set_name
from tutelage.records import Prompt
from tutelage.store.atomic import atomic_directory, atomic_file, clean_partial
from tutelage.store.jsonl import write_records
from tutelage.store.reasons import Reasons

PROMPTS_FILE, MANIFEST_FILE, REJECTED_FILE = "prompts.jsonl", "manifest.json", "rejected.jsonl"
_LEFT_OUT_SHOWN = 20
_PROMPTS_PER_ADVANCE = 1_000


class Rejected(BaseModel):
    """One line of rejected.jsonl: a prompt by its id, or an unreadable record by its location."""

    model_config = ConfigDict(frozen=True)

    reason: str
    id: str | None = None
    path: str | None = None
    line: int | None = None
    message: str | None = None


def build_prompts(
    sources: Sequence[Path | str],
    out: Path,
    config: PromptsConfig,
    *,
    skip_bad: bool = False,
    progress: ShowProgress = show_progress,
) -> Manifest:
    """Read every source, apply the rules, and write `out`: prompts.jsonl, manifest.json, rejected.jsonl.

    Memory does not grow with the number of prompts: what must be stored about them is in a working file, inside the
    folder that becomes `out` at the end. An interrupted build leaves nothing; after a kill the next one cleans up.
    Raises `RecordError` at the first bad record unless `skip_bad`, `DataError` for sources without prompts, an empty
    split, ids or split hints that contradict each other, `StorageError` if `out` exists or the disk is full.
    """
    clean_partial(out.parent)
    with atomic_directory(out) as folder:
        with Ledger(folder / "working.sqlite") as ledger:
            read = read_sources(ledger, sources, config, skip_bad=skip_bad, progress=progress)
            with progress("find repeats", NUM_STEPS, unit="steps") as shown:
                num_hints_ignored = decide(ledger, config, shown.advance)
            tally = _Tally()
            with progress("write prompts", ledger.num_kept(), unit="prompts") as shown:
                write_records(folder / PROMPTS_FILE, _written(ledger, config, tally, shown))
            if config.write_rejected:
                write_records(folder / REJECTED_FILE, _rejected_lines(ledger))
            manifest = _manifest(ledger, read, tally, config, num_hints_ignored)
        with atomic_file(folder / MANIFEST_FILE) as handle:
            handle.write(manifest.model_dump_json(indent=2).encode() + b"\n")
    return manifest


class _Tally:
    """Counts kept while prompts are written."""

    def __init__(self) -> None:
        self.num_kept = self.num_scrubbed = 0
        self.placeholders: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.counts: dict[str, Counter[str]] = {}

    def add(self, prompt: Prompt, findings: Counter[str]) -> None:
        self.num_kept += 1
        self.num_scrubbed += bool(findings)
        self.placeholders.update(findings)
        self.languages[prompt.language or ""] += 1
        self.counts.setdefault(set_name(prompt.split, prompt.purpose), Counter())[writer_of(prompt.source)] += 1


def _written(ledger: Ledger, config: PromptsConfig, tally: _Tally, shown: Progress) -> Iterator[Prompt]:
    for _, prompt, findings in kept_prompts(ledger, config):
        tally.add(prompt, findings)
        if tally.num_kept % _PROMPTS_PER_ADVANCE == 0:
            shown.advance(_PROMPTS_PER_ADVANCE)
        yield prompt
    if rest := tally.num_kept % _PROMPTS_PER_ADVANCE:
        shown.advance(rest)


def _rejected_lines(ledger: Ledger) -> Iterator[Rejected]:
    for identity, reason in ledger.rejected():
        yield Rejected(reason=reason, id=identity)
    for path, line, message in ledger.left_out():
        yield Rejected(reason="left_out", path=path, line=line, message=message)


def _manifest(
    ledger: Ledger, sources: tuple[PromptFile, ...], tally: _Tally, config: PromptsConfig, num_hints_ignored: int
) -> Manifest:
    left_out = islice(ledger.left_out(), _LEFT_OUT_SHOWN)
    return Manifest(
        tutelage=__version__,
        config=config,
        sources=sources,
        left_out=tuple(RejectedRecord(path=path, line=line, message=message) for path, line, message in left_out),
        left_out_by_reason=tuple(Reasons(message for _, _, message in ledger.left_out()).lines(_LEFT_OUT_SHOWN)),
        num_read=ledger.num_prompts,
        num_kept=tally.num_kept,
        num_users=sum(1 for _ in ledger.users()),
        rejected=dict(Counter(reason for _, reason in ledger.rejected())),
        placeholders=dict(sorted(tally.placeholders.items())),
        num_scrubbed=tally.num_scrubbed,
        languages=dict(tally.languages.most_common()),
        counts={name: dict(sorted(counter.items())) for name, counter in in_order(tally.counts)},
        num_hints_ignored=num_hints_ignored,
    )
