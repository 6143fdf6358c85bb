"""LoRA adapters: which layers have them, switched off, merged to save, and put back to the last bit."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from transformers import AutoModelForCausalLM

from test_model_packing import SHAPES, family, groups_like, packed, plain_logprobs
from test_training_data import configured  # noqa: F401
from tiny import config_of, model_of
from tutelage.errors import ModelError
from tutelage.model.adapters import adapters_merged, adapters_off, add_lora
from tutelage.model.forward import response_logprobs, response_scores
from tutelage.model.loading import load_policy, load_tokenizer, save_model
from tutelage.model.packing import pack
from tutelage.training.sft import sft

GROUPS = groups_like(SHAPES["differing K"])
DENSE_FIRST = {"first_k_dense_replace": 1, "n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 16}
DENSE_FIRST |= {"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
LATENT = {"num_key_value_heads": 4, "kv_lora_rank": 8, "q_lora_rank": None, "v_head_dim": 8}
LATENT |= {"qk_rope_head_dim": 8, "qk_nope_head_dim": 8}
FOUR_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
# Mixtures of experts: with shared experts, with dense layers, with routers that are linear layers and return a tuple.
MIXTURES = {
    "deepseek_v2": DENSE_FIRST | LATENT | {"topk_method": "greedy"},
    "deepseek_v3": DENSE_FIRST | LATENT,
    "glm4_moe": DENSE_FIRST,
    "dots1": DENSE_FIRST,
    "ernie4_5_moe": {
        "moe_num_experts": 4,
        "moe_k": 2,
        "moe_intermediate_size": 16,
        "moe_num_shared_experts": 1,
        "moe_layer_start_index": 1,
    },
    "qwen3_next": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "qwen2_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "mixtral": FOUR_EXPERTS,
    "phimoe": FOUR_EXPERTS,
    "llama4_text": FOUR_EXPERTS | {"num_experts_per_tok": 1, "intermediate_size_mlp": 48},
}
TOKENS = torch.tensor([[3, 9, 14, 20, 7, 30, 41]])


def adapted(name, *, has_score=False, seed=0):
    """A model with adapters that do something: their second matrix starts at zero and is moved here."""
    model = packed(family(name, {}, has_score=has_score))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add_lora(model, rank=4, alpha=8.0, seed=seed)
    return model


def move_adapters(model):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "opt"])
def test_adapters_off_is_the_base_and_merged_is_adapted(name, tmp_path):
    model = adapted(name)
    base = response_logprobs(packed(family(name, {})), pack(GROUPS)).detach()
    assert torch.equal(response_logprobs(model, pack(GROUPS)).detach(), base), "fresh adapters change nothing"
    move_adapters(model)
    changed = response_logprobs(model, pack(GROUPS)).detach()
    assert float((changed - base).abs().max()) > 0.05
    with adapters_off(model):
        assert torch.equal(response_logprobs(model, pack(GROUPS)).detach(), base)
    assert torch.equal(response_logprobs(model, pack(GROUPS)).detach(), changed)
    with adapters_merged(model) as whole:
        save_model(whole, None, tmp_path)
    assert torch.equal(response_logprobs(model, pack(GROUPS)).detach(), changed), "the model itself is left alone"
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(plain_logprobs(plain, GROUPS).detach(), changed, atol=5e-5, rtol=1e-5)
    torch.testing.assert_close(
        response_logprobs(load_policy(tmp_path), pack(GROUPS)).detach(), changed, atol=5e-5, rtol=1e-5
    )


@pytest.mark.parametrize("has_score", [False, True])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_only_adapters_and_the_scalar_head_train(name, has_score):
    model = adapted(name, has_score=has_score)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    values = (response_scores if has_score else response_logprobs)(model, pack(GROUPS))
    values.sum().backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    changed = {key for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    heads = {"score.weight"} if has_score else set()
    assert changed - heads
    assert all("lora_B" in key for key in changed - heads), "their first matrix has no gradient yet"
    assert heads <= changed
    names = {key.split(".lora_")[0].rpartition(".")[2] for key in changed - heads}
    expected = {"llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}}
    assert names == expected.get(name, {"c_attn", "c_proj", "c_fc"})


def test_adapters_are_drawn_from_their_seed_alone():
    torch.manual_seed(1)
    one = adapted("llama", seed=3).state_dict()
    after = torch.rand(1)
    torch.manual_seed(2)
    same, other = adapted("llama", seed=3).state_dict(), adapted("llama", seed=4).state_dict()
    first = next(key for key in one if "lora_A" in key)
    assert torch.equal(one[first], same[first])
    assert not torch.equal(one[first], other[first])
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after), "the global generator is left alone"


def test_the_same_model_where_there_are_no_adapters():
    model = family("llama", {})
    with adapters_merged(model) as whole:
        assert whole is model
    with pytest.raises(AssertionError, match="no adapters"), adapters_off(model):
        pass


# Mixtures of experts.


def outputs(model):
    with torch.no_grad():
        return model(input_ids=TOKENS, use_cache=False).logits


@pytest.mark.parametrize("name", MIXTURES)
def test_adapters_of_a_mixture_act_and_are_merged_as_they_act(name):
    """Every linear layer has an adapter, routers of their own kind have none, and the merged weights say the same."""
    model = model_of(config_of(name, **MIXTURES[name]))
    base, names = outputs(model), model.state_dict().keys()
    linear = {key for key, module in model.named_modules() if type(module) is torch.nn.Linear} - {"lm_head"}
    add_lora(model, rank=4, alpha=8.0, seed=0)
    assert {key for key, module in model.named_modules() if hasattr(module, "lora_A")} == linear
    assert torch.equal(outputs(model), base), "fresh adapters change nothing"
    move_adapters(model)
    adapted = outputs(model)
    assert float((adapted - base).abs().max()) > 0.5
    with adapters_merged(model) as whole:
        assert whole.state_dict().keys() == names
        torch.testing.assert_close(outputs(whole), adapted, atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["deepseek_v3", "phimoe"])
def test_a_run_with_adapters_in_a_mixture_ends_with_its_model(name, tiny, configured, tmp_path):  # noqa: F811
    """It trained to the end and was lost there, or in its first forward pass."""
    model_of(config_of(name, 320, **MIXTURES[name])).save_pretrained(tmp_path / "mixture")
    load_tokenizer(tiny.policy).save_pretrained(tmp_path / "mixture")
    config = configured(model=str(tmp_path / "mixture"), lora={"rank": 4}, optimizer={"learning_rate": 1e-2})
    summary = sft(config)
    before, after = (load_policy(folder).state_dict() for folder in (tmp_path / "mixture", config.out / "model"))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert summary["validation_loss"] > 0
    assert any("self_attn" in key for key in changed)
    assert any("mlp" in key for key in changed) == (name == "deepseek_v3"), "phimoe has nothing but experts there"
    assert not any("mlp.experts" in key or "router" in key or "mlp.gate." in key for key in changed)


def test_fused_experts_are_said_to_stay_frozen(caplog):
    with caplog.at_level(logging.WARNING, "tutelage"):
        add_lora(model_of(config_of("llama")), rank=2, alpha=4.0, seed=0)
        assert caplog.messages == []
        model = model_of(config_of("mixtral", **FOUR_EXPERTS))
        share = 2 * 4 * 3 * 32 * 48 / sum(p.numel() for p in model.parameters())
        add_lora(model, rank=2, alpha=4.0, seed=0)
    assert caplog.messages == [
        f"lora: the fused experts of architecture 'mixtral' ({100 * share:.0f}% of all weights) have no adapters and "
        "stay frozen"
    ]


# Afterwards as before.


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_model_is_itself_again_after_its_adapters_were_merged(name):
    """To the last bit, or a run that saved a model between two steps could not be resumed exactly."""
    model = adapted(name)
    move_adapters(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    parameters, modules = list(model.parameters()), list(model.modules())
    for _ in range(2):
        with adapters_merged(model) as whole:
            assert whole is model, "no second model"
            assert not any("lora" in key for key in whole.state_dict())
    after = model.state_dict()
    assert list(before) == list(after)
    assert [key for key in before if not torch.equal(before[key], after[key])] == []
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True)), "what an optimizer holds"
    assert all(a is b for a, b in zip(modules, model.modules(), strict=True))


def test_a_save_that_fails_leaves_the_model_as_it_was():
    model = adapted("llama")
    move_adapters(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(OSError, match="disk"), adapters_merged(model):
        raise OSError("disk full")
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    changed = response_logprobs(model, pack(GROUPS))
    with adapters_off(model):
        assert not torch.equal(response_logprobs(model, pack(GROUPS)), changed), "the adapters act again"


# What is refused.


@pytest.mark.parametrize("name", ["mamba", "mamba2", "falcon_mamba"])
def test_a_state_space_model_has_no_adapters(name):
    sizes = {"state_size": 4} | ({"num_heads": 8, "head_dim": 8, "n_groups": 1} if name == "mamba2" else {})
    model = model_of(config_of(name, **sizes))
    with pytest.raises(ModelError, match=f"LoRA is not supported for architecture '{name}'.*Remove `lora`"):
        add_lora(model, rank=2, alpha=4.0, seed=0)
    assert not any("lora" in key for key in model.state_dict())


def test_layers_that_share_a_weight_have_no_adapters():
    """Merged into one weight, two adapters would both act in both layers."""
    model = model_of(config_of("llama"))
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    with pytest.raises(ModelError, match="several linear layers share one weight"):
        add_lora(model, rank=2, alpha=4.0, seed=0)
