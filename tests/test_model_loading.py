"""Model folders: what we save, plain transformers loads; what we cannot use is refused, and dropout."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from test_model_packing import SHAPES, family, groups_like, packed, plain_logprobs, plain_scores
from tiny import config_of, documents, model_of
from tutelage.errors import ModelError
from tutelage.model.context import context_limit
from tutelage.model.dropout import residual_dropout
from tutelage.model.forward import response_logprobs, response_scores
from tutelage.model.loading import (
    check_same_vocabulary,
    load_policy,
    load_scalar_model,
    load_tokenizer,
    new_language_model,
    save_model,
)
from tutelage.model.packing import pack
from tutelage.text.tokenizers import train_tokenizer

GROUPS = groups_like(SHAPES["differing K"])


@pytest.fixture
def folder(tiny, tmp_path):
    """Copies of the tiny folders, to be broken."""

    def copied(name):
        return shutil.copytree(getattr(tiny, name), tmp_path / name)

    return copied


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "opt", "qwen3"])
def test_policy_comes_back_through_plain_transformers(name, tmp_path):
    model = family(name, {})
    model.save_pretrained(tmp_path / "before")
    policy = load_policy(tmp_path / "before")
    save_model(policy, None, tmp_path / "after")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "after").eval()
    assert plain.config._attn_implementation == "sdpa"
    assert "tutelage" not in (tmp_path / "after" / "config.json").read_text()
    assert not list((tmp_path / "after").glob("*.bin"))
    torch.testing.assert_close(
        plain_logprobs(plain, GROUPS), response_logprobs(policy, pack(GROUPS)), atol=2e-5, rtol=1e-5
    )


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "opt", "qwen3"])
def test_reward_model_comes_back_with_its_scores_and_bias(name, tmp_path):
    family(name, {}, has_score=True).save_pretrained(tmp_path / "before")
    model = load_scalar_model(tmp_path / "before")
    model.config.score_bias = 0.625
    scores = response_scores(model, pack(GROUPS)).detach()
    save_model(model, None, tmp_path / "after")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "after").eval()
    rows = [torch.tensor([*group.prompt, *response]) for group in GROUPS for response in group.responses]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=1)
    logits = plain(padded, attention_mask=(padded != 1).long()).logits.squeeze(-1).detach()
    torch.testing.assert_close(logits, scores + 0.625, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(plain_scores(plain, GROUPS).detach(), logits, atol=2e-5, rtol=1e-5)
    again = load_scalar_model(tmp_path / "after")
    assert torch.equal(response_scores(again, pack(GROUPS)).detach(), scores)
    assert plain.config.score_bias == 0.625


def test_no_score_is_read_one_token_early_where_padding_is_the_stop_token(tmp_path):
    """transformers reads the score at the last token that is not padding: with one token for both, before the stop."""
    model_of(config_of("llama", pad_token_id=0), has_score=True).save_pretrained(tmp_path / "before")
    model = load_scalar_model(tmp_path / "before")
    save_model(model, None, tmp_path / "after")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "after").eval()
    row = torch.tensor([[5, 6, 7, 0]])
    expected = model.score(plain.model(row).last_hidden_state[0, -1]).detach()
    torch.testing.assert_close(plain(row).logits[0].detach(), expected)


def test_fresh_head_is_drawn_from_its_seed(tiny):
    one, same, other = (load_scalar_model(tiny.policy, head_seed=seed).score.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    wide = [load_scalar_model(tiny.policy, head_seed=seed).score.weight.detach() for seed in range(8)]
    # N(0, 1 / 33): the deviation of 8 x 32 draws.
    assert torch.stack(wide).std().item() == pytest.approx(33**-0.5, rel=0.15)


def test_a_trained_head_is_kept(tiny):
    expected = AutoModelForSequenceClassification.from_pretrained(tiny.reward_model).score.weight
    assert torch.equal(load_scalar_model(tiny.reward_model).score.weight, expected)
    assert torch.equal(load_scalar_model(tiny.reward_model, head_seed=3).score.weight, expected)


def test_new_model_and_its_folder(tmp_path, tokenizer):
    shape = {"vocab_size": len(tokenizer), "context_tokens": 64, "width": 48, "num_layers": 2, "num_heads": 4}
    one, same, other = (new_language_model(**shape, seed=seed, tokenizer=tokenizer) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.model.embed_tokens.weight, other.model.embed_tokens.weight)
    save_model(one, tokenizer, tmp_path)
    assert context_limit(load_policy(tmp_path)) == 64
    ids = AutoTokenizer.from_pretrained(tmp_path)("Where is the cat?")["input_ids"]
    assert ids == tokenizer("Where is the cat?")["input_ids"]


def test_a_new_model_may_normalise_queries_and_keys(tmp_path, tokenizer):
    shape = {"vocab_size": len(tokenizer), "context_tokens": 64, "width": 48, "num_layers": 2, "num_heads": 2}
    model = new_language_model(**shape, has_query_key_norm=True, rope_theta=500.0, seed=0, tokenizer=tokenizer)
    with torch.no_grad():
        model.model.layers[0].self_attn.q_norm.weight.mul_(3.0)
    save_model(model, tokenizer, tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (plain.config.model_type, plain.config.head_dim) == ("qwen3", 24)
    assert plain.config.rope_parameters["rope_theta"] == 500.0
    assert torch.equal(plain.model.layers[0].self_attn.q_norm.weight, torch.full((24,), 3.0))


# What is refused.


def refusal(call, *arguments, **others):
    with pytest.raises(ModelError) as caught:
        call(*arguments, **others)
    return str(caught.value)


def test_no_tokenizer(folder):
    path = folder("policy")
    for file in path.glob("token*"):
        file.unlink()
    message = refusal(load_tokenizer, path)
    assert str(path) in message
    assert "no tokenizer" in message
    assert "tokenizer.json" in message


def test_a_tokenizer_with_more_tokens_than_embeddings(folder):
    path = folder("policy")
    train_tokenizer(documents(60), vocab_size=340, context_tokens=96).save_pretrained(path)
    message = refusal(load_tokenizer, path)
    assert "320 embeddings" in message
    assert "token 339" in message


def test_vocabulary_mismatch(tiny, folder):
    check_same_vocabulary(tiny.policy, tiny.reward_model)
    path = folder("reward_model")
    train_tokenizer(["other words here, other text there"] * 9, vocab_size=320, context_tokens=96).save_pretrained(path)
    message = refusal(check_same_vocabulary, tiny.policy, path)
    assert str(path) in message
    assert "320 tokens" in message
    assert "same base model" in message


def test_pickled_weights_only_where_asked(tiny, folder):
    path = folder("policy")
    weights = AutoModelForCausalLM.from_pretrained(path).state_dict()
    (path / "model.safetensors").unlink()
    torch.save(weights, path / "pytorch_model.bin")
    message = refusal(load_policy, path)
    assert "safetensors" in message
    trusted = load_policy(path, trust_pickle=True)
    assert torch.equal(trusted.lm_head.weight, weights["lm_head.weight"])


def test_code_of_a_folder_is_never_run(folder, tmp_path):
    path = folder("policy")
    (path / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    config = json.loads((path / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "modeling.Config", "AutoModelForCausalLM": "modeling.Model"}}
    (path / "config.json").write_text(json.dumps(config))
    load_policy(path)
    (path / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of"}))
    refusal(load_policy, path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "layer"])
def test_broken_weights(damage, folder):
    """Cut off, empty, absent, or without one layer, which transformers would fill with random numbers."""
    from safetensors.torch import load_file, save_file

    path = folder("policy")
    file = path / "model.safetensors"
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "layer":
        weights = {name: w for name, w in load_file(file).items() if "layers.1.mlp" not in name}
        save_file(weights, file, metadata={"format": "pt"})
        assert "layers.1.mlp" in refusal(load_policy, path)
    else:
        file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    assert str(path) in refusal(load_policy, path)


def test_wrong_kinds_of_folder(tiny, tmp_path):
    assert "is a reward model" in refusal(load_policy, tiny.reward_model)
    assert "is not a reward model" in refusal(load_scalar_model, tiny.policy)
    assert "config.json" in refusal(load_policy, tmp_path)
    assert "does not exist. Give a folder" in refusal(load_policy, tmp_path / "absent")
    config = config_of("llama")
    config.num_labels = 3
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "three")
    assert "3 labels" in refusal(load_scalar_model, tmp_path / "three")
    (tmp_path / "config.json").write_text("{ no json")
    assert str(tmp_path) in refusal(load_policy, tmp_path)


def test_dropouts_of_the_family_are_switched_off(tmp_path):
    for name, others in {
        "gpt2": {"resid_pdrop": 0.5, "attn_pdrop": 0.5, "embd_pdrop": 0.5},
        "opt": {"dropout": 0.5, "attention_dropout": 0.5, "layerdrop": 0.5},
        "llama": {"attention_dropout": 0.5},
    }.items():
        model_of(config_of(name, **others)).save_pretrained(tmp_path / name)
        policy = load_policy(tmp_path / name)
        before = response_logprobs(policy, pack(GROUPS))
        assert torch.equal(response_logprobs(policy.train(), pack(GROUPS)), before)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "opt"])
def test_residual_dropout_only_in_training(name):
    model = packed(family(name, {}))
    expected = response_logprobs(model, pack(GROUPS)).detach()
    residual_dropout(model, 0.5)
    assert torch.equal(response_logprobs(model.eval(), pack(GROUPS)).detach(), expected)
    torch.manual_seed(0)
    one, two = (response_logprobs(model.train(), pack(GROUPS)).detach() for _ in range(2))
    assert not torch.equal(one, expected)
    assert not torch.equal(one, two)
    hooked = [module for module in model.modules() if module._forward_hooks]
    assert len(hooked) == 4, "attention and feed-forward of two layers"


def test_residual_dropout_keeps_the_mean():
    model = packed(family("llama", {}))
    residual_dropout(model, 0.25)
    block = model.model.layers[0].mlp
    states = torch.randn(2000, 32)
    plain = block.eval()(states)
    torch.manual_seed(1)
    dropped = block.train()(states)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], plain[kept] / 0.75)
