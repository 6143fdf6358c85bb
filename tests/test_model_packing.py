"""Packed forward against plain Hugging Face, one sequence at a time: values and gradients, family by family."""

from __future__ import annotations

import copy
from random import Random

import pytest
import torch

from tiny import config_of, model_of
from tutelage.errors import ModelError
from tutelage.model.attention import ATTENTION_NAME, SequenceLayout, SharedPromptLayout, layout_of
from tutelage.model.forward import (
    hidden_states,
    response_logprobs,
    response_logprobs_and_entropy,
    response_scores,
    response_values,
)
from tutelage.model.inference import compute_mean_loss, compute_scores, compute_token_rows
from tutelage.model.loading import load_policy, load_scalar_model
from tutelage.model.packing import Group, pack, split_by_tokens
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.trials import reads_packed_tokens

PACKED = {
    "llama": {},
    "gpt2": {},
    "gpt2, scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
    "gpt_neox": {},
    "opt": {},
    "opt, norm after": {"do_layer_norm_before": False},
    "qwen3": {},
    "mistral": {"sliding_window": None},
    "phi": {"num_key_value_heads": 4},
}
PADDED = {
    "mistral": {"sliding_window": 4},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "gemma2": {"final_logit_softcapping": None, "sliding_window": 4, "query_pre_attn_scalar": 8},
    "bloom": {"n_layer": 2, "n_head": 4, "num_attention_heads": 4},
}
SHAPES = {
    "one response each": [(5, [3]), (2, [6]), (7, [1])],
    "differing K": [(4, [2, 5, 1]), (1, [3]), (6, [4, 4])],
    "single group": [(3, [2, 4, 4, 1])],
    "single sequence": [(6, [5])],
    "equal lengths": [(4, [3, 3]), (4, [3, 3])],
    "as many responses as groups": [(4, [3, 2]), (5, []), (2, [4])],
    "one-token prompts": [(1, [9]), (1, [2, 7])],
}


def groups_like(shape, *, vocab_size=64, seed=0):
    rng = Random(seed)

    def tokens(number):
        return [rng.randrange(2, vocab_size) for _ in range(number)]

    return [Group(prompt=tokens(p), responses=[tokens(r) for r in responses]) for p, responses in shape]


def family(name, others, *, has_score=False, seed=0):
    return model_of(config_of(name.split(",")[0], **others), has_score=has_score, seed=seed)


def packed(model):
    """A copy that reads packed tokens, as loading makes it."""
    model = copy.deepcopy(model)
    if reads_packed_tokens(model):
        model.set_attn_implementation(ATTENTION_NAME)
    return model


def plain_logprobs(model, groups):
    """Every response token's log-probability (N,), each response in a forward of its own."""
    found = []
    for group in groups:
        for response in group.responses:
            ids = torch.tensor([[*group.prompt, *response]])
            logprobs = torch.log_softmax(model(ids).logits[0].float(), -1)
            start = len(group.prompt)
            found += [logprobs[start + t - 1, token] for t, token in enumerate(response)]
    return torch.stack(found)


def gradients(model, values):
    """Gradient of an uneven sum of `values`, by parameter name."""
    model.zero_grad()
    (values * torch.linspace(0.5, 1.5, values.numel())).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same_gradients(found, expected, tolerance=2e-4):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = max(0.01, float(gradient.abs().max()))
        assert float((found[name] - gradient).abs().max()) <= tolerance * scale, name


def assert_logprobs_are_plain(model, own, shape):
    groups = groups_like(SHAPES[shape])
    found, expected = response_logprobs(own, pack(groups)), plain_logprobs(model, groups)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5, msg=lambda text: f"{shape}: {text}")
    assert_same_gradients(gradients(own, found), gradients(model, expected))


@pytest.mark.parametrize("name", PACKED)
def test_packed_is_plain(name):
    model = family(name, PACKED[name])
    own = packed(model)
    assert own.config._attn_implementation == ATTENTION_NAME, "this family should read packed tokens"
    for shape in SHAPES:
        assert_logprobs_are_plain(model, own, shape)


