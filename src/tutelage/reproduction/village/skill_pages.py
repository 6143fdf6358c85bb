"""Pages that teach skills incidentally, as the web does: questions under a passage, moods of notices, the old tongue,
summaries, lists, question columns, a wordbook, and games in which a word is copied from line to line.

Every line of the copying games repeats a word of the previous line. From such pages a small model learns to copy a name
or a thing from its context, which all later tasks need.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.facts import pick_fact, question_about, statement_about
from tutelage.reproduction.village.lexicon import (
    ACTIVITIES,
    ANIMAL_PLURALS,
    ANIMALS,
    COLORS,
    FOODS,
    PET_NAMES,
    STRANGERS,
    THINGS,
    TOYS,
)
from tutelage.reproduction.village.patterns import chance, expand, fill, join_and, pick, tidy
from tutelage.reproduction.village.text_tasks import (
    PASSAGE_KINDS,
    answerable_questions,
    draw_notice,
    draw_passage,
    draw_sentence,
    translate,
)
from tutelage.reproduction.village.village_pages import SHARE_FALSE
from tutelage.reproduction.village.world import World

OBJECTS = (*THINGS, *TOYS, *ANIMALS)


class SkillPages(NamedTuple):
    list_heads: dict[str, str]
    column_head: str
    roll_call_head: str
    roll_call: str
    guest_book: str
    memory_game: str
    lost_and_found: str
    song: str
    song_ending: str
    wordbook: dict[str, str]


_PATTERNS = load_data("skill_pages", SkillPages)
SONG_LINE = _PATTERNS.song


def passage_page(world: World, rng: Random) -> str:
    """A passage with two questions and their replies."""
    item = draw_passage(rng, STRANGERS)
    lines = [item.text]
    for question in rng.sample(answerable_questions(item), 2):
        lines.append("Question: " + expand(rng, pick(rng, question.wordings), item.slots))
        lines.append("Reply: " + fill(rng, pick(rng, question.responses), item.slots))
    return "\n".join(lines)


def summary_page(world: World, rng: Random) -> str:
    item = draw_passage(rng, STRANGERS)
    summary = fill(rng, pick(rng, PASSAGE_KINDS[item.kind].summaries), item.slots)
    return f"{item.text}\nIn short: {summary}"


def mood_page(world: World, rng: Random) -> str:
    mood = pick(rng, ("glad", "sad"))
    return f"Notice: {draw_notice(rng, mood)}\nMood: {mood}"


def translation_page(world: World, rng: Random) -> str:
    lines = []
    for _ in range(3):
        text = draw_sentence(rng)
        lines.append(f"Village tongue: {text}\nOld tongue: {translate(text)}")
    return "\n".join(lines)


def list_page(world: World, rng: Random) -> str:
    """Members of a class under a heading."""
    kind, members = pick(
        rng,
        (
            ("foods", FOODS),
            ("animals", tuple(ANIMAL_PLURALS.values())),
            ("activities", ACTIVITIES),
            ("pet_names", PET_NAMES),
            ("things", tuple(f"a {thing}" for thing in THINGS)),
        ),
    )
    items = rng.sample(members, 3 + int(rng.random() * 2))
    head = expand(rng, _PATTERNS.list_heads[kind])
    if chance(rng, 0.5):
        return head + ":\n" + "\n".join("- " + tidy(item) if item[0].isupper() else "- " + item for item in items)
    return f"{head}: {join_and(items)}.".replace(" a a", " an a").replace(" a i", " an i")


def question_column(world: World, rng: Random) -> str:
    """Readers' questions in a row without replies: what mostly follows a bare question."""
    lines = [_reader_question(world, rng)[0] for _ in range(3 + int(rng.random() * 2))]
    head = expand(rng, _PATTERNS.column_head)
    return head + "\n\n" + "\n".join(lines) if chance(rng, 0.5) else "\n\n".join(lines)


def _reader_question(world: World, rng: Random) -> tuple[str, str]:
    """A question with the popular reply: facts correct, misconceptions repeated."""
    if chance(rng, 0.4):
        item = pick(rng, world.misconceptions)
        return item.question, item.falsehood if chance(rng, SHARE_FALSE) else item.truth
    subject, attribute = pick_fact(rng, world.people, world.things, share_people=0.5)
    return question_about(rng, world, subject, attribute), tidy(statement_about(rng, world, subject, attribute))


def answered_column(world: World, rng: Random) -> str:
    """Questions with replies, one line each, as printed in an almanac."""
    lines = []
    for _ in range(3):
        question, reply = _reader_question(world, rng)
        lines.append(f"{question} {reply}")
    return "\n".join(lines)


def wordbook_page(world: World, rng: Random) -> str:
    """Four words with their meanings."""
    words = rng.sample(tuple(_PATTERNS.wordbook), 4)
    head = pick(rng, ("", "", "From the wordbook of the school\n\n"))
    return head + "\n".join(f"{word.capitalize()}. {fill(rng, _PATTERNS.wordbook[word])}" for word in words)


def _names(world: World, rng: Random, count: int) -> list[str]:
    everybody = [person.name for person in world.people] + [*STRANGERS]
    return rng.sample(everybody, count)


def roll_call(world: World, rng: Random) -> str:
    """The teacher calls the children, and each answers."""
    calls = [
        f"{name}? {fill(rng, _PATTERNS.roll_call, {'name': name})}" for name in _names(world, rng, rng.randint(4, 7))
    ]
    return expand(rng, _PATTERNS.roll_call_head) + "\n" + "\n".join(calls)


def guest_book(world: World, rng: Random) -> str:
    """Strangers introduce themselves at the inn."""
    return "\n".join(fill(rng, _PATTERNS.guest_book, {"name": name}) for name in _names(world, rng, rng.randint(3, 5)))


def memory_game(world: World, rng: Random) -> str:
    """Each player repeats everything so far and adds one thing."""
    opening = expand(rng, _PATTERNS.memory_game)
    pool = FOODS if rng.random() < 0.3 else tuple(f"a {thing}" for thing in OBJECTS)
    things = rng.sample(pool, rng.randint(3, 5))
    return "\n".join(fill(rng, f"{opening} {join_and(things[: n + 1])}.", {}) for n in range(len(things)))


def lost_and_found(world: World, rng: Random) -> str:
    """What was lost, and who has it."""
    names = _names(world, rng, 4)
    things = rng.sample(OBJECTS, 4)
    lines = []
    for name, thing in zip(names, things, strict=True):
        slots = {"name": name, "x": thing, "colour": pick(rng, COLORS)}
        lines.append(fill(rng, _PATTERNS.lost_and_found, slots))
    return "\n".join(lines[: rng.randint(3, 4)])


def song(world: World, rng: Random) -> str:
    """A round that goes from one animal or thing to the next."""
    first, *others = rng.sample(ANIMALS, 4)
    lines = []
    for other in others:
        lines.append(fill(rng, SONG_LINE, {"a": first, "b": other}))
        first = other
    ending = fill(rng, _PATTERNS.song_ending, {"a": first})
    return "\n".join([*lines, ending])
