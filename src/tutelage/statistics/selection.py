"""Unbiased results for what was selected because it measured best: selected on one half, measured on the other.

The best of several noisy means is too good: its own noise helped it to be selected. If all epochs are truly equal, an
interval that ignores the selection of the best of eight finds the last one worse in 17 of 100 runs.

Sources
- Selecting on one half and measuring on the other, then the other way around: Stone (1974), "Cross-Validatory Choice
  and Assessment of Statistical Predictions"; as cross-fitting, Chernozhukov et al. (2018), section 3.
- An interval that is valid for all possible selections: Bonferroni.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import pi, sqrt
from random import Random

from scipy.special import ndtri

from tutelage.statistics.contrast import paired_contrast
from tutelage.statistics.interval import Interval
from tutelage.statistics.spread import CONFIDENCE

Means = Mapping[Hashable, float]
MIN_UNITS = 4
# The half that selects for the other is in turn measured under the other's selection, so the two are not independent.
# For equal normal means their correlation is largest with two candidates, E[max(a, b)]^2 = 1 / pi.
_HALVES_FACTOR = sqrt(1.0 + 1.0 / pi)


def choose_by_halves(candidates: Sequence[Means], *, is_lowest: bool, seed: int) -> dict[Hashable, float]:
    """For each unit (prompt, item) its number under the candidate that is best on the other half.

    Units that all candidates share are split into halves by `seed`, whatever their order. Best is the highest mean, or
    the lowest; ties go to the first. Raises ValueError with fewer than four shared units, or no candidate.
    """
    units = sorted(set.intersection(*map(set, candidates)) if candidates else (), key=repr)
    if len(units) < MIN_UNITS:
        raise ValueError(f"the candidates share {len(units)} units; a choice by halves needs at least {MIN_UNITS}")
    Random(seed).shuffle(units)
    halves = units[::2], units[1::2]
    sign = -1.0 if is_lowest else 1.0
    found: dict[Hashable, float] = {}
    for own, other in (halves, halves[::-1]):
        best = max(candidates, key=lambda means: sign * sum(means[unit] for unit in other))
        found.update((unit, best[unit]) for unit in own)
    return found


def contrast_of_choices(terms: Sequence[tuple[float, Means]]) -> Interval:
    """`paired_contrast` of unbounded numbers, some of which were selected by halves with the same seed.

    Its interval is a seventh wider, since the halves selected for each other. Raises ValueError like `paired_contrast`.
    """
    return _widened(paired_contrast(terms, bounds=None), _HALVES_FACTOR)


def widen_for_choice(found: Interval, num_choices: int) -> Interval:
    """The interval of a difference from the best of `num_choices`, wide enough for any selection (Bonferroni).

    For normal means: each half is multiplied by z(1 - 0.025 / num_choices) / z(0.975). Raises ValueError below 1.
    """
    if num_choices < 1:
        raise ValueError(f"num_choices is {num_choices}; it must be at least 1")
    tail = (1.0 - CONFIDENCE) / 2.0
    return _widened(found, float(ndtri(tail / num_choices) / ndtri(tail)))


def _widened(found: Interval, factor: float) -> Interval:
    low, high = found.mean - factor * (found.mean - found.low), found.mean + factor * (found.high - found.mean)
    return Interval(mean=found.mean, low=low, high=high, n=found.n)
