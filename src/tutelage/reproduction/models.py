"""The run's models at work: completions of an arm, scores of its reward model, policies of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from tutelage.evaluation.completions import Arm, complete, score_completions
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Prompt, Ranking
from tutelage.reproduction.run import Run


def complete_prompts(run: Run, arm: Arm, prompts: Sequence[Prompt], number: int) -> list[list[Completion]]:
    """`number` completions of each prompt at temperature 1, within the recipe's limit."""
    settings = SamplingSettings(max_response_tokens=run.config.text.max_response_tokens)
    return complete(arm, prompts, settings=settings, seed=run.seed, num_completions=number)


def scores_by_reward_model(
    run: Run, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]]
) -> list[list[float]]:
    return score_completions(ScoreModel.load(run.model("reward")), prompts, completions)


def scores_of_rankings(run: Run, rankings: Sequence[Ranking]) -> list[list[float]]:
    """The score of each ranking's completions by the run's reward model."""
    return score_rankings(ScoreModel.load(run.model("reward")), rankings)


def score_rankings(reward_model: ScoreModel, rankings: Sequence[Ranking]) -> list[list[float]]:
    """The score of each ranking's completions."""
    prompts = [Prompt(id=r.prompt_id or "", text=r.prompt, messages=r.messages) for r in rankings]
    return score_completions(reward_model, prompts, [r.completions for r in rankings])


def policy_of_checkpoint(place: Path, *, like: Path) -> tuple[Policy, Path]:
    """The policy of a stage's checkpoint, shaped as the model `like`, and a model folder of it beside the checkpoint's
    state; of a model folder, itself.
    """
    if place.name == "model":
        return Policy.load(place), place
    policy = Policy.load(like)
    policy.load_state_dict(torch.load(place / "state.pt", map_location="cpu", weights_only=True)["state"]["policy"])
    folder = place / "model"
    policy.save(folder)
    return policy, folder
