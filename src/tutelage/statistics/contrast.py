"""Weighted sums of means, with intervals: a difference of two policies, "at least halved", "more than half recovered".

A contrast is sum_k w_k m_k. If every term was measured on the same prompts it is computed per prompt
(`paired_contrast`); if only means with intervals are known, the intervals are combined (`combined_contrast`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import sqrt

from tutelage.statistics.interval import Interval, bounded_mean
from tutelage.statistics.unbounded import clustered_mean


def paired_contrast(
    terms: Sequence[tuple[float, Mapping[Hashable, float]]], *, bounds: tuple[float, float] | None = (0.0, 1.0)
) -> Interval:
    """Mean over the clusters that all terms share of sum_k w_k x_k, with its 95 % interval; `n` counts those clusters.

    `terms`: weight and mean by cluster (prompt, question, fold). `bounds`: the range of the measured number; None if it
    has none (a loss), and then the interval is Student's t with clusters minus one degrees of freedom. Raises
    ValueError if no cluster is shared, or only one without bounds: nothing is then known about how clusters differ.
    """
    clusters = [cluster for cluster in terms[0][1] if all(cluster in values for _, values in terms[1:])]
    if not clusters:
        raise ValueError("the terms share no prompt; measure all of them on the same prompts to compare them")
    sums = [sum(weight * values[cluster] for weight, values in terms) for cluster in clusters]
    if bounds is not None:
        lower = sum(weight * bounds[0 if weight > 0 else 1] for weight, _ in terms)
        upper = sum(weight * bounds[1 if weight > 0 else 0] for weight, _ in terms)
        # A sum may exceed its range by a rounding error.
        return bounded_mean([min(max(value, lower), upper) for value in sums], clusters, lower=lower, upper=upper)
    if len(clusters) < 2:
        raise ValueError("one cluster alone has no spread; give at least two, or the bounds of the number")
    return clustered_mean(sums, clusters)


def combined_contrast(terms: Sequence[tuple[float, Interval]]) -> Interval:
    """Sum of weighted means whose intervals were measured separately (method of variance estimates recovery, MOVER).

    The lower end is sqrt(sum_k (w_k m_k - smaller end of w_k times the interval)^2) below the sum, the upper end
    likewise above: Zou and Donner (2008), "Construction of confidence limits about effect measures", section 2. It
    keeps the skew of each interval and treats the terms as independent: if prompts are shared it is too wide, never too
    narrow, for a difference of positively correlated terms. `n` is the smallest of the terms'.
    """
    mean = sum(weight * found.mean for weight, found in terms)
    down = sum((weight * found.mean - min(weight * found.low, weight * found.high)) ** 2 for weight, found in terms)
    up = sum((max(weight * found.low, weight * found.high) - weight * found.mean) ** 2 for weight, found in terms)
    return Interval(mean=mean, low=mean - sqrt(down), high=mean + sqrt(up), n=min(found.n for _, found in terms))
