"""DPO: the gradient is that of a loop over plain transformers, the reference stays, it learns what labelers like."""

from __future__ import annotations

import copy

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

import reference
from test_cli import mistaken, run  # noqa: F401
from test_training_ppo import assert_close_gradients
from test_training_resume import bits_of
from test_training_reward import permuted
from tiny import TEXT, gradients_of_term, ranking_rows, read_rows, write_rows
from tutelage.errors import NonFiniteLossError
from tutelage.model.policy import Policy
from tutelage.training import dpo as dpo_room
from tutelage.training.config import DPOConfig
from tutelage.training.dpo import dpo, dpo_term, validate, with_reference


@pytest.fixture
def settings(tiny, tmp_path):
    return {
        "out": str(tmp_path / "run"),
        "policy": str(tiny.policy),
        "rankings": str(tiny.rankings),
        "validation": str(tiny.rankings),
        "allow_prompt_overlap": True,
        "text": TEXT,
        "rankings_per_step": 8,
        "device": "cpu",
        "optimizer": {"learning_rate": 1e-4},
    }


@pytest.fixture
def configured(settings, tmp_path):
    def configured(out="run", **others):
        return DPOConfig.model_validate({**settings, "out": tmp_path / out, **others})

    return configured


def moved(path, by=0.02):
    """The policy of `path`, a little away from it."""
    policy = Policy.load(path)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator)
    return policy


def gradient_of(policy, rankings, config):
    policy.zero_grad()
    metrics = gradients_of_term(dpo_term(policy, rankings, config), config)
    return metrics, {name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None}


def plain_token_logprobs(model, group):
    """Log-probability of every response token, one sequence at a time, by the family's own forward."""
    found = []
    for response in group.responses:
        tokens = torch.tensor([[*group.prompt, *response]])
        logprobs = torch.log_softmax(model(input_ids=tokens).logits[0].double(), -1)
        places = range(len(group.prompt) - 1, tokens.shape[1] - 1)
        found.append(torch.stack([logprobs[place, tokens[0, place + 1]] for place in places]))
    return found


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_gradient_is_that_of_a_loop(tiny, configured, encoded, label_smoothing):
    """Mean over rankings of the mean over comparisons of -log sigmoid(beta * difference of log-ratios)."""
    items, config = encoded(ranking_rows(7)), configured(kl_coef=0.5, label_smoothing=label_smoothing)
    assert len({len(item.group.responses) for item in items}) > 2
    rankings = with_reference(Policy.load(tiny.policy), items, config)
    metrics, found = gradient_of(moved(tiny.policy), rankings, config)

    plain_reference = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    plain = copy.deepcopy(plain_reference)
    plain.load_state_dict(moved(tiny.policy).model.state_dict())
    losses, expected = [], dict.fromkeys(("loss", *metrics), 0.0)
    for item in items:
        own = plain_token_logprobs(plain, item.group)
        with torch.no_grad():
            stated = plain_token_logprobs(plain_reference, item.group)
        ratios = [a.sum() - b.sum() for a, b in zip(own, stated, strict=True)]
        chances = [torch.sigmoid(0.5 * (ratios[chosen] - ratios[rejected])) for chosen, rejected in item.record.pairs()]
        terms = [-(1 - label_smoothing) * p.log() - label_smoothing * (1 - p).log() for p in chances]
        losses.append(torch.stack(terms).mean())
        order = [[item.record.completions.index(c) for c in item.record.completions if c.id in group]
                 for group in item.record.ranking]  # fmt: skip
        rows = [[row.tolist() for row in values] for values in ([x.detach() for x in own], stated)]
        slow = reference.dpo_loss(*rows, [order], 0.5, label_smoothing)
        for name, value in slow.items():
            if name != "count":
                expected["loss" if name == "total" else name] += value / len(items)
    torch.stack(losses).mean().backward()
    assert metrics == pytest.approx(expected, abs=2e-4)
    assert abs(metrics["loss"] - 0.693) > 0.01, "the policy has moved"
    assert_close_gradients(found, {name: p.grad for name, p in plain.named_parameters() if p.grad is not None})


@pytest.mark.parametrize("limit", [1, 150])
def test_micro_batches_change_nothing(tiny, configured, encoded, limit):
    config, small = configured(), configured(tokens_per_microbatch=limit)
    items = encoded(ranking_rows(9))
    expected_metrics, expected = gradient_of(
        moved(tiny.policy), with_reference(Policy.load(tiny.policy), items, config), config
    )
    metrics, found = gradient_of(moved(tiny.policy), with_reference(Policy.load(tiny.policy), items, small), small)
    assert metrics == pytest.approx(expected_metrics, abs=1e-4)
    assert_close_gradients(found, expected)


def test_permuting_completions_with_their_ranking_changes_nothing(tiny, configured, encoded):
    config, policy = configured(), Policy.load(tiny.policy)
    (metrics, found), (expected_metrics, expected) = (
        gradient_of(moved(tiny.policy), with_reference(policy, encoded(rows), config), config)
        for rows in (permuted(ranking_rows(12)), ranking_rows(12))
    )
    assert metrics == pytest.approx(expected_metrics, abs=1e-4)
    assert_close_gradients(found, expected)


