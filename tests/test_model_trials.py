"""What loading tries a model for: families that would train or sample on other numbers than their own are seen."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig

from test_model_packing import PACKED, family, groups_like, packed, plain_logprobs
from test_model_sampling import PROMPTS, flat_logprobs, groups_of, sample
from tiny import CONTEXT, config_of, model_of
from tutelage.errors import ModelError
from tutelage.model import sampling, trials
from tutelage.model.attention import ATTENTION_NAME
from tutelage.model.context import UNLIMITED, context_limit, context_of
from tutelage.model.dropout import residual_dropout
from tutelage.model.forward import backbone, hidden_states, response_logprobs
from tutelage.model.loading import load_policy, load_scalar_model
from tutelage.model.packing import pack
from tutelage.model.trials import check_head_is_linear, may_pack, reads_packed_tokens

EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "num_key_value_heads": 4}
SHAPES = {
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 48},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
    "bert-generation": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48},
    "trocr": {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}


@pytest.fixture(autouse=True)
def tried(monkeypatch):
    """Nothing is known of any configuration before a test."""
    monkeypatch.setattr(trials, "_reads_packed", {})
    return trials._reads_packed


def shaped(name, **others):
    """A model of a family that names its shape in its own words."""
    tokens = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1, "vocab_size": 64}
    return model_of(AutoConfig.for_model(name, **{**tokens, **SHAPES[name], **others}))


def longrope():
    """Up to 16 tokens the short factors; transformers writes into what it is given."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    return {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 16, **factors}


def refusal(model):
    with pytest.raises(ModelError) as caught:
        reads_packed_tokens(model)
    return str(caught.value)


def assert_reads_and_samples_as_plain(model, shape):
    own, groups, prompts = packed(model), groups_like(shape), PROMPTS[:3]
    with torch.no_grad():
        sampled = sample(own, prompts, num_responses=2)
        for found, expected in (
            (response_logprobs(own, pack(groups)), plain_logprobs(model, groups)),
            (flat_logprobs(sampled), plain_logprobs(model, groups_of(prompts, sampled))),
        ):
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_a_head_that_no_configuration_names_is_tried():
    """BERT's head has a layer and a norm before its matrix; Llama's is the matrix alone."""
    check_head_is_linear(family("llama", {}))
    model = model_of(AutoConfig.for_model("bert", vocab_size=64, is_decoder=True, **SHAPES["bert-generation"]))
    with pytest.raises(ModelError, match="'bert' has an LM head that is not a single linear layer"):
        check_head_is_linear(model)


# Sampling through the cache.


def test_two_attentions_in_a_layer_take_the_padded_way():
    """Differential attention calls attention twice in each layer, where our cache keeps one block for a layer."""
    model = family("diffllama", {})
    assert not reads_packed_tokens(model)
    assert_reads_and_samples_as_plain(model, [(5, [3]), (2, [6, 2])])


def test_a_family_that_neither_way_samples_rightly_is_refused(tmp_path):
    """Learned positions that TrOCR counts from the padding on."""
    model = shaped("trocr")
    message = refusal(model)
    assert "'trocr' gives different log-probabilities when sampling" in message
    assert "use another one" in message
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_policy(tmp_path)


