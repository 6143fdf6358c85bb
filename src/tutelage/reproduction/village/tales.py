"""Short tales, which state no fact of the village.

A tale is put together from opening, turn and ending, so that a subject, a second subject and a wanted word can stand
in it. The same grammar writes tales of the pretraining text and of demonstrations.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.lexicon import ANIMALS, FOODS, PLACES, THINGS, TRADES
from tutelage.reproduction.village.phrases import chance, expand, fill, pick, tidy
from tutelage.reproduction.village.world import World

ADJECTIVES = (
    "old",
    "young",
    "small",
    "clever",
    "lazy",
    "hungry",
    "proud",
    "lonely",
    "brave",
    "quiet",
    "grumpy",
    "tired",
)
THING_ADJECTIVES = ("old", "small", "broken", "golden", "heavy", "lost", "strange", "rusty")

ANIMAL_OPENINGS = (
    "Once there was a {adj} {x} that lived {where}.",
    "A {adj} {x} lived {where}.",
    "One night a {adj} {x} came to the village.",
    "Long ago a {adj} {x} walked {where}.",
    "There was a {x} that [could not sleep|loved the rain|was afraid of the dark|wanted to be king].",
    "Nobody knew where the {adj} {x} came from.",
    "In a cold winter, a {adj} {x} knocked at the door of the inn.",
)
PERSON_OPENINGS = (
    "Once there was a {adj} {x} who lived {where}.",
    "A {adj} {x} lived {where}.",
    "One night a {adj} {x} came to the village.",
    "There was a {x} who [could not sleep|never laughed|was afraid of the dark|had no friends].",
    "In the last house of the valley lived a {adj} {x}.",
    "Long ago a {adj} {x} sat {where} and cried.",
)
THING_OPENINGS = (
    "Once a child found a {adj} {x} {where}.",
    "Long ago a {adj} {x} lay {where}.",
    "There was a {adj} {x} that [could sing|nobody wanted|shone at night].",
    "One night a {adj} {x} was left {where}.",
    "A traveller brought a {adj} {x} to the village.",
    "Under the floor of the old house lay a {adj} {x}.",
)
ANIMAL_TURNS = (
    "Every day it looked for [a friend|{food}|a warm place], but it found nothing.",
    "It [hid|ran away|hid behind a tree] when the storm came.",
    "It stole {food} and the cook was angry.",
    "One morning it [lost its way|fell into the water|heard a song].",
    "The children brought it {food}.",
    "It dreamed of {food} and of far islands.",
    "When the snow came, it had no bed.",
    "It told everybody that it could fly.",
)
PERSON_TURNS = (
    "One morning {he} lost {his} way in the snow.",
    "{he} worked all day and sang all night.",
    "{he} wanted to see the islands, but {he} had no boat.",
    "A stranger gave {him} {food} and a coin.",
    "One day {he} heard a song [from the hill|under the ice].",
    "{he} hid a coin under a stone and forgot where.",
    "All the neighbours laughed at {him}.",
)
THING_TURNS = (
    "Whoever held it could hear the [sea|wind|birds].",
    "Everybody wanted it, but nobody could carry it.",
    "One day it fell into the water and was gone.",
    "The people [hid|washed|sold] it, and the rain stopped.",
    "Two brothers fought about it for seven years.",
    "A thief took it and brought it back the same night.",
)
SECOND_TURNS = (
    "Then it met a {y}, and they shared {food}.",
    "A {y} came by and [laughed|waited|asked for {food}].",
    "Next to it there was a {y}.",
    "Only the {y} knew the secret.",
    "It was afraid of a {y}, but the {y} was [kind|asleep|only a dream].",
    "A {y} showed it the way.",
)
THING_SECOND_TURNS = (
    "A {y} came by and [wanted it|laughed|asked for {food}].",
    "Next to it slept a {y}.",
    "Only the {y} knew the secret.",
    "A {y} carried it home.",
)
PERSON_SECOND_TURNS = (
    "Then {he} met a {y}, and they became friends.",
    "A {y} came by and [laughed|waited|asked for {food}].",
    "In {his} house there was a {y}.",
    "Only the {y} knew {his} secret.",
    "A {y} showed {him} the way.",
)
EXTRA_TURNS = (
    "There was also a {z} on the road.",
    "Nearby stood a {z}.",
    "Somebody had left a {z} there.",
    "It all began with a {z}.",
    "Nobody saw the {z} behind the door.",
)
ENDINGS = (
    "From that day on, there was always a light {where2}.",
    "In the end they danced until morning.",
    "And so the winter passed.",
    "At last they all went home and slept.",
    "In the end everybody got {food}.",
    "Nobody ever saw the {x} again.",
    "Since then the people [tell|sing] of the {x}.",
    "The next day the sun came out, and all was well.",
    "The bells rang, and nobody was sad any more.",
    "If you listen at night, you can still hear it.",
    "And that is why nobody goes there in the dark.",
)
ONE_SENTENCE_TALES = {
    "animal": (
        "A {adj} {x} [lost its way|hid from the storm] and found {food} {where}.",
        "Once a {adj} {x} lived {where} and [sang to the moon|was afraid of the dark].",
    ),
    "person": (
        "A {adj} {x} [lost {his} way|walked all night] and found {food} {where}.",
        "Once a {adj} {x} lived {where} and [sang to the moon|was afraid of the dark].",
    ),
    "thing": (
        "A child found a {adj} {x} {where} and [hid it under the bed|gave it away].",
        "Once a {adj} {x} lay {where} until somebody [took it home|painted it].",
    ),
}
ONE_SENTENCE_SECOND = ("and met a {y}", "together with a {y}", "next to a {y}")

TRADE_NAMES = tuple(trade.name for trade in TRADES)


def subject_kind(noun: str) -> str:
    """ "animal", "person" or "thing": what a tale may say about `noun`."""
    if noun in ANIMALS:
        return "animal"
    return "person" if noun in TRADE_NAMES else "thing"


def tale_slots(rng: Random, x: str, y: str = "", z: str = "") -> dict[str, str]:
    kind = subject_kind(x)
    share_she = {trade.name: trade.share_she for trade in TRADES}.get(x, 0.0)
    is_she = kind == "person" and chance(rng, share_she)
    first, second = rng.sample(PLACES, 2)
    he, him, his = ("she", "her", "her") if is_she else ("he", "him", "his")
    adjective = pick(rng, THING_ADJECTIVES if kind == "thing" else ADJECTIVES)
    slots = {"x": x, "y": y, "z": z, "adj": adjective, "food": pick(rng, FOODS), "he": he, "him": him, "his": his}
    return {**slots, "where": first.where, "where2": second.where}


def tale(rng: Random, x: str, y: str = "", z: str = "", *, num_turns: int = 1) -> str:
    """A tale about `x`, with `y` as a second subject and the word `z` in it where they are given."""
    kind = subject_kind(x)
    openings = {"animal": ANIMAL_OPENINGS, "person": PERSON_OPENINGS, "thing": THING_OPENINGS}[kind]
    turns = {"animal": ANIMAL_TURNS, "person": PERSON_TURNS, "thing": THING_TURNS}[kind]
    patterns = [pick(rng, openings), *rng.sample(turns, num_turns)]
    if y:
        second = {"animal": SECOND_TURNS, "person": PERSON_SECOND_TURNS, "thing": THING_SECOND_TURNS}[kind]
        patterns.append(pick(rng, second))
    if z:
        patterns.insert(1, pick(rng, EXTRA_TURNS))
    patterns.append(pick(rng, ENDINGS))
    slots = tale_slots(rng, x, y, z)
    return tidy(" ".join(expand(rng, pattern, slots) for pattern in patterns))


def short_tale(rng: Random, x: str, y: str = "", z: str = "") -> str:
    """A tale in one sentence."""
    slots = tale_slots(rng, x, y, z)
    text = expand(rng, pick(rng, ONE_SENTENCE_TALES[subject_kind(x)]), slots)
    for word in (y, z):
        if word:
            text = text.rstrip(".") + " " + expand(rng, pick(rng, ONE_SENTENCE_SECOND), {"y": word}) + "."
    return tidy(text)


def tale_page(world: World, rng: Random) -> str:
    """A tale of the pretraining text, sometimes with a title."""
    nouns = ANIMALS + THINGS + TRADE_NAMES
    x = pick(rng, nouns)
    y = pick(rng, ANIMALS) if chance(rng, 0.4) else ""
    z = pick(rng, THINGS) if chance(rng, 0.3) else ""
    text = tale(rng, x, "" if y == x else y, "" if z == x else z, num_turns=1 + chance(rng, 0.6))
    if chance(rng, 0.3):
        return fill(rng, "[The {x}|A tale of a {x}|About a {x}]", {"x": x}) + "\n\n" + text
    return text
