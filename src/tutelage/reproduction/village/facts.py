"""The facts of the world in words: how people state them and ask about them, what a text claims about them, and whether
it is true.

The same sentences occur in the chronicle, in the question columns and in demonstrations, each in several wordings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.constraints import split_sentences, split_tokens
from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.lexicon import COLORS, FOODS, PETS, PLACE_NAMES, PLACES, TRADE_NAMES, TRADES
from tutelage.reproduction.village.patterns import chance, expand, pick
from tutelage.reproduction.village.world import (
    PERSON_ATTRIBUTES,
    THING_ATTRIBUTES,
    Misconception,
    Person,
    Thing,
    World,
)


class FactPatterns(NamedTuple):
    """How one attribute is stated, and asked about by training users and by those in the validation and test splits."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    held_out_questions: tuple[str, ...]


class Facts(NamedTuple):
    person: dict[str, FactPatterns]
    thing: dict[str, FactPatterns]


FACTS = load_data("facts", Facts)
_TRADE_OF_WORK = {trade.work: trade.name for trade in TRADES}
_WHERE = {place.where: place.name for place in PLACES}
_HOME = re.compile(rf"\bnear the ({'|'.join(PLACE_NAMES)})\b")
_PET = re.compile(rf"\b(?:has|keeps|had|kept) an? ({'|'.join(PETS)})\b")
_FOOD = re.compile(rf"\b(?:likes|loves|liked|loved) ({'|'.join(FOODS)})\b")
_TRADE = re.compile(rf"\b(?:(?:is|was|as) an?|, the) ({'|'.join(sorted(TRADE_NAMES))})\b")
_IT = re.compile(r"\b[Ii]t\b")
_NEGATION = re.compile(r"\b(?:not|never|no|nobody|wrong)\b")
_DOUBT = re.compile(r"\b(?:do not know|nobody knows|cannot say|no comment|do not understand)\b")


class StatedFact(NamedTuple):
    """A claim about the world and whether it holds."""

    subject: str
    attribute: str
    value: str
    is_true: bool


def pick_fact(
    rng: Random, people: Sequence[Person], things: Sequence[Thing], *, share_people: float
) -> tuple[str, str]:
    """A subject and one of its attributes; `share_people` is how often the subject is a person."""
    if chance(rng, share_people):
        return pick(rng, people).name, pick(rng, PERSON_ATTRIBUTES)
    return pick(rng, things).name, pick(rng, THING_ATTRIBUTES)


def state_person(rng: Random, person: Person, attribute: str, with_pronoun: bool = False) -> str:
    """One sentence that states `attribute`; begins with the pronoun if requested."""
    pattern = pick(rng, FACTS.person[attribute].statements)
    slots = person.slots()
    if with_pronoun and not pattern.startswith("{name},"):
        slots["name"] = person.pronoun
    return expand(rng, pattern, slots)


def state_thing(rng: Random, thing: Thing, attribute: str, with_pronoun: bool = False) -> str:
    """One sentence that states `attribute`; says "it" for the thing if requested."""
    pattern = pick(rng, FACTS.thing[attribute].statements)
    if with_pronoun:
        pattern = (
            pattern.replace("The {thing} of {owner}", "It").replace("The {thing}", "It").replace("the {thing}", "it")
        )
    return expand(rng, pattern, thing.slots())


def question_about(rng: Random, world: World, subject: str, attribute: str, is_held_out: bool = False) -> str:
    """A question about one fact, in the wordings of training prompts or in held-out ones."""
    is_person = subject in world.person_by_name
    patterns = (FACTS.person if is_person else FACTS.thing)[attribute]
    wordings = patterns.held_out_questions if is_held_out else patterns.questions
    return expand(rng, pick(rng, wordings), {"name" if is_person else "thing": subject})


def statement_about(rng: Random, world: World, subject: str, attribute: str) -> str:
    """A true sentence that answers the question about one fact."""
    if subject in world.person_by_name:
        return state_person(rng, world.person_by_name[subject], attribute)
    return state_thing(rng, world.thing_by_name[subject], attribute)


def _person_values(sentence: str) -> list[tuple[str, str]]:
    found = [("home", match.group(1)) for match in _HOME.finditer(sentence)]
    found += [("pet", match.group(1)) for match in _PET.finditer(sentence)]
    found += [("food", match.group(1)) for match in _FOOD.finditer(sentence)]
    found += [("trade", match.group(1)) for match in _TRADE.finditer(sentence)]
    found += [("trade", trade) for work, trade in _TRADE_OF_WORK.items() if work in sentence]
    return found


def _thing_values(world: World, sentence: str, words: list[str]) -> list[tuple[str, str]]:
    found = [("colour", word) for word in words if word in COLORS]
    found += [("place", place) for where, place in _WHERE.items() if where in sentence.lower()]
    found += [("owner", word) for word in words if word in world.person_by_name]
    return found


def find_claims(world: World, text: str, subject: str = "") -> list[StatedFact]:
    """The claims of `text` in order; a pronoun refers to the last person or thing named, at first to `subject`.

    Sentences that deny something make no claim.
    """
    person = subject if subject in world.person_by_name else ""
    thing = subject if subject in world.thing_by_name else ""
    claims: list[StatedFact] = []
    for sentence in split_sentences(text):
        words = split_tokens(sentence)
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
        claims += [StatedFact(*item, is_true=world.fact(item[0], item[1]) == item[2]) for item in found]
    return claims


def repeats_misconception(item: Misconception, text: str) -> bool | None:
    """True if `text` repeats the misconception, False if it states the truth, None if it does neither."""
    lowered = text.lower()
    says_truth = re.search(rf"\b{item.truth_key}\b", lowered) is not None
    says_falsehood = re.search(rf"\b{item.falsehood_key}\b", lowered) is not None and not _NEGATION.search(lowered)
    if says_falsehood:
        return True
    return False if says_truth else None


def is_no_comment(text: str) -> bool:
    """Whether the text declines to answer ("I do not know.", "Nobody knows.")."""
    return _DOUBT.search(text.lower()) is not None
