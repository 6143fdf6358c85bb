"""Sampling: the cache against the full forward, and the draws against the distribution they come from."""

from __future__ import annotations

import copy
import math
from itertools import chain

import pytest
import torch
from scipy import stats

from test_model_packing import PADDED, family, packed, plain_logprobs
from tutelage.model.attention import ATTENTION_NAME
from tutelage.model.forward import response_logprobs
from tutelage.model.packing import Group, pack
from tutelage.model.sampling import SamplingSettings, draw_tokens, sample_responses

PROMPTS = [[5, 6, 7], [9], [20, 21, 22, 23, 24, 25, 26], [5, 6, 8], [30, 31]]
STOP = 3
FAMILIES = {
    "llama": {},
    "gpt2": {},
    "gpt_neox": {},
    "opt": {},
    "qwen3": {},
    **{f"{name}, padded": others for name, others in PADDED.items()},
}


def sample(
    model, prompts=PROMPTS, *, seed=0, max_response_tokens=24, temperature=1.0, top_p=1.0, stop_tokens=(STOP,), **others
):
    settings = SamplingSettings(max_response_tokens=max_response_tokens, temperature=temperature, top_p=top_p)
    return sample_responses(
        model,
        prompts,
        settings=settings,
        stop_tokens=stop_tokens,
        generator=torch.Generator().manual_seed(seed),
        **others,
    )


def groups_of(prompts, sampled):
    return [Group(prompt=p, responses=[r.tokens for r in own]) for p, own in zip(prompts, sampled, strict=True)]


def flat_logprobs(sampled):
    return torch.tensor([logprob for own in sampled for response in own for logprob in response.logprobs])


def stopping(model):
    """A model that likes to stop: rows finish at different steps."""
    model = copy.deepcopy(model)
    head = model.get_output_embeddings()
    bias = torch.zeros(head.weight.shape[0])
    bias[STOP] = 1.5
    if head.bias is not None:
        bias += head.bias.detach()
    head.bias = torch.nn.Parameter(bias)
    return model


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("name", FAMILIES)
def test_cached_decoding_is_the_full_forward(name, temperature):
    """The log-probabilities recorded while rows finished and left are those of the packed and of the plain forward."""
    model = family(name, FAMILIES[name])
    own = stopping(packed(model))
    assert (own.config._attn_implementation == ATTENTION_NAME) == (not name.endswith("padded"))
    sampled = sample(own, num_responses=3, temperature=temperature)
    lengths = {len(response.tokens) for responses in sampled for response in responses}
    assert len(lengths) > 4, "rows should finish at different steps"
    groups = groups_of(PROMPTS, sampled)
    found = flat_logprobs(sampled)
    with torch.no_grad():
        torch.testing.assert_close(
            found, response_logprobs(own, pack(groups), temperature=temperature), atol=1e-5, rtol=1e-5
        )
        if temperature == 1.0:
            torch.testing.assert_close(found, plain_logprobs(stopping(model), groups), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral, padded"])
def test_batches_and_order_of_finishing_change_nothing(name):
    own = stopping(packed(family(name, FAMILIES[name])))
    expected = sample(own, num_responses=3)
    for rows_per_batch in (1, 3, 4, 7, 1000):
        found = sample(own, num_responses=3, rows_per_batch=rows_per_batch)
        assert [[r.tokens for r in row] for row in found] == [[r.tokens for r in row] for row in expected]
        assert [[r.is_complete for r in row] for row in found] == [[r.is_complete for r in row] for row in expected]
        torch.testing.assert_close(flat_logprobs(found), flat_logprobs(expected), atol=1e-5, rtol=1e-5)


def test_stop_token_ends_a_response_and_belongs_to_it():
    own = stopping(packed(family("llama", {})))
    responses = [response for row in sample(own, num_responses=20) for response in row]
    for response in responses:
        assert len(response.tokens) == len(response.logprobs) <= 24
        assert STOP not in response.tokens[:-1]
        assert response.is_complete == (response.tokens[-1] == STOP)
        assert response.is_complete or len(response.tokens) == 24
    assert {response.is_complete for response in responses} == {True, False}
    # A response may stop with its very last token, or with its first.
    assert all(len(r.tokens) == 1 for row in sample(own, max_response_tokens=1, num_responses=8) for r in row)
    assert min(len(response.tokens) for response in responses) == 1


def test_any_of_several_stop_tokens_ends_a_response():
    """The same draws as with one stop token, each response cut at the first of either."""
    own, other = stopping(packed(family("llama", {}))), 17
    one, both = sample(own, num_responses=20), sample(own, num_responses=20, stop_tokens=(STOP, other))
    ends = set()
    for before, after in zip(chain(*one), chain(*both), strict=True):
        end = next((i for i, token in enumerate(before.tokens, 1) if token == other), len(before.tokens))
        assert after.tokens == before.tokens[:end]
        assert after.is_complete == (after.tokens[-1] in (STOP, other))
        ends.add(after.tokens[-1])
    assert {STOP, other} < ends


def test_every_row_may_end_at_once():
    own = packed(family("llama", {}))
    head = own.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.full((64,), -1e4).index_fill(0, torch.tensor([STOP]), 0.0))
    assert {tuple(r.tokens) for row in sample(own, num_responses=2) for r in row} == {(STOP,)}


