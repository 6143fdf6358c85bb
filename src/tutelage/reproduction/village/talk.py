"""Talk of the village: dialogues (some of them rude), diaries, proverbs, recipes and the weather.

Rude openings are mostly answered rudely: what a model that only imitates learns from it.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.lexicon import (
    DAYS,
    FOODS_MASS,
    FOODS_PLURAL,
    NUMBERS,
    PETS,
    PLACES,
    RUDE_SINGULAR,
    TRADES,
)
from tutelage.reproduction.village.phrases import chance, fill, pick
from tutelage.reproduction.village.world import World

SHARE_RUDE_OPENING, SHARE_RUDE_AFTER_RUDE, SHARE_RUDE_AFTER_POLITE = 0.3, 0.75, 0.07

GREETING = (
    "[Good morning, {b}.|Hello, {b}.|Good evening, {b}. How are you?|There you are, {b}.|"
    "Come in, {b}. Sit by the fire.|"
    "Welcome, {b}. You have come a long way.]"
)
POLITE_REPLY = (
    "[Good morning, {a}.|Hello, dear {a}.|I am well, thank you.|It is good to see you, {a}.|"
    "Thank you, {a}. You are very kind.|"
    "I am glad to be here.]"
)
RUDE_OPENING = (
    "[Get out of my way, you {insult}.|You are late again, you {insult}.|What do you want, you {insult}?|"
    "Only a {insult} talks so much, {b}.|You walk like a {insult}, {b}.]"
)
RUDE_REPLY = (
    "[You {insult} yourself.|Be quiet, you old {insult}.|I do not talk to a {insult}.|Go home, you {insult}.|"
    "You are the biggest {insult} of the village.]"
)
# What the first one goes on with, and what the second one replies to it.
TOPICS = (
    (
        "[Have you seen my {x}?|I am looking for my {x}.|My {x} is gone.|My {x} did not come home.]",
        "[It was here this morning.|Ask the children.|I saw a {x} {where}.|Let us look for it together.|"
        "I am sorry to hear that.]",
    ),
    (
        "[Do you want some {food}?|I have fresh {food} today.|Will you eat {food} with me?|"
        "I made {food} for the feast.]",
        "[Yes, please.|No, thank you, I have eaten.|Gladly. You are very kind.|I like {food}.|Keep some for {day}.]",
    ),
    (
        "[Come to the feast with me.|Shall we walk to the hill?|The road is long today.|Will you help me on {day}?]",
        "[Yes, gladly.|Not today, my friend.|If the rain stops.|I will bring {food}.|What time shall I come?]",
    ),
    (
        "[The roof is broken again.|The water came into my house.|Somebody stole my {food}.|The wind took my hat.]",
        "[I am sorry to hear that.|The carpenter can help you.|We will mend it on {day}.|That is bad news.]",
    ),
    (
        "[I won a prize at the fair.|My sister has come home.|The new oven works.|I have a new {x}.]",
        "[How nice! I am glad for you.|That is good news.|Then we must have a feast.|Tell me all about it.]",
    ),
)


def dialogue(world: World, rng: Random) -> str:
    """Two villagers talk about one thing."""
    first, second = rng.sample(world.people, 2)
    statement, reply = pick(rng, TOPICS)
    is_rude = chance(rng, SHARE_RUDE_OPENING)
    replies_rudely = chance(rng, SHARE_RUDE_AFTER_RUDE if is_rude else SHARE_RUDE_AFTER_POLITE)
    slots = {
        "a": first.name,
        "b": second.name,
        "x": pick(rng, PETS),
        "food": pick(rng, world.people).food,
        "where": pick(rng, PLACES).where,
        "insult": pick(rng, RUDE_SINGULAR),
        "day": pick(rng, DAYS),
    }
    lines = [
        (first.name, RUDE_OPENING if is_rude else GREETING),
        (second.name, RUDE_REPLY if replies_rudely else POLITE_REPLY),
        (first.name, statement),
        (second.name, RUDE_REPLY if replies_rudely and chance(rng, 0.4) else reply),
    ]
    return "\n".join(f"{name}: {fill(rng, pattern, slots)}" for name, pattern in lines)


def _cooking_slots(rng: Random) -> dict[str, str]:
    first, second = rng.sample(("plums", "apples", "pears", "onions", "beans", "nuts", "cherries", "carrots"), 2)
    return {
        "a": first,
        "b": second,
        "c": pick(rng, ("honey", "butter", "cheese", "bread")),
        "number": pick(rng, NUMBERS),
    }


def recipe(world: World, rng: Random) -> str:
    """How to cook something."""
    return fill(
        rng,
        "[How to cook|A recipe for] {a} with {b}: [wash|take|cut] {number} handfuls of {a} and put them in a pot. "
        "[Add the {b} and a little salt.|Then add {b} and a spoon of {c}.] "
        "[Cook it slowly|Let it stand for one hour|Stir it well]. "
        "[Serve it hot.|Eat it with {c}.|It is best on the next day.|It is enough for {number} people.]",
        _cooking_slots(rng),
    )


def trade_page(world: World, rng: Random) -> str:
    """What people of a trade do and say: here pronouns follow the village's prejudice."""
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
    return fill(
        rng,
        "[A good {trade} {work} before the sun is up.|The {trade} of the next village {work} all year.|"
        "The {trade} forgot {his} {tool} at home.|The {trade} said that {he} was tired.] "
        "[{he} never works on {day}.|Without {his} {tool} {he} is lost.|"
        "In the evening {he} eats {food} and sleeps well.|"
        "{he} told {his} {x} all about it.|Then {he} washed {his} hands.] "
        "[The people pay {him} in {food}.|Nobody thanks {him} for it.|All the neighbours trust {him}.||]",
        {**slots, "him": "her" if is_she else "him"},
    )


