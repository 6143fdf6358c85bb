"""What the labels say of the labelers: agreement, drift, and the items on which they differ most. No clock, no file.

A label is taken apart into judgements: one for each pair of completions it orders, each flag and each scale. Whatever
is computed of them is clustered by item, because judgements of one item share its completions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

from tutelage.labeling.fields import Flag, Scale
from tutelage.labeling.forms import COMPARISON_FIELDS, DEMONSTRATION_FIELDS, PROMPT_TOXICITY, RATING_FIELDS
from tutelage.labeling.forms import TOXICITY_FIELDS as _TOXICITY_FIELDS
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Kind
from tutelage.statistics import (
    Coefficient,
    Interval,
    bounded_mean,
    krippendorff_alpha,
    pairwise_agreement,
    ranking_concordance,
    ranking_outcomes,
)
from tutelage.statistics.agreement import TieRule
from tutelage.statistics.reliability import Level

ORDER = "order"
TOXICITY_ORDER = "toxicity_order"
_FIELDS = (*RATING_FIELDS, *_TOXICITY_FIELDS, PROMPT_TOXICITY, *DEMONSTRATION_FIELDS, *COMPARISON_FIELDS)
_SCALES = {field.name: field for field in _FIELDS if isinstance(field, Scale)}
_FLAGS = {field.name: field for field in _FIELDS if isinstance(field, Flag)}
QUESTIONS: dict[str, str] = {
    ORDER: "Which of two completions is better",
    TOXICITY_ORDER: "Which of two completions is less toxic",
    **{name: field.label for name, field in _SCALES.items()},
    **{name: field.label for name, field in _FLAGS.items()},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAgreement:
    """How often two of the paper's labelers agreed, with its plus-minus, which it does not explain."""

    name: str
    share: float
    error: float
    source: str = "Ouyang et al. (2022), section 3.4"


