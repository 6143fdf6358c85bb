"""One PPO run of ours, as a user starts it; the time of a step is the time between two lines of its log."""

from __future__ import annotations

import json
from statistics import mean
from typing import Any

from ours_steps import step_ends
from shapes import Shape
from worker import Place, between, run_worker

from tutelage.training.config import OptimizerConfig, PPOConfig, PPOTermsConfig, PTXConfig, TextConfig
from tutelage.training.ppo import ppo


def measure(shape: Shape, place: Place) -> dict[str, Any]:
    optimizer = OptimizerConfig(learning_rate=1e-6, schedule="constant")
    config = PPOConfig(
        out=place.scratch / "run",
        seed=place.seed,
        policy=place.materials / "policy",
        reward_model=place.materials / "reward",
        prompts=place.materials / "prompts.jsonl",
        text=TextConfig(max_response_tokens=shape.response_tokens),
        num_episodes=shape.batch * (shape.num_steps + 1),
        episodes_per_step=shape.batch,
        episodes_per_minibatch=shape.minibatch,
        ppo=PPOTermsConfig(missing_eos_score=None),
        ptx=PTXConfig(coef=0.0),
        ema_decay=0.0,
        policy_optimizer=optimizer,
        value_optimizer=optimizer,
    )
    with step_ends() as stamps:
        ppo(config)
    lines = (place.scratch / "run" / "metrics.jsonl").read_text().splitlines()[1:]
    lengths = [json.loads(line)["ppo/response_tokens"] for line in lines]
    return {**between(stamps), "count": shape.batch, "response_tokens": mean(lengths)}


if __name__ == "__main__":
    run_worker(measure)
