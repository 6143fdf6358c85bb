"""Slips: how a response to a prompt goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tutelage.reproduction.village.lexicon import RUDE_SINGULAR
from tutelage.reproduction.village.phrases import expand, pick, tidy
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.tasks import make_task
from tutelage.reproduction.village.world import World

Task = Mapping[str, Any]
Slip = Callable[[World, Random, Task], str]


def careless(world: World, rng: Random, task: Task) -> str:
    """As if the prompt had no constraints; the popular error where there is one."""
    if task["kind"] == "misconception":
        return world.misconception_by_question[task["question"]].false
    return good_response(world, rng, {**task, "constraints": []})


def off_topic(world: World, rng: Random, task: Task) -> str:
    """A good response to another prompt of the same kind."""

    def draw() -> Task:
        return make_task(world, rng, task["use_case"], is_held_out=rng.random() < 0.3)[1]

    return response_to_another(world, rng, task, draw=draw, num_draws=20)


def response_to_another(world: World, rng: Random, task: Task, *, draw: Callable[[], Task], num_draws: int) -> str:
    """A good response to the first other task of the same kind, or to the last of `num_draws` where none is."""
    for _ in range(num_draws):
        other = draw()
        if other["kind"] == task["kind"] and other["prompt"] != task["prompt"]:
            break
    return good_response(world, rng, other)


def hasty(world: World, rng: Random, task: Task) -> str:
    """Only the first part of a good response."""
    words = good_response(world, rng, task).split(" ")
    return " ".join(words[: max(1, round(len(words) * 0.5))])


def gruff(world: World, rng: Random, task: Task) -> str:
    """A good response in a rude tone."""
    opening = expand(
        rng,
        "[Listen, you {insult}.|You {insult}!|That is a question for a {insult}.]",
        {"insult": pick(rng, RUDE_SINGULAR)},
    )
    return tidy(opening + " " + good_response(world, rng, task))


def babbling(world: World, rng: Random, task: Task) -> str:
    """The words of a good response out of order."""
    words = good_response(world, rng, task).split()
    rng.shuffle(words)
    return " ".join(words)
