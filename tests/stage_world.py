"""All five stages on copies of the tiny project, small enough that a test can run each of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tutelage.training.config import DPOConfig, PPOConfig, PretrainConfig, RewardConfig, SFTConfig

TEXT = {"max_prompt_tokens": 40, "max_response_tokens": 8}
COMMON = {"device": "cpu", "tokens_per_microbatch": 2000}


@pytest.fixture
def project(tiny, tmp_path):
    """A folder with copies of the tiny project's files, to be changed by a test."""
    folder = tmp_path / "project"
    shutil.copytree(tiny.folder, folder)
    return folder


@pytest.fixture
def stages(project):
    """Of each stage: what runs it with settings, and which of its inputs a test may change."""
    text, data = {"text": TEXT}, lambda name: project / f"{name}.jsonl"
    ranked = {"rankings": data("rankings"), "validation": data("rankings"), "allow_prompt_overlap": True}
    shown = {"demonstrations": data("demonstrations"), "validation": data("demonstrations")}
    new_model = {"vocab_size": 300, "width": 16, "num_heads": 2, "num_layers": 1, "context_tokens": 32}
    episodes = {"num_episodes": 8, "episodes_per_step": 4, "episodes_per_minibatch": 4, "ptx": {"coef": 0}}
    settings = {
        "pretrain": {
            "text": project / "text.txt",
            "num_steps": 2,
            "tokens_per_step": 64,
            "validation_share": 0.1,
            "new_model": new_model,
        },
        "sft": {
            **text,
            **shown,
            "model": project / "policy",
            "allow_prompt_overlap": True,
            "num_epochs": 1,
            "demonstrations_per_step": 20,
        },
        "reward": {**text, **ranked, "model": project / "policy", "rankings_per_step": 20},
        "dpo": {**text, **ranked, "policy": project / "policy", "rankings_per_step": 20},
        "ppo": {
            **text,
            **episodes,
            "policy": project / "policy",
            "reward_model": project / "reward_model",
            "prompts": data("prompts"),
        },
    }
    from tutelage.training.dpo import dpo
    from tutelage.training.ppo import ppo
    from tutelage.training.pretrain import pretrain
    from tutelage.training.reward import train_reward
    from tutelage.training.sft import sft

    functions = {
        "pretrain": (pretrain, PretrainConfig),
        "sft": (sft, SFTConfig),
        "reward": (train_reward, RewardConfig),
        "dpo": (dpo, DPOConfig),
        "ppo": (ppo, PPOConfig),
    }

    def run(stage, out, *, resume=False, **others):
        function, model = functions[stage]
        config = model.model_validate({**COMMON, **settings[stage], "out": out, **others})
        return function(config, resume=resume)

    return run


STAGES = ("pretrain", "sft", "reward", "dpo", "ppo")


def unfinish(out: Path) -> None:
    """As if the run had been killed after its last step."""
    (out / "summary.json").unlink()
