"""Slow twins of the objectives: plain loops over ragged lists in float64, written from the papers, importing nothing of
the package.

A batch of responses is a list of lists, one per response and without padding; there is no mask, so no masking mistake
can be shared. `pad` and `unpad` translate to and from the padded arrays that the package reads.

Sources: Ouyang et al. 2022 (equations 1 and 2), Rafailov et al. 2023 (equation 7), Mitchell 2023 (conservative DPO),
Schulman et al. 2015 (GAE, equation 16) and 2017 (clipped objective, equation 7), Ziegler et al. 2019 (section 2.2) and
the code that was published with it (clipped value loss, whitening).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Rows = Sequence[Sequence[float]]


def pad(rows: Rows, width: int, fill: float) -> np.ndarray:
    """Rows of different lengths as one (B, width) array with `fill` behind each."""
    array = np.full((len(rows), width), fill, dtype=np.float64)
    for i, row in enumerate(rows):
        for t, value in enumerate(row):
            array[i, t] = value
    return array


def unpad(array: np.ndarray, lengths: Sequence[int]) -> list[list[float]]:
    return [[float(array[i, t]) for t in range(length)] for i, length in enumerate(lengths)]


def numerical_gradient(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences: (f(x + h) - f(x - h)) / 2h for each coordinate on its own."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(*point.shape):
        up, down = point.copy(), point.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2.0 * step)
    return gradient


# Tokens


def distribution(logits: Sequence[float], temperature: float) -> list[float]:
    """Probabilities of one next-token distribution."""
    largest = max(logits)
    weights = [math.exp((logit - largest) / temperature) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def token_logprob(logits: Sequence[float], token: int, temperature: float = 1.0) -> float:
    return math.log(distribution(logits, temperature)[token])


def entropy(logits: Sequence[float], temperature: float = 1.0) -> float:
    return -sum(p * math.log(p) for p in distribution(logits, temperature))


def head_logits(hidden: Sequence[float], weight: Rows, bias: Sequence[float] | None) -> list[float]:
    """One row of a vocabulary head: hidden (D,), weight (V, D), bias (V,)."""
    logits = []
    for v, row in enumerate(weight):
        total = 0.0 if bias is None else bias[v]
        for h, w in zip(hidden, row, strict=True):
            total += h * w
        logits.append(total)
    return logits


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def population_variance(values: Sequence[float]) -> float:
    center = mean(values)
    return mean([(value - center) ** 2 for value in values])


def whiten(rows: Rows, should_shift_mean: bool = True) -> list[list[float]]:
    flat = [value for row in rows for value in row]
    center, spread = mean(flat), math.sqrt(population_variance(flat) + 1e-8)
    shift = 0.0 if should_shift_mean else center
    return [[(value - center) / spread + shift for value in row] for row in rows]


def response_length(tokens: Sequence[int], stop_token: int) -> tuple[int, bool]:
    for t, token in enumerate(tokens):
        if token == stop_token:
            return t + 1, True
    return len(tokens), False


# Language


def language_loss(logprobs: Rows) -> tuple[float, int]:
    """Sum of -log p, and the number of tokens."""
    total, count = 0.0, 0
    for row in logprobs:
        for logprob in row:
            total -= logprob
            count += 1
    return total, count


# Comparisons


def mixed_language_loss(demonstrations: Rows, windows: Rows, share: float) -> float:
    """The objective of the PPO initialization: demonstrations and pretraining text, `share` of the sequences text.

    Each kind's loss is the mean over its own tokens; the two are weighed as their sequences are counted, with 1 for the
    demonstrations.
    """
    demonstration_total, demonstration_count = language_loss(demonstrations)
    window_total, window_count = language_loss(windows)
    weight_of_windows = share / (1.0 - share)
    return demonstration_total / demonstration_count + weight_of_windows * window_total / window_count


def comparisons(ranking: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """(chosen, rejected) of every two completions that stand in different tie groups; groups go from best to worst."""
    pairs = []
    for better in range(len(ranking)):
        for worse in range(better + 1, len(ranking)):
            pairs += [(chosen, rejected) for chosen in ranking[better] for rejected in ranking[worse]]
    return pairs


def ranking_loss(scores: Sequence[float], rankings: Sequence[Sequence[Sequence[int]]]) -> dict[str, float]:
    """Equation 1: for each ranking the mean over its comparisons of log(1 + e^-(chosen - rejected)); summed over
    rankings.
    """
    sums = {"total": 0.0, "count": 0.0, "accuracy": 0.0, "margin": 0.0}
    for ranking in rankings:
        pairs = comparisons(ranking)
        if not pairs:
            continue
        margins = [scores[chosen] - scores[rejected] for chosen, rejected in pairs]
        sums["count"] += 1
        sums["total"] += mean([math.log(1.0 + math.exp(-margin)) for margin in margins])
        sums["accuracy"] += mean([1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in margins])
        sums["margin"] += mean(margins)
    return sums


def dpo_loss(
    logprobs: Rows, reference_logprobs: Rows, rankings: Sequence[Sequence[Sequence[int]]], kl_coef: float,
    label_smoothing: float = 0.0,
) -> dict[str, float]:  # fmt: skip
    """Equation 7 of Rafailov et al. 2023 on every comparison, from the log-probabilities of each completion's tokens;
    Mitchell's conservative form: with chance epsilon the label was the other way round.
    """
    ratios = [sum(own) - sum(other) for own, other in zip(logprobs, reference_logprobs, strict=True)]
    names = ("total", "count", "accuracy", "margin", "chosen_log_ratio", "rejected_log_ratio")
    sums = dict.fromkeys(names, 0.0)
    for ranking in rankings:
        pairs = comparisons(ranking)
        if not pairs:
            continue
        losses, right, margins = [], [], []
        for chosen, rejected in pairs:
            margin = kl_coef * ratios[chosen] - kl_coef * ratios[rejected]
            chance = 1.0 / (1.0 + math.exp(-margin))
            losses.append(-(1.0 - label_smoothing) * math.log(chance) - label_smoothing * math.log(1.0 - chance))
            right.append(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0)
            margins.append(margin)
        sums["count"] += 1
        sums["total"] += mean(losses)
        sums["accuracy"] += mean(right)
        sums["margin"] += mean(margins)
        sums["chosen_log_ratio"] += mean([ratios[chosen] for chosen, _ in pairs])
        sums["rejected_log_ratio"] += mean([ratios[rejected] for _, rejected in pairs])
    return sums


# Rewards and advantages


def rewards(
    scores: Sequence[float], ended: Sequence[bool], logprobs: Rows, reference_logprobs: Rows, *, kl_coef: float,
    missing_eos_score: float | None,
) -> list[list[float]]:  # fmt: skip
    """Every token pays for its distance from the reference; the last one also gets the score or its stand-in."""
    rows = []
    for i, score in enumerate(scores):
        row = [-kl_coef * (p - q) for p, q in zip(logprobs[i], reference_logprobs[i], strict=True)]
        is_replaced = missing_eos_score is not None and not ended[i]
        row[-1] += missing_eos_score if is_replaced else score
        rows.append(row)
    return rows


def advantages(rewards: Rows, values: Rows, *, discount: float, gae_lambda: float) -> list[list[float]]:
    """A_t = sum over l of (discount * lambda)^l * delta_(t+l), delta_t = r_t + discount * V_(t+1) - V_t, V = 0 after
    the end.
    """
    rows = []
    for reward_row, value_row in zip(rewards, values, strict=True):
        length = len(reward_row)
        row = []
        for t in range(length):
            total = 0.0
            for u in range(t, length):
                next_value = value_row[u + 1] if u + 1 < length else 0.0
                delta = reward_row[u] + discount * next_value - value_row[u]
                total += (discount * gae_lambda) ** (u - t) * delta
            row.append(total)
        rows.append(row)
    return rows


def adapted_kl_coef(kl_coef: float, observed: float, target: float, horizon: float, num_episodes: int) -> float:
    """e = clip((KL - target) / target, -0.2, 0.2); coefficient times 1 + K e, K = episodes / horizon."""
    error = (observed - target) / target
    if error > 0.2:
        error = 0.2
    elif error < -0.2:
        error = -0.2
    return kl_coef * (1.0 + num_episodes / horizon * error)


# PPO


def policy_loss(logprobs: Rows, old_logprobs: Rows, advantages: Rows, clip_range: float) -> dict[str, float]:
    """Minus the sum of min(ratio * A, clip(ratio) * A), and the sums of its metrics."""
    sums = {"total": 0.0, "count": 0.0, "ratio": 0.0, "clip_fraction": 0.0, "kl_to_old_policy": 0.0}
    for new_row, old_row, advantage_row in zip(logprobs, old_logprobs, advantages, strict=True):
        for new, old, advantage in zip(new_row, old_row, advantage_row, strict=True):
            ratio = math.exp(new) / math.exp(old)
            # The clip binds only where it takes away a gain: above the band for a good token, below it for a bad one.
            is_gain_too_large = advantage > 0 and ratio > 1.0 + clip_range
            is_loss_too_small = advantage < 0 and ratio < 1.0 - clip_range
            used = 1.0 + clip_range if is_gain_too_large else 1.0 - clip_range if is_loss_too_small else ratio
            sums["total"] -= used * advantage
            sums["count"] += 1
            sums["ratio"] += ratio
            sums["clip_fraction"] += 1.0 if is_gain_too_large or is_loss_too_small else 0.0
            sums["kl_to_old_policy"] += ratio - 1.0 - math.log(ratio)
    return sums


def value_loss(values: Rows, old_values: Rows, returns: Rows, value_clip_range: float | None) -> dict[str, float]:
    sums = {"total": 0.0, "count": 0.0, "value_clip_fraction": 0.0}
    for value_row, old_row, return_row in zip(values, old_values, returns, strict=True):
        for value, old, target in zip(value_row, old_row, return_row, strict=True):
            plain, clipped = (value - target) ** 2, 0.0
            if value_clip_range is not None and abs(value - old) > value_clip_range:
                near = old + value_clip_range if value > old else old - value_clip_range
                clipped = (near - target) ** 2
            sums["total"] += 0.5 * (clipped if clipped > plain else plain)
            sums["count"] += 1
            sums["value_clip_fraction"] += 1.0 if clipped > plain else 0.0
    return sums


def explained_variance(values: Sequence[float], returns: Sequence[float]) -> float:
    if all(target == returns[0] for target in returns):
        return 0.0
    errors = [target - value for value, target in zip(values, returns, strict=True)]
    return 1.0 - population_variance(errors) / population_variance(returns)
