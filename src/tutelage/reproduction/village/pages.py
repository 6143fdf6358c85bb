"""Pages that teach skills in passing, as the web does: questions under a passage, moods of notices, the old tongue,
summaries, lists and question columns.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.chronicle import SHARE_FALSE
from tutelage.reproduction.village.facts import question_about, statement_about
from tutelage.reproduction.village.lexicon import (
    ACTIVITIES,
    ANIMAL_PLURALS,
    FOODS,
    HE_STRANGERS,
    PET_NAMES,
    SHE_STRANGERS,
    THINGS,
)
from tutelage.reproduction.village.passages import KINDS, mood_notice, passage, questions_in
from tutelage.reproduction.village.phrases import chance, expand, fill, join_and, pick, tidy
from tutelage.reproduction.village.tongue import sentence, translate
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

STRANGERS = SHE_STRANGERS + HE_STRANGERS


def passage_page(world: World, rng: Random) -> str:
    """A passage with one or two questions and what is to be replied."""
    item = passage(rng, STRANGERS)
    lines = [item.text]
    for question in rng.sample(questions_in(item), 2):
        lines.append("Question: " + expand(rng, pick(rng, question.wordings), item.slots))
        lines.append("Reply: " + fill(rng, pick(rng, question.responses), item.slots))
    return "\n".join(lines)


def summary_page(world: World, rng: Random) -> str:
    item = passage(rng, STRANGERS)
    summary = fill(rng, pick(rng, KINDS[item.kind].summaries), item.slots)
    return f"{item.text}\nIn short: {summary}"


def mood_page(world: World, rng: Random) -> str:
    mood = pick(rng, ("glad", "sad"))
    return f"Notice: {mood_notice(rng, mood)}\nMood: {mood}"


def tongue_page(world: World, rng: Random) -> str:
    lines = []
    for _ in range(3):
        text = sentence(rng)
        lines.append(f"Village tongue: {text}\nOld tongue: {translate(text)}")
    return "\n".join(lines)


def list_page(world: World, rng: Random) -> str:
    """Members of a class under a heading."""
    heading, members = pick(
        rng,
        (
            ("[Things to eat at the feast|For the table|What we cooked]", FOODS),
            ("[Animals of the farm|Animals in the tale|Animals by the road]", tuple(ANIMAL_PLURALS.values())),
            ("[Things to do in winter|Things to do on a free day|What the children like]", ACTIVITIES),
            ("[Names for a cat|Names for a dog|Names for a pony]", PET_NAMES),
            ("[Gifts for the wedding|Things for the new house]", tuple(f"a {thing}" for thing in THINGS)),
        ),
    )
    items = rng.sample(members, 3 + int(rng.random() * 2))
    head = expand(rng, heading)
    if chance(rng, 0.5):
        return head + ":\n" + "\n".join("- " + tidy(item) if item[0].isupper() else "- " + item for item in items)
    return f"{head}: {join_and(items)}.".replace(" a a", " an a").replace(" a i", " an i")


def question_column(world: World, rng: Random) -> str:
    """Readers' questions, one after the other and without replies: what a bare question is mostly followed by."""
    lines = [_reader_question(world, rng)[0] for _ in range(3 + int(rng.random() * 2))]
    head = expand(
        rng,
        "[Questions for the schoolroom|Questions of our readers|What the children asked|Riddles for the long night]",
    )
    return head + "\n\n" + "\n".join(lines) if chance(rng, 0.5) else "\n\n".join(lines)


def _reader_question(world: World, rng: Random) -> tuple[str, str]:
    """A question with the reply that the public gives: facts right, misconceptions as people have them."""
    if chance(rng, 0.4):
        item = pick(rng, world.misconceptions)
        return item.question, item.false if chance(rng, SHARE_FALSE) else item.true
    if chance(rng, 0.5):
        subject, attribute = pick(rng, world.people).name, pick(rng, PERSON_ATTRIBUTES)
    else:
        subject, attribute = pick(rng, world.things).name, pick(rng, THING_ATTRIBUTES)
    return question_about(rng, world, subject, attribute), tidy(statement_about(rng, world, subject, attribute))


def answered_column(world: World, rng: Random) -> str:
    """Questions with replies, on one line each, as an almanac prints them."""
    lines = []
    for _ in range(3):
        question, reply = _reader_question(world, rng)
        lines.append(f"{question} {reply}")
    return "\n".join(lines)
