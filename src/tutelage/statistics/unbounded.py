"""Means of numbers without bounds, such as nats, with clustered intervals: `statistics.spread` and Student's t.

If the numbers are skewed (log-normal, say) the interval covers the true value less often than 95 % with fewer than
about fifty clusters: without bounds nothing is known about what was not sampled.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import isinf, nan, sqrt

import numpy as np

from tutelage.statistics.interval import Interval
from tutelage.statistics.spread import cluster_indices, cluster_spread


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """Mean of the records with its 95 % interval: cluster-robust variance (CR2), Student's t, Satterthwaite's degrees.

    The interval is unknown (NaN) with one cluster. Raises ValueError if there is no value or one is not finite.
    """
    return ratio_of_totals(values, [1.0] * len(values), clusters)


def ratio_of_totals(totals: Sequence[float], sizes: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """Sum of `totals` over sum of `sizes` (nats per token, say, from nats and tokens of windows), with its interval.

    Linearized: the residual of a cluster is its total minus the ratio times its size (Cochran 1977, section 2.11); for
    sizes of 1 it is the clustered mean. `n` counts the totals. Raises ValueError like `clustered_mean`.
    """
    numbers, weights = np.asarray(totals, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if not numbers.size or numbers.shape != weights.shape or numbers.size != len(clusters):
        raise ValueError(f"{numbers.size} totals, {weights.size} sizes, {len(clusters)} clusters; give each its own")
    if not (np.isfinite(numbers).all() and np.isfinite(weights).all()) or weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(
            "a number is NaN or infinite, a size is negative, or the sizes sum to zero; omit what was not measured"
        )
    ratio = float(numbers.sum() / weights.sum())
    indices, count = cluster_indices(clusters)
    spread = cluster_spread(
        np.bincount(indices, weights=numbers - ratio * weights, minlength=count),
        np.bincount(indices, weights=weights, minlength=count),
    )
    half = nan if isinf(spread.variance) else spread.quantile * sqrt(spread.variance)
    return Interval(mean=ratio, low=ratio - half, high=ratio + half, n=numbers.size)
