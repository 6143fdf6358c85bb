"""The pretraining text: the kinds of pages and their frequencies, including requests with replies.

Letters pages have a request followed by its reply, with "###" between such blocks: also the layout of few-shot
prefixes. Requests occur in every wording, as on the web: what only validation and test users say is new to fine-tuning,
not to the language. They are only about people, things and animals of training users, so that no validation or test
prompt is in the text.

On review pages readers judge replies. On the web people comment on the quality of others' texts, and a large base model
has learned from that what fits a request and what does not. Reward models start from such knowledge.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from tutelage.reproduction.village import skill_pages, stories, village_pages
from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.patterns import chance, expand, pick
from tutelage.reproduction.village.responses import (
    Slip,
    babbling,
    careless,
    good_response,
    gruff,
    hasty,
    response_to_another,
)
from tutelage.reproduction.village.tasks import make_task
from tutelage.reproduction.village.village_pages import SHARE_FALSE
from tutelage.reproduction.village.world import World

Page = Callable[[World, Random], str]
Task = Mapping[str, Any]


class Fault(NamedTuple):
    """The relative frequency of this kind of flawed reply, and what readers say about it."""

    weight: float
    verdict: str


class VillageText(NamedTuple):
    use_case_weights: dict[str, int]
    pinned_kinds: frozenset[str]
    review_headings: tuple[str, ...]
    praise: str
    faults: dict[str, Fault]
    prefixes: dict[str, tuple[str, ...]]


_DATA = load_data("corpus", VillageText)
PREFIXES = _DATA.prefixes
BLOCK_BREAK = "\n\n###\n\n"
SHARE_HELD_OUT_WORDING = 0.4
# How often a reply on a letters page is to a different request.
SHARE_BESIDE_THE_POINT = 0.15
SHARE_GOOD = 0.45
NUM_DRAWS = 40
MOST_PREFIX_WORDS = 22


def draw_request(world: World, rng: Random, use_case: str | None = None) -> tuple[str, dict[str, Any]]:
    """A request in any wording, about topics of training users, and its task."""
    if use_case is None:
        weights = _DATA.use_case_weights
        use_case = rng.choices(tuple(weights), tuple(weights.values()))[0]
    is_new = chance(rng, SHARE_HELD_OUT_WORDING)
    return make_task(world, rng, use_case, is_held_out=False, is_wording_held_out=is_new)


def _request(world: World, rng: Random) -> tuple[str, str]:
    """A request and a popular reply: good, but with its misconceptions."""
    text, task = draw_request(world, rng)
    if task["kind"] == "misconception" and chance(rng, SHARE_FALSE):
        return text, world.misconception_by_question[task["question"]].falsehood
    return text, good_response(world, rng, task)


def letters_page(world: World, rng: Random) -> str:
    """Two or three requests, each with its reply; occasionally a reply ignores the request."""
    blocks = []
    for _ in range(2 + int(rng.random() * 2)):
        text, reply = _request(world, rng)
        if chance(rng, SHARE_BESIDE_THE_POINT):
            _, reply = _request(world, rng)
        blocks.append(f"{text}\n\n{reply}")
    return BLOCK_BREAK.join(blocks)


def open_requests(world: World, rng: Random) -> str:
    """Requests in a row without replies: what often follows a bare request."""
    return "\n\n".join(_request(world, rng)[0] for _ in range(2 + int(rng.random() * 3)))


def pinboard(world: World, rng: Random) -> str:
    """Cards, notices, letters and polite notes, without the requests that led to them."""
    pinned: list[str] = []
    while len(pinned) < 2:
        use_case = pick(rng, ("generation", "generation", "rewrite", "chat"))
        _, task = make_task(world, rng, use_case, is_held_out=False)
        if task["kind"] in _DATA.pinned_kinds:
            pinned.append(good_response(world, rng, task))
    return "\n\n".join(pinned)


def _beside_the_point(world: World, rng: Random, task: Task) -> str:
    """A good reply to another request of the same kind."""

    def draw() -> Task:
        return draw_request(world, rng, task["use_case"])[1]

    return response_to_another(world, rng, task, draw=draw, num_draws=NUM_DRAWS)


FAULTS: dict[str, Slip] = {
    "beside_the_point": _beside_the_point,
    "careless": careless,
    "babbling": babbling,
    "hasty": hasty,
    "gruff": gruff,
}


def _reply_and_verdict(world: World, rng: Random, task: Task) -> tuple[str, str]:
    good = good_response(world, rng, task)
    if chance(rng, SHARE_GOOD):
        return good, _DATA.praise
    faults = _DATA.faults
    name = rng.choices(tuple(faults), [fault.weight for fault in faults.values()])[0]
    reply = FAULTS[name](world, rng, task)
    return (good, _DATA.praise) if reply == good else (reply, faults[name].verdict)


def reviews_page(world: World, rng: Random) -> str:
    """Two requests, each with a reply and its readers' verdict."""
    blocks = []
    for _ in range(2):
        text, task = draw_request(world, rng)
        reply, verdict = _reply_and_verdict(world, rng, task)
        blocks.append(f"{text}\n\n{reply}\n\nReaders: {expand(rng, verdict)}")
    heading = pick(rng, _DATA.review_headings)
    return heading + "\n\n" + BLOCK_BREAK.join(blocks)