@pytest.mark.parametrize("name", PADDED)
def test_families_that_do_not_fit_take_the_padded_way(name):
    model = family(name, PADDED[name])
    own = packed(model)
    assert own.config._attn_implementation != ATTENTION_NAME
    for shape in ("one response each", "differing K", "single group", "as many responses as groups"):
        assert_logprobs_are_plain(model, own, shape)


def test_sliding_windows_longer_than_the_probe_are_seen():
    """The probe has twelve tokens; a window of 24 shows only in longer sequences."""
    model = family("mistral", {"sliding_window": 24})
    own = packed(model)
    groups = groups_like([(30, [20, 8]), (10, [40])])
    torch.testing.assert_close(
        response_logprobs(own, pack(groups)), plain_logprobs(model, groups), atol=2e-5, rtol=1e-5
    )


def test_attention_in_chunks_longer_than_the_probe_is_seen():
    """Llama 4 cuts attention into chunks through its mask alone, which packed attention never sees."""
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "intermediate_size_mlp": 48}
    model = family("llama4_text", {"attention_chunk_size": 24, **experts})
    assert "chunked_attention" in model.config.layer_types
    assert not reads_packed_tokens(model)


@pytest.mark.parametrize(
    ("name", "others", "word"),
    [
        ("gemma2", {"query_pre_attn_scalar": 8}, "final_logit_softcapping"),
        ("granite", {"logits_scaling": 4.0}, "logits_scaling"),
        ("cohere", {"logit_scale": 0.25}, "logit_scale"),
    ],
)
def test_heads_that_are_not_linear_are_refused(name, others, word, tmp_path):
    model_of(config_of(name, **others)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=word):
        load_policy(tmp_path)


def test_soft_capped_model_can_score(tmp_path):
    """A reward model has no vocabulary head, so what caps that head does not matter."""
    model = model_of(config_of("gemma2", query_pre_attn_scalar=8), has_score=True)
    model.save_pretrained(tmp_path)
    own = load_scalar_model(tmp_path)
    groups = groups_like(SHAPES["differing K"])
    torch.testing.assert_close(response_scores(own, pack(groups)), plain_scores(model, groups), atol=1e-5, rtol=1e-5)


def plain_scores(model, groups):
    """The score head at the last token, each response in a forward of its own."""
    rows = [[*group.prompt, *response] for group in groups for response in group.responses]
    return torch.stack([model.score(model.base_model(torch.tensor([row]))[0][0, -1])[0] for row in rows])


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "opt", "qwen3"])
def test_scores_with_a_shared_prompt_are_those_of_separate_sequences(name):
    model = family(name, {}, has_score=True)
    own = packed(model)
    for shape in SHAPES.values():
        groups = groups_like(shape, seed=1)
        found, expected = response_scores(own, pack(groups)), plain_scores(model, groups)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert_same_gradients(gradients(own, found), gradients(model, expected))


def test_k_responses_are_k_sequences():
    """The same through our own forward: one group with K responses, K groups with one."""
    own = packed(family("llama", {}))
    for shape in SHAPES.values():
        groups = groups_like(shape, seed=2)
        separate = [Group(prompt=g.prompt, responses=[r]) for g in groups for r in g.responses]
        found, expected = response_logprobs(own, pack(groups)), response_logprobs(own, pack(separate))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert_same_gradients(gradients(own, found), gradients(own, response_logprobs(own, pack(separate))))


def test_a_response_does_not_see_its_siblings_or_other_groups():
    own = packed(family("llama", {}))
    groups = groups_like(SHAPES["differing K"])
    changed = [
        Group(prompt=groups[0].prompt, responses=[groups[0].responses[0], [9] * 5, [9]]),
        Group(prompt=[8], responses=[[7, 7, 7]]),
        groups[2],
    ]
    before, after = (response_logprobs(own, pack(those)) for those in (groups, changed))
    torch.testing.assert_close(after[:2], before[:2], atol=1e-6, rtol=0)
    torch.testing.assert_close(after[-8:], before[-8:], atol=1e-6, rtol=0)
    assert float((after[2:7] - before[2:7]).detach().abs().max()) > 0.01


