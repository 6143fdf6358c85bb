"""Readers judge replies: requests with a reply and what readers said of it.

On the web people say of one another's texts whether they are any good, and a large base model has learnt from that what
fits a request and what does not. Reward models start from such knowledge.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.forum import BLOCK_BREAK, draw_request
from tutelage.reproduction.village.phrases import chance, expand, pick
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.slips import Slip, Task, babbling, careless, gruff, hasty, response_to_another
from tutelage.reproduction.village.world import World

SHARE_GOOD = 0.45
NUM_DRAWS = 40


def _beside_the_point(world: World, rng: Random, task: Task) -> str:
    """A good reply to another request of the same kind."""

    def draw() -> Task:
        return draw_request(world, rng, task["use_case"])[1]

    return response_to_another(world, rng, task, draw=draw, num_draws=NUM_DRAWS)


# What went wrong, how often, and what readers say of it.
FAULTS: tuple[tuple[Slip, float, str], ...] = (
    (_beside_the_point, 0.5, "[No, that is about something else.|No, that was not asked.]"),
    (careless, 0.15, "[No, that is not quite what was asked.|No, look at it again.]"),
    (babbling, 0.15, "[No, nobody can read this.|No, these are words without order.]"),
    (hasty, 0.1, "[No, the end is missing.|No, this stops too soon.]"),
    (gruff, 0.1, "[No, do not be so rude.|No, mind your manners.]"),
)
PRAISE = "[Yes, that is what was asked.|Yes, well said.]"


def _reply_and_verdict(world: World, rng: Random, task: Task) -> tuple[str, str]:
    good = good_response(world, rng, task)
    if chance(rng, SHARE_GOOD):
        return good, PRAISE
    write, _, verdict = rng.choices(FAULTS, [weight for _, weight, _ in FAULTS])[0]
    reply = write(world, rng, task)
    return (good, PRAISE) if reply == good else (reply, verdict)


def reviews_page(world: World, rng: Random) -> str:
    """Two requests, each with a reply and its readers' verdict."""
    blocks = []
    for _ in range(2):
        text, task = draw_request(world, rng)
        reply, verdict = _reply_and_verdict(world, rng, task)
        blocks.append(f"{text}\n\n{reply}\n\nReaders: {expand(rng, verdict)}")
    heading = pick(rng, ("Our readers judge", "Was it well said?"))
    return heading + "\n\n" + BLOCK_BREAK.join(blocks)