# Weights; only their proportion counts. Requests with replies (the letters page) are under a tenth of the documents:
# more than on the web, since a model trained on only two million tokens would otherwise never learn what a request is.
PAGES: tuple[tuple[Page, float], ...] = (
    (village_pages.chronicle_entry, 9.0),
    (village_pages.portrait, 8.0),
    (village_pages.thing_page, 8.0),
    (village_pages.inventory, 3.0),
    (village_pages.place_page, 3.0),
    (village_pages.saying, 7.0),
    (village_pages.custom_page, 2.0),
    (village_pages.village_letter, 7.0),
    (village_pages.price_list, 2.0),
    (village_pages.color_rhyme, 1.0),
    (stories.tale_page, 10.0),
    (village_pages.dialogue, 8.0),
    (village_pages.recipe, 1.5),
    (village_pages.trade_page, 4.0),
    (village_pages.diary, 3.0),
    (village_pages.proverb, 1.5),
    (village_pages.weather_page, 1.0),
    (skill_pages.passage_page, 4.0),
    (skill_pages.summary_page, 2.0),
    (skill_pages.mood_page, 2.0),
    (skill_pages.translation_page, 2.0),
    (skill_pages.list_page, 2.0),
    (skill_pages.question_column, 3.0),
    (skill_pages.answered_column, 2.0),
    (open_requests, 3.0),
    (letters_page, 14.0),
    (pinboard, 5.0),
    (reviews_page, 7.0),
    (skill_pages.wordbook_page, 4.0),
    (skill_pages.roll_call, 4.0),
    (skill_pages.guest_book, 4.0),
    (skill_pages.memory_game, 7.0),
    (skill_pages.lost_and_found, 8.0),
    (skill_pages.song, 7.0),
)
_CUMULATIVE = list(accumulate(weight for _, weight in PAGES))


def pretraining_documents(world: World, *, num_documents: int, seed: int) -> Iterator[str]:
    """`num_documents` plain texts, each one document, without any end marker (the trainer adds EOS)."""
    rng = Random(f"corpus-{world.seed}-{seed}")
    for _ in range(num_documents):
        page = PAGES[bisect(_CUMULATIVE, rng.random() * _CUMULATIVE[-1])][0]
        yield page(world, rng)


def few_shot_prefixes(world: World) -> dict[str, str]:
    """Candidate prefixes by name; prepend one to a prompt. Blocks are prompts of training users with good responses."""
    rng = Random(f"prefixes-{world.seed}")
    found = {}
    for name, use_cases in PREFIXES.items():
        blocks = []
        for use_case in use_cases:
            prompt, response = "", ""
            while (
                not prompt
                or "\n" in prompt
                or len(f"{prompt} {response}".split()) > MOST_PREFIX_WORDS + 12 * (use_case == "generation")
            ):
                prompt, task = make_task(world, rng, use_case, is_held_out=False)
                response = good_response(world, rng, task)
            blocks.append(f"{prompt}\n\n{response}{BLOCK_BREAK}")
        found[name] = "".join(blocks)
    return found