@pytest.mark.parametrize("shape", ["one response each", "differing K"])
def test_order_and_padding_change_nothing(shape):
    """Groups in another order, and beside a much longer one that makes every rectangle wide."""
    own = packed(family("llama", {}))
    groups = groups_like(SHAPES[shape])
    by_group = response_logprobs(own, pack(groups)).split([sum(map(len, g.responses)) for g in groups])
    long = groups_like([(40, [40])], seed=5)[0]
    reordered = [groups[2], long, groups[0], groups[1]]
    found = response_logprobs(own, pack(reordered))
    sizes = [sum(map(len, g.responses)) for g in reordered]
    parts = found.split(sizes)
    for part, expected in zip((parts[0], parts[2], parts[3]), (by_group[2], by_group[0], by_group[1]), strict=True):
        torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-5)


def test_hidden_states_of_prompts_too():
    model = family("qwen3", {})
    own = packed(model)
    groups = groups_like([(4, []), (3, [2]), (6, [1, 2])])
    states = hidden_states(own, pack(groups))
    first = model.base_model(torch.tensor([groups[0].prompt]))[0][0]
    last = model.base_model(torch.tensor([groups[2].prompt]))[0][0]
    torch.testing.assert_close(states[:4], first, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(states[9:15], last, atol=1e-5, rtol=1e-5)


def test_cheapest_layout_only_where_it_is_right():
    def layout(shape):
        return type(layout_of(pack(groups_like(shape))))

    assert layout([(2, [3]), (4, [1])]) is SequenceLayout
    assert layout([(2, []), (4, [])]) is SequenceLayout
    assert layout([(2, [3, 3])]) is SharedPromptLayout
    assert layout([(2, [3, 3]), (4, [])]) is SharedPromptLayout
    assert layout([(2, []), (4, [3])]) is SharedPromptLayout


def test_pack_by_hand():
    batch = pack([Group(prompt=[5, 6], responses=[[7], [8, 9]]), Group(prompt=[4], responses=[[3, 2]])])
    assert batch.tokens.tolist() == [5, 6, 7, 8, 9, 4, 3, 2]
    assert batch.positions.tolist() == [0, 1, 2, 2, 3, 0, 1, 2]
    assert batch.response_tokens.tolist() == [7, 8, 9, 3, 2]
    assert batch.predicting.tolist() == [1, 1, 3, 5, 6]
    assert batch.last.tolist() == [2, 4, 7]
    assert batch.group_of_response == [0, 0, 1]
    assert batch.response_mask().tolist() == [[True, False], [True, True], [True, True]]
    rows = batch.to_rows(torch.arange(5.0), fill=-1.0)
    assert rows.tolist() == [[0.0, -1.0], [1.0, 2.0], [3.0, 4.0]]


def test_temperature_and_entropy_by_hand():
    model = family("llama", {})
    own = packed(model)
    groups = groups_like([(3, [4])])
    logits = model(torch.tensor([[*groups[0].prompt, *groups[0].responses[0]]])).logits[0, 2:6] / 0.7
    expected = torch.log_softmax(logits, -1)
    logprobs, entropy = response_logprobs_and_entropy(own, pack(groups), temperature=0.7)
    own_tokens = torch.tensor(groups[0].responses[0]).unsqueeze(1)
    torch.testing.assert_close(logprobs, expected.gather(1, own_tokens).squeeze(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropy, -(expected.exp() * expected).sum(1), atol=1e-5, rtol=1e-5)
    assert not entropy.requires_grad
    torch.testing.assert_close(response_logprobs(own, pack(groups), temperature=0.7), logprobs)


def test_values_stand_before_their_tokens():
    """The value of a response token is read where it is predicted, the score at the last token; both less the bias."""
    model = family("llama", {}, has_score=True)
    own = packed(model)
    group = groups_like([(3, [4])])[0]
    outputs = model.score(model.base_model(torch.tensor([[*group.prompt, *group.responses[0]]]))[0][0]).squeeze(-1)
    torch.testing.assert_close(response_values(own, pack([group])), outputs[2:6], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(response_scores(own, pack([group])), outputs[6:], atol=1e-5, rtol=1e-5)
    own.config.score_bias = 0.75
    torch.testing.assert_close(response_scores(own, pack([group])), outputs[6:] - 0.75, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(response_values(own, pack([group])), outputs[2:6] - 0.75, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("limit", [1, 7, 20, 40, 10_000])
def test_split_covers_each_group_once_within_the_limit(limit):
    rng = Random(3)
    groups = groups_like([(rng.randint(1, 12), [rng.randint(1, 9)] * rng.randint(0, 3)) for _ in range(50)])
    batches = list(split_by_tokens(groups, limit))
    assert sorted(i for batch in batches for i in batch) == list(range(50))
    for batch in batches:
        assert len(batch) == 1 or sum(groups[i].num_tokens for i in batch) <= limit
    total = sum(group.num_tokens for group in groups)
    most = max(limit, max(group.num_tokens for group in groups))
    assert len(batches) <= 2 * total // most + 1 or limit < 20, "batches should be about full"
    assert list(split_by_tokens([], limit)) == []


@pytest.mark.parametrize("limit", [1, 15, 30])
def test_shards_sum_to_the_whole(limit):
    own = packed(family("llama", {}))
    groups = groups_like([*SHAPES["differing K"], *SHAPES["one response each"]])
    whole = response_logprobs(own, pack(groups)).sum()
    own.zero_grad()
    whole.backward()
    expected = {name: p.grad.clone() for name, p in own.named_parameters()}
    own.zero_grad()
    total = 0.0
    for indices in split_by_tokens(groups, limit):
        part = response_logprobs(own, pack([groups[i] for i in indices])).sum()
        part.backward()
        total += float(part.detach())
    assert total == pytest.approx(float(whole.detach()), rel=1e-5)
    assert_same_gradients({name: p.grad for name, p in own.named_parameters()}, expected)


def test_measures_do_not_depend_on_the_micro_batch():
    policy, scorer = packed(family("llama", {})), packed(family("llama", {}, has_score=True))
    groups = groups_like([*SHAPES["differing K"], *SHAPES["one response each"]])
    expected = plain_scores(scorer_plain(), groups)
    logprobs = pack(groups).to_rows(plain_logprobs(family("llama", {}), groups))
    for limit in (1, 15, 10_000):
        torch.testing.assert_close(
            compute_scores(ScoreModel(scorer, None), groups, tokens_per_microbatch=limit),
            expected,
            atol=1e-5,
            rtol=1e-5,
        )
        loss = compute_mean_loss(Policy(policy, None), groups, tokens_per_microbatch=limit)
        assert loss == pytest.approx(-float(logprobs.detach().sum()) / pack(groups).response_tokens.numel(), rel=1e-5)
        with torch.no_grad():
            batches = list(split_by_tokens(groups, limit))
            rows = compute_token_rows(policy, groups, lambda batch: response_logprobs(policy, batch), batches)
        torch.testing.assert_close(rows, logprobs, atol=1e-5, rtol=1e-5)


def scorer_plain():
    return family("llama", {}, has_score=True)


def test_gradient_checkpointing_changes_nothing():
    own = packed(family("llama", {}))
    groups = groups_like(SHAPES["differing K"])
    expected = gradients(own, response_logprobs(own, pack(groups)))
    own.gradient_checkpointing_enable({"use_reentrant": False})
    own.train()
    assert_same_gradients(gradients(own, response_logprobs(own, pack(groups))), expected, tolerance=1e-5)


def test_the_probe_leaves_the_model_as_it_was():
    model = family("llama", {}).train()
    before = model.config._attn_implementation
    assert reads_packed_tokens(model)
    assert (model.config._attn_implementation, model.training) == (before, True)