PAPER_AGREEMENT = (
    PublishedAgreement(name="The paper's training labelers", share=0.726, error=0.015),
    PublishedAgreement(name="The paper's held-out labelers", share=0.773, error=0.013),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A label, whose it is, and when it was made."""

    item_id: int
    kind: Kind
    labeler_id: str
    group: str
    label: Label
    made_at: datetime


class Judgement(NamedTuple):
    """The answer to one question about one thing (a pair, a completion, a prompt) of an item.

    A tuple, because a team makes hundreds of thousands.
    """

    question: str
    thing: tuple[object, ...]
    item_id: int
    labeler_id: str
    value: float
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far labelers agree on one question: `share` is None where nobody judged anything twice.

    `alphas`: nominal for all questions, for scales ordinal and interval too.
    """

    question: str
    share: Interval | None
    alphas: Mapping[Level, Coefficient]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerAgreement:
    """How often one labeler judged as another one did who judged the same; None where nobody else did."""

    labeler_id: str
    share: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One labeler's agreement with the rest in the week that begins on `monday`."""

    monday: date
    share: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One labeler over time: each week, and the first half of their judgements against the second.

    `has_drifted` is said only where the 95 % intervals of the two halves do not touch.
    """

    labeler_id: str
    weeks: tuple[Week, ...]
    first_half: Interval
    second_half: Interval

    @property
    def has_drifted(self) -> bool:
        return self.first_half.low > self.second_half.high or self.second_half.low > self.first_half.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """How far the labelers of one item are apart: 0 all alike, 1 as far as can be."""

    item_id: int
    num_labels: int
    distance: float


def judgements_of(judged: Iterable[Judged]) -> list[Judgement]:
    """All judgements in some labels. What was refused, and words, are none."""
    return [judgement for each in judged for judgement in _judgements(each)]


def _judgements(judged: Judged) -> Iterator[Judgement]:
    def judgement(question: str, thing: tuple[object, ...], value: float) -> Judgement:
        return Judgement(question, (judged.item_id, *thing), judged.item_id, judged.labeler_id, value, judged.made_at)

    order = TOXICITY_ORDER if judged.kind == "toxicity" else ORDER
    for pair, outcome in ranking_outcomes(judged.label.ranking).items():
        yield judgement(order, pair, outcome)
    for completion_id, entries in (("", judged.label.fields), *judged.label.of_completions.items()):
        for name, value in entries.items():
            if name in _SCALES or name in _FLAGS:
                yield judgement(name, (completion_id,), float(value))


def agreements(judgements: Sequence[Judgement], *, ties: TieRule = "category") -> list[Agreement]:
    """The agreement on every question that was judged at all, the order of completions first."""
    of_question: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        of_question[judgement.question].append(judgement)
    return [_agreement(name, of_question[name], ties) for name in QUESTIONS if name in of_question]


def _agreement(question: str, judgements: Sequence[Judgement], ties: TieRule) -> Agreement:
    things = [each.thing for each in judgements]
    labelers = [each.labeler_id for each in judgements]
    values = [each.value for each in judgements]
    levels: tuple[Level, ...] = ("nominal", "ordinal", "interval") if question in _SCALES else ("nominal",)
    alphas = {level: krippendorff_alpha(things, labelers, values, level=level) for level in levels}
    share = None
    if alphas["nominal"].num_items:
        rule: TieRule = ties if question in (ORDER, TOXICITY_ORDER) else "category"
        share = pairwise_agreement(things, labelers, values, clusters=[each.item_id for each in judgements], ties=rule)
    return Agreement(question=question, share=share, alphas=alphas)


def concordance(judged: Iterable[Judged]) -> Interval | None:
    """Mean tau-b of the rankings that two labelers made of the same completions; None where there are none."""
    ranked = [each for each in judged if each.kind != "toxicity" and each.label.ranking]
    return ranking_concordance(
        [each.item_id for each in ranked],
        [each.labeler_id for each in ranked],
        [each.label.ranking for each in ranked],
    )


def labeler_agreements(judgements: Sequence[Judgement], question: str = ORDER) -> list[LabelerAgreement]:
    """Each labeler against the rest on one question, by labeler id."""
    met = _meetings(judgements, question)
    return [
        LabelerAgreement(labeler_id=labeler_id, share=_share(met[labeler_id]) if met.get(labeler_id) else None)
        for labeler_id in sorted({each.labeler_id for each in judgements if each.question == question})
    ]


def drifts(judgements: Sequence[Judgement], question: str = ORDER) -> list[Drift]:
    """Each labeler's agreement with the rest over time, by labeler id; who met others once only is left out."""
    found = []
    for labeler_id, met in sorted(_meetings(judgements, question).items()):
        met.sort(key=lambda each: (each[0].made_at, each[0].item_id))
        half = len(met) // 2
        if half:
            weeks: dict[date, list[_Meeting]] = defaultdict(list)
            for each in met:
                weeks[_monday(each[0].made_at)].append(each)
            found.append(
                Drift(
                    labeler_id=labeler_id,
                    weeks=tuple(Week(monday=monday, share=_share(of_week)) for monday, of_week in weeks.items()),
                    first_half=_share(met[:half]),
                    second_half=_share(met[half:]),
                )
            )
    return found


# One labeler's judgement, and whether another labeler's of the same thing was the same.
_Meeting = tuple[Judgement, float]


def _meetings(judgements: Sequence[Judgement], question: str) -> dict[str, list[_Meeting]]:
    of_thing: dict[tuple[object, ...], list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        if judgement.question == question:
            of_thing[judgement.thing].append(judgement)
    met: dict[str, list[_Meeting]] = defaultdict(list)
    for together in of_thing.values():
        for one, other in combinations(together, 2):
            is_same = float(one.value == other.value)
            met[one.labeler_id].append((one, is_same))
            met[other.labeler_id].append((other, is_same))
    return met


def _share(met: Sequence[_Meeting]) -> Interval:
    return bounded_mean([is_same for _, is_same in met], [judgement.item_id for judgement, _ in met])


def _monday(moment: datetime) -> date:
    day = moment.date()
    return day - timedelta(days=day.weekday())


def disagreements(judgements: Sequence[Judgement]) -> list[Disagreement]:
    """Items that two or more have judged, those first on which they are farthest apart.

    Orders, scales and flags count alike, each as the mean distance between two labelers: half a pair for a tie against
    a preference, the share of the scale between two numbers, all or nothing for a flag.
    """
    of_item: dict[int, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        of_item[judgement.item_id].append(judgement)
    found = [
        Disagreement(item_id=item_id, num_labels=len({each.labeler_id for each in own}), distance=fmean(parts))
        for item_id, own in of_item.items()
        if (parts := _distances(own))
    ]
    return sorted(found, key=lambda each: (-each.distance, each.item_id))


def _distances(judgements: Sequence[Judgement]) -> list[float]:
    """The mean distances of an item's orders, its scales and its flags, of those that were judged twice."""
    of_thing: dict[tuple[str, tuple[object, ...]], list[float]] = defaultdict(list)
    for each in judgements:
        of_thing[each.question, each.thing].append(each.value)
    parts: dict[str, list[float]] = defaultdict(list)
    for (question, _), values in of_thing.items():
        scale = _SCALES.get(question)
        part = "scale" if scale else "flag" if question in _FLAGS else "order"
        span = scale.highest - scale.lowest if scale else 1
        parts[part] += [abs(one - other) / span for one, other in combinations(values, 2)]
    return [fmean(distances) for distances in parts.values() if distances]
