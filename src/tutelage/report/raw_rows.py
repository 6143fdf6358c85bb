"""The rows that a measurement averaged, so that two measurements can be paired cluster by cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from pathlib import Path

from tutelage.evaluation.records import (
    COMPARISONS,
    COMPLETIONS,
    FOLDER,
    RATINGS,
    EvaluatedComparison,
    EvaluatedRating,
    EvaluatedRow,
    Measurement,
    TaskRow,
)
from tutelage.store.jsonl import is_record_file, read_records

_KINDS: Mapping[str, type[EvaluatedRow]] = {COMPARISONS: EvaluatedComparison, RATINGS: EvaluatedRating}
# Tolerance between the mean of rows and the measured one: a file may have been changed since.
_SAME_MEAN = 1e-9
Means = Mapping[Hashable, float]


class RawRows:
    """The rows of one run, each file read once."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._files: dict[str, dict[tuple[str, str], list[EvaluatedRow]]] = {}

    def means(self, found: Measurement) -> Means | None:
        """The mean of each cluster (prompt, question, window) behind a measurement.

        None if its file is missing or does not contain rows, or if its rows do not average to it: then they are not the
        ones that were averaged, and must not be used for pairing.
        """
        rows = self._of_arm(found)
        valued = [(row, value) for row in rows if (value := row.value_for(found)) is not None]
        counts = [row.count for row, _ in valued if isinstance(row, TaskRow) and row.count is not None]
        # This makes the plain mean of totals the mean per token: all policies are evaluated on the same tokens.
        scale = len(counts) / sum(counts) if counts else 1.0
        gathered: dict[Hashable, list[float]] = defaultdict(list)
        for row, value in valued:
            gathered[row.cluster].append(scale * value)
        values = [value for own in gathered.values() for value in own]
        if not values or abs(sum(values) / len(values) - found.mean) > _SAME_MEAN * max(1.0, abs(found.mean)):
            return None
        return {cluster: sum(own) / len(own) for cluster, own in gathered.items()}

    def _of_arm(self, found: Measurement) -> list[EvaluatedRow]:
        if found.source not in self._files:
            self._files[found.source] = self._read(found.source)
        return self._files[found.source].get((found.arm, found.size), [])

    def _read(self, source: str) -> dict[tuple[str, str], list[EvaluatedRow]]:
        path = (self._run / source).resolve()
        by_arm: dict[tuple[str, str], list[EvaluatedRow]] = defaultdict(list)
        # A source is untrusted data: it may point nowhere, or out of the folder; completions have no numbers.
        is_of_run = path.is_relative_to((self._run / FOLDER).resolve()) and source != COMPLETIONS
        if is_of_run and is_record_file(path) and path.is_file():
            kind = _KINDS.get(source, TaskRow)
            for row in read_records(path, kind, skip_bad=True, on_skip=lambda _: None):
                by_arm[row.arm, row.size].append(row)
        return by_arm
