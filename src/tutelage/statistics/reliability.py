"""Agreement beyond chance: Krippendorff's alpha, Fleiss' kappa, Kendall's tau-b. What is undefined says why.

Sources
- Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": the coincidences of section C, the differences of
  section D. Its example is a test of this file.
- Fleiss (1971), "Measuring Nominal Scale Agreement Among Many Raters".
- Kendall (1945), "The Treatment of Ties in Ranking Problems".

Ours, because the packages `krippendorff` and scipy raise or return nan where we give the reason, and take several times
as long on a studio's few values; they are the tests' oracles. statsmodels has Fleiss' kappa, and needs pandas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from math import sqrt
from typing import Literal, get_args

from tutelage.statistics.agreement import judgements_by_item, ranking_outcomes
from tutelage.statistics.interval import Interval, bounded_mean

Level = Literal["nominal", "ordinal", "interval"]
LEVELS: tuple[Level, ...] = get_args(Level)
Ranked = Sequence[Sequence[str]]
"""Tie groups of completion ids, best first."""

_NOBODY_TWICE = "no item was judged by two labelers"
_ALL_EQUAL = "all judgments are the same, so chance alone would agree as well"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """A coefficient, 1 for full agreement and 0 for chance agreement; or None and the reason.

    `num_items` counts the items that two or more judged, `num_judgements` their judgments.
    """

    value: float | None
    reason: str = ""
    num_items: int
    num_judgements: int


def krippendorff_alpha(
    items: Sequence[Hashable], labelers: Sequence[Hashable], values: Sequence[float], *, level: Level = "nominal"
) -> Coefficient:
    """Krippendorff's alpha of judgments, any of which may be missing; items judged once are excluded.

    `level`: the distance of two values. "nominal" (flags, preferences): equal or not. "ordinal" (ranks, Likert): by the
    number of judgments between them. "interval": by their difference. Raises ValueError for another level, and if a
    labeler judged an item twice.
    """
    return krippendorff_alphas(items, labelers, values, levels=(level,))[level]


def krippendorff_alphas(
    items: Sequence[Hashable], labelers: Sequence[Hashable], values: Sequence[float], *, levels: Sequence[Level]
) -> dict[Level, Coefficient]:
    """`krippendorff_alpha` of the same judgments at several levels."""
    for level in levels:
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}; choose {', '.join(map(repr, LEVELS))}")
    units = _units(items, labelers, values)
    return {level: _alpha(units, level) for level in levels}


def krippendorff_alpha_of_orders(
    items: Sequence[Hashable], labelers: Sequence[Hashable], outcomes: Sequence[float]
) -> Coefficient:
    """Krippendorff's nominal alpha of comparisons: 1, 0.5 (tie) or 0, always seen from the same side.

    Which of two completions comes first is arbitrary: for the same judgments with 90 % agreement, the plain alpha is
    -0.03 if the better one always comes first and 0.80 if they alternate. So each comparison is pooled from both sides,
    which makes chance symmetric: without ties alpha is about twice the agreement minus one.
    """
    units = _units(items, labelers, outcomes)
    mirrored = Counter[tuple[float, ...]]()
    for unit, times in units.items():
        mirrored[tuple(sorted(1.0 - outcome for outcome in unit))] += times
    found = _alpha(units + mirrored, "nominal")
    return replace(found, num_items=found.num_items // 2, num_judgements=found.num_judgements // 2)


def _alpha(units: Counter[tuple[float, ...]], level: Level) -> Coefficient:
    pooled = Counter[float]()
    for unit, times in units.items():
        for value in unit:
            pooled[value] += times
    found = partial(Coefficient, num_items=units.total(), num_judgements=pooled.total())
    if not units:
        return found(value=None, reason=_NOBODY_TWICE)
    distance = _distance(level, pooled)
    expected = _disagreement(pooled, distance) / (pooled.total() - 1)
    if expected == 0:
        return found(value=None, reason=_ALL_EQUAL)
    observed = sum(times * _disagreement(Counter(unit), distance) / (len(unit) - 1) for unit, times in units.items())
    return found(value=1.0 - observed / expected)


def fleiss_kappa(items: Sequence[Hashable], labelers: Sequence[Hashable], values: Sequence[Hashable]) -> Coefficient:
    """Fleiss' kappa of categories; undefined unless every item was judged by equally many labelers."""
    units = [Counter(of_item.values()) for of_item in judgements_by_item(items, labelers, values).values()]
    pooled = sum(units, Counter[Hashable]())
    sizes = {unit.total() for unit in units}
    found = partial(Coefficient, num_items=len(units), num_judgements=pooled.total())
    if sizes - {1} == set():
        return Coefficient(value=None, reason=_NOBODY_TWICE, num_items=0, num_judgements=0)
    if len(sizes) > 1:
        reason = f"items have {min(sizes)} to {max(sizes)} judgments, but kappa needs equally many; use alpha"
        return found(value=None, reason=reason)
    size = sizes.pop()
    by_chance = sum((count / pooled.total()) ** 2 for count in pooled.values())
    if by_chance == 1.0:
        return found(value=None, reason=_ALL_EQUAL)
    alike = sum(count * (count - 1) for unit in units for count in unit.values()) / (size * (size - 1) * len(units))
    return found(value=(alike - by_chance) / (1.0 - by_chance))


