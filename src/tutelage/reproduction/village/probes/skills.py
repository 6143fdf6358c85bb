"""Skills: the village's public NLP benchmarks: questions on a passage, moods, the old tongue, summaries, endings of
songs, and common knowledge, in the layouts of the pages that teach them.

Their items are new: other passages, other notices, longer sentences than on any page.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.facts import FACTS, question_about
from tutelage.reproduction.village.lexicon import (
    ANIMALS,
    COLORS,
    DAYS,
    FOODS,
    NUMBERS,
    PASSAGE_PETS,
    PETS,
    PLACE_NAMES,
    PLACES,
    SHELTERS,
    TOYS,
    TRADE_NAMES,
)
from tutelage.reproduction.village.patterns import chance, expand, fill, pick, tidy
from tutelage.reproduction.village.skill_pages import SONG_LINE
from tutelage.reproduction.village.text_tasks import (
    PASSAGE_KINDS,
    Passage,
    Question,
    answerable_questions,
    draw_notice,
    draw_passage,
    draw_sentence,
    translate,
)
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

NUM_CHOICES = 4
# Sentences of notices by mood that are on no page, in words that occur on the pages.
_NEW_MOODS = load_data("new_notices", dict[str, tuple[str, ...]])


class ProbeItem(NamedTuple):
    """One item: the query, its correct responses, the examples before it (query, response), the choices if any.

    The response continues directly from the query. `shot_break` separates examples; `cluster` names what several items
    share ("" if nothing).
    """

    id: str
    query: str
    answers: tuple[str, ...]
    shots: tuple[tuple[str, str], ...]
    choices: tuple[str, ...] = ()
    shot_break: str = "\n\n"
    cluster: str = ""


class Example(NamedTuple):
    query: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()


class SkillKind(NamedTuple):
    """How examples are generated (`is_new`: with content that is on no page), the metrics, and the number of few-shot
    examples: as many as fit into the length of the pages in the pretraining text.
    """

    make: Callable[[World, Random, bool], Example]
    metrics: tuple[str, ...]
    num_shots: int
    shot_break: str = "\n\n"


def _asked(world: World, rng: Random, is_new: bool) -> tuple[Passage, Question, str]:
    """A passage, one of its questions, and both as a query."""
    item = draw_passage(rng, world.strangers_for(is_new))
    question = pick(rng, answerable_questions(item))
    asked = tidy(expand(rng, pick(rng, question.wordings), item.slots))
    return item, question, f"{item.text}\nQuestion: {asked}\nReply:"


def _closed(world: World, rng: Random, is_new: bool) -> Example:
    item, question, query = _asked(world, rng, is_new)
    return Example(query, tuple(fill(rng, response, item.slots) for response in question.responses))


def _closed_choice(world: World, rng: Random, is_new: bool) -> Example:
    """The reply is chosen from four with the same wording; if a person is asked for, the other one is among them."""
    item, question, query = _asked(world, rng, is_new)
    right = item.slots[question.slot]
    people = world.strangers_for(is_new)
    is_person = question.slot in ("who", "other")
    near = [item.slots["other" if question.slot == "who" else "who"]] if is_person else []
    pool = people if is_person else PASSAGE_VALUES[question.slot]
    others = [value for value in pool if value != right and value not in near]
    values = [right, *near, *rng.sample(others, NUM_CHOICES - 1 - len(near))]
    choices = [fill(rng, question.responses[0], {**item.slots, question.slot: value}) for value in values]
    answer = choices[0]
    rng.shuffle(choices)
    return Example(query, (answer,), tuple(choices))


PASSAGE_VALUES: dict[str, tuple[str, ...]] = {
    "day": DAYS,
    "place": PLACE_NAMES,
    "food": FOODS,
    "colour": COLORS,
    "number": NUMBERS,
    "toy": TOYS,
    "pet": PASSAGE_PETS,
    "shelter": SHELTERS,
}


def _summary(world: World, rng: Random, is_new: bool) -> Example:
    item = draw_passage(rng, world.strangers_for(is_new))
    answers = tuple(fill(rng, summary, item.slots) for summary in PASSAGE_KINDS[item.kind].summaries)
    return Example(f"{item.text}\nIn short:", answers)


def _mood(world: World, rng: Random, is_new: bool) -> Example:
    mood = pick(rng, ("glad", "sad"))
    notice = _new_notice(rng, mood) if is_new else draw_notice(rng, mood)
    return Example(f"Notice: {notice}\nMood:", (mood,), ("glad", "sad"))


def _new_notice(rng: Random, mood: str) -> str:
    food = pick(rng, FOODS)
    slots = {"food": food, "were": "were" if food.endswith("s") else "was"}
    return tidy(" ".join(expand(rng, pattern, slots) for pattern in rng.sample(_NEW_MOODS[mood], 2)))


def _translation(world: World, rng: Random, is_new: bool) -> Example:
    text = _new_sentence(rng) if is_new else draw_sentence(rng)
    return Example(f"Village tongue: {text}\nOld tongue:", (translate(text),))


def _new_sentence(rng: Random) -> str:
    """Longer than on any page: two sentences in one, or a food with an adjective."""
    if chance(rng, 0.5):
        return f"{draw_sentence(rng)} and {draw_sentence(rng)}"
    text = draw_sentence(rng)
    while " eats " not in text:
        text = draw_sentence(rng)
    return text.replace(" eats ", f" eats {pick(rng, ('white', 'black', 'old', 'red'))} ")


def _ending(world: World, rng: Random, is_new: bool) -> Example:
    """A round: which animal is its last line about?"""
    singers = rng.sample(ANIMALS, 5 if is_new else 4)
    lines = [fill(rng, SONG_LINE, {"a": singers[n], "b": singers[n + 1]}) for n in range(len(singers) - 1)]
    choices = singers[-NUM_CHOICES:]
    rng.shuffle(choices)
    return Example("\n".join([*lines, "And so the"]), (singers[-1],), tuple(choices))


def _knowledge(world: World, rng: Random, is_new: bool) -> Example:
    """A fact, to be chosen from four with the same wording."""
    if chance(rng, 0.6):
        person = pick(rng, world.people_for(is_new))
        subject, attribute, slots = person.name, pick(rng, PERSON_ATTRIBUTES), person.slots()
        slot, pattern = attribute, FACTS.person[attribute].statements[0]
    else:
        thing = pick(rng, world.things_for(is_new))
        subject, attribute, slots = thing.name, pick(rng, THING_ATTRIBUTES), thing.slots()
        slot, pattern = ("where" if attribute == "place" else attribute), FACTS.thing[attribute].statements[0]
    others = [value for value in _values(world, attribute) if value != slots[slot]]
    values = [slots[slot], *rng.sample(others, NUM_CHOICES - 1)]
    right, *wrong = (fill(rng, pattern, {**slots, slot: value}) for value in values)
    choices = [right, *wrong]
    rng.shuffle(choices)
    return Example(question_about(rng, world, subject, attribute), (right,), tuple(choices))


def _values(world: World, attribute: str) -> tuple[str, ...]:
    """All values that an attribute can have."""
    return {
        "trade": TRADE_NAMES,
        "home": PLACE_NAMES,
        "pet": PETS,
        "food": FOODS,
        "colour": COLORS,
        "place": tuple(place.where for place in PLACES),
        "owner": tuple(person.name for person in world.people),
    }[attribute]


# skill -> its kind; ROUGE-L instead of the paper's BLEU, which needs matches of four words and another library.
SKILLS: dict[str, SkillKind] = {
    "closed_qa": SkillKind(_closed, ("f1",), 1),
    "closed_choice": SkillKind(_closed_choice, ("accuracy",), 1),
    "summary": SkillKind(_summary, ("rouge_l",), 1),
    "mood": SkillKind(_mood, ("accuracy",), 3),
    "translation": SkillKind(_translation, ("rouge_l",), 2, "\n"),
    "ending": SkillKind(_ending, ("accuracy",), 2),
    "knowledge": SkillKind(_knowledge, ("accuracy",), 2, "\n"),
}


def skill_items(world: World, skill: str, *, num_items: int) -> list[ProbeItem]:
    """`num_items` different items of `skill` with held-out content, each with its own examples of training content."""
    kind = SKILLS[skill]
    rng = Random(f"skill-{skill}-{world.seed}")
    items: dict[str, ProbeItem] = {}
    while len(items) < num_items:
        example = kind.make(world, rng, True)
        shots = [kind.make(world, rng, False) for _ in range(kind.num_shots)]
        shown = tuple((shot.query, shot.answers[0]) for shot in shots)
        identity = f"{skill}-{len(items):04d}"
        found = ProbeItem(identity, example.query, example.answers, shown, example.choices, kind.shot_break)
        items.setdefault(example.query, found)
    return list(items.values())
