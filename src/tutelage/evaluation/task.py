"""An evaluation as a task: its items, the request that each puts to a policy, the score of the response, the means.

`responses_to` puts the requests of any task to a policy, in batches; `task_rows` scores what came back.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, completions_of, prefixed
from tutelage.evaluation.likelihood import Likelihood, continuing, document_start, likelihoods, text_tokens
from tutelage.evaluation.records import Condition, Measurement, TaskRow
from tutelage.model.packing import Group, split_by_tokens
from tutelage.model.policy import Policy
from tutelage.model.sampling import SampledResponse, SamplingSettings, sample_responses
from tutelage.records import Completion, Prompt
from tutelage.seeds import derived_seed
from tutelage.text.render import Renderer, naming

NOBODY = Arm(name="", model="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """Asks for `num_responses` responses to a prompt.

    `is_literal`: the response continues where the text of the prompt ends, after the arm's prefix, and is cut at its
    first newline [D]. Otherwise, the prompt is rendered as in the policy's training and the response is whole.
    """

    prompt: Prompt
    settings: SamplingSettings
    num_responses: int = 1
    is_literal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose:
    """Asks for the log-probability of each of `choices` after a prompt, or at the start of a document without one.

    `is_literal` as for `Generate`.
    """

    choices: tuple[str, ...]
    prompt: Prompt | None = None
    is_literal: bool = True


Request = Generate | Choose


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResponse:
    """What came back: the completions of a `Generate`, or the likelihood of each choice of a `Choose`."""

    completions: tuple[Completion, ...] = ()
    likelihoods: tuple[Likelihood, ...] = ()


Item = TypeVar("Item")


class EvaluationTask(Protocol[Item]):
    """An evaluation of any policy. `name` is the file of its rows, `condition` what these share."""

    @property
    def name(self) -> str: ...

    @property
    def condition(self) -> Condition: ...

    @property
    def items(self) -> Sequence[Item]: ...

    def request(self, item: Item) -> Request:
        """What the policy is asked about this item."""
        ...

    def score(self, item: Item, response: TaskResponse) -> list[TaskRow]:
        """The numbers of one item, without arm and without `condition`."""
        ...

    def aggregate(self, rows: Sequence[TaskRow], *, source: str) -> list[Measurement]:
        """The means of all rows, once they name their arm and the condition."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How much is computed at once: tokens of prompts and choices, and rows of responses that are sampled."""

    tokens_per_microbatch: int = 8192
    rows_per_batch: int = 256


def task_rows(
    task: EvaluationTask[Item], policy: Policy, *, arm: Arm = NOBODY, seed: int = 0, batching: Batching | None = None
) -> list[TaskRow]:
    """The rows of every item, in the order of the items; they name no arm."""
    items = list(task.items)
    found: dict[int, TaskResponse] = {}
    for batch in responses_to([task.request(item) for item in items], policy, arm=arm, seed=seed, batching=batching):
        found |= batch
    return [row for place, item in enumerate(items) for row in task.score(item, found[place])]


def responses_to(
    requests: Sequence[Request],
    policy: Policy,
    *,
    arm: Arm = NOBODY,
    seed: int = 0,
    batching: Batching | None = None,
    known: Collection[int] = (),
    title: str = "task",
) -> Iterator[dict[int, TaskResponse]]:
    """The responses to `requests`, by their place, as soon as a batch of them is computed.

    Requests of similar length share a batch. The prompt of a `Choose` is computed once for all its choices. Those at
    the places `known` are not asked again; random draws depend on the place of a request and on `seed`, not on what
    is known. `title` names the requests in errors. Raises `DataError`, before anything is computed, for one that
    exceeds the policy's context.
    """
    batching = batching or Batching()
    renderers = {True: continuing(policy.tokenizer), False: policy.renderer}
    groups: dict[int, Group] = {}
    prompts: dict[int, list[int]] = {}
    for place, request in enumerate(requests):
        if place in known:
            continue
        renderer = renderers[request.is_literal]
        name = f"{title}, item {place + 1}"
        with naming(name):
            if isinstance(request, Choose):
                groups[place] = _choice_group(renderer, request, arm)
                longest = max(map(len, groups[place].responses))
                _check_room(name, len(groups[place].prompt), longest, policy)
            else:
                prompts[place] = renderer.prompt_tokens(_prompt_of(request, arm))
                _check_room(name, len(prompts[place]), request.settings.max_response_tokens, policy)
    yield from _chosen(policy, groups, batching)
    kinds: dict[tuple[SamplingSettings, int, bool], dict[int, Generate]] = {}
    for place, request in enumerate(requests):
        if isinstance(request, Generate):
            kinds.setdefault((request.settings, request.num_responses, request.is_literal), {})[place] = request
    for (_, _, is_literal), own in kinds.items():
        yield from _written(policy, own, prompts, renderers[is_literal], arm=arm, seed=seed, batching=batching)