def kendall_tau_b(first: Ranked, second: Ranked) -> Coefficient:
    """Kendall's tau-b of two rankings of the same completions: 1 for the same order, -1 for the reverse; allows ties.

    Undefined if one of them ties everything. Raises ValueError if they do not rank the same completions.
    """
    one, two = ranking_outcomes(first), ranking_outcomes(second)
    if one.keys() != two.keys():
        raise ValueError("the two rankings are not of the same completions")
    # From 1, 0.5, 0 to 1, 0, -1: the product is 1 if both order a pair the same way and -1 if they contradict.
    signs = [(2 * one[pair] - 1, 2 * two[pair] - 1) for pair in one]
    untied = [sum(abs(sign) for sign in of_one) for of_one in zip(*signs)] if signs else [0.0, 0.0]
    found = partial(
        Coefficient, num_items=len({identity for group in first for identity in group}), num_judgements=len(signs)
    )
    if 0 in untied:
        return found(value=None, reason="a ranking ties everything, or has only one completion")
    return found(value=sum(a * b for a, b in signs) / sqrt(untied[0] * untied[1]))


def ranking_concordance(
    items: Sequence[Hashable], labelers: Sequence[Hashable], rankings: Sequence[Ranked]
) -> Interval | None:
    """Mean tau-b over all pairs of labelers of one item, with its 95 % interval clustered by item.

    Pairs for which it is undefined are excluded; None if none is left. `n` counts pairs of rankings.
    """
    found = [
        (tau.value, item)
        for item, of_labeler in judgements_by_item(items, labelers, rankings).items()
        for first, second in combinations(of_labeler.values(), 2)
        if (tau := kendall_tau_b(first, second)).value is not None
    ]
    if not found:
        return None
    return bounded_mean([value for value, _ in found if value is not None], [item for _, item in found], lower=-1.0)


def _units(
    items: Sequence[Hashable], labelers: Sequence[Hashable], values: Sequence[float]
) -> Counter[tuple[float, ...]]:
    """The sorted values of each item that has two or more, and the number of items with them.

    Thousands of items have few distinct ones, and each is computed once.
    """
    of_items = judgements_by_item(items, labelers, values)
    return Counter(tuple(sorted(of_item.values())) for of_item in of_items.values() if len(of_item) > 1)


def _disagreement(counts: Counter[float], distance: Callable[[float, float], float]) -> float:
    """The distance summed over all ordered pairs of the counted values."""
    return 2.0 * sum(counts[a] * counts[b] * distance(a, b) for a, b in combinations(counts, 2))


def _distance(level: Level, pooled: Counter[float]) -> Callable[[float, float], float]:
    if level == "nominal":
        return lambda a, b: 1.0
    if level == "interval":
        return lambda a, b: (a - b) ** 2
    # Each value is placed in the middle of its own judgments, in the order of all of them.
    middle: dict[float, float] = {}
    below = 0
    for value in sorted(pooled):
        middle[value] = below + pooled[value] / 2
        below += pooled[value]
    return lambda a, b: (middle[a] - middle[b]) ** 2
