"""The words of the village, and the wordings of its users' requests. All of it is data; see `data/lexicon.yaml` and
`data/templates.yaml`.

Everything that a fact can be about is here, so that the judge knows the class of every word that it encounters.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.patterns import fill, pick


class Trade(NamedTuple):
    """A trade, what its people do all day, and its share of women in the village's stories."""

    name: str
    work: str
    tool: str
    share_she: float


class Place(NamedTuple):
    """A place, the words for being located there, and what can be seen there."""

    name: str
    where: str
    sight: str


class Custom(NamedTuple):
    """What the village does at a feast."""

    feast: str
    deed: str


Words = tuple[str, ...]


class Lexicon(NamedTuple):
    she_names: Words
    he_names: Words
    she_strangers: Words
    he_strangers: Words
    trades: tuple[Trade, ...]
    places: tuple[Place, ...]
    customs: tuple[Custom, ...]
    colors: Words
    days: Words
    numbers: Words
    pets: Words
    wild_animals: Words
    irregular_plurals: dict[str, str]
    foods_plural: Words
    foods_mass: Words
    things: Words
    toys: Words
    garments: Words
    passage_pets: Words
    shelters: Words
    adjectives: Words
    thing_adjectives: Words
    activities: Words
    indoor_verbs: frozenset[str]
    outdoor_verbs: frozenset[str]
    pet_names: Words
    insults: Words
    kind_words: frozenset[str]
    past_tense: dict[str, str]


_WORDS = load_data("lexicon", Lexicon)
SHE_NAMES, HE_NAMES = _WORDS.she_names, _WORDS.he_names
SHE_STRANGERS, HE_STRANGERS = _WORDS.she_strangers, _WORDS.he_strangers
STRANGERS = SHE_STRANGERS + HE_STRANGERS
TRADES, PLACES, CUSTOMS = _WORDS.trades, _WORDS.places, _WORDS.customs
TRADE_NAMES = tuple(trade.name for trade in TRADES)
PLACE_NAMES = tuple(place.name for place in PLACES)
COLORS, DAYS, NUMBERS = _WORDS.colors, _WORDS.days, _WORDS.numbers
PETS = _WORDS.pets
ANIMALS = PETS + _WORDS.wild_animals
ANIMAL_PLURALS = {animal: _WORDS.irregular_plurals.get(animal, animal + "s") for animal in ANIMALS}
FOODS_PLURAL, FOODS_MASS = _WORDS.foods_plural, _WORDS.foods_mass
FOODS = FOODS_PLURAL + FOODS_MASS
THINGS, TOYS, GARMENTS, SHELTERS = _WORDS.things, _WORDS.toys, _WORDS.garments, _WORDS.shelters
PASSAGE_PETS = _WORDS.passage_pets
ADJECTIVES, THING_ADJECTIVES = _WORDS.adjectives, _WORDS.thing_adjectives
ACTIVITIES, PET_NAMES = _WORDS.activities, _WORDS.pet_names
ACTIVITY_VERBS = frozenset(activity.split()[0] for activity in ACTIVITIES)
INSULTS, KIND_WORDS = _WORDS.insults, _WORDS.kind_words
RUDE_WORDS = frozenset(INSULTS) | frozenset(word + "s" for word in INSULTS)
PAST_TENSE = _WORDS.past_tense


def fitting_verbs(weather: str) -> frozenset[str]:
    """What one can do in good or bad weather: the verbs that begin a suitable activity."""
    return _WORDS.outdoor_verbs if weather in ("sunny", "warm") else _WORDS.indoor_verbs


class Wordings(NamedTuple):
    """Patterns of one kind of prompt: those of training users, and those reserved for validation and test users."""

    training: Words
    held_out: Words

    def write(self, rng: Random, is_held_out: bool, slots: Mapping[str, str]) -> str:
        """One of the patterns of that split with its slots filled."""
        return fill(rng, pick(rng, self.held_out if is_held_out else self.training), slots)


class Situation(NamedTuple):
    """Small talk: the mood that a reply should show, what the user says, and how people reply."""

    mood: str
    openings: Words
    held_out_openings: Words
    replies: Words


class ForeignRequest(NamedTuple):
    """A request for a story in another language, and its subject in English."""

    language: str
    text: str
    subject: str


class Templates(NamedTuple):
    """The users' requests; `constraints_of_kind` lists the possible constraints of each kind of task."""

    prompts: dict[str, Wordings]
    chat_frames: Wordings
    constraints: dict[str, Wordings]
    constraints_of_kind: dict[str, Words]
    avoidable_words: Wordings
    foreign: tuple[ForeignRequest, ...]
    situations: dict[str, Situation]


TEMPLATES = load_data("templates", Templates)
FOREIGN, SITUATIONS = TEMPLATES.foreign, TEMPLATES.situations