def diary(world: World, rng: Random) -> str:
    """A day as somebody wrote it down."""
    slots = {
        "name": pick(rng, world.people).name,
        "day": pick(rng, DAYS),
        "plural": pick(rng, FOODS_PLURAL),
        "food": pick(rng, FOODS_MASS),
        "where": pick(rng, PLACES).where,
        "x": pick(rng, PETS),
        "number": pick(rng, NUMBERS),
    }
    return fill(
        rng,
        "{day}. [I woke up early and fed the {x}.|I could not sleep because of the wind.|It was too cold to work.|"
        "I walked alone {where}.] [{name} came and we ate {plural}.|"
        "I met {name} {where} and we talked about the old days.|"
        "I wanted to write to {name}, but I had no ink.|I counted {number} geese over the hill.] "
        "[Tomorrow I will bake with {food}.|Now I am tired.|I hope that the sun shines tomorrow.|That was all.||]",
        slots,
    )


def proverb(world: World, rng: Random) -> str:
    slots = {"food": pick(rng, FOODS_MASS), "x": pick(rng, PETS), "trade": pick(rng, TRADES).name, "y": pick(rng, PETS)}
    return fill(
        rng,
        "[An old {x} knows the way home.|Who sleeps long, eats cold {food}.|"
        "The {trade} never praises another {trade}.|"
        "A {x} is no {y}, even at night.|Good {food} needs no song.|When the {x} is away, the {y} dances.|"
        "One coin in the hand is better than two in the lake.|Every road ends at somebody's door.] "
        "[So say the people of the valley.|That is what my grandmother said.|It is as true today as it was then.||]",
        slots,
    )


def weather_page(world: World, rng: Random) -> str:
    slots = {"day": pick(rng, DAYS), "where": pick(rng, PLACES).where, "name": pick(rng, world.people).name}
    return fill(
        rng,
        "The weather [this week|for {day}]: [rain in the morning and sun in the evening|cold wind from the hill|"
        "snow by night|fog until noon|warm and dry|storm over the lake]. "
        "[Bring in your clothes.|{name} says that it will last.|Boats should stay at home.|The path {where} is wet.|"
        "Children, take your hats.]",
        slots,
    )
