"""Advantages of PPO's step: GAE and groups start at the policy, learn, resume; K responses share their prompt."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from test_training_ppo import configured, gradients_of, keep_rollout, ptx, trainer_of  # noqa: F401
from test_training_resume import bits_of
from tiny import read_rows
from tutelage.errors import ConfigError, Stopped
from tutelage.model import inference
from tutelage.objectives.advantage import group_advantages
from tutelage.objectives.tokens import masked_mean
from tutelage.training.config import PPOConfig
from tutelage.training.ppo import ppo

GROUPS = ("group_mean", "rloo", "grpo")
FOUR = {"responses_per_prompt": 4}


@pytest.mark.parametrize("kind", ["gae", *GROUPS])
def test_the_first_step_of_every_estimator_starts_at_the_policy(configured, kind):  # noqa: F811
    """Ratio 1, KL 0 to the old policy and to the reference, to the bit; and then the policy moves."""
    trainer = trainer_of(configured(kind, advantages=kind, **FOUR))
    first = trainer.step(0)
    assert (first["ratio"], first["kl_to_old_policy"], first["kl_to_reference"]) == (1.0, 0.0, 0.0)
    assert trainer.step(1)["kl_to_reference"] != 0.0
    assert ("value_loss" in first) == ("explained_variance" in first) == (kind == "gae")


@pytest.mark.parametrize("kind", GROUPS)
def test_the_gradient_is_that_of_a_loop_over_responses(tiny, configured, kind):  # noqa: F811
    """-A log p of every token, over the number of tokens: at ratio 1 the clipped loss has the policy gradient."""
    trainer = trainer_of(configured(kind, advantages=kind, ppo={"kl_coef": 0.3}, tokens_per_microbatch=60, **FOUR))
    kept = keep_rollout(trainer)
    found, _ = gradients_of(trainer)
    (rollout,) = kept
    assert [len(group.responses) for group in rollout.groups] == [4, 4]
    scores = torch.where(rollout.ended, rollout.scores, -1.0)
    log_ratios = torch.where(rollout.response_mask, rollout.logprobs - rollout.reference_logprobs, 0.0)
    totals = (scores - 0.3 * log_ratios.sum(1)).unsqueeze(1)
    once = torch.ones_like(totals, dtype=torch.bool)
    advantages = group_advantages(totals, once, responses_per_prompt=4, kind=kind).flatten()
    policy = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    loss, number = 0.0, 0
    for row, (prompt, response) in enumerate((g.prompt, r) for g in rollout.groups for r in g.responses):
        logits = policy(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(response).unsqueeze(1))
        loss = loss - advantages[row] * chosen.sum()
        number += len(response)
    (loss / number).backward()
    for name, parameter in policy.named_parameters():
        scale = max(1e-4, float(parameter.grad.abs().max()))
        assert float((found["policy"][name] - parameter.grad).abs().max()) <= 2e-3 * scale, name
    assert "value" not in found


def test_responses_to_one_prompt_share_its_computation(configured, monkeypatch):  # noqa: F811
    """Each forward of the rollout reads each prompt once: its tokens and those of its four responses."""
    trainer = trainer_of(configured(advantages="rloo", **FOUR))
    read, pack = [], inference.pack

    def counted(groups, **others):
        read.extend(groups)
        return pack(groups, **others)

    monkeypatch.setattr(inference, "pack", counted)
    rollout = trainer.collector.collect(0)
    assert len(rollout.groups) == 2 and rollout.response_mask.shape[0] == 8
    assert [len(group.responses) for group in read] == [4] * len(read)
    # Scores, log-probabilities of the policy and of the reference: three forwards of two prompts.
    assert len(read) == 6


def test_minibatches_keep_the_responses_to_a_prompt_together(configured):  # noqa: F811
    config = configured(advantages="rloo", episodes_per_minibatch=4, **FOUR)
    trainer = trainer_of(config)
    assert sorted(i for own in trainer.collector.minibatches(0) for i in own) == [0, 1]
    kept = keep_rollout(trainer)
    seen = []
    term = trainer._policy_term

    def recorded(rollout, minibatch, advantages):
        seen.append((minibatch.rows, advantages))
        return term(rollout, minibatch, advantages)

    trainer._policy_term = recorded
    trainer.step(0)
    assert sorted(seen[0][0] + seen[1][0]) == list(range(8))
    for rows, advantages in seen:
        mask = kept[0].response_mask[rows]
        assert rows == list(range(rows[0], rows[0] + 4))
        # Of one group: with these, each response's first token stands for it.
        assert float(advantages[:, 0].sum()) == pytest.approx(0.0, abs=1e-5)
        assert not bool(advantages[~mask].any())


def test_group_advantages_are_whitened_only_when_told(configured):  # noqa: F811
    settings = {"advantages": "group_mean", **FOUR}
    assert not configured(**settings).should_whiten_advantages
    assert configured(**FOUR).should_whiten_advantages
    told = configured("told", ppo={"should_whiten_advantages": True}, **settings)
    trainer, seen = trainer_of(told), []
    kept = keep_rollout(trainer)
    term = trainer._policy_term
    trainer._policy_term = lambda rollout, minibatch, own: seen.append(own) or term(rollout, minibatch, own)
    trainer.step(0)
    rows = [row for indices in trainer.collector.minibatches(0) for i in indices for row in range(4 * i, 4 * i + 4)]
    mask = kept[0].response_mask[rows]
    assert float(masked_mean(seen[0], mask)) == pytest.approx(0.0, abs=1e-5)
    assert float(masked_mean(seen[0] ** 2, mask)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kind", ["gae", "grpo"])
def test_a_run_on_groups_resumes_to_the_bit(tiny, configured, kind):  # noqa: F811
    settings = {"advantages": kind, "checkpoint_every_num_steps": 1, "num_episodes": 24, "ptx": ptx(tiny), **FOUR}
    ppo(whole := configured("whole", **settings))
    stopped = configured("stopped", **settings)
    from tutelage.training.stage import TrainingRun

    log = TrainingRun.log

    def stop(self, step, metrics):
        log(self, step, metrics)
        if step == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "log", stop)
        with pytest.raises(Stopped):
            ppo(stopped)
    ppo(stopped, resume=True)
    assert bits_of(stopped.out) == bits_of(whole.out)
    assert (whole.out / "value_model").exists() == (kind == "gae")
    assert len(read_rows(whole.out / "metrics.jsonl")) == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"advantages": "rloo"}, "responses_per_prompt is 1; set it to 2 or more"),
        ({"responses_per_prompt": 3}, "episodes_per_minibatch 8 must be a multiple of responses_per_prompt 3"),
    ],
)
def test_groups_that_cannot_be_are_refused(configured, settings, words):  # noqa: F811
    with pytest.raises((ConfigError, ValueError), match=words):
        configured(**settings)


def test_one_response_per_prompt_is_the_papers(configured):  # noqa: F811
    fields = PPOConfig.model_fields
    assert (fields["responses_per_prompt"].default, fields["advantages"].default) == (1, "gae")
