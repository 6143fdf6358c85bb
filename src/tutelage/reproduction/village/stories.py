"""Short stories, which state no fact of the village.

A story is composed of opening, turn and ending, so that it can contain a subject, a second subject and a required word.
The same patterns generate stories for the pretraining text and for demonstrations.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.lexicon import (
    ADJECTIVES,
    ANIMALS,
    FOODS,
    PLACES,
    THING_ADJECTIVES,
    THINGS,
    TRADE_NAMES,
    TRADES,
)
from tutelage.reproduction.village.patterns import chance, expand, fill, pick, tidy
from tutelage.reproduction.village.world import World


class TaleKind(NamedTuple):
    """What a story may say about an animal, a person or a thing; second turns introduce a second subject."""

    openings: tuple[str, ...]
    turns: tuple[str, ...]
    second_turns: tuple[str, ...]
    one_sentence: tuple[str, ...]


class Stories(NamedTuple):
    kinds: dict[str, TaleKind]
    extra_turns: tuple[str, ...]
    endings: tuple[str, ...]
    one_sentence_second: tuple[str, ...]
    title: str


_STORIES = load_data("stories", Stories)


def _subject_kind(noun: str) -> str:
    """ "animal", "person" or "thing": what a story may say about `noun`."""
    if noun in ANIMALS:
        return "animal"
    return "person" if noun in TRADE_NAMES else "thing"


def _tale_slots(rng: Random, x: str, y: str = "", z: str = "") -> dict[str, str]:
    kind = _subject_kind(x)
    share_she = {trade.name: trade.share_she for trade in TRADES}.get(x, 0.0)
    is_she = kind == "person" and chance(rng, share_she)
    first, second = rng.sample(PLACES, 2)
    he, him, his = ("she", "her", "her") if is_she else ("he", "him", "his")
    adjective = pick(rng, THING_ADJECTIVES if kind == "thing" else ADJECTIVES)
    slots = {"x": x, "y": y, "z": z, "adj": adjective, "food": pick(rng, FOODS), "he": he, "him": him, "his": his}
    return {**slots, "where": first.where, "where2": second.where}


def write_tale(rng: Random, x: str, y: str = "", z: str = "", *, num_turns: int = 1) -> str:
    """A story about `x`, with `y` as a second subject and containing the word `z`, if given."""
    kind = _STORIES.kinds[_subject_kind(x)]
    patterns = [pick(rng, kind.openings), *rng.sample(kind.turns, num_turns)]
    if y:
        patterns.append(pick(rng, kind.second_turns))
    if z:
        patterns.insert(1, pick(rng, _STORIES.extra_turns))
    patterns.append(pick(rng, _STORIES.endings))
    slots = _tale_slots(rng, x, y, z)
    return tidy(" ".join(expand(rng, pattern, slots) for pattern in patterns))


def write_short_tale(rng: Random, x: str, y: str = "", z: str = "") -> str:
    """A story in one sentence."""
    slots = _tale_slots(rng, x, y, z)
    text = expand(rng, pick(rng, _STORIES.kinds[_subject_kind(x)].one_sentence), slots)
    for word in (y, z):
        if word:
            text = text.rstrip(".") + " " + expand(rng, pick(rng, _STORIES.one_sentence_second), {"y": word}) + "."
    return tidy(text)


def tale_page(world: World, rng: Random) -> str:
    """A story for the pretraining text, sometimes with a title."""
    nouns = ANIMALS + THINGS + TRADE_NAMES
    x = pick(rng, nouns)
    y = pick(rng, ANIMALS) if chance(rng, 0.4) else ""
    z = pick(rng, THINGS) if chance(rng, 0.3) else ""
    text = write_tale(rng, x, "" if y == x else y, "" if z == x else z, num_turns=1 + chance(rng, 0.6))
    if chance(rng, 0.3):
        return fill(rng, _STORIES.title, {"x": x}) + "\n\n" + text
    return text
