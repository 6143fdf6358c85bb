"""What people ask of one another in print: letters pages where a request is followed by a reply, requests that nobody
takes up, and cards, notices and letters pinned to a board.

The layout of the letters page is also that of few-shot prefixes: request, blank line, reply, and "###" between blocks.
Requests come in every wording that there is, as on the web: what only validation and test users say is new to
fine-tuning, not to the language. They are about people, things and animals of training users alone, so that no
validation or test prompt stands in the text.
"""

from __future__ import annotations

from random import Random
from typing import Any

from tutelage.reproduction.village.chronicle import SHARE_FALSE
from tutelage.reproduction.village.phrases import chance, pick
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.tasks import make_task
from tutelage.reproduction.village.world import World

BLOCK_BREAK = "\n\n###\n\n"
# Half-way between the shares of the prompts (Table 1) and equal shares: on the web, too, much is asked that a service
# is seldom asked.
USE_CASE_WEIGHTS = {
    "generation": 28,
    "open_qa": 12,
    "brainstorming": 11,
    "chat": 9,
    "rewrite": 9,
    "summarization": 7,
    "classification": 7,
    "other": 6,
    "closed_qa": 6,
    "extract": 5,
}
SHARE_HELD_OUT_WORDING = 0.4
# How often a reply on a letters page is to something else.
SHARE_BESIDE_THE_POINT = 0.15
PINNED_KINDS = frozenset(("wish", "notice", "letter", "describe", "polite", "chat"))


def draw_request(world: World, rng: Random, use_case: str | None = None) -> tuple[str, dict[str, Any]]:
    """A request in any wording, about what training users ask about, and its task."""
    if use_case is None:
        use_case = rng.choices(tuple(USE_CASE_WEIGHTS), tuple(USE_CASE_WEIGHTS.values()))[0]
    is_new = chance(rng, SHARE_HELD_OUT_WORDING)
    return make_task(world, rng, use_case, is_held_out=False, is_wording_held_out=is_new)


def _request(world: World, rng: Random) -> tuple[str, str]:
    """A request and a reply as the public gives it: good, but with its misconceptions."""
    text, task = draw_request(world, rng)
    if task["kind"] == "misconception" and chance(rng, SHARE_FALSE):
        return text, world.misconception_by_question[task["question"]].false
    return text, good_response(world, rng, task)


def letters_page(world: World, rng: Random) -> str:
    """Two or three requests, each with its reply; now and then somebody has not read the request."""
    blocks = []
    for _ in range(2 + int(rng.random() * 2)):
        text, reply = _request(world, rng)
        if chance(rng, SHARE_BESIDE_THE_POINT):
            _, reply = _request(world, rng)
        blocks.append(f"{text}\n\n{reply}")
    return BLOCK_BREAK.join(blocks)


def open_requests(world: World, rng: Random) -> str:
    """Requests, one below the other, that nobody has replied to: what a bare request is often followed by."""
    return "\n\n".join(_request(world, rng)[0] for _ in range(2 + int(rng.random() * 3)))


def pinboard(world: World, rng: Random) -> str:
    """Cards, notices, letters and polite notes as they hang there, without what they were asked for by."""
    pinned: list[str] = []
    while len(pinned) < 2:
        use_case = pick(rng, ("generation", "generation", "rewrite", "chat"))
        _, task = make_task(world, rng, use_case, is_held_out=False)
        if task["kind"] in PINNED_KINDS:
            pinned.append(good_response(world, rng, task))
    return "\n\n".join(pinned)
