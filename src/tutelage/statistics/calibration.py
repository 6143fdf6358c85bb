"""Calibration of a reward model: is it right as often as its margins claim?

The reward model's loss (equation 1 of the paper) says that the chosen response wins with probability sigmoid(margin),
where the margin is the chosen score minus the rejected score. Among comparisons with margins of magnitude about m, a
calibrated model is right with frequency sigmoid(m).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from tutelage.statistics.interval import Interval, bounded_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Comparisons with margins of magnitude `low` to `high`: what the model claimed and how often it was right."""

    low: float
    high: float
    claimed: float
    accuracy: Interval


def calibration_bins(
    margins: Sequence[float], clusters: Sequence[Hashable], *, num_bins: int = 10
) -> list[CalibrationBin]:
    """Accuracy of the reward model by the magnitude of its margin, in `num_bins` bins of (nearly) equal counts.

    `margins`: chosen score minus rejected score of each comparison; negative if the model is wrong, and 0 counts as
    half right. `clusters`: the prompt of each. Equal margins stay in one bin, so there may be fewer bins. Raises
    ValueError on no margins.
    """
    if num_bins < 1:
        raise ValueError(f"num_bins is {num_bins}; it must be at least 1")
    if len(margins) != len(clusters):
        raise ValueError(f"{len(margins)} margins but {len(clusters)} clusters; give every margin its cluster")
    if len(margins) == 0:
        raise ValueError("no margins; calibration needs at least one comparison")
    signed = np.asarray(margins, dtype=np.float64)
    sizes = np.abs(signed)
    edges = np.unique(np.quantile(sizes, np.linspace(0.0, 1.0, num_bins + 1)[1:-1]))
    bin_of = np.searchsorted(edges, sizes, side="left")
    return [_calibration_bin(signed, clusters, np.flatnonzero(bin_of == index)) for index in np.unique(bin_of)]


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Mean distance between claim and accuracy, each bin weighted by its comparisons (Naeini et al. 2015)."""
    total = sum(found.accuracy.n for found in bins)
    return sum(found.accuracy.n * abs(found.claimed - found.accuracy.mean) for found in bins) / total


def _calibration_bin(margins: np.ndarray, clusters: Sequence[Hashable], members: np.ndarray) -> CalibrationBin:
    chosen = margins[members]
    sizes = np.abs(chosen)
    is_right = np.where(chosen == 0.0, 0.5, (chosen > 0.0).astype(np.float64))
    return CalibrationBin(
        low=float(sizes.min()),
        high=float(sizes.max()),
        claimed=float(expit(sizes).mean()),
        accuracy=bounded_mean(is_right.tolist(), [clusters[member] for member in members]),
    )
