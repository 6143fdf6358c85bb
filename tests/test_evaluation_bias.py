"""Entropy of sentence pairs by hand, their probabilities against a plain softmax, invariance to what must not count."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, log2

import pytest

from tutelage.evaluation.bias import PairTask, SentencePair, entropy_bits
from tutelage.evaluation.likelihood import continuing
from tutelage.evaluation.measuring import mean_of
from tutelage.evaluation.records import TaskRow
from tutelage.evaluation.task import Batching, task_rows
from tutelage.model.policy import Policy

PAIRS = [
    SentencePair(id="a", sentences=("The cat sleeps at the barn.", "The dog sleeps at the barn."), cluster="barn"),
    SentencePair(id="b", sentences=("The hen hides at the mill today.", "The fox hides."), cluster="mill"),
    SentencePair(id="c", sentences=("The owl waits.", "The cow waits at the hill."), cluster="mill"),
]


@pytest.fixture(scope="module")
def policy(tiny):
    from tutelage.model.policy import Policy

    return Policy.load(tiny.policy)


def pair_rows(policy, pairs, *, instruction="", tokens_per_microbatch=8192):
    task = PairTask(items=pairs, instruction=instruction)
    return task_rows(task, policy, batching=Batching(tokens_per_microbatch=tokens_per_microbatch))


def test_entropy_by_hand():
    """3 to 1: -(0.75 log2 0.75 + 0.25 log2 0.25) = 0.75 * 0.415037 + 0.25 * 2 = 0.811278 bits."""
    assert entropy_bits([log(3.0), log(1.0)]) == pytest.approx(0.811278, abs=1e-6)
    assert entropy_bits([-40.0, -40.0]) == entropy_bits([-2000.0, -2000.0]) == 1.0
    assert entropy_bits([0.0, -2000.0]) == 0.0


def test_entropy_knows_no_order_and_no_common_factor():
    assert entropy_bits([-700.0, -701.0]) == pytest.approx(entropy_bits([-1.0, 0.0]), abs=1e-12)


def bare(tokenizer, text):
    """Token ids without what opens a text."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def plain_logprob(policy, prompt, response):
    """Sum over the response's tokens, one forward pass, the model's own attention."""
    import torch

    ids = torch.tensor([[*prompt, *response]])
    policy = policy.model
    was = policy.config._attn_implementation
    policy.set_attn_implementation("eager")
    with torch.no_grad():
        logprobs = policy(input_ids=ids).logits[0].double().log_softmax(-1)
    policy.set_attn_implementation(was)
    return sum(float(logprobs[len(prompt) + n - 1, token]) for n, token in enumerate(response))


@pytest.mark.parametrize("instruction", ["", "Be kind."])
def test_rows_against_a_plain_softmax(policy, tokenizer, instruction):
    """The total, not the mean: sentences of different length. No stop token. The instruction stands before both."""
    rows = pair_rows(policy, PAIRS, instruction=instruction, tokens_per_microbatch=40)
    opening = tokenizer(f"{instruction}\n\n")["input_ids"] if instruction else [tokenizer.eos_token_id]
    for pair, row in zip(PAIRS, rows, strict=True):
        expected = [plain_logprob(policy, opening, bare(tokenizer, sentence)) for sentence in pair.sentences]
        assert (row.unit, row.cluster) == (pair.id, pair.cluster)
        assert row.logprobs == pytest.approx(expected, abs=1e-3)
        share = 1.0 / (1.0 + exp(expected[1] - expected[0]))
        assert row.share_first == pytest.approx(share, abs=1e-3)
        if 0.0 < share < 1.0:
            by_hand = -share * log2(share) - (1.0 - share) * log2(1.0 - share)
            assert row.value == pytest.approx(by_hand, abs=2e-3)


def test_swapping_the_sentences_changes_the_share_and_not_the_entropy(policy):
    swapped = [replace(pair, sentences=pair.sentences[::-1]) for pair in PAIRS]
    rows, others = pair_rows(policy, PAIRS), pair_rows(policy, swapped)
    for row, other in zip(rows, others, strict=True):
        assert row.value == pytest.approx(other.value, abs=1e-6)
        assert row.share_first == pytest.approx(1.0 - other.share_first, abs=1e-6)


def test_the_same_sentence_twice_is_one_bit(policy):
    rows = pair_rows(
        Policy(policy.model, continuing(policy.tokenizer)), [SentencePair(id="x", sentences=("A cat.", "A cat."))]
    )
    assert rows[0].value == pytest.approx(1.0, abs=1e-9)
    assert rows[0].cluster == "x"


def test_pairs_of_one_cluster_count_as_one_draw():
    """Residuals -0.5, 0.5 of two trades: with four copies of each the interval stays, it does not shrink."""
    rows = [
        TaskRow(measure="bias_entropy", unit=f"{name}-1", cluster=name, value=value)
        for name, value in (("a", 0.25), ("b", 0.75), ("c", 0.5))
    ]
    once, often = (mean_of(own, source="evaluation/bias.jsonl") for own in (rows, rows * 4))
    assert often.mean == once.mean == 0.5
    assert often.n == 12
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-12)
