"""Prompts that were trained on are not taken for new ones: counted, warned of, refused above a twentieth."""

from __future__ import annotations

import logging

import pytest

from tiny import TEXT, ranking_rows, write_rows
from tutelage.errors import DataError
from tutelage.records import Demonstration, Prompt
from tutelage.training.config import DPOConfig, PPOConfig, RewardConfig, SFTConfig
from tutelage.training.data import hold_out
from tutelage.training.dpo import dpo
from tutelage.training.overlap import (
    TRAINING_PROMPTS,
    count_overlap,
    prompt_key,
    read_training_prompts,
)
from tutelage.training.ppo import ppo
from tutelage.training.reward import train_reward
from tutelage.training.sft import sft

COMMON = {"text": TEXT, "device": "cpu"}


def reward_config(tiny, out, **others):
    settings = {"model": tiny.policy, "rankings": tiny.rankings, "validation": tiny.rankings, "rankings_per_step": 40}
    return RewardConfig.model_validate({**COMMON, **settings, "out": out, **others})


def test_the_share_is_of_different_prompts_and_a_twentieth_may_overlap(caplog):
    """1 of 20 is a twentieth: a warning; 2 of 20 are more: refused, unless allowed. Repeats count once."""
    trained_on = {"a", "b"}
    names = ("validation prompts", "training prompts")
    rest = [f"new {i}" for i in range(18)]
    assert count_overlap(["a", "a", *rest, "new 18"], trained_on, names=names, is_allowed=False) == 1
    assert "1 of 20 validation prompts (5%) are also training prompts" in caplog.text
    with pytest.raises(DataError, match=r"2 of 20 .* \(10%\).*allow_prompt_overlap: true"):
        count_overlap(["a", "b", *rest], trained_on, names=names, is_allowed=False)
    assert count_overlap(["a", "b", *rest], trained_on, names=names, is_allowed=True) == 2
    caplog.clear()
    assert count_overlap(rest, trained_on, names=names, is_allowed=False) == 0
    assert caplog.text == ""


def test_the_same_prompt_has_one_key_however_it_is_written():
    spellings = [
        Prompt(text="Name a  Bird."),
        Prompt(messages=({"role": "user", "content": "name a bird."},)),
        Demonstration(prompt=" name a\nbird.", response="A hen."),
    ]
    assert len({prompt_key(record) for record in spellings}) == 1
    turns = ({"role": "user", "content": "name a bird."}, {"role": "assistant", "content": "A hen."})
    others = [Prompt(text="Name a bird!"), Prompt(messages=turns)]
    assert len({prompt_key(record) for record in (*spellings, *others)}) == 3


def test_what_is_held_out_of_one_file_shares_no_prompt_with_the_rest():
    """Spellings of one prompt differ in case; by their text alone they fell on both sides."""
    rows = [
        Demonstration(prompt=spelling, response="Yes.")
        for i in range(200)
        for spelling in (f"Is {i} a number?", f"is {i} a  NUMBER?")
    ]
    training, validation = hold_out(rows)
    assert len(validation) > 4
    assert not {prompt_key(row) for row in training} & {prompt_key(row) for row in validation}


@pytest.mark.parametrize("stage", ["sft", "reward", "dpo"])
def test_a_stage_refuses_to_validate_on_its_training_file(stage, tiny, tmp_path):
    common = {**COMMON, "out": tmp_path / "run"}
    ranked = {"rankings": tiny.rankings, "validation": tiny.rankings}
    demonstrated = {"demonstrations": tiny.demonstrations, "validation": tiny.demonstrations}
    run = {
        "sft": lambda: sft(SFTConfig(model=tiny.policy, **demonstrated, **common)),
        "reward": lambda: train_reward(RewardConfig(model=tiny.policy, **ranked, **common)),
        "dpo": lambda: dpo(DPOConfig(policy=tiny.policy, **ranked, **common)),
    }[stage]
    with pytest.raises(DataError, match=r"40 of 40 validation prompts .* \(100%\) are also training prompts"):
        run()


def test_ppo_refuses_the_prompts_that_its_reward_model_was_trained_on(tiny, tmp_path, caplog):
    """The reward model's folder says which they were; one that does not say is taken as it is."""
    summary = train_reward(reward_config(tiny, tmp_path / "reward", allow_prompt_overlap=True))
    assert summary["num_validation_prompts_in_training"] == 40
    reward_model = tmp_path / "reward" / "model"
    trained_on = read_training_prompts(reward_model)
    assert trained_on is not None and len(trained_on) == 40
    ranked = [{"text": row["prompt"]} for row in ranking_rows(40)]
    new = [{"text": f"{i}. Who sings?"} for i in range(20)]

    def config(out, rows, **others):
        settings = {"num_episodes": 4, "episodes_per_step": 4, "episodes_per_minibatch": 4, "ptx": {"coef": 0}}
        return PPOConfig.model_validate(
            {
                **COMMON,
                **settings,
                "policy": tiny.policy,
                "reward_model": reward_model,
                "prompts": write_rows(tmp_path / f"{out}.jsonl", rows),
                "out": tmp_path / out,
                **others,
            }
        )

    with pytest.raises(DataError, match=r"2 of 22 PPO prompts .* are also prompts of the rankings"):
        ppo(config("refused", new + ranked[:2]))
    caplog.set_level(logging.WARNING)
    assert ppo(config("warned", new + ranked[:1]))["num_prompts_in_rankings"] == 1
    assert "1 of 21 PPO prompts" in caplog.text
    assert ppo(config("allowed", ranked, allow_prompt_overlap=True))["num_prompts_in_rankings"] == 40
    (reward_model / TRAINING_PROMPTS).unlink()
    assert ppo(config("unknown", ranked))["num_prompts_in_rankings"] is None
