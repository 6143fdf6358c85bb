"""Best-of-n: the completion with the highest reward-model score out of n. No training, n-fold cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, complete, group_to_score, score_groups
from tutelage.model.loading import load_tokenizer
from tutelage.model.policy import ScoreModel
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Prompt, content_id
from tutelage.text.render import Renderer, make_renderer

RendererOf = Callable[[object], Renderer]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCompletions:
    """Completions of each prompt and their scores; a prompt without room for a response has empty rows."""

    completions: list[list[Completion]]
    scores: list[list[float]]


def complete_and_score(
    arm: Arm,
    prompts: Sequence[Prompt],
    *,
    reward_model: Path | str,
    num_completions: int,
    settings: SamplingSettings,
    seed: int,
    renderer_of: RendererOf = make_renderer,
    device: torch.device | str = "cpu",
    dtype: str = "float32",
    on_progress: Callable[[int], None] | None = None,
    on_too_long: Callable[[str], None] | None = None,
) -> ScoredCompletions:
    """Sample `num_completions` per prompt from `arm`, each scored with the bare prompt, without the arm's prefix.

    For `on_too_long` and `on_progress` see `complete`. Raises `DataError` if a completion exceeds the reward model's
    context.
    """
    completions = complete(
        arm,
        prompts,
        settings=settings,
        seed=seed,
        num_completions=num_completions,
        renderer_of=renderer_of,
        device=device,
        dtype=dtype,
        on_progress=on_progress,
        on_too_long=on_too_long,
    )
    renderer = renderer_of(load_tokenizer(reward_model))
    model = ScoreModel.load(reward_model, renderer=renderer, device=device, dtype=dtype)
    limit = model.context_limit
    groups = [group_to_score(renderer, prompt, own) for prompt, own in zip(prompts, completions, strict=True)]
    for prompt, group in zip(prompts, groups, strict=True):
        longest = len(group.prompt) + max(map(len, group.responses), default=0)
        if group.responses and longest > limit:
            raise DataError(
                f"prompt {prompt.id} with its longest completion has {longest} tokens for the reward model "
                f"{str(reward_model)!r}, whose context is {limit}. Shorten the prompt or lower the number of response "
                "tokens"
            )
    return ScoredCompletions(completions=completions, scores=score_groups(model, groups))


def best_of(scored: ScoredCompletions, *, n: int, name: str) -> list[list[Completion]]:
    """For each prompt the highest-scored of its first `n` completions, as the only completion of the arm `name`.

    Its extra keys: those it had, `score`, and `best_of`, which is n. Ties go to the first sample. Raises `DataError` if
    a prompt has fewer than n completions, or n is below 1.
    """
    return [_best(own, scores, n, name) for own, scores in zip(scored.completions, scored.scores, strict=True)]


def _best(completions: Sequence[Completion], scores: Sequence[float], n: int, name: str) -> list[Completion]:
    if not completions:
        return []
    if not 1 <= n <= len(completions):
        raise DataError(
            f"n is {n}, but a prompt has {len(completions)} completions to choose from; sample at least n, n at least 1"
        )
    place = max(range(n), key=lambda k: scores[k])
    chosen = completions[place].model_dump()
    identity = content_id(name, str(n), completions[place].id)
    return [Completion.model_validate({**chosen, "id": identity, "policy": name, "score": scores[place], "best_of": n})]


def complete_best_of_n(
    arm: Arm,
    prompts: Sequence[Prompt],
    *,
    n: int,
    reward_model: Path | str,
    settings: SamplingSettings,
    seed: int,
    name: str = "best_of_n",
    renderer_of: RendererOf = make_renderer,
    device: torch.device | str = "cpu",
    dtype: str = "float32",
    on_progress: Callable[[int], None] | None = None,
    on_too_long: Callable[[str], None] | None = None,
) -> list[list[Completion]]:
    """Best-of-n as an arm: what `complete` returns, one completion per prompt, named `name`."""
    scored = complete_and_score(
        arm,
        prompts,
        reward_model=reward_model,
        num_completions=n,
        settings=settings,
        seed=seed,
        renderer_of=renderer_of,
        device=device,
        dtype=dtype,
        on_progress=on_progress,
        on_too_long=on_too_long,
    )
    return best_of(scored, n=n, name=name)
