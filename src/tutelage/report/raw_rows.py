"""The rows that a measurement averaged, so that two measurements can be paired prompt by prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.report.measured import Row
from tutelage.report.results import is_number
from tutelage.store.jsonl import SkipLog, is_record_file, read_rows

# What a row was drawn from, by the names that files of rows give it: the unit of pairing. A cluster (items of one text)
# comes before its items.
_UNITS = ("cluster", "prompt_id", "question_id", "item_id", "pair_id", "window", "id")
# Where a row holds the number, by measure; after these its own name, its metric, nats (of `num_tokens`), and "value".
_NUMBERS = {
    "win_rate": ("outcome",),
    "generalisation": ("outcome",),
    "likert": ("overall",),
    "truthful": ("is_true",),
    "truthful_choice": ("accuracy",),
    "bias_entropy": ("entropy",),
}
# Where a row without a `condition` of its own states one; its text stands under "prompt", so that the kind of prompt
# has other names.
_ALIASES = {
    "labelers": ("labelers", "labeler_group"),
    "prompt": ("prompt_kind", "prompt_type"),
    "shots": ("shots", "num_shots"),
}
# How near the mean of rows must come to the measured one to be its rows: other tools write four digits.
_SAME_MEAN = 1e-4
Means = Mapping[Hashable, float]


class RawRows:
    """The raw rows of one run, each file read once."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._files: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = {}

    def means(self, row: Row) -> Means | None:
        """The mean of each prompt (question, item) behind a measurement.

        None where its file is missing or is not one of rows, and where the rows that fit the measurement do not
        average to it: then they are not the ones that were averaged, and nothing may be paired on them.
        """
        source = row.estimate.raw or row.estimate.source
        gathered: dict[Hashable, list[float]] = defaultdict(list)
        fitting = [raw for raw in self._of_arm(source, row) if _fits(raw, row)]
        scale = _per_token(fitting)
        for raw in fitting:
            unit = next((raw[name] for name in _UNITS if isinstance(raw.get(name), (str, int))), None)
            number = _number(raw, row)
            if unit is not None and number is not None:
                gathered[unit].append(scale * number)
        values = [value for found in gathered.values() for value in found]
        if not values or abs(sum(values) / len(values) - row.estimate.mean) >= _SAME_MEAN:
            return None
        return {unit: sum(found) / len(found) for unit, found in gathered.items()}

    def _of_arm(self, source: str, row: Row) -> list[dict[str, Any]]:
        if source not in self._files:
            self._files[source] = self._read(source)
        by_arm = self._files[source]
        return by_arm.get((row.arm, row.size), by_arm.get((row.arm, ""), []))

    def _read(self, source: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
        path = (self._run / source).resolve()
        by_arm: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        # A source is data of the run: it may point nowhere, or out of the folder.
        if not is_record_file(path) or not path.is_file() or not path.is_relative_to(self._run.resolve()):
            return by_arm
        log = SkipLog(path, skip_bad=True, on_skip=lambda _: None)
        for _, raw in read_rows(path, log):
            by_arm[str(raw.get("arm", "")), str(raw.get("size", ""))].append(raw)
        return by_arm


def _number(raw: Mapping[str, Any], row: Row) -> float | None:
    if row.measure == "flag":
        flags = raw.get("flags")
        return _as_number(flags.get(row.condition.get("flag"))) if isinstance(flags, dict) else None
    if row.measure == "truthful_informative" and "is_true" in raw and "is_informative" in raw:
        return float(bool(raw["is_true"]) and bool(raw["is_informative"]))
    names = (*_NUMBERS.get(row.measure, ()), row.measure, str(row.condition.get("metric", "")), "nats", "value")
    return next((found for name in names if (found := _as_number(raw.get(name))) is not None), None)


def _per_token(rows: Sequence[Mapping[str, Any]]) -> float:
    """What makes the plain mean of nats the nats per token; 1 for rows without. All policies read the same tokens."""
    num_tokens = sum(_as_number(raw.get("num_tokens")) or 0.0 for raw in rows if "nats" in raw)
    return len(rows) / num_tokens if num_tokens else 1.0


def _as_number(found: Any) -> float | None:
    return float(found) if is_number(found) or isinstance(found, bool) else None


def _fits(raw: Mapping[str, Any], row: Row) -> bool:
    """Whether a raw row contradicts no condition of the measurement; what it does not state it does not contradict."""
    own = raw.get("condition")
    if isinstance(own, dict):
        return all(own.get(key, wanted) == wanted for key, wanted in row.condition.items())
    for key, wanted in row.condition.items():
        stated = next((raw[name] for name in _ALIASES.get(key, (key,)) if name in raw), wanted)
        if key == "shots" and isinstance(stated, int):
            stated = "few" if stated else "zero"
        if key == "baseline" and stated == f"{wanted}-{row.condition.get('baseline_size')}":
            stated = wanted  # earlier runs wrote arm and size as one name
        if stated != wanted and str(stated).replace("_", "") != str(wanted).replace("_", ""):
            return False
    return True
