"""Key heads that serve several query heads: the ways a GPU needs give what attention itself makes of shared heads."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch.nn.functional import scaled_dot_product_attention  # noqa: E402

from tutelage.model.attention import attend_over_heads, heads_as_columns, repeated_heads  # noqa: E402
from tutelage.model.sampling import SamplingSettings, draw_tokens  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def states():
    """Six query heads on two key heads, three rows, seven columns, in float64."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, heads, 7, 8, generator=generator, dtype=torch.float64) for heads in (6, 2, 2)]


@pytest.fixture
def mask():
    """(3, 1, 1, 7): the second row does not see its first two columns, the third not its first."""
    seen = torch.ones(3, 1, 1, 7, dtype=torch.bool)
    seen[1, ..., :2] = seen[2, ..., :1] = False
    return seen


def by_hand(queries, keys, values, mask):
    """Head by head and row by row: query head i reads key head i // 3."""
    found = torch.empty_like(queries)
    for row in range(queries.shape[0]):
        for head in range(queries.shape[1]):
            weights = queries[row, head] @ keys[row, head // 3].T * 0.3
            weights = weights.masked_fill(~mask[row, 0], -torch.inf).softmax(-1)
            found[row, head] = weights @ values[row, head // 3]
    return found


def test_shared_heads_by_hand(states, mask):
    found = attend_over_heads(*states, mask=mask, scaling=0.3)
    assert torch.allclose(found, by_hand(*states, mask), atol=1e-12)


def test_repeated_heads_are_shared_heads(states, mask):
    queries, keys, values = states
    found = scaled_dot_product_attention(
        queries, repeated_heads(keys, 6), repeated_heads(values, 6), attn_mask=mask, scale=0.3
    )
    assert torch.allclose(found, by_hand(*states, mask), atol=1e-12)


def test_heads_as_columns_are_shared_heads(states, mask):
    queries, keys, values = states[0][:, :, 0], states[1], states[2]
    found = attend_over_heads(heads_as_columns(queries, 2), keys, values, mask=mask, scaling=0.3).flatten(1, 2)
    assert torch.allclose(found, by_hand(queries.unsqueeze(2), keys, values, mask).squeeze(2), atol=1e-12)


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_masked", [True, False])
def test_shared_heads_on_a_gpu(states, mask, dtype, is_masked):
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    seen = mask if is_masked else torch.ones_like(mask)
    on_gpu = [own.to("cuda", dtype) for own in states]
    found = attend_over_heads(*on_gpu, mask=mask.cuda() if is_masked else None, scaling=0.3)
    assert torch.allclose(found.double().cpu(), by_hand(*states, seen), atol=tolerance)


@needs_gpu
def test_no_impossible_token_is_drawn_on_a_gpu():
    """Every other token of 100,000 has probability 0; a sum that does not ascend would let one be drawn."""
    logits = torch.randn(256, 100_000, generator=torch.Generator().manual_seed(0))
    logits[:, 1::2] = -torch.inf
    uniforms = torch.rand(256, generator=torch.Generator().manual_seed(1))
    tokens, logprobs = draw_tokens(logits.cuda(), uniforms.cuda(), SamplingSettings(max_response_tokens=1))
    assert bool((tokens % 2 == 0).all()) and bool(logprobs.isfinite().all())
