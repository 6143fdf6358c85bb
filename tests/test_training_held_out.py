"""PPO's held-out prompts: what is measured on them, which policy is saved, and the end of a run that has left."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from test_model_packing import plain_logprobs
from test_training_ppo import NO_SCHEDULE, configured, trainer_of  # noqa: F401
from test_training_resume import bits_of
from tiny import read_rows, write_rows
from tutelage.model.packing import Group
from tutelage.training.ppo import ppo
from tutelage.training.stage import TrainingRun

FAST = {**NO_SCHEDULE, "learning_rate": 1e-2}
LONG = {"num_episodes": 48, "policy_optimizer": FAST}


def test_nothing_is_held_out_where_nothing_is_evaluated(configured):  # noqa: F811
    assert trainer_of(configured()).data.held_out == []


def test_held_out_prompts_are_those_of_the_split_or_one_in_twenty(tiny, configured, tmp_path):  # noqa: F811
    rows = [{"text": f"prompt {i}", "split": "valid" if i < 3 else "train"} for i in range(12)]
    allotted = write_rows(tmp_path / "allotted.jsonl", [*rows, {"text": "prompt x", "split": "test"}])
    data = trainer_of(configured("a", prompts=allotted, evaluate_every_num_steps=1)).data
    assert sorted(item.record.text for item in data.held_out) == ["prompt 0", "prompt 1", "prompt 2"]
    assert len(data.prompts) == 9
    bare = write_rows(tmp_path / "bare.jsonl", [{"text": f"prompt {i}"} for i in range(200)])
    data = trainer_of(configured("b", prompts=bare, evaluate_every_num_steps=1)).data
    texts = [{item.record.text for item in own} for own in (data.prompts, data.held_out)]
    assert 3 <= len(texts[1]) <= 20 and not texts[0] & texts[1] and len(texts[0] | texts[1]) == 200
    few = trainer_of(configured("c", prompts=bare, evaluate_every_num_steps=1, validation_prompts=2)).data
    assert len(few.held_out) == 2


@pytest.mark.parametrize("lora", [{}, {"rank": 4}])
def test_the_evaluation_is_of_the_policy_that_would_be_saved(tiny, configured, lora):  # noqa: F811
    """Its moving average, not its last weights: the KL against plain transformers on the folder that is saved."""
    config = configured(ema_decay=0.5, num_episodes=24, evaluate_every_num_steps=3, policy_optimizer=FAST, lora=lora)
    trainer, kept = trainer_of(config), []
    generate = trainer.collector.generator.generate

    def keeping(prompts, **settings):
        kept.append((prompts, generate(prompts, **settings)))
        return kept[-1][1]

    trainer.collector.generator.generate = keeping
    before = {name: p.clone() for name, p in trainer.policy.named_parameters()}
    for step in range(3):
        metrics = trainer.step(step)
    assert "validation_score" in metrics
    prompts, sampled = kept[-1]
    groups = [Group(prompt=p, responses=[own[0].tokens]) for p, own in zip(prompts, sampled, strict=True)]
    trainer.save()
    saved = AutoModelForCausalLM.from_pretrained(config.out / "model").eval()
    reference = AutoModelForCausalLM.from_pretrained(tiny.policy).eval()
    with torch.no_grad():
        total = float((plain_logprobs(saved, groups) - plain_logprobs(reference, groups)).sum())
    assert metrics["validation_kl"] == pytest.approx(total / len(groups), abs=2e-3)
    assert metrics["validation_response_tokens"] == pytest.approx(
        sum(len(group.responses[0]) for group in groups) / len(groups)
    )
    assert any(not torch.equal(before[name], p) for name, p in trainer.policy.named_parameters())


def test_the_best_policy_within_the_bound_is_saved(configured):  # noqa: F811
    """A bound between two evaluations: the later one has more score, and too much KL."""
    free = configured("free", evaluate_every_num_steps=1, **LONG)
    ppo(free)
    rows = read_rows(free.out / "metrics.jsonl")
    found = [(row["ppo/validation_kl"], row["ppo/validation_score"]) for row in rows]
    bound = sorted(kl for kl, _ in found)[2] + 1e-6
    assert bound < max(kl for kl, _ in found)
    bounded = configured("bounded", evaluate_every_num_steps=1, select_within_kl=bound, **LONG)
    summary = ppo(bounded)
    within = [(score, step) for step, (kl, score) in enumerate(found, start=1) if kl <= bound]
    assert summary["saved_step"] == max(within)[1]
    shorter = configured("shorter", **{**LONG, "num_episodes": 8 * summary["saved_step"]})
    shorter = shorter.model_copy(update={"evaluate_every_num_steps": 1})
    ppo(shorter)
    expected = AutoModelForCausalLM.from_pretrained(shorter.out / "model").state_dict()
    saved = AutoModelForCausalLM.from_pretrained(bounded.out / "model").state_dict()
    assert all(torch.equal(saved[name], weight) for name, weight in expected.items())


def test_where_none_is_within_the_bound_the_last_one_is_saved(configured):  # noqa: F811
    summary = ppo(config := configured(evaluate_every_num_steps=3, select_within_kl=1e-9, **LONG))
    assert summary["saved_step"] is None
    assert (config.out / "model" / "model.safetensors").exists()


def test_a_run_that_has_left_ends(configured):  # noqa: F811
    whole = configured("whole", **LONG)
    ppo(whole)
    kls = [row["ppo/kl_to_reference"] for row in read_rows(whole.out / "metrics.jsonl")]
    limit = (kls[0] + max(kls)) / 2
    end = next(step for step, kl in enumerate(kls, start=1) if kl > limit)
    assert end < len(kls)
    summary = ppo(ended := configured("ended", max_kl=limit, **LONG))
    assert summary["stopped_at_step"] == end
    assert len(read_rows(ended.out / "metrics.jsonl")) == end
    assert (ended.out / "model" / "model.safetensors").exists()
    assert ppo(ended, resume=True)["stopped_at_step"] == end


def test_a_run_that_evaluates_resumes_to_the_bit(configured):  # noqa: F811
    settings = {**LONG, "ema_decay": 0.5, "evaluate_every_num_steps": 2, "select_within_kl": 50.0}
    settings |= {"checkpoint_every_num_steps": 1}
    ppo(whole := configured("whole", **settings))
    stopped, log = configured("stopped", **settings), TrainingRun.log

    def stop(self, step, metrics):
        log(self, step, metrics)
        if step == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "log", stop)
        with pytest.raises(BaseException, match="stopped"):
            ppo(stopped)
    summary = ppo(stopped, resume=True)
    assert summary["saved_step"] is not None
    assert bits_of(stopped.out) == bits_of(whole.out)


def test_a_bound_without_an_evaluation_is_refused(configured):  # noqa: F811
    with pytest.raises(ValueError, match="nothing is evaluated; set evaluate_every_num_steps"):
        configured(select_within_kl=5.0)


def test_evaluating_changes_nothing_of_what_is_trained(configured, tmp_path):  # noqa: F811
    rows = [{"text": f"Where is hen {i}?", "split": "valid" if i < 3 else "train"} for i in range(30)]
    prompts = write_rows(tmp_path / "allotted.jsonl", rows)
    settings = {"prompts": prompts, "ema_decay": 0.5, "num_episodes": 24, "policy_optimizer": FAST}
    saved = []
    for name, every in (("without", 0), ("with", 1)):
        ppo(config := configured(name, evaluate_every_num_steps=every, **settings))
        saved.append({path: bits for path, bits in bits_of(config.out).items() if path.endswith(".safetensors")})
    assert saved[0] == saved[1]
