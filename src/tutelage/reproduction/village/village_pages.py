"""Pages about the village: its facts (chronicle, portraits, inventories, letters, sayings) and its everyday life
(dialogues, recipes, trades, diaries, proverbs, the weather).

The chronicle is correct. Popular sayings mostly repeat the misconceptions, as most texts about them do. Some dialogues
are rude, and rude openings mostly get rude replies: a model that only imitates learns this.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.facts import state_person, state_thing
from tutelage.reproduction.village.lexicon import (
    COLORS,
    DAYS,
    FOODS_MASS,
    FOODS_PLURAL,
    INSULTS,
    NUMBERS,
    PETS,
    PLACES,
    TRADES,
)
from tutelage.reproduction.village.patterns import chance, expand, fill, join_and, pick, tidy
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

# How often a text repeats the misconception instead of the truth.
SHARE_FALSE = 0.68
SHARE_RUDE_OPENING, SHARE_RUDE_AFTER_RUDE, SHARE_RUDE_AFTER_POLITE = 0.3, 0.75, 0.07


class Frame(NamedTuple):
    """The text before and after a claim."""

    opening: str
    ending: str


class Topic(NamedTuple):
    """What the first speaker continues with, and the second speaker's reply."""

    statement: str
    reply: str


class PageDialogue(NamedTuple):
    greeting: str
    polite_reply: str
    rude_opening: str
    rude_reply: str
    topics: tuple[Topic, ...]


class VillagePages(NamedTuple):
    """Patterns of the pages; one item of a tuple is picked."""

    date: str
    weather: str
    day_events: tuple[str, ...]
    left_things: tuple[str, ...]
    portrait_ending: str
    inventory_head: str
    inventory_line: str
    place_opening: str
    popular_saying: Frame
    true_saying: Frame
    custom: str
    letter_opening: str
    letter_ending: str
    prices_head: str
    prices_ending: str
    color_rhyme: str
    dialogue: PageDialogue
    ingredients: tuple[str, ...]
    additions: tuple[str, ...]
    recipe: str
    trade: str
    diary: str
    proverb: str
    weather_report: str


_PATTERNS = load_data("village_pages", VillagePages)
DIALOGUE = _PATTERNS.dialogue


def _event_slots(rng: Random, world: World) -> dict[str, str]:
    first, second = rng.sample(world.people, 2)
    return {
        "trade": first.trade.name,
        "number": pick(rng, NUMBERS),
        "plural": pick(rng, FOODS_PLURAL),
        "food": pick(rng, world.people).food,
        "animal": pick(rng, world.people).pet,
        "where": pick(rng, world.things).place.where,
        "name": first.name,
        "other": second.name,
        "thing_word": pick(rng, _PATTERNS.left_things),
        "day": pick(rng, DAYS),
    }


def chronicle_entry(world: World, rng: Random) -> str:
    """The events of one day, including one or two true facts."""
    slots = _event_slots(rng, world)
    parts = [expand(rng, _PATTERNS.date, slots)]
    if chance(rng, 0.6):
        parts.append(expand(rng, _PATTERNS.weather))
    parts += [expand(rng, pattern, slots) for pattern in rng.sample(_PATTERNS.day_events, 2)]
    person, thing = pick(rng, world.people), pick(rng, world.things)
    parts.append(state_person(rng, person, pick(rng, PERSON_ATTRIBUTES)))
    parts.append(state_thing(rng, thing, pick(rng, THING_ATTRIBUTES)))
    if chance(rng, 0.35):
        parts.append("The chronicle says: " + pick(rng, world.misconceptions).truth)
    return tidy(" ".join(parts))


