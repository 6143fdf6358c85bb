"""The one interval of this room: a mean of bounded numbers, clustered, by Wilson's method on the effective sample size.

Sources
- Cluster-robust variance of a mean with the G / (G - 1) correction and Student's t on G - 1 degrees of freedom:
  Cameron and Miller (2015), "A Practitioner's Guide to Cluster-Robust Inference", sections II and VI.
- Wilson's score interval with n replaced by the effective sample size p (1 - p) / variance: Franco, Little, Louis and
  Slud (2019), "Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys", which recommends
  it over six others.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with the 95 % interval around it; `n` counts the numbers that went into the mean (not the clusters)."""

    mean: float
    low: float
    high: float
    n: int


def cluster_indices(clusters: Sequence[Hashable]) -> tuple[NDArray[np.intp], int]:
    """Each distinct cluster as a number from 0, in order of appearance; and how many there are."""
    numbers: dict[Hashable, int] = {}
    indices = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    return np.asarray(indices, dtype=np.intp), len(numbers)


def clustered_variance(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Cluster-robust variance of the mean: G / (G - 1) times the sum of squared cluster residuals, over n squared.

    Infinite with fewer than two clusters, because then nothing is known about how clusters differ. Raises ValueError
    where `values` is empty, not finite, or not as long as `clusters`.
    """
    numbers = _checked(values, clusters)
    return _variance(numbers, *cluster_indices(clusters))


def _variance(numbers: NDArray[np.float64], indices: NDArray[np.intp], num_clusters: int) -> float:
    if num_clusters < 2:
        return inf
    residuals = np.bincount(indices, weights=numbers - numbers.mean(), minlength=num_clusters)
    return float(num_clusters / (num_clusters - 1) * np.square(residuals).sum() / numbers.size**2)


def bounded_mean(
    values: Sequence[float], clusters: Sequence[Hashable], *, lower: float = 0.0, upper: float = 1.0
) -> Interval:
    """Mean of numbers that cannot leave [lower, upper], with its clustered 95 % interval, which cannot leave it either.

    Where the clusters show no variance (every response won, say) the effective sample size is the number of clusters:
    each prompt counts as one observation, however often it was judged, so that the interval never has zero width. One
    cluster alone gives the whole range.
    """
    numbers = _checked(values, clusters)
    if numbers.min() < lower or numbers.max() > upper:
        raise ValueError(
            f"values reach from {numbers.min():g} to {numbers.max():g}; they must lie in [{lower:g}, {upper:g}]"
        )
    width = upper - lower
    share = float((numbers.mean() - lower) / width)
    indices, num_clusters = cluster_indices(clusters)
    variance = _variance(numbers, indices, num_clusters) / width**2
    low, high = _wilson(share, variance, num_clusters=num_clusters)
    return Interval(mean=float(numbers.mean()), low=lower + width * low, high=lower + width * high, n=int(numbers.size))


def _wilson(share: float, variance: float, *, num_clusters: int) -> tuple[float, float]:
    if num_clusters < 2:
        return 0.0, 1.0
    spread = share * (1.0 - share)
    # Rounding leaves a variance of about 1e-34 where the clusters in truth agree exactly.
    has_variance = variance > 1e-15
    effective_n = spread / variance if has_variance and spread > 0.0 else float(num_clusters)
    quantile = _quantile(num_clusters - 1)
    shrink = 1.0 + quantile**2 / effective_n
    centre = (share + quantile**2 / (2.0 * effective_n)) / shrink
    half = quantile * sqrt(spread / effective_n + quantile**2 / (4.0 * effective_n**2)) / shrink
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


@lru_cache(maxsize=1024)
def _quantile(degrees: int) -> float:
    """Student's t that 95 % lie within; kept, because SciPy takes far longer for it than all the rest here."""
    return float(student_t.ppf((1.0 + CONFIDENCE) / 2.0, degrees))


def _checked(values: Sequence[float], clusters: Sequence[Hashable]) -> NDArray[np.float64]:
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters; give every value its cluster")
    if len(values) == 0:
        raise ValueError("no values; a mean needs at least one")
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("a value is NaN or infinite; leave out what was not judged")
    return numbers
