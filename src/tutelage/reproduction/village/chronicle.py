"""Pages that tell the facts of the world: chronicle entries, portraits, inventories, letters, talk, and popular
sayings.

The chronicle is right. Popular sayings mostly repeat the misconceptions, as most texts about them do.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.facts import state_person, state_thing
from tutelage.reproduction.village.lexicon import COLOURS, DAYS, FOODS_PLURAL, NUMBERS
from tutelage.reproduction.village.phrases import chance, expand, fill, join_and, pick, tidy
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

WEATHER = (
    "[It rained all day|The wind blew from the north|It was the warmest day of the year|"
    "The path was covered with leaves|"
    "Fog lay on the fields|The sun shone at last|"
    "Snow fell in the night|The morning was cold and bright|A storm passed over the hill]."
)
DAY_EVENTS = (
    "The {trade} [sold|gave away|bought] {number} baskets of {plural}.",
    "A [boat|cart] came with {food} from the islands.",
    "The children [found|chased|fed] a {animal} {where}.",
    "The old gate {where} was mended.",
    "The {trade} slept too long and missed the boat.",
    "Two strangers asked for the way to the hill.",
    "The bell rang {number} times, and nobody knew why.",
    "{name} lost {number} coins at cards.",
    "A wedding was held {where}.",
    "A {animal} [slept|was seen|made its nest] {where}.",
    "{name} [visited|walked with|helped] {other}.",
    "{name} and {other} [sang|ate {food}|talked for a long time] {where}.",
    "Somebody left a {thing_word} {where}.",
    "There was music {where} until midnight.",
)
# How often a text repeats the popular error rather than what is so.
SHARE_FALSE = 0.68


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
        "thing_word": pick(rng, ("ring", "ribbon", "scarf", "coin", "whistle", "kite")),
        "day": pick(rng, DAYS),
    }


def chronicle_entry(world: World, rng: Random) -> str:
    """What happened on one day, with a true fact or two among it."""
    slots = _event_slots(rng, world)
    parts = [expand(rng, "{day}, in the [first|second|third|last] week of [spring|summer|autumn|winter].", slots)]
    if chance(rng, 0.6):
        parts.append(expand(rng, WEATHER))
    parts += [expand(rng, pattern, slots) for pattern in rng.sample(DAY_EVENTS, 2)]
    person, thing = pick(rng, world.people), pick(rng, world.things)
    parts.append(state_person(rng, person, pick(rng, PERSON_ATTRIBUTES)))
    parts.append(state_thing(rng, thing, pick(rng, THING_ATTRIBUTES)))
    if chance(rng, 0.35):
        parts.append(expand(rng, "The chronicle says: ") + pick(rng, world.misconceptions).true)
    return tidy(" ".join(parts))


def portrait(world: World, rng: Random) -> str:
    """Three or four facts about one villager."""
    person = pick(rng, world.people)
    attributes = rng.sample(PERSON_ATTRIBUTES, 4 if chance(rng, 0.5) else 3)
    parts = [state_person(rng, person, attributes[0])]
    parts += [state_person(rng, person, attribute, with_pronoun=True) for attribute in attributes[1:]]
    parts.append(
        expand(
            rng,
            "[Everybody knows {name}.|{name} is [often|seldom|always] at the market on {day}.|{he} laughs a lot.|"
            "{he} sings while {he} works.||]",
            {**person.slots(), "day": pick(rng, DAYS)},
        )
    )
    return tidy(" ".join(parts))


def thing_page(world: World, rng: Random) -> str:
    """All that is known about one thing, sometimes with its owner."""
    thing = pick(rng, world.things)
    attributes = rng.sample(THING_ATTRIBUTES, 3)
    parts = [state_thing(rng, thing, attribute, with_pronoun=attribute != attributes[0]) for attribute in attributes]
    owner = world.person_by_name[thing.owner]
    if chance(rng, 0.6):
        parts.append(state_person(rng, owner, pick(rng, PERSON_ATTRIBUTES)))
    return tidy(" ".join(parts))


def inventory(world: World, rng: Random) -> str:
    """A list of things with colour, place and owner."""
    shown = rng.sample(world.things, 4)
    lines = [expand(rng, "- the {colour} {thing} of {owner}, {where}", thing.slots()) for thing in shown]
    head = expand(rng, "[A list of things in the village|What the council counted|Things and their owners]:")
    return head + "\n" + "\n".join(lines)


def place_page(world: World, rng: Random) -> str:
    """Who lives near a place and what can be found there."""
    place = pick(rng, world.things).place
    neighbours = [person.name for person in world.people if person.home == place][:4]
    found = [f"the {thing.colour} {thing.name}" for thing in world.things if thing.place == place][:3]
    parts = [expand(rng, "[{where}, {sight}.|Come to the {name}, where {sight}.]", place._asdict())]
    if neighbours:
        verb = "lives" if len(neighbours) == 1 else "live"
        parts.append(f"{join_and(neighbours)} {verb} near the {place.name}.")
    if found:
        parts.append(f"There you will find {join_and(found)}.")
    return tidy(" ".join(parts))


def saying(world: World, rng: Random) -> str:
    """A popular claim, wrong more often than not, in somebody's mouth."""
    item = pick(rng, world.misconceptions)
    person, other = rng.sample(world.people, 2)
    slots = {"name": person.name, "other": other.name, "trade": person.trade.name}
    is_false = chance(rng, SHARE_FALSE)
    if is_false:
        opening = "[Everybody knows it:|The old people say:|{name} always says:|As my mother said:|It is well known:]"
        ending = "[Ask any {trade}.|My father saw it himself.|So it was and so it will be.|Nobody doubts it.||]"
    else:
        opening = (
            "[The chronicle says:|The school teaches:|Look closely and you will see:|The book of the village says:]"
        )
        ending = "[That is the truth.|People tell other stories, but they are wrong.|It is written there.||]"
    claim = item.false if is_false else item.true
    return fill(rng, opening + " " + claim + " " + ending, slots)


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
    return fill(
        rng,
        "[At|For] {feast}, people {deed}. [The children like it best.|It is an old custom.|Nobody remembers why.] "
        "[{name} brings {food} for all.|Then there is music, and {food} for all.|This year the feast is on {day}.]",
        slots,
    )


