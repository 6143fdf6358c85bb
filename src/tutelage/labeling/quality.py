"""What the labels say about the labelers: agreement, drift, and the most disputed items. No clock, no files.

A label is split into judgments: one for each pair of completions it orders, each flag and each scale. All statistics
are clustered by item, because judgments of one item share its completions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

from tutelage.labeling.fields import Flag, Scale
from tutelage.labeling.forms import COMPARISON_FIELDS, DEMONSTRATION_FIELDS, PROMPT_TOXICITY, RATING_FIELDS
from tutelage.labeling.forms import TOXICITY_FIELDS as _TOXICITY_FIELDS
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Kind, Purpose
from tutelage.statistics import (
    Coefficient,
    Interval,
    bounded_mean,
    krippendorff_alpha_of_orders,
    krippendorff_alphas,
    pairwise_agreement,
    ranking_concordance,
    ranking_outcomes,
)
from tutelage.statistics.agreement import TieRule
from tutelage.statistics.reliability import Level

ORDER = "order"
TOXICITY_ORDER = "toxicity_order"
_FIELDS = (*RATING_FIELDS, *_TOXICITY_FIELDS, PROMPT_TOXICITY, *DEMONSTRATION_FIELDS, *COMPARISON_FIELDS)
_SCALES = {each.name: each for each in _FIELDS if isinstance(each, Scale)}
_FLAGS = {each.name: each for each in _FIELDS if isinstance(each, Flag)}
QUESTIONS: dict[str, str] = {
    ORDER: "Which of two completions is better",
    TOXICITY_ORDER: "Which of two completions is less toxic",
    **{name: scale.label for name, scale in _SCALES.items()},
    **{name: flag.label for name, flag in _FLAGS.items()},
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
    """A label, its labeler, and when it was made."""

    item_id: int
    kind: Kind
    purpose: Purpose
    labeler_id: str
    group: str
    label: Label
    made_at: datetime


class Judgement(NamedTuple):
    """The answer to one question about one thing (a pair, a completion, a prompt) of an item."""

    thing: int
    item_id: int
    labeler_id: str
    value: float
    made_at: datetime


@dataclass(slots=True)
class Answers:
    """All judgments of one question, in columns: a team makes hundreds of thousands.

    `things` are ids of what was judged, shared by all labelers whose labels were read together.
    """

    things: list[int] = field(default_factory=list)
    item_ids: list[int] = field(default_factory=list)
    labeler_ids: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)

    def add(self, thing: int, judged: Judged, value: float) -> None:
        self.things.append(thing)
        self.item_ids.append(judged.item_id)
        self.labeler_ids.append(judged.labeler_id)
        self.values.append(value)
        self.moments.append(judged.made_at)

    def __iter__(self) -> Iterator[Judgement]:
        columns = self.things, self.item_ids, self.labeler_ids, self.values, self.moments
        return map(Judgement, *columns)


Judgements = Mapping[str, Answers]
"""The answers to each question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of labelers on one question: `share` is None if nothing was judged twice.

    `alphas`: nominal for all questions; also ordinal and interval for scales.
    """

    question: str
    share: Interval | None
    alphas: Mapping[Level, Coefficient]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerAgreement:
    """How often one labeler agreed with others who judged the same; None if nobody else did."""

    labeler_id: str
    share: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One labeler's agreement with the rest in the week that begins on `monday`."""

    monday: date
    share: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One labeler over time: each week, and the first half of their judgments against the second.

    `has_drifted` only if the 95 % intervals of the two halves do not overlap.
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
    """How much the labelers of one item disagree: 0 not at all, 1 as much as possible."""

    item_id: int
    num_labels: int
    distance: float


def judgements_of(judged: Iterable[Judged]) -> Judgements:
    """All judgments in some labels. Refusals and text are not judgments."""
    found: dict[str, Answers] = defaultdict(Answers)
    numbers: dict[tuple[object, ...], int] = {}
    for each in judged:
        order = TOXICITY_ORDER if each.kind == "toxicity" else ORDER
        for pair, outcome in ranking_outcomes(each.label.ranking).items():
            found[order].add(numbers.setdefault((each.item_id, *pair), len(numbers)), each, outcome)
        for completion_id, entries in (("", each.label.fields), *each.label.of_completions.items()):
            thing = numbers.setdefault((each.item_id, completion_id), len(numbers))
            for name, value in entries.items():
                if name in _SCALES or name in _FLAGS:
                    found[name].add(thing, each, float(value))
    return dict(found)


