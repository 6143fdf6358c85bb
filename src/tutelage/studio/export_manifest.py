"""The manifest of an export: how many labels, by whom, under which guidelines, when; the hash of every file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tutelage.labeling.exported import ComparisonRow, comparison_of
from tutelage.records import Record

if TYPE_CHECKING:
    from tutelage.studio.label_rows import LabelRow


class ExportManifest(Record):
    """What an export holds: its counts and hashes, the guidelines, and the group of every labeler.

    `counts` and `sha256` are by file. `num_ties` counts pairs of completions that a labeler called equally good:
    rankings hold them as tie groups, TRL's pairs exclude them. `num_without_consent` labels were excluded because their
    labelers did not consent to their use. `preferences`: for two policies that were compared blind, how often the first
    won, lost and tied; if both have the same name, or none, only how many comparisons were decided and tied, since
    neither is the first.
    """

    version: str
    exported_at: str
    format: str
    purpose: str | None
    group: str | None
    batch: str | None
    validation_share: float | None
    num_labels: int
    num_not_rankable: int
    num_ties: int
    num_without_consent: int
    counts: dict[str, int]
    sha256: dict[str, str]
    kinds: dict[str, int]
    batches: dict[str, int]
    labeler_groups: dict[str, str]
    guidelines: dict[str, int]
    ui_versions: dict[str, int]
    preferences: dict[str, dict[str, int]]
    first_label_at: str | None
    last_label_at: str | None
    active_hours: float


@dataclass(slots=True)
class Tally:
    """Counts labels as they are written, for the manifest."""

    num: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    batches: Counter[str] = field(default_factory=Counter)
    guidelines: Counter[str] = field(default_factory=Counter)
    ui_versions: Counter[str] = field(default_factory=Counter)
    groups: dict[str, str] = field(default_factory=dict)
    preferences: dict[str, Counter[str]] = field(default_factory=dict)
    times: list[datetime] = field(default_factory=list)
    seconds: float = 0.0

    def counted(self, rows: Iterable[LabelRow]) -> Iterator[LabelRow]:
        """Yield the same rows, counting each."""
        for row in rows:
            self._count(row)
            yield row

    def _count(self, row: LabelRow) -> None:
        self.num["labels"] += 1
        self.num["not_rankable"] += bool(row.label.cannot_rank)
        for counter, value in (
            (self.kinds, row.task.kind),
            (self.batches, row.batch),
            (self.guidelines, row.guideline),
            (self.ui_versions, row.ui_version),
        ):
            counter[value] += 1
        self.groups[row.labeler_id] = row.labeler_group
        self.seconds += sum(row.active_seconds.values())
        self.times = [min([*self.times[:1], row.created_at]), max([*self.times[1:], row.created_at])]
        if row.task.kind in ("evaluate", "compare"):
            self.num["ties"] += sum(len(tied) * (len(tied) - 1) // 2 for tied in row.label.ranking)
        if (compared := comparison_of(row.task, row.label, row.labeler_id)) is not None:
            self._count_comparison(compared)

    def _count_comparison(self, compared: ComparisonRow) -> None:
        pair = f"{compared.policy or 'unnamed'} against {compared.other_policy or 'unnamed'}"
        # The sides of one policy are ordered by completion id, which says nothing about who won.
        names = {1.0: "decided", 0.0: "decided", 0.5: "tied"}
        if (compared.policy or "") != (compared.other_policy or ""):
            names = {1.0: "won", 0.0: "lost", 0.5: "tied"}
        counts = self.preferences.setdefault(pair, Counter(dict.fromkeys(names.values(), 0)))
        counts[names[compared.outcome]] += 1

    def facts(self) -> dict[str, Any]:
        """The fields of the manifest that come from the labels."""
        first, last = self.times or (None, None)
        return {
            **{f"num_{name}": self.num[name] for name in ("labels", "not_rankable", "ties")},
            "kinds": dict(self.kinds),
            "batches": dict(self.batches),
            "guidelines": dict(self.guidelines),
            "ui_versions": dict(self.ui_versions),
            "labeler_groups": self.groups,
            "preferences": {pair: dict(outcomes) for pair, outcomes in self.preferences.items()},
            "first_label_at": first.isoformat() if first else None,
            "last_label_at": last.isoformat() if last else None,
            "active_hours": round(self.seconds / 3600, 3),
        }