def test_rows_of_linear_attention_leave_when_they_end():
    """Qwen3-Next: its state of linear attention is cached beside keys and values."""
    shape = {"linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8}
    shape |= {"linear_value_head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    shape |= {"shared_expert_intermediate_size": 16, "layer_types": ["linear_attention", "full_attention"]}
    model = family("qwen3_next", shape)
    assert not reads_packed_tokens(model)
    assert_reads_and_samples_as_plain(model, [(5, [3]), (2, [6, 2])])


def test_a_family_without_a_cache_of_keys_and_values_is_refused():
    message = refusal(shaped("mamba"))
    assert "'mamba' cannot be run and sampled" in message
    assert "past_key_values" in message


@pytest.mark.parametrize("fault", ["column", "mask", "moved"])
def test_a_cache_that_is_wrong_is_not_used(fault, monkeypatch):
    """Another column, no mask over shorter prompts, rows left where a finished one stood: each is seen."""
    model = family("llama", {})
    assert reads_packed_tokens(model)
    if fault == "moved":
        monkeypatch.setattr(sampling._CachedLayout, "move_rows", lambda *_: None)
    else:
        start = sampling._CachedLayout.start

        def wrong_start(self, *arguments):
            start(self, *arguments)
            if fault == "mask":
                self.mask = None
            else:
                self.column -= 1

        monkeypatch.setattr(sampling._CachedLayout, "start", wrong_start)
    assert not reads_packed_tokens(model)


def test_a_reward_model_is_not_sampled_from(monkeypatch, tmp_path):
    monkeypatch.setattr(trials, "_sampling_distance", lambda _: pytest.fail("sampled"))
    model_of(config_of("llama"), has_score=True).save_pretrained(tmp_path)
    assert load_scalar_model(tmp_path).config._attn_implementation == ATTENTION_NAME


# Windows and positions.


def test_a_window_that_only_the_mask_holds_takes_the_padded_way():
    """Phi-3.5-MoE hands its window neither to the attention function nor to `layer_types`."""
    model = family("phimoe", {**EXPERTS, "sliding_window": 16})
    assert not reads_packed_tokens(model)
    assert_reads_and_samples_as_plain(model, [(20, [9]), (10, [12, 3])])


@pytest.mark.parametrize(
    ("others", "is_whole"),
    [
        ({"sliding_window": 16}, False),
        ({"sliding_window": CONTEXT - 1}, False),
        ({"sliding_window": CONTEXT}, True),
        ({"sliding_window": None}, True),
        ({"attention_window_size": 16}, False),
        ({"window_size": 16}, False),
        ({"attention_chunk_size": 16}, False),
        ({"sliding_window": 16, "use_sliding_window": False}, True),
        ({"max_window_layers": 16, "num_windows": 4, "window_layers": 2}, True),
        ({"layer_types": ["full_attention", "full_attention"]}, True),
        ({"layer_types": ["full_attention", "sliding_attention"]}, False),
    ],
)
def test_windows_by_any_name(others, is_whole):
    assert may_pack(config_of("llama", **others)) == is_whole


def test_a_window_as_long_as_the_context_may_pack():
    model = family("phimoe", {**EXPERTS, "sliding_window": CONTEXT})
    assert reads_packed_tokens(model)
    assert_reads_and_samples_as_plain(model, [(20, [9]), (10, [12, 3])])


def test_longrope_ends_where_its_numbers_would_depend_on_neighbors():
    model = family("phi3", {"rope_parameters": longrope(), "original_max_position_embeddings": 16})
    assert context_limit(model) == 16
    own, (short, long) = packed(model), groups_like([(5, [3]), (15, [8])])
    alone, beside = (response_logprobs(own, pack(groups))[:3].detach() for groups in ([short], [short, long]))
    assert float((alone - beside).abs().max()) > 0.01, "this is what the limit is for"
    fits = groups_like([(8, [8])])
    beside = response_logprobs(own, pack([short, *fits]))[:3].detach()
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("rope", "limit"),
    [
        ({"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}, CONTEXT),
        ({"rope_type": "llama3", "original_max_position_embeddings": 16, "rope_theta": 1e4, "factor": 8.0}, CONTEXT),
        ({"rope_type": "default", "rope_theta": 1e4}, CONTEXT),
        ({"full_attention": longrope(), "sliding_attention": {"rope_type": "default"}}, 16),
    ],
)
def test_only_longrope_ends_before_the_positions(rope, limit):
    config = config_of("llama")
    config.rope_parameters = rope
    assert context_of(config) == limit


def test_dynamic_rope_does_not_depend_on_neighbors_within_its_context():
    model = family("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}})
    own, (short, long) = packed(model), groups_like([(5, [3]), (CONTEXT - 20, [20])])
    alone, beside = (response_logprobs(own, pack(groups))[:3].detach() for groups in ([short], [short, long]))
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=0)


def test_contexts_by_other_names():
    assert context_limit(shaped("mpt")) == 48
    assert context_of(AutoConfig.for_model("gpt2", n_positions=40)) == 40
    assert context_of(AutoConfig.for_model("bloom")) == UNLIMITED
    assert context_of(AutoConfig.for_model("xlnet")) == UNLIMITED, "-1 there"


# What is causal.


@pytest.mark.parametrize("name", ["xlm", "bert-generation"])
def test_a_model_that_sees_later_tokens_is_refused(name):
    message = refusal(shaped(name))
    assert f"{name!r} lets a token attend to later ones" in message
    assert "is_decoder" in message


def test_the_same_family_may_be_causal():
    model = shaped("bert-generation", is_decoder=True)
    assert_reads_and_samples_as_plain(model, [(5, [3]), (2, [6, 2])])


def test_a_scalar_model_that_sees_later_tokens_is_refused():
    model = model_of(AutoConfig.for_model("bert", vocab_size=64, **SHAPES["bert-generation"]), has_score=True)
    assert "lets a token attend to later ones" in refusal(model)


def test_states_that_are_not_numbers_are_told_as_such():
    model = family("llama", {}, has_score=True)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    assert "weights are corrupted" in refusal(model)


def test_padding_that_shows_in_the_states_is_refused(monkeypatch):
    """A family whose states depend on how much padding stands beside has other numbers in every micro-batch."""
    model = family("bloom", {"n_layer": 2, "n_head": 4})
    forward = backbone(model).forward

    def forward_that_sees_padding(*positional, attention_mask=None, **named):
        output = forward(*positional, attention_mask=attention_mask, **named)
        if attention_mask is not None:
            output.last_hidden_state += 0.05 * (attention_mask == 0).sum()
        return output

    monkeypatch.setattr(backbone(model), "forward", forward_that_sees_padding)
    assert "gives different hidden states in a batch than alone" in refusal(model)


def test_padding_that_shows_in_samples_is_refused(monkeypatch):
    """A family that takes no mask reads right-padded rows rightly, and samples wrongly after left padding."""
    model = family("bloom", {"n_layer": 2, "n_head": 4})
    forward = backbone(model).forward
    monkeypatch.setattr(
        backbone(model), "forward", lambda *positional, attention_mask=None, **named: forward(*positional, **named)
    )
    assert "when sampling" in refusal(model)


# Once for each configuration.


def test_a_configuration_is_tried_once(tiny, monkeypatch, tried):
    random = torch.get_rng_state()
    load_policy(tiny.policy)
    assert torch.equal(torch.get_rng_state(), random), "a trial draws from its own generator"
    assert list(tried.values()) == [True]
    monkeypatch.setattr(trials, "reads_packed_tokens", lambda _: pytest.fail("tried again"))
    assert load_policy(tiny.policy).config._attn_implementation == ATTENTION_NAME


def test_another_configuration_is_tried_for_itself(tried, tmp_path):
    for i, others in enumerate(({}, {"num_hidden_layers": 1}, {"sliding_window": 8}, {"rope_theta": 100.0})):
        model_of(config_of("mistral", **{"sliding_window": None, **others})).save_pretrained(tmp_path / str(i))
        load_policy(tmp_path / str(i))
    model_of(config_of("mistral", sliding_window=None), has_score=True).save_pretrained(tmp_path / "score")
    load_scalar_model(tmp_path / "score")
    assert list(tried.values()) == [True, True, False, True, True]


def test_a_bias_of_the_score_is_no_other_configuration(tried, tmp_path):
    model = model_of(config_of("llama"), has_score=True)
    for bias in (0.0, 1.5):
        model.config.score_bias = bias
        model.save_pretrained(tmp_path / str(bias))
        load_scalar_model(tmp_path / str(bias))
    assert len(tried) == 1


def test_a_refusal_is_not_remembered(tried):
    model = shaped("trocr")
    for _ in range(2):
        with pytest.raises(ModelError, match="when sampling"):
            trials.choose_attention(model)
    assert tried == {}


# Residual dropout.

DROPPED = {name: PACKED[name] for name in ("llama", "gpt2", "gpt_neox", "opt", "opt, norm after", "qwen3", "phi")}


@pytest.mark.parametrize("name", DROPPED)
def test_dropout_of_all_that_is_added_leaves_the_stream(name):
    """With next to everything dropped, the model reads its embeddings through the final norm alone."""
    model = packed(family(name, DROPPED[name]))
    residual_dropout(model, 0.9999)
    model.train()
    torch.manual_seed(0)
    batch = pack(groups_like([(6, [])]))
    one = hidden_states(model, batch).detach()
    for block in (module for module in model.modules() if module._forward_hooks):
        block.register_forward_hook(lambda _, __, output: _nothing(output))
    torch.testing.assert_close(one, hidden_states(model, batch).detach())
    assert float(one.abs().max()) > 0.1


def _nothing(output):
    return (torch.zeros_like(output[0]), *output[1:]) if isinstance(output, tuple) else torch.zeros_like(output)


def test_falcon_drops_its_attention_too():
    model = shaped("falcon")
    residual_dropout(model, 0.5)
    hooked = {name.split(".")[-1] for name, module in model.named_modules() if module._forward_hooks}
    assert hooked == {"self_attention", "mlp"}


@pytest.mark.parametrize("name", ["bloom", "mpt"])
def test_blocks_that_add_the_stream_themselves_are_refused(name):
    """Their feed-forward gives its input back as well: dropping that drops the stream."""
    with pytest.raises(ModelError) as caught:
        residual_dropout(shaped(name), 0.2)
    assert repr(name) in str(caught.value)
    assert "set residual_dropout: 0" in str(caught.value)
    residual_dropout(shaped(name), 0.0)


def test_a_block_that_is_not_hooked_is_seen(monkeypatch):
    monkeypatch.setattr("tutelage.model.dropout.BLOCK_NAMES", ("self_attn",))
    with pytest.raises(ModelError, match="set residual_dropout: 0"):
        residual_dropout(family("llama", {}), 0.2)


def test_installing_dropout_leaves_the_model_and_the_random_numbers_as_they_were():
    model = packed(family("llama", {}))
    expected = response_logprobs(model, pack(groups_like([(4, [3])]))).detach()
    random = torch.get_rng_state()
    residual_dropout(model, 0.5)
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module.training for module in model.modules())
    assert torch.equal(response_logprobs(model, pack(groups_like([(4, [3])]))).detach(), expected)


def test_a_trial_compares_exact_products_and_leaves_the_setting_as_it_was(monkeypatch):
    """In a bfloat16 run on a GPU float32 products are rounded; a trial must not take that for a fault of the model."""
    seen, own_states = [], trials._own_states

    def spy(model, groups):
        seen.append(torch.backends.cuda.matmul.allow_tf32)
        return own_states(model, groups)

    monkeypatch.setattr(trials, "_own_states", spy)
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        for is_allowed in (True, False):
            torch.backends.cuda.matmul.allow_tf32 = is_allowed
            reads_packed_tokens(family("llama", {}))
            assert torch.backends.cuda.matmul.allow_tf32 is is_allowed
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert seen == [False, False]
