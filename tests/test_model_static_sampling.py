"""Sampling with tensors that never move: the same responses as by the sampler whose cache grows, family by family."""

from __future__ import annotations

import copy
from itertools import chain

import pytest
import torch
from scipy import stats

from test_model_packing import family, packed
from test_model_sampling import PROMPTS, STOP, groups_of, sample, stopping
from tutelage.model import static_sampling
from tutelage.model.forward import response_logprobs
from tutelage.model.packing import pack
from tutelage.model.precision import set_precision
from tutelage.model.sampling import SamplingSettings, invert, invert_by_chunks, sample_statically

FAMILIES = ("llama", "gpt2", "gpt_neox", "opt", "qwen3")


def statically(
    model, *, prompts=PROMPTS, seed=0, max_response_tokens=24, temperature=1.0, top_p=1.0, num_responses=1, limits=None
):
    """What `sample` finds, in the order of the prompts."""
    draws = torch.Generator().manual_seed(seed)
    uniforms = torch.rand(len(prompts), num_responses, max_response_tokens, generator=draws)
    rows = len(prompts) * num_responses
    with torch.no_grad():
        found = sample_statically(
            model,
            prompts,
            num_responses,
            uniforms.view(rows, -1),
            limits or [max_response_tokens] * rows,
            SamplingSettings(max_response_tokens=max_response_tokens, temperature=temperature, top_p=top_p),
            [STOP],
        )
    return [found[start : start + num_responses] for start in range(0, rows, num_responses)]


def latest(model):
    """The sampler that was used last."""
    return static_sampling._SAMPLERS[model].known[-1][1]


def same(found, expected):
    assert [[r.tokens for r in own] for own in found] == [[r.tokens for r in own] for own in expected]
    assert [[r.is_complete for r in own] for own in found] == [[r.is_complete for r in own] for own in expected]
    for own, other in zip(chain(*found), chain(*expected), strict=True):
        torch.testing.assert_close(torch.tensor(own.logprobs), torch.tensor(other.logprobs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("temperature", [1.0, 0.0, 0.7])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_responses_are_those_of_the_growing_cache(name, temperature, monkeypatch):
    """Rows finish at different steps, so that running rows move together more than once."""
    monkeypatch.setattr(static_sampling, "STEPS_PER_LOOK", 3)
    model = packed(stopping(family(name, {})))
    expected = sample(model, temperature=temperature, num_responses=3)
    assert len({len(r.tokens) for own in expected for r in own}) > (1 if temperature == 0.0 else 3)
    same(statically(model, temperature=temperature, num_responses=3), expected)


def test_the_nucleus_and_the_limits_of_rows_hold():
    model = packed(family("llama", {}))
    limits = [3, 24, 1, 7, 20]
    expected = sample(model, top_p=0.6, room=limits)
    same(statically(model, top_p=0.6, limits=limits), expected)
    assert [len(own[0].tokens) for own in statically(model, limits=limits)] <= limits


def test_a_sampler_is_used_again_and_reads_what_the_model_has_learned():
    model = packed(stopping(family("llama", {})))
    statically(model)
    first = latest(model)
    with torch.no_grad():
        for own in model.parameters():
            own.add_(0.02 * torch.randn(own.shape, generator=torch.Generator().manual_seed(1)))
    shorter = [prompt[:3] for prompt in PROMPTS]
    same(statically(model, prompts=shorter, seed=5), sample(model, shorter, seed=5))
    assert latest(model) is first
    same(statically(model, seed=5, max_response_tokens=9), sample(model, seed=5, max_response_tokens=9))
    assert latest(model) is not first, "another limit is another shape"
    statically(model, seed=5, max_response_tokens=8)
    statically(model, seed=5, max_response_tokens=9)
    assert len(static_sampling._SAMPLERS[model].known) == static_sampling.NUM_SHAPES


def test_in_bfloat16_matrices_are_copies_that_follow_the_weights():
    """Sampled against recomputed log-probabilities: as far apart as bfloat16 rounds, before and after an update."""
    model = set_precision(packed(copy.deepcopy(family("llama", {}))), "bfloat16")
    for _ in range(2):
        sampled = statically(model, num_responses=2)
        batch = pack(groups_of(PROMPTS, sampled))
        with torch.no_grad():
            recomputed = response_logprobs(model, batch)
        own = torch.tensor([logprob for several in sampled for r in several for logprob in r.logprobs])
        assert (own - recomputed).abs().mean() < 0.02
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.3)
    weights = static_sampling._SAMPLERS[model].weights
    assert {weight.dtype for _, weight in weights.copies} == {torch.bfloat16}
    assert all(own.dtype == torch.float32 for own in model.parameters()), "the model's own weights stay as they were"


def test_a_sampler_goes_with_its_model():
    before = len(static_sampling._SAMPLERS)
    model = packed(copy.deepcopy(family("llama", {})))
    statically(model)
    assert len(static_sampling._SAMPLERS) == before + 1
    del model
    import gc

    gc.collect()
    assert len(static_sampling._SAMPLERS) == before


def test_draws_by_chunks_are_those_of_one_sum():
    """Where both sum exactly: probabilities that are multiples of a power of two."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 3, (40, 1300), generator=generator)
    counts[:, -1] += 4096 - counts.sum(1)
    probabilities, uniforms = counts / 4096, torch.rand(40, generator=generator)
    assert torch.equal(invert_by_chunks(probabilities, uniforms), invert(probabilities, uniforms))
    edges = torch.tensor([0.0, 0.5, 1 - 2**-24])
    few = torch.zeros(3, 1100)
    few[:, 600], few[:, 1023] = 0.5, 0.5
    assert invert_by_chunks(few, edges).tolist() == [600, 1023, 1023]


def test_draws_by_chunks_follow_a_distribution_to_its_tail():
    """128k tokens, half of the probability on those that have a millionth each."""
    size, rows = 128_000, 4000
    probabilities = torch.full((size,), 0.5 / (size - 1))
    probabilities[0] = 0.5
    uniforms = torch.rand(rows, generator=torch.Generator().manual_seed(3), dtype=torch.float64).float()
    drawn = torch.cat([invert_by_chunks(probabilities.expand(500, -1), own) for own in uniforms.split(500)])
    tail = drawn[drawn > 0].double() / size
    assert abs(len(tail) - rows / 2) < 4 * (rows / 4) ** 0.5
    assert stats.kstest(tail.numpy(), "uniform").pvalue > 0.01


@pytest.mark.parametrize("place", [0, 511, 512, 1299])
def test_no_draw_by_chunks_falls_on_a_token_of_probability_zero(place):
    probabilities = torch.zeros(3, 1300)
    probabilities[:, place] = 0.3
    assert invert_by_chunks(probabilities, torch.tensor([0.0, 0.4, 1 - 2**-24])).tolist() == [place] * 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_graphs_give_what_steps_give(dtype, monkeypatch):
    model = set_precision(packed(stopping(family("llama", {}))).to("cuda"), dtype)
    with_graphs = sample(model, num_responses=40, max_response_tokens=60)
    monkeypatch.setenv(static_sampling.SWITCH, "0")
    static_sampling._SAMPLERS.clear()
    same(with_graphs, sample(model, num_responses=40, max_response_tokens=60))
