"""What a stage says of configurations and data that it cannot use, and what it leaves out where it is told to."""

from __future__ import annotations

import copy
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from test_model_packing import plain_logprobs
from test_training_ppo import assert_close_gradients
from tiny import TEXT, config_of, demonstration_rows, gradients_of_term, model_of, read_rows, write_rows
from tutelage.config import load_config
from tutelage.errors import ConfigError, DataError, ModelError, NonFiniteLossError, RecordError
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.records import Demonstration
from tutelage.text.tokenizers import train_tokenizer
from tutelage.training import sft as sft_room
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import PPOConfig, PretrainConfig, RewardConfig, SFTConfig
from tutelage.training.data import hold_out
from tutelage.training.language_modeling import language_term
from tutelage.training.ppo import ppo
from tutelage.training.pretrain import pretrain
from tutelage.training.reward import train_reward
from tutelage.training.sft import sft


@pytest.fixture
def configured(tiny, tmp_path):
    """An SFT configuration of one short epoch."""

    def configured(out="run", **others):
        settings = {
            "out": tmp_path / out,
            "model": tiny.policy,
            "demonstrations": tiny.demonstrations,
            "validation": tiny.demonstrations,
            "allow_prompt_overlap": True,
            "text": TEXT,
            "num_epochs": 1,
            "demonstrations_per_step": 8,
            "residual_dropout": 0.0,
            "device": "cpu",
            "optimizer": {"learning_rate": 1e-3},
        }
        return SFTConfig.model_validate({**settings, **others})

    return configured


# Configurations.


def test_all_that_is_wrong_with_a_configuration_is_told_at_once(tmp_path):
    """Unknown names, values out of range, and keys that contradict each other."""
    path = tmp_path / "ppo.yaml"
    wrong = {
        "out": "runs/x",
        "policy": "p",
        "reward_model": "r",
        "prompts": "p.jsonl",
        "episodes_per_step": 100,
        "episodes_per_minibatch": 64,
        "num_episodes": 250,
        "klcoef": 0.1,
        "ppo": {"clip_rang": 0.3},
    }
    path.write_text(yaml.safe_dump(wrong))
    with pytest.raises(ConfigError) as caught:
        load_config(PPOConfig, path)
    message = str(caught.value)
    for expected in (
        "klcoef",
        "ppo.clip_rang",
        "clip_range",
        "episodes_per_minibatch 64",
        "num_episodes 250",
        "ptx.text",
    ):
        assert expected in message, expected
    path.write_text(yaml.safe_dump({**wrong, "seed": "one", "temperature": -1}))
    with pytest.raises(ConfigError) as caught:
        load_config(PPOConfig, path)
    for expected in ("klcoef", "ppo.clip_rang", "seed", "'one'", "temperature", "-1"):
        assert expected in str(caught.value), expected


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        (SFTConfig, {"pretraining_share": 0.1}, ("pretraining_text", "pretraining_share")),
        (SFTConfig, {"pretraining_text": "t.txt"}, ("pretraining_text", "pretraining_share")),
        (
            PretrainConfig,
            {"text": "t", "num_steps": 1, "new_model": {"width": 100, "num_heads": 8}},
            ("width 100", "8"),
        ),
        (PPOConfig, {"ptx": {"coef": 1.0}}, ("ptx.text", "ptx.coef: 0")),
    ],
)
def test_contradictions(model, values, words, tmp_path):
    given = {"out": "o", "model": "m", "demonstrations": "d", "policy": "p", "reward_model": "r", "prompts": "p"}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in given.items() if k in model.model_fields} | values))
    with pytest.raises(ConfigError) as caught:
        load_config(model, path)
    for word in words:
        assert word in str(caught.value)


# Data.


def refused(error, call, config):
    """What `call` says of `config`; one that should be refused and is not trains for two episodes, not for 256,000."""
    if isinstance(config, PPOConfig):
        few = {"num_episodes": 2, "episodes_per_step": 2, "episodes_per_minibatch": 2}
        config = config.model_copy(update=few)
    with pytest.raises(error) as caught:
        call(config)
    return str(caught.value)