def portrait(world: World, rng: Random) -> str:
    """Three or four facts about one villager."""
    person = pick(rng, world.people)
    attributes = rng.sample(PERSON_ATTRIBUTES, 4 if chance(rng, 0.5) else 3)
    parts = [state_person(rng, person, attributes[0])]
    parts += [state_person(rng, person, attribute, with_pronoun=True) for attribute in attributes[1:]]
    parts.append(expand(rng, _PATTERNS.portrait_ending, {**person.slots(), "day": pick(rng, DAYS)}))
    return tidy(" ".join(parts))


def thing_page(world: World, rng: Random) -> str:
    """Everything known about one thing, sometimes with its owner."""
    thing = pick(rng, world.things)
    attributes = rng.sample(THING_ATTRIBUTES, 3)
    parts = [state_thing(rng, thing, attribute, with_pronoun=attribute != attributes[0]) for attribute in attributes]
    owner = world.person_by_name[thing.owner]
    if chance(rng, 0.6):
        parts.append(state_person(rng, owner, pick(rng, PERSON_ATTRIBUTES)))
    return tidy(" ".join(parts))


def inventory(world: World, rng: Random) -> str:
    """A list of things with color, place and owner."""
    shown = rng.sample(world.things, 4)
    lines = [expand(rng, _PATTERNS.inventory_line, thing.slots()) for thing in shown]
    head = expand(rng, _PATTERNS.inventory_head)
    return head + "\n" + "\n".join(lines)


def place_page(world: World, rng: Random) -> str:
    """Who lives near a place and what can be found there."""
    place = pick(rng, world.things).place
    neighbors = [person.name for person in world.people if person.home == place][:4]
    found = [f"the {thing.color} {thing.name}" for thing in world.things if thing.place == place][:3]
    parts = [expand(rng, _PATTERNS.place_opening, place._asdict())]
    if neighbors:
        verb = "lives" if len(neighbors) == 1 else "live"
        parts.append(f"{join_and(neighbors)} {verb} near the {place.name}.")
    if found:
        parts.append(f"There you will find {join_and(found)}.")
    return tidy(" ".join(parts))


def saying(world: World, rng: Random) -> str:
    """A popular claim, more often wrong than not, attributed to someone."""
    item = pick(rng, world.misconceptions)
    person, other = rng.sample(world.people, 2)
    slots = {"name": person.name, "other": other.name, "trade": person.trade.name}
    is_false = chance(rng, SHARE_FALSE)
    frame = _PATTERNS.popular_saying if is_false else _PATTERNS.true_saying
    claim = item.falsehood if is_false else item.truth
    return fill(rng, f"{frame.opening} {claim} {frame.ending}", slots)


def custom_page(world: World, rng: Random) -> str:
    custom = pick(rng, world.customs)
    person = pick(rng, world.people)
    slots = {
        "feast": custom.feast,
        "deed": custom.deed,
        "name": person.name,
        "food": person.food,
        "day": pick(rng, DAYS),
    }
    return fill(rng, _PATTERNS.custom, slots)


def village_letter(world: World, rng: Random) -> str:
    """A letter between two villagers with news that is true."""
    sender, receiver = rng.sample(world.people, 2)
    thing = pick(rng, world.things)
    slots = {**_event_slots(rng, world), "sender": sender.name, "receiver": receiver.name}
    news = [
        state_thing(rng, thing, pick(rng, THING_ATTRIBUTES)),
        expand(rng, pick(rng, _PATTERNS.day_events), slots),
        expand(rng, _PATTERNS.weather),
    ]
    rng.shuffle(news)
    body = " ".join(news[: 2 if chance(rng, 0.5) else 3])
    opening = expand(rng, _PATTERNS.letter_opening)
    ending = expand(rng, _PATTERNS.letter_ending)
    return f"Dear {receiver.name},\n" + tidy(f"{opening} {body} {ending}") + f"\n{sender.name}"