def _chosen(policy: Policy, groups: dict[int, Group], batching: Batching) -> Iterator[dict[int, TaskResponse]]:
    places, own = list(groups), list(groups.values())
    for batch in split_by_tokens(own, batching.tokens_per_microbatch):
        found = likelihoods(policy, [own[number] for number in batch], tokens_per_microbatch=sys.maxsize)
        yield {places[number]: TaskResponse(likelihoods=tuple(each)) for number, each in zip(batch, found, strict=True)}


def _written(
    policy: Policy,
    requests: dict[int, Generate],
    prompts: dict[int, list[int]],
    renderer: Renderer,
    *,
    arm: Arm,
    seed: int,
    batching: Batching,
) -> Iterator[dict[int, TaskResponse]]:
    """Responses to requests with the same settings; `prompts` are the tokens of those that are not known yet."""
    one = next(iter(requests.values()))
    draws = torch.Generator().manual_seed(derived_seed(seed, "completions", arm.name))
    uniforms = torch.rand(len(requests), one.num_responses, one.settings.max_response_tokens, generator=draws)
    row_of = {place: row for row, place in enumerate(requests)}
    order = sorted((place for place in requests if place in prompts), key=lambda place: (len(prompts[place]), place))
    size = max(1, batching.rows_per_batch // one.num_responses)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        sampled = sample_responses(
            policy.model,
            [prompts[place] for place in batch],
            settings=one.settings,
            stop_tokens=renderer.stop_tokens,
            generator=uniforms[[row_of[place] for place in batch]],
            num_responses=one.num_responses,
            rows_per_batch=batching.rows_per_batch,
        )
        yield {
            place: TaskResponse(completions=_completions(requests[place], arm, renderer, own))
            for place, own in zip(batch, sampled, strict=True)
        }


def _completions(
    request: Generate, arm: Arm, renderer: Renderer, sampled: Sequence[SampledResponse]
) -> tuple[Completion, ...]:
    found = completions_of(arm, request.prompt, renderer, sampled)
    if request.is_literal:
        found = [own.model_copy(update={"text": first_line(own.text)}) for own in found]
    return tuple(found)


def first_line(text: str) -> str:
    """`text` up to its first newline; those at its very start are layout of the prompt, not of the response."""
    return text.strip().split("\n", 1)[0].strip()


def _prompt_of(request: Generate | Choose, arm: Arm) -> Prompt:
    assert request.prompt is not None
    return prefixed(request.prompt, arm.prefix) if request.is_literal else request.prompt


def _choice_group(renderer: Renderer, request: Choose, arm: Arm) -> Group:
    opening = document_start(renderer) if request.prompt is None else renderer.prompt_tokens(_prompt_of(request, arm))
    return Group(prompt=opening, responses=[text_tokens(renderer, choice) for choice in request.choices])


def _check_room(name: str, num_prompt: int, num_response: int, policy: Policy) -> None:
    if num_prompt + num_response > policy.context_limit:
        raise DataError(
            f"{name} has {num_prompt} tokens, and up to {num_response} for its response; the model's context "
            f"is {policy.context_limit}. Choose a task with shorter prompts, or a model with a longer context"
        )
