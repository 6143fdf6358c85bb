"""Best-of-n: the score of the best of n completions, and its KL from the sampled policy.

Sources
- The unbiased estimator from N >= n completions of a prompt: Nakano et al. 2021 (WebGPT), appendix I; for curves of
  score against KL as in Gao et al. 2022, "Scaling Laws for Reward Model Overoptimization".
- KL of best-of-n to the policy, log n - (n - 1) / n: Stiennon et al. 2020, appendix G.3. It is exact if no two
completions tie; if a completion is likely enough to be drawn twice it is an upper bound (Beirami et al. 2024,
  "Theoretical guarantees on the best-of-n alignment policy").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from tutelage.statistics.interval import Interval
from tutelage.statistics.unbounded import clustered_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfN:
    """A point of a score-against-KL curve: `n` completions, `kl` nats per response, the mean `value` of the chosen."""

    n: int
    kl: float
    value: Interval


def best_of_n_kl(n: int) -> float:
    """log n - (n - 1) / n, in nats per response: an upper bound of KL(best-of-n || policy), exact without ties.

    0 for n = 1. A small vocabulary, a low temperature or short responses make equal completions likely, and then the
    true KL is smaller. Raises ValueError if n is below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; best-of-n needs at least one completion to choose from")
    return log(n) - (n - 1) / n


def expected_best_of_n(scores: Sequence[float], n: int, *, values: Sequence[float] | None = None) -> float:
    """Unbiased estimate of the mean value of the best-scored of n completions, from N >= n `scores` of one prompt.

    The mean over all subsets of n: the completion of rank i from below (i = 1 ... N) is the best of C(i - 1, n - 1) of
    the C(N, n) subsets. `values` (N,): the quantity to average over the chosen completions, such as true quality;
    default: the score. Equal scores are chosen equally often. Raises ValueError if n is not between 1 and N, a number
    is not finite, or the numbers of values and scores differ.
    """
    own, wanted = _checked(scores, scores if values is None else values)
    return float(_chances(own, n) @ wanted)


def best_of_n_curve(
    scores: Sequence[Sequence[float]],
    sizes: Sequence[int],
    *,
    values: Sequence[Sequence[float]] | None = None,
) -> list[BestOfN]:
    """The mean value of the best of n over prompts, for every n of `sizes`, against its analytic KL.

    `scores` and `values`: one row per prompt, each with at least max(sizes) completions. To recenter the curve, so that
    the policy itself has mean 0, subtract the mean at n = 1 from all of them. Intervals: 95 %, Student's t over
    prompts, whose estimates are independent; unknown (NaN) with one prompt. Raises ValueError if there is no prompt,
    and like `expected_best_of_n`.
    """
    if not scores:
        raise ValueError("no prompts; a best-of-n curve needs the scores of at least one")
    wanted = scores if values is None else values
    if len(wanted) != len(scores):
        raise ValueError(f"{len(scores)} prompts have scores but {len(wanted)} have values; give both for each prompt")
    points = []
    for n in sizes:
        estimates = [expected_best_of_n(own, n, values=value) for own, value in zip(scores, wanted, strict=True)]
        points.append(BestOfN(n=n, kl=best_of_n_kl(n), value=clustered_mean(estimates, range(len(estimates)))))
    return points


def _chances(scores: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The probability that each completion is the best of n drawn without replacement; equal scores share it."""
    total = scores.size
    if not 1 <= n <= total:
        raise ValueError(f"n is {n}, but the prompt has {total} completions; sample more of them or lower n")
    ranks = np.arange(n, total + 1)
    by_rank = np.zeros(total)
    by_rank[n - 1 :] = np.exp(_log_binomial(ranks - 1, n - 1) - _log_binomial(np.asarray(total), n))
    order = np.argsort(scores, kind="stable")
    _, group = np.unique(scores[order], return_inverse=True)
    shared = np.bincount(group, weights=by_rank) / np.bincount(group)
    chances = np.empty(total)
    chances[order] = shared[group]
    return chances


def _log_binomial(total: NDArray[np.int_], chosen: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1)
    return found


def _checked(scores: Sequence[float], values: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    own, wanted = np.asarray(scores, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if own.shape != wanted.shape:
        raise ValueError(f"{own.size} scores but {wanted.size} values; give every completion both")
    if not (np.isfinite(own).all() and np.isfinite(wanted).all()):
        raise ValueError("a score or value is NaN or infinite; omit what was not scored")
    return own, wanted
