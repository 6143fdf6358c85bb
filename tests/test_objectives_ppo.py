"""objectives/ppo.py: by hand, against reference.py, and by invariance; at the end the whole chain at step 0."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from tutelage.objectives.advantage import advantages_and_returns, kl_penalty, token_rewards
from tutelage.objectives.language import language_loss
from tutelage.objectives.ppo import explained_variance, policy_loss, value_loss
from tutelage.objectives.tokens import LossTerm, masked_mean, token_logprobs, whiten

NAN = float("nan")
F64 = torch.float64
LENGTHS = [4, 1, 6, 3, 6]


def random_rows(seed: int, scale: float = 1.0) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    return [(scale * generator.normal(size=length)).tolist() for length in LENGTHS]


def padded(rows: list[list[float]], width: int = 6, fill: float = NAN) -> Tensor:
    return torch.from_numpy(reference.pad(rows, width, fill))


def mask_of(width: int = 6) -> Tensor:
    return padded([[1.0] * length for length in LENGTHS], width, 0.0).bool()


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=F64)


def everywhere(values: Tensor) -> Tensor:
    return torch.ones_like(values, dtype=torch.bool)


def numbers(term: LossTerm) -> dict[str, float]:
    metrics = {name: value.item() for name, value in term.metrics.items()}
    return {"total": term.total.item(), "count": term.count.item(), **metrics}


def summed(terms: list[LossTerm]) -> dict[str, float]:
    return {name: sum(numbers(term)[name] for term in terms) for name in numbers(terms[0])}


# Each loss as a function of what it learns, its other inputs fixed by the width and fill of the padding.

OLD, ADVANTAGES, OLD_VALUES, RETURNS = random_rows(1), random_rows(2), random_rows(3), random_rows(4)


def policy_term(logprobs: Tensor, rows: slice = slice(None), width: int = 6, fill: float = NAN) -> LossTerm:
    old, advantages = padded(OLD, width, fill), padded(ADVANTAGES, width, fill)
    return policy_loss(logprobs[rows], old[rows], advantages[rows], mask_of(width)[rows], clip_range=0.2)


def value_term(values: Tensor, rows: slice = slice(None), width: int = 6, fill: float = NAN) -> LossTerm:
    old, returns = padded(OLD_VALUES, width, fill), padded(RETURNS, width, fill)
    return value_loss(values[rows], old[rows], returns[rows], mask_of(width)[rows], value_clip_range=0.2)


def policy_reference(rows: list[list[float]]) -> dict[str, float]:
    return reference.policy_loss(rows, OLD, ADVANTAGES, 0.2)


def value_reference(rows: list[list[float]]) -> dict[str, float]:
    return reference.value_loss(rows, OLD_VALUES, RETURNS, 0.2)


def nearby(rows: list[list[float]], seed: int) -> list[list[float]]:
    """Some tokens inside the clip range, some outside, on both sides."""
    return [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(rows, random_rows(seed, 0.3), strict=True)]


LOSSES = pytest.mark.parametrize(
    ("term_of", "reference_of", "rows"),
    [
        pytest.param(policy_term, policy_reference, nearby(OLD, 5), id="policy"),
        pytest.param(value_term, value_reference, nearby(OLD_VALUES, 6), id="value"),
    ],
)


@LOSSES
def test_losses_equal_the_reference_with_their_gradients(term_of, reference_of, rows):
    point = padded(rows).requires_grad_()
    term, expected = term_of(point), reference_of(rows)
    assert numbers(term) == pytest.approx(expected, rel=1e-12)
    share_clipped = numbers(term)["clip_fraction" if term_of is policy_term else "value_clip_fraction"] / term.count
    assert 0.1 < share_clipped < 0.6  # both branches are in this test
    gradient = reference.numerical_gradient(
        lambda flat: reference_of(reference.unpad(flat, LENGTHS))["total"], padded(rows, fill=0.0).numpy()
    )
    term.total.backward()
    torch.testing.assert_close(point.grad, torch.from_numpy(gradient), rtol=0, atol=1e-8)


@LOSSES
@pytest.mark.parametrize(("width", "fill"), [(6, 0.0), (6, 1e6), (7, NAN), (25, NAN)])
def test_padding_changes_neither_losses_nor_gradients(term_of, reference_of, rows, width, fill):
    short, wide = padded(rows).requires_grad_(), padded(rows, width, fill).requires_grad_()
    expected, term = term_of(short), term_of(wide, width=width, fill=fill)
    assert numbers(term) == pytest.approx(numbers(expected), rel=1e-14)
    term.total.backward()
    expected.total.backward()
    torch.testing.assert_close(wide.grad[:, :6], short.grad, rtol=0, atol=1e-14)
    assert (wide.grad[~mask_of(width)] == 0).all()


@LOSSES
def test_shards_sum_to_the_whole(term_of, reference_of, rows):
    point = padded(rows).requires_grad_()
    whole = term_of(point)
    (expected,) = torch.autograd.grad(whole.mean, point)
    shards = [term_of(point, slice(0, 1)), term_of(point, slice(1, 2)), term_of(point, slice(2, 5))]
    assert summed(shards) == pytest.approx(numbers(whole), rel=1e-13)
    mean = sum(shard.total for shard in shards) / whole.count
    torch.testing.assert_close(torch.autograd.grad(mean, point)[0], expected, rtol=0, atol=1e-14)
    # The mean of the shards' own means is another number: this test would see a term that divides too early.
    assert abs(sum(shard.mean for shard in shards).item() / 3 - whole.mean.item()) > 0.01


@LOSSES
def test_metrics_carry_no_gradient(term_of, reference_of, rows):
    term = term_of(padded(rows).requires_grad_())
    assert term.total.requires_grad
    assert not any(value.requires_grad for value in term.metrics.values())


# The policy loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope", "is_clipped"),
    [
        # Inside the band: -A * ratio, and its derivative by log ratio, which is the same number.
        (1.1, 2.0, -2.2, -2.2, 0.0),
        (0.9, -2.0, 1.8, 1.8, 0.0),
        # Good token above the band: -2 * 1.2, no gradient. Bad token below it: 2 * 0.8, no gradient.
        (1.5, 2.0, -2.4, 0.0, 1.0),
        (0.5, -2.0, 1.6, 0.0, 1.0),
        # Good token below the band, bad token above it: the step went the wrong way, nothing is clipped.
        (0.5, 2.0, -1.0, -1.0, 0.0),
        (1.5, -2.0, 3.0, 3.0, 0.0),
    ],
)
def test_policy_loss_by_hand(ratio: float, advantage: float, loss: float, slope: float, is_clipped: float):
    old = row(-1.3)
    logprobs = (old + math.log(ratio)).requires_grad_()
    term = policy_loss(logprobs, old, row(advantage), everywhere(old), clip_range=0.2)
    term.total.backward()
    assert logprobs.grad.item() == pytest.approx(slope, rel=1e-12)
    # ratio - 1 - ln ratio: 1.5 gives 0.094535, 0.5 gives 0.193147, never below 0.
    kl = ratio - 1 - math.log(ratio)
    expected = {"total": loss, "count": 1, "ratio": ratio, "clip_fraction": is_clipped, "kl_to_old_policy": kl}
    assert numbers(term) == pytest.approx(expected, rel=1e-12)
    assert kl > 0


def test_with_ratio_1_the_gradient_is_the_policy_gradient():
    generator = np.random.default_rng(7)
    logits = torch.from_numpy(generator.normal(size=(5, 6, 8))).requires_grad_()
    tokens = torch.from_numpy(generator.integers(0, 8, (5, 6)))
    logprobs = token_logprobs(logits, tokens)
    advantages, mask = padded(ADVANTAGES, fill=0.0), mask_of()
    term = policy_loss(logprobs, logprobs.detach(), advantages, mask, clip_range=0.2)
    surrogate = -(advantages * logprobs * mask).sum()
    (mine,) = torch.autograd.grad(term.total, logits, retain_graph=True)
    (theirs,) = torch.autograd.grad(surrogate, logits)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-14)
    # And on paper: d logprob(token) / d logits = one-hot - probabilities.
    one_hot = torch.nn.functional.one_hot(tokens, 8)
    score_function = (one_hot - logits.detach().softmax(-1)) * (-advantages * mask).unsqueeze(-1)
    torch.testing.assert_close(mine, score_function, rtol=0, atol=1e-14)


def test_kl_to_old_policy_estimates_the_divergence():
    # Tokens drawn exactly in proportion to the old policy (3 : 1): the mean of the estimator is KL(old || new) itself.
    # 3/4 ln(0.75 / 0.6) + 1/4 ln(0.25 / 0.4) = 0.167358 - 0.117501 = 0.049857.
    old, new = row(0.75, 0.75, 0.75, 0.25).log(), row(0.6, 0.6, 0.6, 0.4).log()
    term = policy_loss(new, old, torch.zeros_like(old), everywhere(old), clip_range=0.2)
    assert (term.metrics["kl_to_old_policy"] / 4).item() == pytest.approx(0.0498565, abs=1e-6)
    assert (term.metrics["ratio"] / 4).item() == pytest.approx(1.0, rel=1e-14)


# The value loss


@pytest.mark.parametrize(
    ("value", "old", "target", "loss", "slope", "is_clipped"),
    [
        # Inside the band: half the square of 1.1 - 2, slope 1.1 - 2.
        (1.1, 1.0, 2.0, 0.405, -0.9, 0.0),
        # Ran past the band towards the target: the clipped value 1.2 has the larger error, 0.8; no gradient.
        (1.5, 1.0, 2.0, 0.32, 0.0, 1.0),
        (-1.5, -1.0, -2.0, 0.32, 0.0, 1.0),
        # Ran past the band away from the target: the plain error 1.5 is the larger one.
        (0.5, 1.0, 2.0, 1.125, -1.5, 0.0),
    ],
)
def test_value_loss_by_hand(value: float, old: float, target: float, loss: float, slope: float, is_clipped: float):
    values = row(value).requires_grad_()
    term = value_loss(values, row(old), row(target), everywhere(values), value_clip_range=0.2)
    assert numbers(term) == pytest.approx({"total": loss, "count": 1, "value_clip_fraction": is_clipped}, rel=1e-12)
    term.total.backward()
    assert values.grad.item() == pytest.approx(slope, rel=1e-12)


def test_without_a_clip_range_the_value_loss_is_half_the_squared_error():
    # (1.5 - 2)^2 / 2 + (0.5 - 2)^2 / 2 = 0.125 + 1.125; the padded token counts for nothing.
    values = row(1.5, 0.5, NAN).requires_grad_()
    mask = torch.tensor([[True, True, False]])
    term = value_loss(values, row(1.0, 1.0, NAN), row(2.0, 2.0, NAN), mask, value_clip_range=None)
    assert numbers(term) == pytest.approx({"total": 1.25, "count": 2, "value_clip_fraction": 0.0}, rel=1e-14)
    term.total.backward()
    assert values.grad.tolist() == [[-0.5, -1.5, 0.0]]


def test_a_value_inside_the_band_is_never_counted_as_clipped():
    # old + (value - old) is not value in floating point; a third of these tokens would be counted.
    generator = np.random.default_rng(8)
    values, old, noise = (torch.from_numpy(generator.normal(size=(50, 40))).float() for _ in range(3))
    term = value_loss(0.1 * values, old, 0.1 * (values + noise), everywhere(values), value_clip_range=100.0)
    assert term.metrics["value_clip_fraction"].item() == 0


@pytest.mark.parametrize("which", ["values", "old_values", "returns"])
def test_padding_of_any_one_input_stays_out_of_the_value_gradient(which: str):
    # Zero times NaN is NaN: a mask that is applied only to the loss lets the gradient of a padded token go bad.
    inputs = {"values": row(1.5, 0.0), "old_values": row(1.0, 0.0), "returns": row(2.0, 0.0)}
    inputs[which][0, 1] = NAN
    inputs["values"].requires_grad_()
    for value_clip_range, slope in ((0.2, 0.0), (None, -0.5)):
        term = value_loss(**inputs, response_mask=torch.tensor([[True, False]]), value_clip_range=value_clip_range)
        assert torch.autograd.grad(term.total, inputs["values"])[0].tolist() == [[slope, 0.0]]


# Explained variance


def test_explained_variance_by_hand():
    # Returns 1 2 3 4: variance 1.25. Values off by -1, 0, 0, 1 around them: residuals 1, 0, 0, -1, variance 0.5. 1 -
    # 0.5 / 1.25 = 0.6.
    returns, mask = row(1.0, 2.0, 3.0, 4.0, NAN), torch.tensor([[True, True, True, True, False]])
    assert explained_variance(row(0.0, 2.0, 3.0, 5.0, 7.0), returns, mask).item() == pytest.approx(0.6, rel=1e-14)
    # A constant error does not count, values that say nothing explain nothing, values turned round are worse than
    # nothing: residuals -3, -1, 1, 3 have variance 5, and 1 - 5 / 1.25 = -3.
    for values, expected in (((9.0, 10.0, 11.0, 12.0), 1.0), ((5.0,) * 4, 0.0), ((4.0, 3.0, 2.0, 1.0), -3.0)):
        assert explained_variance(row(*values, NAN), returns, mask).item() == pytest.approx(expected, abs=1e-14)


def test_explained_variance_equals_the_reference():
    flat_values, flat_returns = ([x for r in rows for x in r] for rows in (OLD_VALUES, RETURNS))
    mine = explained_variance(padded(OLD_VALUES), padded(RETURNS), mask_of())
    assert mine.item() == pytest.approx(reference.explained_variance(flat_values, flat_returns), rel=1e-12)


def test_explained_variance_of_equal_returns_is_zero():
    # The computed variance of 999 times 0.1 is 6e-17 in float32: dividing by it would give -2e16.
    returns = torch.full((1, 999), 0.1)
    assert explained_variance(torch.linspace(0, 1, 999).unsqueeze(0), returns, everywhere(returns)).item() == 0.0


# The whole chain


def test_at_step_0_ratio_is_1_kl_is_0_and_the_policy_loss_vanishes():
    generator = np.random.default_rng(9)
    logits = torch.from_numpy(generator.normal(size=(5, 6, 8))).requires_grad_()
    tokens, mask = torch.from_numpy(generator.integers(0, 8, (5, 6))), mask_of()
    logprobs = token_logprobs(logits, tokens, temperature=0.7)
    old, reference_logprobs = logprobs.detach(), logprobs.detach().clone()
    penalty = kl_penalty(old, reference_logprobs, mask, kl_coef=0.02)
    assert (penalty == 0).all()
    scores = torch.from_numpy(generator.normal(size=5))
    rewards = token_rewards(scores, penalty, mask)
    advantages, _ = advantages_and_returns(rewards, padded(OLD_VALUES), mask, discount=1.0, gae_lambda=0.95)
    term = policy_loss(logprobs, old, whiten(advantages, mask), mask, clip_range=0.2)
    means = {name: value.item() / term.count.item() for name, value in term.metrics.items()}
    assert means == {"ratio": 1.0, "clip_fraction": 0.0, "kl_to_old_policy": 0.0}
    assert abs(term.mean.item()) < 1e-14
    # The loss vanishes, its gradient does not. Advantages that were not whitened would leave a loss of their own mean.
    assert torch.autograd.grad(term.total, logits)[0].abs().max() > 0.1
    raw = policy_loss(old, old, advantages, mask, clip_range=0.2)
    assert abs(masked_mean(advantages, mask).item()) > 0.05
    assert raw.mean.item() == pytest.approx(-masked_mean(advantages, mask).item(), rel=1e-12)


def test_ppo_and_ptx_are_two_terms_with_two_counts():
    """Equation 2 over micro-batches: each term divided by its own global count gives one objective, however the batch
    is cut.
    """
    logprobs = padded(nearby(OLD, 5)).requires_grad_()
    pretraining = torch.from_numpy(np.random.default_rng(10).normal(size=(8, 6))).requires_grad_()
    everything = everywhere(pretraining)
    ptx_coef = 27.8
    ppo, ptx = policy_term(logprobs), language_loss(pretraining, everything)
    whole = torch.autograd.grad(ppo.mean + ptx_coef * ptx.mean, [logprobs, pretraining])
    parts = [torch.zeros_like(logprobs), torch.zeros_like(pretraining)]
    for rows, texts in ((slice(0, 2), slice(0, 1)), (slice(2, 5), slice(1, 8))):
        objective = policy_term(logprobs, rows).total / ppo.count
        objective = objective + ptx_coef * language_loss(pretraining[texts], everything[texts]).total / ptx.count
        for part, gradient in zip(parts, torch.autograd.grad(objective, [logprobs, pretraining]), strict=True):
            part += gradient
    for part, gradient in zip(parts, whole, strict=True):
        torch.testing.assert_close(part, gradient, rtol=0, atol=1e-14)
    # 48 pretraining tokens: each pulls with ptx_coef / 48, whatever the number of response tokens.
    torch.testing.assert_close(whole[1], torch.full_like(pretraining, -27.8 / 48), rtol=0, atol=1e-14)