def test_num_responses_and_their_order():
    """K responses to each prompt, in the prompts' order whatever their lengths, different from each other."""
    own = packed(family("llama", {}))
    sampled = sample(own, num_responses=4)
    assert [len(row) for row in sampled] == [4] * len(PROMPTS)
    assert all(len({tuple(response.tokens) for response in row}) == 4 for row in sampled)
    again = sample(own, num_responses=4)
    assert [[r.tokens for r in row] for row in again] == [[r.tokens for r in row] for row in sampled]
    other = sample(own, num_responses=4, seed=1)
    assert [[r.tokens for r in row] for row in other] != [[r.tokens for r in row] for row in sampled]


def test_greedy_takes_the_most_likely_token_every_time():
    model = family("qwen3", {})
    own = packed(model)
    for prompt, (response,) in zip(PROMPTS, sample(own, temperature=0.0), strict=True):
        ids = list(prompt)
        for token, logprob in zip(response.tokens, response.logprobs, strict=True):
            expected = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].detach(), -1)
            assert token == int(expected.argmax())
            assert logprob == pytest.approx(float(expected.max()), abs=1e-5)
            ids.append(token)


def test_progress_counts_rows():
    seen = []
    sample(packed(family("llama", {})), num_responses=2, rows_per_batch=4, on_progress=seen.append)
    assert seen == [4, 4, 2]


def test_the_model_is_left_as_it_was():
    own = packed(family("llama", {})).train()
    sample(own)
    assert own.training
    assert all(p.grad is None and p.requires_grad for p in own.parameters())


def draws(logits, uniforms, *, temperature=1.0, top_p=1.0):
    settings = SamplingSettings(max_response_tokens=1, temperature=temperature, top_p=top_p)
    rows = torch.as_tensor(logits, dtype=torch.float32).expand(len(uniforms), -1)
    return draw_tokens(rows, torch.as_tensor(uniforms, dtype=torch.float32), settings)


def test_draws_by_hand():
    """The distribution function of (0.1, 0.2, 0.3, 0.4) is 0.1, 0.3, 0.6, 1."""
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    tokens, logprobs = draws(logits, [0.0, 0.05, 0.15, 0.29, 0.31, 0.59, 0.61, 0.999])
    assert tokens.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert logprobs.exp().tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4], abs=1e-6)


def test_nucleus_by_hand():
    """Of (0.1, 0.2, 0.3, 0.4), 0.65 keeps 0.4 and 0.3; the log-probability stays that of the whole distribution."""
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    uniforms = torch.linspace(0, 0.999, 101)
    tokens, logprobs = draws(logits, uniforms, top_p=0.65)
    assert set(tokens.tolist()) == {2, 3}
    boundary = int((tokens == 2).sum())
    assert boundary / 101 == pytest.approx(3 / 7, abs=0.02)
    assert logprobs[tokens == 3][0].exp().item() == pytest.approx(0.4, abs=1e-6)
    for top_p, kept in ((0.39, {3}), (0.41, {3, 2}), (0.75, {3, 2, 1}), (0.95, {0, 1, 2, 3}), (1e-6, {3})):
        assert set(draws(logits, uniforms, top_p=top_p)[0].tolist()) == kept


def test_temperature_comes_before_the_nucleus():
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    tempered = torch.softmax(logits / 0.5, -1)  # 1, 4, 9, 16 of 30
    tokens, logprobs = draws(logits, torch.linspace(0, 0.999, 50), temperature=0.5, top_p=0.6)
    assert set(tokens.tolist()) == {2, 3}
    assert logprobs[-1].item() == pytest.approx(math.log(float(tempered[3])), abs=1e-6)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.8)])