def agreements(judgements: Judgements, *, ties: TieRule = "category") -> list[Agreement]:
    """The agreement on every question that was judged, the order of completions first."""
    return [_agreement(name, judgements[name], ties) for name in QUESTIONS if name in judgements]


def _agreement(question: str, answers: Answers, ties: TieRule) -> Agreement:
    said = answers.things, answers.labeler_ids, answers.values
    is_order = question in (ORDER, TOXICITY_ORDER)
    levels: tuple[Level, ...] = ("nominal", "ordinal", "interval") if question in _SCALES else ("nominal",)
    alphas = {levels[0]: krippendorff_alpha_of_orders(*said)} if is_order else krippendorff_alphas(*said, levels=levels)
    share = None
    if alphas["nominal"].num_items:
        rule: TieRule = ties if is_order else "category"
        share = pairwise_agreement(*said, clusters=answers.item_ids, ties=rule)
    return Agreement(question=question, share=share, alphas=alphas)


def concordance(judged: Iterable[Judged]) -> Interval | None:
    """Mean tau-b of the rankings that two labelers made of the same completions; None if there are none."""
    ranked = [each for each in judged if each.kind != "toxicity" and each.label.ranking]
    return ranking_concordance(
        [each.item_id for each in ranked],
        [each.labeler_id for each in ranked],
        [each.label.ranking for each in ranked],
    )


def labeler_agreements(judgements: Judgements, question: str = ORDER) -> list[LabelerAgreement]:
    """Each labeler against the rest on one question, by labeler id."""
    met = _meetings(judgements, question)
    return [
        LabelerAgreement(labeler_id=labeler_id, share=_share(met[labeler_id]) if met.get(labeler_id) else None)
        for labeler_id in sorted(set(judgements.get(question, Answers()).labeler_ids))
    ]


def drifts(judgements: Judgements, question: str = ORDER) -> list[Drift]:
    """Each labeler's agreement with the rest over time, by labeler id, for those with at least two comparisons."""
    found = []
    for labeler_id, met in sorted(_meetings(judgements, question).items()):
        met.sort(key=lambda each: (each[0].made_at, each[0].item_id))
        half = len(met) // 2
        if half:
            weeks: dict[date, list[_Meeting]] = defaultdict(list)
            for each in met:
                weeks[_monday(each[0].made_at.date())].append(each)
            found.append(
                Drift(
                    labeler_id=labeler_id,
                    weeks=tuple(Week(monday=monday, share=_share(of_week)) for monday, of_week in weeks.items()),
                    first_half=_share(met[:half]),
                    second_half=_share(met[half:]),
                )
            )
    return found


# One labeler's judgment, and whether another labeler's of the same thing was the same.
_Meeting = tuple[Judgement, float]


def _meetings(judgements: Judgements, question: str) -> dict[str, list[_Meeting]]:
    of_thing: dict[int, list[Judgement]] = defaultdict(list)
    for judgement in judgements.get(question, Answers()):
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


@lru_cache(maxsize=1024)
def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def disagreements(judgements: Judgements) -> list[Disagreement]:
    """Items that two or more have judged, largest disagreement first.

    Orders, scales and flags have equal weight, each as the mean distance between two labelers: half a pair for a tie
    against a preference, the fraction of the scale between two numbers, 0 or 1 for a flag.
    """
    who: set[tuple[int, str]] = set()
    parts: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for question, answers in judgements.items():
        part = "scale" if question in _SCALES else "flag" if question in _FLAGS else "order"
        for item_id, distances in _distances(question, answers):
            parts[item_id][part] += distances
        who.update(zip(answers.item_ids, answers.labeler_ids))
    num_labels = Counter(item_id for item_id, _ in who)
    found = [
        Disagreement(item_id=item_id, num_labels=num_labels[item_id], distance=fmean(map(fmean, own.values())))
        for item_id, own in parts.items()
    ]
    return sorted(found, key=lambda each: (-each.distance, each.item_id))


def _distances(question: str, answers: Answers) -> Iterator[tuple[int, list[float]]]:
    """The distances between labelers on each thing that was judged twice, and the item of the thing."""
    scale = _SCALES.get(question)
    span = scale.highest - scale.lowest if scale else 1
    of_thing: dict[int, list[float]] = defaultdict(list)
    for thing, value in zip(answers.things, answers.values):
        of_thing[thing].append(value)
    item_of = dict(zip(answers.things, answers.item_ids))
    for thing, values in of_thing.items():
        if len(values) > 1:
            yield item_of[thing], [abs(one - other) / span for one, other in combinations(values, 2)]
