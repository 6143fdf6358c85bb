"""A win rate with the effect of length removed.

Judges prefer longer responses, so a policy can win by writing more. The length-controlled win rate answers: how often
would it win if both responses had the same length?

Source: Dubois, Galambosi, Liang and Hashimoto (2024), "Length-Controlled AlpacaEval: A Simple Way to Debias Automatic
Evaluators" (AlpacaEval 2), section 3. Theirs is a logistic regression of the preference on the model, on the
instruction's difficulty, and on tanh of the difference of lengths over its standard deviation; the rate is its
prediction with the length term at 0. Ours omits the difficulty: it is estimated there over many models on 805 fixed
prompts, and averages out within one pair of policies. Their interval is that of fitted values, which ignores the
uncertainty of the fit; ours is of the fit, clustered by prompt.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, stdtrit

from tutelage.statistics.interval import CONFIDENCE, Interval
from tutelage.statistics.spread import cluster_indices
from tutelage.statistics.win_rate import win_rate

# Penalty on the length coefficient, in squared logits: it keeps the fit finite if length decides every comparison, and
# changes an estimate from a hundred comparisons by a thousandth.
_PENALTY = 0.01
_NUM_STEPS = 100


def length_controlled_win_rate(
    outcomes: Sequence[float], length_differences: Sequence[float], clusters: Sequence[Hashable]
) -> Interval:
    """The win rate at equal lengths, with its 95 % interval clustered by prompt.

    Fits P(win) = sigmoid(a + b tanh(d / s)) by maximum likelihood, ties as half a win, where d is the policy's length
    minus the baseline's and s the standard deviation of d; the rate is sigmoid(a). The interval is that of a, from the
    larger of its cluster-robust and its model-based variance, and Student's t with clusters minus one degrees of
    freedom.

    If all differences are 0, or all outcomes are the same, it is `win_rate`; if all differences are the same other
    number, or there is one cluster, length cannot be separated from quality, and the interval is [0, 1]. Raises
    ValueError for invalid outcomes, or if the three differ in number.
    """
    plain = win_rate(outcomes, clusters)
    numbers = np.asarray(outcomes, dtype=np.float64)
    differences = np.asarray(length_differences, dtype=np.float64)
    if differences.shape != numbers.shape or not np.isfinite(differences).all():
        raise ValueError(f"{numbers.size} outcomes, {differences.size} differences of length; give each its own number")
    if not differences.any() or numbers.min() == numbers.max():
        return plain
    indices, num_clusters = cluster_indices(clusters)
    spread = float(differences.std())
    if spread == 0.0 or num_clusters < 2:
        return Interval(mean=plain.mean, low=0.0, high=1.0, n=plain.n)
    design = np.stack([np.ones_like(differences), np.tanh(differences / spread)], axis=1)
    coefficients, curvature = _fit(design, numbers)
    scores = design * (numbers - expit(design @ coefficients))[:, None]
    by_cluster = np.zeros((num_clusters, 2))
    np.add.at(by_cluster, indices, scores)
    bread = np.linalg.inv(curvature)
    robust = (bread @ (by_cluster.T @ by_cluster) @ bread)[0, 0] * num_clusters / (num_clusters - 1)
    # If length decides nearly everything, the residuals are close to 0 and carry no information on `a`; the curvature
    # reflects that.
    variance = max(robust, bread[0, 0])
    half = float(stdtrit(num_clusters - 1, (1.0 + CONFIDENCE) / 2.0)) * sqrt(variance)
    mean, low, high = expit(np.array([0.0, -half, half]) + coefficients[0]).tolist()
    return Interval(mean=mean, low=low, high=high, n=plain.n)


def _fit(design: NDArray[np.float64], outcomes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The coefficients of the penalized likelihood, by Newton's method, and its curvature there."""
    penalty = np.diag([0.0, _PENALTY])
    coefficients = np.zeros(2)
    for _ in range(_NUM_STEPS):
        chances = expit(design @ coefficients)
        curvature = design.T @ (design * (chances * (1.0 - chances))[:, None]) + penalty
        step = np.linalg.solve(curvature, design.T @ (outcomes - chances) - penalty @ coefficients)
        # A Newton step from far away may overshoot: no coefficient moves by more than 2 logits at once.
        coefficients = coefficients + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return coefficients, curvature
