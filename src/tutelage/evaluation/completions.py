"""Completions of named policies, for the labeling queue and for evaluation; and scores of the responses in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tutelage.errors import DataError, RenderError
from tutelage.model.generator import LocalGenerator
from tutelage.model.inference import compute_scores
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.sampling import SampledResponse, SamplingSettings
from tutelage.records import Completion, Prompt, content_id
from tutelage.seeds import derived_seed
from tutelage.text.render import Renderer, make_renderer, naming


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A policy to judge: its folder, a few-shot prefix for every prompt, an additional stop string."""

    name: str
    model: Path | str
    prefix: str = ""
    stop_text: str = ""


def complete(
    arm: Arm,
    prompts: Sequence[Prompt],
    *,
    settings: SamplingSettings,
    seed: int,
    num_completions: int = 1,
    renderer_of: Callable[[object], Renderer] = make_renderer,
    device: torch.device | str = "cpu",
    dtype: str = "float32",
    on_progress: Callable[[int], None] | None = None,
    on_too_long: Callable[[str], None] | None = None,
    on_bad: Callable[[str], None] | None = None,
) -> list[list[Completion]]:
    """Sample `num_completions` per prompt. Extra keys: `is_complete` (it ended by itself) and `num_tokens`.

    A prompt that leaves no room for its response is passed to `on_too_long` and gets none; one that cannot be rendered
    is passed to `on_bad`. Without these callbacks, it is an error. `dtype`:
    the precision in which the policy multiplies.
    """
    renderer = renderer_of(load_tokenizer(arm.model))
    policy = Policy.load(arm.model, renderer=renderer, device=device, dtype=dtype)
    rendered = [_rendered(renderer, prompt, arm.prefix, on_bad or _refuse) for prompt in prompts]
    room = policy.context_limit - settings.max_response_tokens
    tokens = {place: own for place, own in enumerate(rendered) if own is not None}
    fitting = [place for place, own in tokens.items() if len(own) <= room]
    for place in (place for place, own in tokens.items() if len(own) > room):
        (on_too_long or _refuse)(
            f"prompt {prompts[place].id} has {len(tokens[place])} tokens; with {settings.max_response_tokens} for the "
            f"response the context has room for {room}. Shorten the prompt or lower the number of response tokens"
        )
    generator = torch.Generator().manual_seed(derived_seed(seed, "completions", arm.name))
    sampled = LocalGenerator(policy).generate(
        [tokens[place] for place in fitting],
        settings=settings,
        draws=generator,
        num_responses=num_completions,
        on_progress=on_progress,
    )
    found: list[list[Completion]] = [[] for _ in prompts]
    for place, responses in zip(fitting, sampled, strict=True):
        found[place] = completions_of(arm, prompts[place], renderer, responses)
    return found


def completions_of(
    arm: Arm, prompt: Prompt, renderer: Renderer, sampled: Sequence[SampledResponse]
) -> list[Completion]:
    """What an arm's policy sampled for one prompt, as records."""
    return [
        _completion(arm, prompt, number, renderer.decode(response.tokens), response.is_complete, len(response.tokens))
        for number, response in enumerate(sampled)
    ]


def _rendered(renderer: Renderer, prompt: Prompt, prefix: str, on_bad: Callable[[str], None]) -> list[int] | None:
    try:
        with naming(f"prompt {prompt.id}"):
            return renderer.prompt_tokens(prefixed(prompt, prefix))
    except RenderError as error:
        on_bad(str(error))
        return None


def _refuse(message: str) -> None:
    raise DataError(message)


def prefixed(prompt: Prompt, prefix: str) -> Prompt:
    """The prompt with an arm's few-shot prefix before its text."""
    return prompt if not prefix else Prompt(id=prompt.id, text=prefix + prompt.flat)


def _completion(arm: Arm, prompt: Prompt, number: int, text: str, is_complete: bool, num_tokens: int) -> Completion:
    if arm.stop_text and arm.stop_text in text:
        text, is_complete = text.split(arm.stop_text, 1)[0], True
    return Completion(
        id=content_id(prompt.id, arm.name, str(number), text),
        text=text.strip(),
        policy=arm.name,
        is_complete=is_complete,
        num_tokens=num_tokens,
    )


def is_complete(completion: Completion) -> bool:
    """Whether a completion ended by itself; assumed if not stated."""
    return bool((completion.model_extra or {}).get("is_complete", True))


def score_completions(
    reward_model: ScoreModel,
    prompts: Sequence[Prompt],
    completions: Sequence[Sequence[Completion]],
    *,
    tokens_per_microbatch: int = 8192,
) -> list[list[float]]:
    """The reward model's score of every completion."""
    groups = [
        group_to_score(reward_model.renderer, prompt, own) for prompt, own in zip(prompts, completions, strict=True)
    ]
    return score_groups(reward_model, groups, tokens_per_microbatch=tokens_per_microbatch)


def score_groups(
    reward_model: ScoreModel, groups: Sequence[Group], *, tokens_per_microbatch: int = 8192
) -> list[list[float]]:
    """The reward model's score of every response, group by group."""
    flat = compute_scores(reward_model, groups, tokens_per_microbatch=tokens_per_microbatch).tolist()
    scores = iter(flat)
    return [[next(scores) for _ in group.responses] for group in groups]


def group_to_score(renderer: Renderer, prompt: Prompt, completions: Sequence[Completion]) -> Group:
    """A prompt and its completions as the reward model reads them; a truncated completion has no stop token.

    Raises `RenderError`, which names the prompt, if they cannot be rendered.
    """
    with naming(f"prompt {prompt.id}"):
        return Group(
            prompt=renderer.prompt_tokens(prompt),
            responses=[renderer.truncated_response_tokens(c.text, is_complete=is_complete(c)) for c in completions],
        )