def test_empty_splits(tiny, configured, tmp_path):
    empty = write_rows(tmp_path / "empty.jsonl", [])
    message = refused(DataError, sft, configured("a", demonstrations=empty))
    assert "training split of demonstrations" in message
    assert str(empty) in message
    message = refused(DataError, sft, configured("b", validation=empty))
    assert "validation split of demonstrations" in message
    few = write_rows(tmp_path / "few.jsonl", demonstration_rows(2))
    message = refused(DataError, sft, configured("c", demonstrations=few, validation=None))
    assert "validation" in message
    rankings = RewardConfig(out=tmp_path / "d", model=tiny.policy, rankings=empty)
    assert "training split of rankings" in refused(DataError, train_reward, rankings)
    prompts = write_rows(tmp_path / "p.jsonl", [{"text": "x", "split": "test"}])
    config = PPOConfig(
        out=tmp_path / "e",
        policy=tiny.policy,
        reward_model=tiny.reward_model,
        prompts=prompts,
        text={"max_response_tokens": 8},
        ptx={"coef": 0},
    )
    assert "training split of PPO prompts" in refused(DataError, ppo, config)
    text = tmp_path / "text.txt"
    text.write_text("one document only\n<|endoftext|>\n")
    assert "training and validation need one each" in refused(
        DataError, pretrain, PretrainConfig(out=tmp_path / "f", text=text, num_steps=1)
    )


def long_rows():
    return [*demonstration_rows(12), {"prompt": "w " * 60, "response": "short"}, {"prompt": "p", "response": "w " * 60}]


def test_prompts_longer_than_the_limits(configured, tmp_path):
    rows = write_rows(tmp_path / "long.jsonl", long_rows())
    message = refused(DataError, sft, configured("a", demonstrations=rows))
    for word in ("prompt ", "the limit is 40", "text.max_prompt_tokens", "too_long: skip"):
        assert word in message
    limits = {**TEXT, "too_long": "skip"}
    summary = sft(configured("b", demonstrations=rows, text=limits))
    assert (summary["num_demonstrations"], summary["num_skipped"]) == (12, 2)
    assert "limit 40" in summary["skipped"][0]
    assert "limit 24" in summary["skipped"][1]
    only = write_rows(tmp_path / "only.jsonl", long_rows()[-2:])
    message = refused(DataError, sft, configured("c", demonstrations=only, text=limits))
    assert "2 records were left out" in message


def test_prompts_longer_than_the_context(tiny, configured, tmp_path):
    """The context is 96 tokens: with 30 of them for the response, one of 74 is too long."""
    rows = write_rows(tmp_path / "long.jsonl", [{"text": "w " * 70}])
    settings = {"out": tmp_path / "a", "policy": tiny.policy, "reward_model": tiny.reward_model, "device": "cpu"}
    settings |= {"ptx": {"coef": 0}}
    wide = {"max_prompt_tokens": 1000, "max_response_tokens": 30}
    message = refused(DataError, ppo, PPOConfig.model_validate({**settings, "prompts": rows, "text": wide}))
    assert "its prompt has 74 tokens; the limit is 66" in message
    short = tmp_path / "short"
    model_of(config_of("llama", 320, max_position_embeddings=48), has_score=True).save_pretrained(short)
    load_tokenizer(tiny.policy).save_pretrained(short)
    narrow = {**settings, "reward_model": short, "out": tmp_path / "c", "prompts": rows, "text": wide}
    message = refused(DataError, ppo, PPOConfig.model_validate(narrow))
    assert "its prompt has 74 tokens; the limit is 18" in message, "the reward model reads prompt and response too"
    full = {"max_response_tokens": 96}
    message = refused(DataError, ppo, PPOConfig.model_validate({**settings, "prompts": tiny.prompts, "text": full}))
    assert "no room for a prompt" in message
    rows = write_rows(tmp_path / "both.jsonl", [{"prompt": "w " * 50, "response": "w " * 50}])
    wide = {"max_prompt_tokens": 1000, "max_response_tokens": 1000}
    message = refused(DataError, sft, configured("b", demonstrations=rows, text=wide))
    assert "its prompt with its response has" in message
    assert "the limit is 96" in message