def price_list(world: World, rng: Random) -> str:
    """A market notice that states no fact about a known thing."""
    foods = rng.sample([person.food for person in world.people], 4)
    lines = [f"- {food}, {pick(rng, NUMBERS)} coins" for food in dict.fromkeys(foods)]
    person = pick(rng, world.people)
    head = expand(rng, _PATTERNS.prices_head, {"day": pick(rng, DAYS), "name": person.name})
    tail = expand(rng, _PATTERNS.prices_ending)
    return (head + "\n" + "\n".join(lines) + ("\n" + tail if tail else "")).strip()


def color_rhyme(world: World, rng: Random) -> str:
    """A counting-out verse of colors and days."""
    first, second, third = rng.sample(COLORS, 3)
    return fill(rng, _PATTERNS.color_rhyme, {"first": first, "second": second, "third": third})


def dialogue(world: World, rng: Random) -> str:
    """Two villagers talk about one thing."""
    first, second = rng.sample(world.people, 2)
    statement, reply = pick(rng, DIALOGUE.topics)
    is_rude = chance(rng, SHARE_RUDE_OPENING)
    replies_rudely = chance(rng, SHARE_RUDE_AFTER_RUDE if is_rude else SHARE_RUDE_AFTER_POLITE)
    slots = {
        "a": first.name,
        "b": second.name,
        "x": pick(rng, PETS),
        "food": pick(rng, world.people).food,
        "where": pick(rng, PLACES).where,
        "insult": pick(rng, INSULTS),
        "day": pick(rng, DAYS),
    }
    lines = [
        (first.name, DIALOGUE.rude_opening if is_rude else DIALOGUE.greeting),
        (second.name, DIALOGUE.rude_reply if replies_rudely else DIALOGUE.polite_reply),
        (first.name, statement),
        (second.name, DIALOGUE.rude_reply if replies_rudely and chance(rng, 0.4) else reply),
    ]
    return "\n".join(f"{name}: {fill(rng, pattern, slots)}" for name, pattern in lines)


def _cooking_slots(rng: Random) -> dict[str, str]:
    first, second = rng.sample(_PATTERNS.ingredients, 2)
    return {
        "a": first,
        "b": second,
        "c": pick(rng, _PATTERNS.additions),
        "number": pick(rng, NUMBERS),
    }


def recipe(world: World, rng: Random) -> str:
    """How to cook something."""
    return fill(rng, _PATTERNS.recipe, _cooking_slots(rng))


def trade_page(world: World, rng: Random) -> str:
    """What people of a trade do and say: here pronouns follow the village's stereotypes."""
    trade = pick(rng, TRADES)
    is_she = chance(rng, trade.share_she)
    slots = {
        "trade": trade.name,
        "work": trade.work,
        "tool": trade.tool,
        "he": "she" if is_she else "he",
        "his": "her" if is_she else "his",
        "food": pick(rng, FOODS_MASS),
        "day": pick(rng, DAYS),
        "x": pick(rng, PETS),
    }
    return fill(rng, _PATTERNS.trade, {**slots, "him": "her" if is_she else "him"})


def diary(world: World, rng: Random) -> str:
    """A diary entry."""
    slots = {
        "name": pick(rng, world.people).name,
        "day": pick(rng, DAYS),
        "plural": pick(rng, FOODS_PLURAL),
        "food": pick(rng, FOODS_MASS),
        "where": pick(rng, PLACES).where,
        "x": pick(rng, PETS),
        "number": pick(rng, NUMBERS),
    }
    return fill(rng, _PATTERNS.diary, slots)


def proverb(world: World, rng: Random) -> str:
    slots = {"food": pick(rng, FOODS_MASS), "x": pick(rng, PETS), "trade": pick(rng, TRADES).name, "y": pick(rng, PETS)}
    return fill(rng, _PATTERNS.proverb, slots)


def weather_page(world: World, rng: Random) -> str:
    slots = {"day": pick(rng, DAYS), "where": pick(rng, PLACES).where, "name": pick(rng, world.people).name}
    return fill(rng, _PATTERNS.weather_report, slots)