@pytest.mark.parametrize("lora", [{}, {"rank": 4}])
def test_the_first_step_starts_at_the_reference(configured, lora):
    dpo(config := configured(lora=lora))
    first = read_rows(config.out / "metrics.jsonl")[0]
    assert first["dpo/loss"] == pytest.approx(0.6931472, abs=2e-5)
    assert first["dpo/margin"] == pytest.approx(0.0, abs=1e-4)
    assert first["dpo/chosen_log_ratio"] == pytest.approx(0.0, abs=1e-4)
    assert first["dpo/gradient_norm"] > 0.01


@pytest.mark.parametrize("lora", [{}, {"rank": 4}])
def test_it_learns_what_the_labelers_like(tiny, configured, encoded, lora):
    config = configured(num_epochs=6, optimizer={"learning_rate": 1e-2 if lora else 1e-3}, lora=lora)
    summary = dpo(config)
    assert summary["validation_accuracy"] > 0.9
    assert summary["validation_accuracy_low"] <= summary["validation_accuracy"] <= summary["validation_accuracy_high"]
    assert summary["validation_chosen_log_ratio"] > summary["validation_rejected_log_ratio"]
    # What was saved is what was measured: a plain policy with the weights of the run, adapters merged.
    rows = read_rows(tiny.rankings)
    rankings = with_reference(Policy.load(tiny.policy), encoded(rows), config)
    found, _ = validate(Policy.load(config.out / "model"), rankings, config)
    assert found == pytest.approx({name: summary[name] for name in found}, abs=2e-3)
    plain = AutoModelForCausalLM.from_pretrained(config.out / "model")
    assert plain.state_dict().keys() == AutoModelForCausalLM.from_pretrained(tiny.policy).state_dict().keys()


def test_a_smaller_coefficient_lets_the_policy_go_further(configured):
    distances = []
    for number, kl_coef in enumerate((0.05, 1.0)):
        optimizer = {"learning_rate": 1e-3, "schedule": "constant"}
        summary = dpo(configured(f"run{number}", num_epochs=8, kl_coef=kl_coef, optimizer=optimizer))
        distances.append(summary["validation_chosen_log_ratio"] - summary["validation_rejected_log_ratio"])
    assert distances[0] > 1.2 * distances[1] > 0


def test_rankings_that_are_all_ties_are_not_trained_on(configured, tmp_path):
    rows = ranking_rows(16)
    ties = [
        {**row, "prompt": f"tie {i}", "ranking": [[c["id"] for c in row["completions"]]]} for i, row in enumerate(rows)
    ]
    mixed = [row for pair in zip(rows, ties, strict=True) for row in pair]
    summaries = []
    for name, own in (("without", rows), ("with", mixed)):
        summaries.append(dpo(configured(name, rankings=write_rows(tmp_path / f"{name}.jsonl", own))))
    assert [(summary["num_rankings"], summary["num_all_ties"]) for summary in summaries] == [(16, 0), (16, 16)]
    assert bits_of(tmp_path / "with") == bits_of(tmp_path / "without")


def test_a_loss_that_is_not_a_number_stops_before_the_update(configured, monkeypatch):
    """The weights are corrupted after the reference was computed: only the loss of the first step shows it."""
    kept, find_references = [], dpo_room.with_reference

    def corrupting(policy, *arguments):
        found = find_references(policy, *arguments)
        if kept:
            with torch.no_grad():
                policy.model.model.norm.weight[0] = float("nan")
            kept.append(copy.deepcopy(policy.state_dict()))
        kept.append(policy)
        return found

    monkeypatch.setattr(dpo_room, "with_reference", corrupting)
    with pytest.raises(NonFiniteLossError) as caught:
        dpo(config := configured(rankings_per_step=3))
    message = str(caught.value)
    assert "dpo: the loss at step 0 is nan" in message
    assert message.count("prompt ") == 3
    assert "before the update" in message
    _, before, policy = kept
    for name, weight in policy.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0, equal_nan=True)
    assert not (config.out / "model").exists()


def test_the_verb(run, settings, tmp_path):  # noqa: F811
    """From outside: an outcome, a model that can be sampled, and one message for what cannot be."""
    path = tmp_path / "dpo.yaml"
    path.write_text(yaml.safe_dump(settings))
    said = run("dpo", path, "--set", "kl_coef=0.2")
    assert said.status == 0, said.stderr
    shown = " ".join(said.stdout.split())
    assert "num rankings 40" in shown
    assert "validation accuracy" in shown
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    assert "already holds a run" in mistaken(run("dpo", path))
    assert "kl_coef" in mistaken(run("dpo", path, "--set", "kl_coef=0"))
    assert "label_smoothing" in mistaken(run("dpo", path, "--set", "label_smoothing=0.5"))
    bad = write_rows(tmp_path / "bad.jsonl", [*ranking_rows(3), {"prompt": "p", "completions": 4}])
    message = mistaken(run("dpo", path, "--set", f"rankings={bad}", "--set", f"out={tmp_path / 'bad'}"))
    assert f"{bad}, line 4" in message
    said = run("dpo", path, "--set", f"rankings={bad}", "--set", f"out={tmp_path / 'left'}", "--skip-bad")
    assert said.status == 0, said.stderr
    assert "num skipped 1" in " ".join(said.stdout.split())


def test_a_reward_model_is_no_policy(run, settings, tiny, tmp_path):  # noqa: F811
    path = tmp_path / "dpo.yaml"
    path.write_text(yaml.safe_dump({**settings, "policy": str(tiny.reward_model)}))
    assert "is a reward model, which has no vocabulary head" in mistaken(run("dpo", path))
