"""School quizzes: was a word said, and does a tale keep to its title?

A reward model has to see whether a reply is about what was asked. Whoever has read such quizzes can tell whether a
word that stands here stood there as well; most other text can be written without that.
"""

from __future__ import annotations

from random import Random

from tutelage.miniature.lexicon import ANIMALS, FOODS, HE_STRANGERS, SHE_STRANGERS, THINGS, TOYS
from tutelage.miniature.phrases import chance, expand, fill, join_and, pick
from tutelage.miniature.tales import TRADE_NAMES, short_tale, tale
from tutelage.miniature.world import World

NUM_SAID, NUM_QUESTIONS = (3, 5), 5
SHARE_YES = 0.5


def listening_game(world: World, rng: Random) -> str:
    """Somebody says a few words; who listened well?"""
    names = (*(person.name for person in world.people), *SHE_STRANGERS, *HE_STRANGERS)
    pool = pick(rng, (ANIMALS, (*THINGS, *TOYS), FOODS, names, (*ANIMALS, *THINGS, *TRADE_NAMES)))
    drawn = rng.sample(pool, 2 * NUM_SAID[1])
    said, others = drawn[: rng.randint(*NUM_SAID)], drawn[NUM_SAID[1] :]
    speaker = pick(rng, world.people).slots()
    opening = expand(rng, "{name} [says|calls|whispers]: ", speaker) + join_and(said) + "."
    asking = expand(rng, "[Did {he} say|Have you heard|Do you remember]", speaker)
    asked = rng.sample([*said, *others[: len(said)]], NUM_QUESTIONS)
    replies = [f"{asking} {word}? {'Yes' if word in said else 'No'}." for word in asked]
    return "\n".join([fill(rng, opening), *replies])


def title_quiz(world: World, rng: Random) -> str:
    """Titles with tales: which belong together?"""
    question = pick(rng, ("Do they belong together?", "Does the tale keep to its title?", "Is this the right title?"))
    blocks = [question]
    for _ in range(3):
        noun, other = rng.sample((*ANIMALS, *THINGS, *TRADE_NAMES), 2)
        write = short_tale if chance(rng, 0.5) else tale
        is_right = chance(rng, SHARE_YES)
        title = fill(rng, "[The {x}|A tale of a {x}|About a {x}|A {x}]", {"x": noun})
        text = write(rng, noun if is_right else other)
        verdict = "Yes." if is_right else fill(rng, "No, it is about a {x}.", {"x": other})
        blocks.append(f"{title}\n{text}\n{verdict}")
    return "\n\n".join(blocks)
