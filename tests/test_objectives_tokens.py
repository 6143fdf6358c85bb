"""objectives/tokens.py: by hand, against reference.py and torch's own cross-entropy, and by invariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from tutelage.objectives import tokens
from tutelage.objectives.tokens import LossTerm

F64 = torch.float64
NAN = float("nan")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def exact(actual: Tensor, expected: object, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=tolerance)


# Log-probabilities and entropy


def test_token_logprobs_by_hand():
    # Weights e^0 = 1 and e^ln3 = 3: probabilities 1/4 and 3/4.
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]], dtype=F64)
    exact(tokens.token_logprobs(logits, torch.tensor([0, 1])), [math.log(1 / 4), math.log(3 / 4)])


def test_temperature_divides_the_logits():
    # ln9 / 2 = ln3: at temperature 2 these are the probabilities 1/4 and 3/4 again; at 1 they would be 1/10 and 9/10.
    logits = torch.tensor([[0.0, math.log(9)]], dtype=F64)
    exact(tokens.token_logprobs(logits, torch.tensor([1]), temperature=2.0), [math.log(3 / 4)])
    quarter, rest = math.log(4), 0.75 * math.log(3)  # H = ln4 - 3/4 ln3
    exact(tokens.token_entropy(logits, temperature=2.0), [quarter - rest])


def test_entropy_by_hand():
    # Four equal probabilities: ln4. One certain token: 0.
    exact(
        tokens.token_entropy(torch.tensor([[2.0, 2.0, 2.0, 2.0], [900.0, 0.0, 0.0, 0.0]], dtype=F64)),
        [math.log(4), 0.0],
    )


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.6])
def test_token_quantities_equal_the_reference(temperature: float):
    logits, chosen = 3.0 * random(2, 3, 7), torch.tensor([[0, 6, 3], [2, 2, 5]])
    logprobs = tokens.token_logprobs(logits, chosen, temperature=temperature)
    entropies = tokens.token_entropy(logits, temperature=temperature)
    assert logprobs.shape == entropies.shape == (2, 3)
    for i in range(2):
        for t in range(3):
            row = logits[i, t].tolist()
            exact(logprobs[i, t], reference.token_logprob(row, int(chosen[i, t]), temperature))
            exact(entropies[i, t], reference.entropy(row, temperature))


def test_huge_logits_do_not_overflow():
    logits = torch.tensor([[30_000.0, 29_999.0]], dtype=F64)
    exact(tokens.token_logprobs(logits, torch.tensor([1])), [-math.log(1 + math.e)])


def test_half_precision_logits_are_widened_before_the_softmax():
    logits = (4.0 * random(5, 300)).to(torch.bfloat16)
    chosen = torch.arange(5)
    logprobs = tokens.token_logprobs(logits, chosen)
    assert logprobs.dtype == torch.float32
    expected = [reference.token_logprob(logits[i].tolist(), i) for i in range(5)]
    exact(logprobs, expected, 1e-5)  # bfloat16 has a step of 0.03 at 8: arithmetic in it misses this by thousands
    exact(tokens.token_entropy(logits), [reference.entropy(logits[i].tolist()) for i in range(5)], 1e-5)


# The vocabulary head


class Head:
    """A head of V = 11 tokens over D = 4, for N = 23 states."""

    def __init__(self, has_bias: bool):
        self.hidden = random(23, 4, seed=1).requires_grad_()
        self.weight = random(11, 4, seed=2).requires_grad_()
        self.bias = random(11, seed=3).requires_grad_() if has_bias else None
        self.tokens = torch.from_numpy(np.random.default_rng(4).integers(0, 11, 23))
        self.upstream = random(23, seed=5)

    def run(self, temperature: float) -> tuple[Tensor, Tensor]:
        return tokens.head_logprobs(self.hidden, self.weight, self.tokens, bias=self.bias, temperature=temperature)

    def gradients(self, logprobs: Tensor) -> list[Tensor]:
        parameters = [p for p in (self.hidden, self.weight, self.bias) if p is not None]
        return list(torch.autograd.grad((logprobs * self.upstream).sum(), parameters))


HEADS = pytest.mark.parametrize(("has_bias", "temperature"), [(False, 1.0), (True, 1.0), (False, 0.7), (True, 1.3)])
CHUNKS = pytest.mark.parametrize("logits_per_chunk", [1, 22, 55, 11 * 22, 11 * 23, 2**25])


@HEADS
@CHUNKS
def test_head_equals_cross_entropy_however_it_is_chunked(monkeypatch, has_bias, temperature, logits_per_chunk):
    monkeypatch.setattr(tokens, "LOGITS_PER_CHUNK", logits_per_chunk)
    head = Head(has_bias)
    logprobs, entropies = head.run(temperature)
    logits = torch.nn.functional.linear(head.hidden, head.weight, head.bias) / temperature
    plain = -torch.nn.functional.cross_entropy(logits, head.tokens, reduction="none")
    torch.testing.assert_close(logprobs, plain, rtol=0, atol=1e-12)
    torch.testing.assert_close(entropies, torch.distributions.Categorical(logits=logits).entropy(), rtol=0, atol=1e-12)
    for mine, theirs in zip(head.gradients(logprobs), head.gradients(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@HEADS
def test_head_equals_the_reference(has_bias, temperature):
    head = Head(has_bias)
    logprobs, entropies = head.run(temperature)
    for i, hidden in enumerate(head.hidden.tolist()):
        bias = None if head.bias is None else head.bias.tolist()
        logits = reference.head_logits(hidden, head.weight.tolist(), bias)
        exact(logprobs[i].detach(), reference.token_logprob(logits, int(head.tokens[i]), temperature))
        exact(entropies[i], reference.entropy(logits, temperature))


@pytest.mark.parametrize(("logits_per_chunk", "sizes"), [(1, [1] * 23), (55, [5, 5, 5, 5, 3]), (11 * 23, [23])])
def test_head_holds_one_chunk_and_computes_it_again_backwards(monkeypatch, logits_per_chunk, sizes):
    monkeypatch.setattr(tokens, "LOGITS_PER_CHUNK", logits_per_chunk)
    linear, seen = torch.nn.functional.linear, []

    def spy(hidden: Tensor, *rest: Tensor) -> Tensor:
        seen.append(hidden.shape[0])
        return linear(hidden, *rest)

    monkeypatch.setattr(torch.nn.functional, "linear", spy)
    head = Head(has_bias=False)
    logprobs, _ = head.run(1.0)
    assert seen == sizes
    logprobs.sum().backward()
    is_chunked = len(sizes) > 1
    assert sorted(seen) == sorted(sizes + sizes * is_chunked)


@CHUNKS
def test_head_entropies_carry_no_gradient(monkeypatch, logits_per_chunk):
    monkeypatch.setattr(tokens, "LOGITS_PER_CHUNK", logits_per_chunk)
    logprobs, entropies = Head(has_bias=True).run(0.7)
    assert logprobs.requires_grad
    assert not entropies.requires_grad


# Masked statistics


def test_masked_sum_and_mean_by_hand():
    values = torch.tensor([[1.0, 2.0, NAN], [4.0, float("inf"), NAN]], dtype=F64, requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    exact(tokens.masked_sum(values, mask).detach(), 7.0)  # 1 + 2 + 4
    mean = tokens.masked_mean(values, mask)
    exact(mean.detach(), 7 / 3)
    mean.backward()
    exact(values.grad, [[1 / 3, 1 / 3, 0.0], [1 / 3, 0.0, 0.0]])


def test_masked_mean_of_nothing_is_zero():
    exact(tokens.masked_mean(torch.full((2, 2), NAN, dtype=F64), torch.zeros(2, 2, dtype=torch.bool)), 0.0)


def test_whiten_by_hand():
    # 1 2 3 4: mean 2.5, population variance (2.25 + 0.25 + 0.25 + 2.25) / 4 = 1.25; the sample variance would be 1.667.
    values = torch.tensor([[1.0, 2.0, NAN], [3.0, 4.0, 99.0]], dtype=F64)
    mask = torch.tensor([[True, True, False], [True, True, False]])
    a, b = 1.5 / math.sqrt(1.25), 0.5 / math.sqrt(1.25)
    exact(tokens.whiten(values, mask), [[-a, -b, 0.0], [b, a, 0.0]], 1e-7)
    kept = tokens.whiten(values, mask, should_shift_mean=False)
    exact(kept, [[2.5 - a, 2.5 - b, 0.0], [2.5 + b, 2.5 + a, 0.0]], 1e-7)


@pytest.mark.parametrize("should_shift_mean", [True, False])
def test_whiten_equals_the_reference(should_shift_mean: bool):
    rows = [[0.3, -2.0, 5.0], [1.0], [0.0, 0.25, 4.0, -1.5, 2.0]]
    mask = torch.from_numpy(reference.pad([[1.0] * len(row) for row in rows], 6, 0.0)).bool()
    mine = tokens.whiten(torch.from_numpy(reference.pad(rows, 6, NAN)), mask, should_shift_mean=should_shift_mean)
    exact(mine, reference.pad(reference.whiten(rows, should_shift_mean), 6, 0.0))


def test_whitened_has_mean_0_and_variance_1_on_the_mask_and_0_off_it():
    values, mask = 7.0 + 3.0 * random(8, 9), random(8, 9, seed=1) > 0
    whitened = tokens.whiten(values, mask)
    on = whitened[mask].numpy()
    assert abs(on.mean()) < 1e-12
    # Bessel's correction would make this 1 - 1 / count, 0.97 here.
    assert abs((on**2).mean() - 1.0) < 1e-8
    assert (whitened[~mask] == 0).all()


def test_whiten_ignores_shift_scale_and_padding():
    values, mask = random(4, 5), random(4, 5, seed=1) > -0.5
    whitened = tokens.whiten(values, mask)
    torch.testing.assert_close(tokens.whiten(50.0 + 10.0 * values, mask), whitened, rtol=0, atol=1e-6)
    wide = tokens.whiten(torch.nn.functional.pad(values, (0, 3), value=NAN), torch.nn.functional.pad(mask, (0, 3)))
    torch.testing.assert_close(wide, torch.nn.functional.pad(whitened, (0, 3)), rtol=0, atol=1e-12)


def test_whiten_of_equal_values_is_zero_not_infinite():
    # 1e-8 inside the root: (0.1 - 0.1) / 1e-4.
    exact(
        tokens.whiten(torch.full((2, 3), 0.1, dtype=F64), torch.ones(2, 3, dtype=torch.bool)), torch.zeros(2, 3), 1e-9
    )


# The end of a response


def test_response_lengths_by_hand():
    stop = 9
    responses = [[9, 1, 9, 2], [1, 2, 3, 9], [1, 2, 3, 4], [5, 9, 9, 9], [9, 9, 9, 9]]
    lengths, ended = tokens.response_lengths(torch.tensor(responses), stop)
    assert lengths.tolist() == [1, 4, 4, 2, 1]
    assert ended.tolist() == [True, True, False, True, True]
    expected = [reference.response_length(row, stop) for row in responses]
    assert list(zip(lengths.tolist(), ended.tolist(), strict=True)) == expected


def test_padding_behind_a_stop_token_does_not_change_its_length():
    responses = torch.tensor([[1, 9], [9, 4]])
    lengths, _ = tokens.response_lengths(torch.nn.functional.pad(responses, (0, 5), value=0), 9)
    assert lengths.tolist() == tokens.response_lengths(responses, 9)[0].tolist() == [2, 1]


def test_length_mask_by_hand():
    mask = tokens.length_mask(torch.tensor([1, 3, 0]), 3)
    assert mask.tolist() == [[True, False, False], [True, True, True], [False, False, False]]


# Loss terms


def test_mean_of_a_loss_term_divides_by_its_count():
    assert LossTerm(total=torch.tensor(6.0), count=torch.tensor(4)).mean.item() == 1.5
    assert LossTerm(total=torch.tensor(0.0), count=torch.tensor(0)).mean.item() == 0.0
