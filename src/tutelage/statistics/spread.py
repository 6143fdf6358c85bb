"""The uncertainty of a mean of clustered numbers, reliable with few clusters and with very unequal ones.

One large cluster pulls the mean toward itself, so that its residual looks small, and it leaves fewer independent
numbers than there are clusters. Both are handled here: by CR2, the bias-reduced cluster-robust variance, and by
Satterthwaite's degrees of freedom for it.

Sources
- Bell and McCaffrey (2002), "Bias Reduction in Standard Errors for Linear Regression with Multi-Stage Samples":
  the variance and its degrees of freedom, under a working model of independent records.
- Pustejovsky and Tipton (2018), "Small-Sample Methods for Cluster-Robust Variance Estimation": the same, as CR2.
- For the mean of records both have the closed form of `cluster_spread`, because the only regressor is a constant.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

CONFIDENCE = 0.95
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Variance of a mean, the degrees of freedom of that variance, and the effective number of equal clusters.

    `variance` is infinite, with 1 degree and 1 cluster, if there are fewer than two clusters: nothing is then known
    about how clusters differ.
    """

    variance: float
    degrees: float
    num_effective: float

    @property
    def quantile(self) -> float:
        """The two-sided 95 % quantile of Student's t."""
        return float(stdtrit(self.degrees, (1.0 + CONFIDENCE) / 2.0))


def cluster_indices(clusters: Sequence[Hashable]) -> tuple[NDArray[np.intp], int]:
    """Each distinct cluster as a number from 0, in order of appearance; and how many there are."""
    numbers: dict[Hashable, int] = {}
    indices = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    return np.asarray(indices, dtype=np.intp), len(numbers)


def cluster_spread(residuals: NDArray[Any], sizes: NDArray[Any]) -> Spread:
    """The spread of a mean of records from the summed residual and the size of each cluster, both (G,).

    With h_g the share of cluster g in all records and e_g its summed residual, the variance is the sum of e_g^2 / (1 -
    h_g) over the squared number of records. Its degrees of freedom are 1 / (sum h_g^2 + (sum c_g)^2 - sum c_g^2) with
    c_g = h_g^2 / (1 - h_g); for equal clusters they are G - 1, and the variance has the usual factor G / (G - 1).
    `num_effective` is 1 / sum h_g^2 (Kish 1965).
    """
    shares = sizes / sizes.sum()
    if np.count_nonzero(shares) < 2:
        return Spread(variance=inf, degrees=1.0, num_effective=1.0)
    concentration = float(np.square(shares).sum())
    pulls = np.square(shares) / (1.0 - shares)
    return Spread(
        variance=float((np.square(residuals) / (1.0 - shares)).sum() / sizes.sum() ** 2),
        degrees=1.0 / (concentration + float(pulls.sum()) ** 2 - float(np.square(pulls).sum())),
        num_effective=1.0 / concentration,
    )


def spread_of_mean(numbers: Numbers, clusters: Sequence[Hashable]) -> Spread:
    """The spread of the mean of `numbers` (N,), given each one's cluster."""
    indices, count = cluster_indices(clusters)
    sizes = np.bincount(indices, minlength=count)
    return cluster_spread(np.bincount(indices, weights=numbers - numbers.mean(), minlength=count), sizes)
