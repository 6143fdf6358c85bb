"""The over-optimization fit: how quality rises with the distance from the initial policy, and where it peaks.

Source: Gao et al. 2022, "Scaling Laws for Reward Model Overoptimization", section 3.1. With d = sqrt(KL), and scores
recentered so that the initial policy has mean 0,

    best-of-n   R(d) = d (alpha - beta d)          its peak at d = alpha / (2 beta)
    RL          R(d) = d (alpha - beta log d)      its peak at d = exp(alpha / beta - 1)

Here alpha is `gain` and beta is `decline`. Both forms are linear in the two, so ordinary least squares fits them. The
RL form has infinite slope at d = 0 and is not intended for very small KL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from tutelage.statistics.interval import CONFIDENCE, Interval

Method = Literal["best_of_n", "rl"]
MIN_POINTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OverOptimisation:
    """A fitted curve. `gain` per sqrt(nat), `decline` per nat for best-of-n, each with a 95 % interval.

    `residual_sd`: typical distance of a point from the curve, in units of the score; NaN for two points, which a curve
    of this form fits exactly.
    """

    method: Method
    gain: Interval
    decline: Interval
    residual_sd: float

    def predict(self, kl: float) -> float:
        """The recentered score at `kl` nats per response; 0 at 0."""
        d = sqrt(kl)
        if d == 0.0:
            return 0.0
        return float(_design(np.array([d]), self.method)[0] @ [self.gain.mean, self.decline.mean])

    @property
    def peak_kl(self) -> float | None:
        """Nats per response at which the curve peaks; None if it falls from the start or never turns."""
        gain, decline = self.gain.mean, self.decline.mean
        if decline <= 0.0 or (self.method == "best_of_n" and gain <= 0.0):
            return None
        if self.method == "best_of_n":
            return (gain / (2.0 * decline)) ** 2
        exponent = 2.0 * (gain / decline - 1.0)
        return exp(exponent) if exponent < 700.0 else None


def fit_over_optimisation(
    kls: Sequence[float], scores: Sequence[float], *, method: Method, initial_score: float = 0.0
) -> OverOptimisation:
    """Least squares of the curve of `method` through points of KL (nats per response) and mean score.

    `initial_score`: the mean score of the initial policy on the same prompts; it is subtracted, because the curve goes
    through 0 at KL 0. Points at KL 0 carry no information and are excluded. Intervals come from the covariance of the
    fit, with Student's t on two fewer degrees than points: the points are treated as independent, which checkpoints of
    one run are not quite, so the true uncertainty is larger. With two points the intervals are infinite. Raises
    ValueError if fewer than two points have different KL above 0, a KL is negative, or a number is not finite.
    """
    distances, targets = _checked(kls, scores, initial_score)
    design = _design(distances, method)
    # Columns of similar magnitude: otherwise tiny or huge KL loses digits.
    sizes = np.sqrt(np.square(design).sum(0))
    scaled = design / np.where(sizes > 0.0, sizes, 1.0)
    if np.linalg.matrix_rank(scaled) < MIN_POINTS:
        raise ValueError(
            f"the {distances.size} points cannot distinguish the two coefficients of the {method} curve; add points "
            "farther from the initial policy"
        )
    solution = np.linalg.lstsq(scaled, targets, rcond=None)[0]
    spread = np.sqrt(np.diag(np.linalg.inv(scaled.T @ scaled)))
    degrees = distances.size - MIN_POINTS
    residual_sd = float(np.sqrt(np.square(targets - scaled @ solution).sum() / degrees)) if degrees else float("nan")
    gain, decline = (
        _interval(solution[i] / sizes[i], spread[i] / sizes[i] * residual_sd, degrees, distances.size) for i in (0, 1)
    )
    return OverOptimisation(method=method, gain=gain, decline=decline, residual_sd=residual_sd)


def _design(distances: NDArray[np.float64], method: Method) -> NDArray[np.float64]:
    """(N, 2): the factors of `gain` and `decline` at each distance."""
    falling = distances if method == "best_of_n" else np.log(distances)
    return np.stack([distances, -distances * falling], axis=1)


def _interval(value: float, error: float, degrees: int, num_points: int) -> Interval:
    half = float(student_t.ppf((1.0 + CONFIDENCE) / 2.0, degrees)) * float(error) if degrees else inf
    return Interval(mean=float(value), low=float(value) - half, high=float(value) + half, n=num_points)


def _checked(
    kls: Sequence[float], scores: Sequence[float], initial_score: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances (N,) above 0 and recentered scores (N,)."""
    if len(kls) != len(scores):
        raise ValueError(f"{len(kls)} KLs but {len(scores)} scores; give every point both")
    own, targets = np.asarray(kls, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if not (np.isfinite(own).all() and np.isfinite(targets).all() and isfinite(initial_score)):
        raise ValueError("a KL or score is NaN or infinite; omit points that were not measured")
    if (own < 0.0).any():
        raise ValueError(f"a KL is {own.min():g}; it must not be negative (an estimate that is may be set to 0)")
    is_away = own > 0.0
    num_different = np.unique(own[is_away]).size
    if num_different < MIN_POINTS:
        raise ValueError(
            f"{num_different} different KLs above 0 are too few; the curve has two coefficients and needs at least "
            f"{MIN_POINTS}. Measure more checkpoints or more values of n"
        )
    return np.sqrt(own[is_away]), targets[is_away] - initial_score