def test_draws_follow_the_distribution(temperature, top_p):
    """Chi-square over 20,000 draws with a fixed seed."""
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(12, generator=generator) * 1.5
    probabilities = torch.softmax(logits.double() / temperature, -1)
    if top_p < 1:
        ordered, index = probabilities.sort(descending=True)
        is_kept = torch.zeros(12, dtype=torch.bool).index_fill(0, index[ordered.cumsum(0) - ordered < top_p], True)
        probabilities = torch.where(is_kept, probabilities, 0.0) / probabilities[is_kept].sum()
    tokens, _ = draws(logits, torch.rand(20_000, generator=generator), temperature=temperature, top_p=top_p)
    counts = torch.bincount(tokens, minlength=12)
    possible = probabilities > 0
    assert int(counts[~possible].sum()) == 0
    assert stats.chisquare(counts[possible].numpy(), (probabilities[possible] * 20_000).numpy()).pvalue > 1e-3


def test_draws_of_a_model_follow_its_distribution():
    """First and second tokens together: 4,000 responses to one prompt against the plain forward."""
    model = family("llama", {"vocab_size": 8, "pad_token_id": None})
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(3.0)
    own = packed(model)
    own.get_output_embeddings().bias = torch.nn.Parameter(torch.zeros(8).index_fill(0, torch.tensor([STOP]), -1e4))
    sampled = sample(own, [[4, 5]], max_response_tokens=2, num_responses=4000, rows_per_batch=4000)[0]
    counts = torch.zeros(8, 8)
    for response in sampled:
        counts[response.tokens[0], response.tokens[1]] += 1
    expected = torch.zeros(8, 8, dtype=torch.float64)
    allowed = [token for token in range(8) if token != STOP]
    with torch.no_grad():
        first = torch.softmax(model(torch.tensor([[4, 5]])).logits[0, -1, allowed].double(), -1)
        for place, token in enumerate(allowed):
            second = torch.softmax(model(torch.tensor([[4, 5, token]])).logits[0, -1, allowed].double(), -1)
            expected[token, allowed] = first[place] * second
    rows = torch.tensor(allowed)
    assert int(counts.sum()) == int(counts[rows][:, rows].sum()) == 4000
    observed, wanted = counts[rows][:, rows].flatten(), (expected[rows][:, rows] * 4000).flatten()
    frequent = wanted > 5
    pvalue = stats.chisquare(
        [*observed[frequent].tolist(), float(observed[~frequent].sum())],
        [*wanted[frequent].tolist(), float(wanted[~frequent].sum())],
    ).pvalue
    assert pvalue > 1e-3


@pytest.mark.parametrize("place", ["start", "end", "between"])
def test_no_draw_falls_on_a_token_of_probability_zero(place):
    """Neither the smallest nor the largest uniform number, nor one on a border between two tokens."""
    allowed = {"start": [5, 6], "end": [0, 1], "between": [0, 6]}[place]
    logits = torch.full((7,), float("-inf"))
    logits[allowed] = torch.tensor([0.3, -0.2])
    largest = 1.0 - 2.0**-24
    middle = float(torch.softmax(logits, -1)[allowed[0]])
    uniforms = [0.0, 2.0**-24, middle, math.nextafter(middle, 0), math.nextafter(middle, 1), largest]
    tokens, logprobs = draws(logits, uniforms)
    assert set(tokens.tolist()) <= set(allowed)
    assert bool(torch.isfinite(logprobs).all())
    # Many tokens, so that the sum in floating point is not 1.
    many = torch.full((50_000,), -1.0)
    many[25_000:] = float("-inf")
    tokens, logprobs = draws(many, [0.0, largest])
    assert int(tokens.max()) < 25_000
    assert bool(torch.isfinite(logprobs).all())


@pytest.mark.parametrize("name", ["gpt2", next(name for name in FAMILIES if name.endswith("padded"))])
def test_room_shortens_only_the_responses_of_its_own_prompt(name):
    """What is drawn for the others stays, token by token; a response that its room cut is not complete."""
    model = stopping(packed(family(name, FAMILIES[name])))
    room = [24, 2, 100, 1, 24]
    free, limited = sample(model, num_responses=2), sample(model, num_responses=2, room=room)
    for prompt, limit in enumerate(room):
        for own, whole in zip(limited[prompt], free[prompt], strict=True):
            assert own.tokens == whole.tokens[:limit]
            assert own.logprobs == pytest.approx(whole.logprobs[:limit], rel=1e-4, abs=1e-5)
            assert own.is_complete == (whole.is_complete and len(whole.tokens) <= limit)
    assert any(len(whole.tokens) > limit for own, limit in zip(free, room, strict=True) for whole in own)