def broken(rows, path):
    """A file whose third line lacks a field and whose fifth is no JSON."""
    lines = [json.dumps(row) for row in rows]
    lines[2] = json.dumps({"prompt": "p", "response": 7})
    lines[4] = "{"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_malformed_records_stop_or_are_left_out_and_listed(configured, tmp_path):
    path = broken(demonstration_rows(12), tmp_path / "broken.jsonl")
    message = refused(RecordError, sft, configured("a", demonstrations=path))
    for word in (f"{path}, line 3", "'response'", "7", "string"):
        assert word in message
    summary = sft(config := configured("b", demonstrations=path, skip_bad=True))
    assert (summary["num_demonstrations"], summary["num_skipped"]) == (10, 2)
    assert [f"line {n}" in text for n, text in zip((3, 5), summary["skipped"], strict=True)] == [True, True]
    assert json.loads((config.out / "summary.json").read_text())["skipped"] == summary["skipped"]


def test_every_stage_can_leave_malformed_records_out(tiny, configured, tmp_path):
    bad = '{"prompt": "p"}\n{\n'
    for name in ("rankings", "prompts"):
        (tmp_path / f"{name}.jsonl").write_text(getattr(tiny, name).read_text() + bad)
    (tmp_path / "text.txt").write_bytes(tiny.text.read_bytes() + b"not \xff text\n<|endoftext|>\n")
    common = {"device": "cpu", "text": {"max_prompt_tokens": 40, "max_response_tokens": 8, "too_long": "skip"}}
    common = common | {"allow_prompt_overlap": True}
    reward = common | {"model": tiny.policy, "validation": tiny.rankings, "rankings": tmp_path / "rankings.jsonl"}
    own_ppo = common | {"policy": tiny.policy, "reward_model": tiny.reward_model, "prompts": tmp_path / "prompts.jsonl"}
    own_ppo |= {"num_episodes": 4, "episodes_per_step": 4, "episodes_per_minibatch": 4}
    own_ppo |= {"ptx": {"text": tmp_path / "text.txt", "context_tokens": 32, "sequences_per_episode": 1}}
    new_model = {"vocab_size": 300, "width": 16, "num_heads": 2, "num_layers": 1, "context_tokens": 32}
    own_pretrain = {"text": tmp_path / "text.txt", "num_steps": 1, "tokens_per_step": 64, "new_model": new_model}
    stages = (
        (train_reward, RewardConfig, reward, 2),
        (ppo, PPOConfig, own_ppo, 2),
        (pretrain, PretrainConfig, {**own_pretrain, "device": "cpu", "validation_share": 0.1}, 1),
    )
    for run, model, values, number in stages:
        name = run.__name__
        assert "line" in refused(RecordError, run, model.model_validate({**values, "out": tmp_path / f"{name}1"}))
        summary = run(model.model_validate({**values, "out": tmp_path / name, "skip_bad": True}))
        assert summary["num_skipped"] >= number, name
        assert any("line" in text for text in summary["skipped"])


def test_a_reward_model_of_another_vocabulary(tiny, configured, tmp_path):
    path = shutil.copytree(tiny.reward_model, tmp_path / "other")
    train_tokenizer(["other words", "in other texts"] * 5, vocab_size=320, context_tokens=96).save_pretrained(path)
    own_ppo = {"out": tmp_path / "run", "policy": tiny.policy, "reward_model": path, "prompts": tiny.prompts}
    config = PPOConfig.model_validate({**own_ppo, "ptx": {"coef": 0}})
    for call, own in ((sft, configured(reward_model=path)), (ppo, config)):
        message = refused(ModelError, call, own)
        assert str(path) in message
        assert str(tiny.policy) in message
        assert "must be the same" in message
        assert not (tmp_path / "run").exists(), "refused before the run folder is made"


# SFT.