def village_letter(world: World, rng: Random) -> str:
    """A letter between two villagers with news that is true."""
    sender, receiver = rng.sample(world.people, 2)
    thing = pick(rng, world.things)
    slots = {**_event_slots(rng, world), "sender": sender.name, "receiver": receiver.name}
    news = [
        state_thing(rng, thing, pick(rng, THING_ATTRIBUTES)),
        expand(rng, pick(rng, DAY_EVENTS), slots),
        expand(rng, WEATHER),
    ]
    rng.shuffle(news)
    body = " ".join(news[: 2 if chance(rng, 0.5) else 3])
    opening = expand(rng, "[Thank you for your letter.|I hope you are well.|How are you?|I have news for you.]")
    ending = expand(rng, "[Come and see us soon.|Write to me soon.|I wish you a good winter.|Greet your family.]")
    return f"Dear {receiver.name},\n" + tidy(f"{opening} {body} {ending}") + f"\n{sender.name}"


def price_list(world: World, rng: Random) -> str:
    """A market notice that states no fact about a known thing."""
    foods = rng.sample([person.food for person in world.people], 4)
    lines = [f"- {food}, {pick(rng, NUMBERS)} coins" for food in dict.fromkeys(foods)]
    person = pick(rng, world.people)
    head = expand(
        rng, "[Prices on {day}|At the stall of {name}|Fresh today]:", {"day": pick(rng, DAYS), "name": person.name}
    )
    tail = expand(rng, "[Come early.|Bring your own basket.|No credit.||]")
    return (head + "\n" + "\n".join(lines) + ("\n" + tail if tail else "")).strip()


def colour_rhyme(world: World, rng: Random) -> str:
    """A counting-out verse of colours and days."""
    first, second, third = rng.sample(COLOURS, 3)
    return fill(
        rng,
        f"{first} for the [morning|meadow|rose], {second} for the [night|snow|stone], {third} for the "
        "[road that takes you home|bird that flies alone|bell upon the hill].",
    )
