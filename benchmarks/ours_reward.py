"""One reward model run of ours, as a user starts it."""

from __future__ import annotations

from typing import Any

from ours_steps import step_ends
from shapes import Shape
from worker import Place, between, run_worker

from tutelage.training.config import OptimizerConfig, RewardConfig
from tutelage.training.reward import train_reward


def measure(shape: Shape, place: Place) -> dict[str, Any]:
    config = RewardConfig(
        out=place.scratch / "run",
        seed=place.seed,
        model=place.materials / "reward",
        rankings=place.materials / "rankings.jsonl",
        validation=place.materials / "validation.jsonl",
        rankings_per_step=shape.batch,
        evaluate_every_num_steps=0,
        optimizer=OptimizerConfig(learning_rate=1e-6, schedule="constant"),
    )
    with step_ends() as stamps:
        train_reward(config)
    # The last line of the log is the validation at the end, not a step.
    return {**between(stamps[: shape.num_steps + 1]), "count": shape.batch}


if __name__ == "__main__":
    run_worker(measure)
