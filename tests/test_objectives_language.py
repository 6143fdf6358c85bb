"""objectives/language.py: by hand, against reference.py and torch's cross-entropy, and by invariance."""

from __future__ import annotations

import math

import numpy as np
import torch

import reference
from tutelage.objectives.language import language_loss
from tutelage.objectives.tokens import head_logprobs, token_logprobs

NAN = float("nan")
ROWS = [[-0.5, -1.25, -3.0], [-2.0], [-0.1, -0.2, -0.3, -0.4]]


def padded(width: int, fill: float) -> tuple[torch.Tensor, torch.Tensor]:
    logprobs = torch.from_numpy(reference.pad(ROWS, width, fill)).requires_grad_()
    return logprobs, torch.from_numpy(reference.pad([[1.0] * len(row) for row in ROWS], width, 0.0)).bool()


def test_by_hand():
    # Tokens of probability 1/2 and 1/4 are learnt, the one of 1/8 is not: ln2 + ln4 = 3 ln2 over 2 tokens.
    logprobs = torch.tensor([[0.5, 0.25, 0.125]], dtype=torch.float64).log()
    term = language_loss(logprobs, torch.tensor([[True, True, False]]))
    assert math.isclose(term.total.item(), 3 * math.log(2), rel_tol=1e-15)
    assert term.count.item() == 2
    assert math.isclose(term.mean.item(), 1.5 * math.log(2), rel_tol=1e-15)


def test_equals_the_reference_whatever_padding_holds_and_however_much_there_is():
    total, count = reference.language_loss(ROWS)
    for width, fill in ((4, NAN), (4, 7.0), (9, NAN), (30, -1e30)):
        logprobs, mask = padded(width, fill)
        term = language_loss(logprobs, mask)
        assert math.isclose(term.total.item(), total, rel_tol=1e-14)
        assert term.count.item() == count
        term.total.backward()
        assert torch.equal(logprobs.grad, -mask.double())


def test_shards_sum_to_the_whole():
    logprobs, mask = padded(4, NAN)
    whole = language_loss(logprobs, mask)
    (expected,) = torch.autograd.grad(whole.mean, logprobs)
    shards = [language_loss(logprobs[i : i + 1], mask[i : i + 1]) for i in range(3)]
    count = sum(shard.count for shard in shards)
    assert count == whole.count
    mean = sum(shard.total for shard in shards) / count
    torch.testing.assert_close(mean, whole.mean, rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.autograd.grad(mean, logprobs)[0], expected, rtol=0, atol=1e-14)
    # The mean of the shards' own means is another number: this test would see a term that divides too early.
    assert abs(sum(shard.mean for shard in shards).item() / 3 - whole.mean.item()) > 0.1


def test_nothing_to_learn_is_zero():
    term = language_loss(torch.full((2, 2), NAN), torch.zeros(2, 2, dtype=torch.bool))
    assert (term.total.item(), term.count.item(), term.mean.item()) == (0.0, 0, 0.0)


def test_is_cross_entropy_of_the_learnt_tokens():
    generator = np.random.default_rng(0)
    logits = torch.from_numpy(generator.normal(size=(3, 5, 7))).requires_grad_()
    tokens = torch.from_numpy(generator.integers(0, 7, (3, 5)))
    mask = torch.from_numpy(generator.random((3, 5)) < 0.6)
    mine = language_loss(token_logprobs(logits, tokens), mask).mean
    theirs = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.masked_fill(~mask, -100).flatten())
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-14)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (mine, theirs)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


def test_running_only_learnt_tokens_through_the_head_changes_nothing():
    generator = np.random.default_rng(1)
    hidden = torch.from_numpy(generator.normal(size=(12, 4))).requires_grad_()
    weight = torch.from_numpy(generator.normal(size=(9, 4))).requires_grad_()
    tokens, mask = torch.from_numpy(generator.integers(0, 9, 12)), torch.arange(12) % 3 > 0
    everything = language_loss(head_logprobs(hidden, weight, tokens)[0], mask)
    learnt = head_logprobs(hidden[mask], weight, tokens[mask])[0]
    chosen = language_loss(learnt, torch.ones_like(learnt, dtype=torch.bool))
    assert everything.count == chosen.count == 8
    for mine, theirs in zip(
        torch.autograd.grad(everything.mean, [hidden, weight]),
        torch.autograd.grad(chosen.mean, [hidden, weight]),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-14)
