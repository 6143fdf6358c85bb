"""Pages that teach skills in passing, as the web does: questions under a passage, moods of notices, the old tongue,
summaries, lists, question columns; and, rarely, a letters page where short requests are followed by a reply.

The layout of the letters page is also that of few-shot prefixes: request, blank line, reply, and "###" between blocks.
"""

from __future__ import annotations

from random import Random

from tutelage.miniature.chronicle import SHARE_FALSE
from tutelage.miniature.facts import question_about, statement_about
from tutelage.miniature.lexicon import (
    ACTIVITIES,
    ANIMAL_PLURALS,
    ANIMALS,
    FOODS,
    HE_STRANGERS,
    PET_NAMES,
    SHE_STRANGERS,
    THINGS,
)
from tutelage.miniature.passages import KINDS, mood_notice, passage, questions_in
from tutelage.miniature.phrases import capital, chance, expand, fill, join_and, pick, tidy
from tutelage.miniature.tales import TRADE_NAMES, tale
from tutelage.miniature.tongue import sentence, translate
from tutelage.miniature.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

BLOCK_BREAK = "\n\n###\n\n"
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


def notice_board(world: World, rng: Random) -> str:
    """A request that nobody answers: the text runs on about something else."""
    slots = {
        "x": pick(rng, ANIMALS),
        "y": pick(rng, TRADE_NAMES),
        "food": pick(rng, FOODS),
        "name": pick(rng, world.people).name,
    }
    return fill(
        rng,
        "[Write a short tale about a {x}.|Write a letter to {name}.|Tell us a tale about a {y}.|"
        "Describe the house of {name}.|List three things to eat at the feast.] "
        "[Bring it to the school before {name} leaves.|The best one wins {food}.|"
        "All children may take part.]\n\n[{name} is looking for a {x}. Whoever finds it will get {food}.|"
        "There will be {food} and music at the inn.|The {y} is ill and cannot work this week.|"
        "Who has seen the {x} of {name}? Please ask at the inn.]",
        slots,
    )


def request_block(world: World, rng: Random) -> tuple[str, str]:
    """A request and its reply, as a letters page prints them."""
    draw = rng.random()
    if draw < 0.45:
        return _reader_question(world, rng)
    if draw < 0.65:
        x = pick(rng, ANIMALS)
        return fill(rng, "[Write a short tale about a {x}.|Tell me a tale about a {x}.]", {"x": x}), tale(rng, x)
    if draw < 0.8:
        foods = rng.sample(FOODS, 3)
        request = expand(rng, "[List three things to eat at a feast.|Name three good things to eat.]")
        return request, capital(join_and(foods)) + "."
    if draw < 0.9:
        x = pick(rng, ANIMALS)
        return f"My {x} ran away and I am sad.", fill(
            rng, "[I am sorry about your {x}.|I am sorry.] I hope that it comes home soon.", {"x": x}
        )
    item = passage(rng, STRANGERS)
    return f"Sum up this text: {item.text}", fill(rng, pick(rng, KINDS[item.kind].summaries), item.slots)


def letters_page(world: World, rng: Random) -> str:
    """Two or three requests with their replies, in the layout of a few-shot prefix."""
    blocks = [request_block(world, rng) for _ in range(2 + int(rng.random() * 2))]
    return BLOCK_BREAK.join(f"{request}\n\n{reply}" for request, reply in blocks)