def test_sft_gradient_is_that_of_a_loop(tiny):
    """The mean over response tokens of all demonstrations, stop tokens included, prompts left out."""
    groups = [Group(prompt=[5, 6, 7], responses=[[8, 9, 0]]), Group(prompt=[4], responses=[[3, 2, 6, 7, 0]])]
    model = Policy.load(tiny.policy)
    plain = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    loss = -plain_logprobs(plain, groups).mean()
    loss.backward()
    for limit in (1, 1000):
        model.zero_grad()
        term = language_term(model, groups, name="loss", records="x")
        found = gradients_of_term(term, SimpleNamespace(tokens_per_microbatch=limit))
        assert found["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
        gradients = {name: p.grad for name, p in model.model.named_parameters()}
        assert_close_gradients(gradients, {name: p.grad for name, p in plain.named_parameters()})


def test_sft_stops_at_a_loss_that_is_not_a_number(configured, monkeypatch):
    models, load = [], sft_room.Policy.load

    def poisoned(*arguments, **others):
        model = load(*arguments, **others)
        with torch.no_grad():
            model.model.model.norm.weight[0] = float("nan")
        models.append((model, copy.deepcopy(model.state_dict())))
        return model

    monkeypatch.setattr(sft_room.Policy, "load", poisoned)
    with pytest.raises(NonFiniteLossError, match="sft: the loss at step 0 is nan") as caught:
        sft(configured(demonstrations_per_step=4))
    assert str(caught.value).count("prompt ") == 4
    ((model, before),) = models
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0, equal_nan=True)


def test_sft_keeps_the_weights_of_its_best_epoch(configured, tmp_path):
    """What is held out is answered otherwise: what is learnt soon stops to help, and the last epoch is not the best."""
    other = [{**row, "response": f"Over there, {row['response']}"} for row in demonstration_rows(12, seed=9)]
    held_out = write_rows(tmp_path / "held_out.jsonl", other)
    settings = {"num_epochs": 5, "optimizer": {"learning_rate": 8e-3, "schedule": "constant"}, "validation": held_out}
    summary = sft(config := configured(**settings))
    rows = read_rows(config.out / "metrics.jsonl")
    losses = [row["sft/validation_loss"] for row in rows if "sft/validation_loss" in row]
    best = losses.index(min(losses)) + 1
    assert 1 < best < 5
    assert (summary["chosen_epoch"], summary["validation_loss"]) == (best, min(losses))
    sft(shorter := configured("shorter", **{**settings, "num_epochs": best}))
    name = "model/model.safetensors"
    assert (config.out / name).read_bytes() == (shorter.out / name).read_bytes()
    sft(last := configured("last", **settings, should_select_checkpoint=False))
    assert (config.out / name).read_bytes() != (last.out / name).read_bytes()


def test_validation_prompts_leave_room_in_the_context(tiny, configured, tmp_path):
    """The limit for responses is more than what a long prompt leaves: GPT-2 has no position beyond its context."""
    path = tmp_path / "gpt2"
    model_of(config_of("gpt2", 320)).save_pretrained(path)
    load_tokenizer(tiny.policy).save_pretrained(path)
    wide = {"max_prompt_tokens": 90, "max_response_tokens": 90}
    summary = sft(configured(model=path, text=wide, reward_model=tiny.reward_model, validation_prompts=3))
    assert summary["chosen_by"] == "score"


def test_epochs_are_permutations_and_batches_do_not_span_them():
    order = ShuffledEpochs(10, seed=3)
    assert order.batches_per_epoch(4) == 3
    batches = [order.batch_of(step, 4) for step in range(6)]
    assert [len(batch) for batch in batches] == [4, 4, 2] * 2
    first, second = (sorted(i for batch in batches[start : start + 3] for i in batch) for start in (0, 3))
    assert first == second == list(range(10))
    assert batches[:3] != batches[3:]
    assert order.take(7, 6) == [*order.take(7, 3), *order.take(10, 3)]
    assert sorted(order.take(10, 10)) == list(range(10))
    assert ShuffledEpochs(10, seed=3).take(0, 30) == order.take(0, 30) != ShuffledEpochs(10, seed=4).take(0, 30)


def test_each_prompt_is_held_out_or_trained_on_never_both():
    """About one prompt in 20, with everything that belongs to it, whatever else is in the file."""
    rows = demonstration_rows(400)
    records = [Demonstration.model_validate(row) for row in (*rows, *rows)]
    training, validation = hold_out(records)
    assert len(training) + len(validation) == 800
    assert not {record.prompt for record in training} & {record.prompt for record in validation}
    assert 2 * 8 <= len(validation) <= 2 * 35, "400 draws of a chance of 0.05 are 20, give or take 3 times 4.4"
    few, _ = hold_out(records[7:50])
    assert {r.prompt for r in few} <= {r.prompt for r in training}
