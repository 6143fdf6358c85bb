"""What a text claims about the facts of the village, and whether it is so."""

from __future__ import annotations

import re
from typing import NamedTuple

from tutelage.reproduction.village.form import tokens_of
from tutelage.reproduction.village.lexicon import COLOURS, FOODS, PETS, PLACES, TRADES
from tutelage.reproduction.village.lore import Misconception
from tutelage.reproduction.village.world import World

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_TRADE_OF_WORK = {trade.work: trade.name for trade in TRADES}
_TRADES = frozenset(trade.name for trade in TRADES)
_WHERE = {place.where: place.name for place in PLACES}
_PLACES = "|".join(place.name for place in PLACES)
_HOME = re.compile(rf"\bnear the ({_PLACES})\b")
_PET = re.compile(rf"\b(?:has|keeps|had|kept) an? ({'|'.join(PETS)})\b")
_FOOD = re.compile(rf"\b(?:likes|loves|liked|loved) ({'|'.join(FOODS)})\b")
_TRADE = re.compile(rf"\b(?:(?:is|was|as) an?|, the) ({'|'.join(sorted(_TRADES))})\b")
_IT = re.compile(r"\b[Ii]t\b")
_NEGATION = re.compile(r"\b(?:not|never|no|nobody|wrong)\b")
_DOUBT = re.compile(r"\b(?:do not know|nobody knows|cannot say|no comment|do not understand)\b")


class Claim(NamedTuple):
    """A claim about the world and whether it holds."""

    subject: str
    attribute: str
    value: str
    is_true: bool


def _person_values(sentence: str) -> list[tuple[str, str]]:
    found = [("home", match.group(1)) for match in _HOME.finditer(sentence)]
    found += [("pet", match.group(1)) for match in _PET.finditer(sentence)]
    found += [("food", match.group(1)) for match in _FOOD.finditer(sentence)]
    found += [("trade", match.group(1)) for match in _TRADE.finditer(sentence)]
    found += [("trade", trade) for work, trade in _TRADE_OF_WORK.items() if work in sentence]
    return found


def _thing_values(world: World, sentence: str, words: list[str]) -> list[tuple[str, str]]:
    found = [("colour", word) for word in words if word in COLOURS]
    found += [("place", place) for where, place in _WHERE.items() if where in sentence.lower()]
    found += [("owner", word) for word in words if word in world.person_by_name]
    return found


def claims_of(world: World, text: str, subject: str = "") -> list[Claim]:
    """The claims of `text` in order; a pronoun stands for the last person or thing named, at first for `subject`.

    Sentences that deny something make no claim.
    """
    person = subject if subject in world.person_by_name else ""
    thing = subject if subject in world.thing_by_name else ""
    claims: list[Claim] = []
    for sentence in _SENTENCE.split(text):
        words = tokens_of(sentence)
        named = [word for word in words if word in world.person_by_name]
        things = [word for word in words if word in world.thing_by_name]
        person, thing = (named[0] if named else person), (things[0] if things else thing)
        if _NEGATION.search(sentence):
            continue
        found: list[tuple[str, str, str]] = []
        if things or (thing and _IT.search(sentence)):
            found += [(thing, *pair) for pair in _thing_values(world, sentence, words)]
        if person and (named or words[:1] in (["She"], ["He"])):
            found += [(person, *pair) for pair in _person_values(sentence)]
        claims += [Claim(*item, is_true=world.fact(item[0], item[1]) == item[2]) for item in found]
    return claims


def believes(item: Misconception, text: str) -> bool | None:
    """True where `text` repeats the misconception, False where it states what is so, None where it does neither."""
    lowered = text.lower()
    says_true = re.search(rf"\b{item.true_key}\b", lowered) is not None
    says_false = re.search(rf"\b{item.false_key}\b", lowered) is not None and not _NEGATION.search(lowered)
    if says_false:
        return True
    return False if says_true else None


def is_no_comment(text: str) -> bool:
    """Whether the text declines to say ("I do not know.", "Nobody knows.")."""
    return _DOUBT.search(text.lower()) is not None
