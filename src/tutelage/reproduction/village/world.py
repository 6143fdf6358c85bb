"""The village: its people, their things, and the facts that everything else is judged against.

`build_world(seed)` is the only producer. Some people, things and misconceptions are held out: the pretraining text
covers them all, but only prompts of validation and test users ask about the held-out ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal, NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.lexicon import (
    ANIMALS,
    COLORS,
    CUSTOMS,
    FOODS,
    HE_NAMES,
    PETS,
    PLACES,
    SHE_NAMES,
    SHE_STRANGERS,
    STRANGERS,
    THINGS,
    TRADES,
    Custom,
    Place,
    Trade,
)
from tutelage.reproduction.village.patterns import pick

Pronoun = Literal["she", "he"]
PERSON_ATTRIBUTES = ("trade", "home", "pet", "food")
THING_ATTRIBUTES = ("colour", "place", "owner")
HELD_OUT_SHARE = 0.3


class Misconception(NamedTuple):
    """A common misconception: the question, the false claim, the truth, and the words that show which of them a text
    claims.
    """

    question: str
    held_out_question: str
    falsehood: str
    truth: str
    falsehood_key: str
    truth_key: str


MISCONCEPTIONS = load_data("misconceptions", tuple[Misconception, ...])


@dataclass(frozen=True)
class Person:
    """One of the forty villagers, with the four facts that can be asked about."""

    name: str
    pronoun: Pronoun
    trade: Trade
    home: Place
    pet: str
    food: str
    is_held_out: bool

    def slots(self) -> dict[str, str]:
        """The values for the slots {name} {he} {him} {his} {trade} {work} {home} {pet} {food} of a pattern."""
        is_she = self.pronoun == "she"
        return {
            "name": self.name,
            "he": self.pronoun,
            "him": "her" if is_she else "him",
            "his": "her" if is_she else "his",
            "trade": self.trade.name,
            "work": self.trade.work,
            "tool": self.trade.tool,
            "home": self.home.name,
            "pet": self.pet,
            "food": self.food,
        }


@dataclass(frozen=True)
class Thing:
    """One of the thirty things known to the whole village."""

    name: str
    color: str
    place: Place
    owner: str
    is_held_out: bool

    def slots(self) -> dict[str, str]:
        """The values for the slots {thing} {colour} {where} {place} {owner} of a pattern."""
        return {
            "thing": self.name,
            "colour": self.color,
            "where": self.place.where,
            "place": self.place.name,
            "owner": self.owner,
        }


@dataclass(frozen=True)
class World:
    """One village. Frozen, equal to every other world of its seed."""

    seed: int
    people: tuple[Person, ...]
    things: tuple[Thing, ...]
    misconceptions: tuple[Misconception, ...]
    customs: tuple[Custom, ...]
    held_out_animals: tuple[str, ...]
    held_out_strangers: tuple[str, ...]
    num_held_out_misconceptions: int

    def __hash__(self) -> int:
        return hash(self.seed)

    @cached_property
    def person_by_name(self) -> dict[str, Person]:
        return {person.name: person for person in self.people}

    @cached_property
    def thing_by_name(self) -> dict[str, Thing]:
        return {thing.name: thing for thing in self.things}

    @cached_property
    def misconception_by_question(self) -> dict[str, Misconception]:
        return {item.question: item for item in self.misconceptions}

    def fact(self, subject: str, attribute: str) -> str:
        """The value of one fact: `fact("Ada", "home")` is the name of a place, `fact("lantern", "colour")` a color.

        Raises `KeyError` if the world has no such subject or attribute.
        """
        if subject in self.person_by_name:
            person = self.person_by_name[subject]
            return {
                "trade": person.trade.name,
                "home": person.home.name,
                "pet": person.pet,
                "food": person.food,
                "pronoun": person.pronoun,
            }[attribute]
        thing = self.thing_by_name[subject]
        return {"colour": thing.color, "place": thing.place.name, "owner": thing.owner}[attribute]

    def people_for(self, is_held_out: bool) -> tuple[Person, ...]:
        return tuple(person for person in self.people if person.is_held_out == is_held_out)

    def things_for(self, is_held_out: bool) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.is_held_out == is_held_out)

    def thing_names_for(self, is_held_out: bool) -> tuple[str, ...]:
        return tuple(thing.name for thing in self.things_for(is_held_out))

    def misconceptions_for(self, is_held_out: bool) -> tuple[Misconception, ...]:
        split = self.num_held_out_misconceptions
        return self.misconceptions[:split] if is_held_out else self.misconceptions[split:]

    def animals_for(self, is_held_out: bool) -> tuple[str, ...]:
        return tuple(animal for animal in ANIMALS if (animal in self.held_out_animals) == is_held_out)

    def strangers_for(self, is_held_out: bool) -> tuple[str, ...]:
        return tuple(name for name in STRANGERS if (name in self.held_out_strangers) == is_held_out)


class HeldOut(NamedTuple):
    """Which parts of a prompt are reserved for validation and test users."""

    content: bool
    wording: bool


def select_split(items: tuple[str, ...], is_held_out: bool) -> tuple[str, ...]:
    """The part of a fixed list that prompts of one split may use: every fourth item is held out."""
    return tuple(item for index, item in enumerate(items) if (index % 4 == 1) == is_held_out)


def stranger_pronoun(name: str) -> Pronoun:
    return "she" if name in SHE_STRANGERS else "he"


def _pronoun_and_name(rng: Random, trade: Trade, she: list[str], he: list[str]) -> tuple[Pronoun, str]:
    wants_she = rng.random() < trade.share_she
    if (wants_she and she) or not he:
        return "she", she.pop()
    return "he", he.pop()


def _people(rng: Random) -> tuple[Person, ...]:
    she, he = list(SHE_NAMES), list(HE_NAMES)
    rng.shuffle(she)
    rng.shuffle(he)
    count = len(she) + len(he)
    trades = [TRADES[i % len(TRADES)] for i in range(count)]
    rng.shuffle(trades)
    held_out = set(rng.sample(range(count), round(count * HELD_OUT_SHARE)))
    people = []
    for index, trade in enumerate(trades):
        pronoun, name = _pronoun_and_name(rng, trade, she, he)
        home, pet, food = pick(rng, PLACES), pick(rng, PETS), pick(rng, FOODS)
        people.append(Person(name, pronoun, trade, home, pet, food, index in held_out))
    return tuple(sorted(people, key=lambda person: person.name))


def _things(rng: Random, people: tuple[Person, ...]) -> tuple[Thing, ...]:
    held_out = set(rng.sample(THINGS, round(len(THINGS) * HELD_OUT_SHARE)))
    owners = rng.sample(people, len(THINGS))
    return tuple(
        Thing(name, pick(rng, COLORS), pick(rng, PLACES), owner.name, name in held_out)
        for name, owner in zip(THINGS, owners, strict=True)
    )


def build_world(seed: int) -> World:
    """The village of `seed`: 40 people, 30 things, 30 misconceptions, 10 customs."""
    rng = Random(f"world-{seed}")
    people = _people(rng)
    misconceptions = list(MISCONCEPTIONS)
    rng.shuffle(misconceptions)
    return World(
        seed=seed,
        people=people,
        things=_things(rng, people),
        misconceptions=tuple(misconceptions),
        customs=CUSTOMS,
        held_out_animals=tuple(sorted(rng.sample(ANIMALS, round(len(ANIMALS) * HELD_OUT_SHARE)))),
        held_out_strangers=tuple(sorted(rng.sample(STRANGERS, round(len(STRANGERS) * HELD_OUT_SHARE)))),
        num_held_out_misconceptions=round(len(misconceptions) * HELD_OUT_SHARE),
    )
