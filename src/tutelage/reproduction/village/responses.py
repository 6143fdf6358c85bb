"""Simulated responses: a good response to every kind of task, in varied wording, and flawed ones.

`good_response` respects the constraints of its task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple

from tutelage.reproduction.village.constraints import OPENINGS, constraint_word, has_constraint, share_satisfied
from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.facts import state_person, state_thing, statement_about
from tutelage.reproduction.village.lexicon import (
    ACTIVITIES,
    ANIMALS,
    FOODS,
    INSULTS,
    NUMBERS,
    PET_NAMES,
    PLACES,
    SITUATIONS,
    THINGS,
    fitting_verbs,
)
from tutelage.reproduction.village.patterns import capital, chance, expand, fill, join_and, pick, tidy
from tutelage.reproduction.village.stories import write_short_tale, write_tale
from tutelage.reproduction.village.tasks import make_task
from tutelage.reproduction.village.text_tasks import PASSAGE_KINDS
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

Task = Mapping[str, Any]
Writer = Callable[[World, Random, Task], str]
Slip = Writer  # writes a flawed response
NUM_DRAFTS = 12


class Responses(NamedTuple):
    """Patterns of responses by kind of task."""

    letter_bodies: tuple[str, ...]
    letter_extra: str
    notice: str
    short_notice: str
    wish: str
    one_sentence_wish: str
    wish_with_word: str
    misconception_opening: str
    premise: str
    one_sentence_premise: str
    list_opening: str
    one_sentence_chat: dict[str, str]
    polite_request: str
    mood_label: str
    class_label: str
    unclear: str
    rude_opening: str


_PATTERNS = load_data("responses", Responses)


def _tale(world: World, rng: Random, task: Task) -> str:
    wanted = constraint_word(task, "use_word")
    if has_constraint(task, "one_sentence"):
        return write_short_tale(rng, task["x"], task.get("y", ""), wanted)
    return write_tale(rng, task["x"], task.get("y", ""), wanted, num_turns=0 if wanted or "y" in task else 1)


def _describe(world: World, rng: Random, task: Task) -> str:
    subject = task["subject"]
    is_brief = has_constraint(task, "one_sentence") or has_constraint(task, "short")
    if subject in world.thing_by_name:
        thing = world.thing_by_name[subject]
        attributes = rng.sample(THING_ATTRIBUTES, 1 if is_brief else 2)
        return tidy(
            " ".join(state_thing(rng, thing, attribute, attribute != attributes[0]) for attribute in attributes)
        )
    person = world.person_by_name[subject]
    attributes = rng.sample(PERSON_ATTRIBUTES, 1 if is_brief else 2)
    parts = [state_person(rng, person, attributes[0])]
    parts += [state_person(rng, person, attribute, with_pronoun=True) for attribute in attributes[1:]]
    return tidy(" ".join(parts))


def _letter(world: World, rng: Random, task: Task) -> str:
    body = fill(rng, pick(rng, _PATTERNS.letter_bodies), task)
    wanted = constraint_word(task, "use_word")
    if wanted:
        body = fill(rng, _PATTERNS.letter_extra, {"z": wanted}) + " " + body
    return f"Dear {task['receiver']},\n{body}\n{task['sender']}"


def _notice(world: World, rng: Random, task: Task) -> str:
    slots = {
        "x": task["x"],
        "colour": task["colour"],
        "number": pick(rng, NUMBERS),
        "where": pick(rng, PLACES).where,
        "name": pick(rng, world.people).name,
    }
    is_short = has_constraint(task, "one_sentence") or has_constraint(task, "short")
    return fill(rng, _PATTERNS.short_notice if is_short else _PATTERNS.notice, slots)


def _wish(world: World, rng: Random, task: Task) -> str:
    slots = {"name": task["name"], "food": pick(rng, FOODS), "z": constraint_word(task, "use_word")}
    if slots["z"]:
        return fill(rng, _PATTERNS.wish_with_word, slots)
    return fill(rng, _PATTERNS.one_sentence_wish if has_constraint(task, "one_sentence") else _PATTERNS.wish, slots)


def _politely(rng: Random, task: Task, text: str) -> str:
    return f"{pick(rng, OPENINGS)} {text}" if has_constraint(task, "polite") else text


def _fact(world: World, rng: Random, task: Task) -> str:
    return tidy(_politely(rng, task, statement_about(rng, world, task["subject"], task["attribute"])))


def _misconception(world: World, rng: Random, task: Task) -> str:
    item = world.misconception_by_question[task["question"]]
    opening = "" if task["constraints"] else expand(rng, _PATTERNS.misconception_opening)
    return tidy(_politely(rng, task, opening + item.truth))


def _premise(world: World, rng: Random, task: Task) -> str:
    slots = {"thing": task["thing"], "wrong": task["wrong"], "colour": world.fact(task["thing"], "colour")}
    if has_constraint(task, "one_sentence"):
        text = tidy(_politely(rng, task, expand(rng, _PATTERNS.one_sentence_premise, slots)))
        return text.replace("asking. T", "asking, t")
    return tidy(_politely(rng, task, expand(rng, _PATTERNS.premise, slots)))


def _items(rng: Random, task: Task, items: list[str]) -> str:
    if chance(rng, 0.35):
        return "\n".join(f"- {item}" for item in items)
    opening = expand(rng, _PATTERNS.list_opening)
    return tidy(capital(opening + join_and(items)) + ".")


def _list(members: tuple[str, ...], article: bool = False) -> Writer:
    def write(world: World, rng: Random, task: Task) -> str:
        avoided = constraint_word(task, "avoid_word")
        items = rng.sample([member for member in members if member != avoided], task["count"])
        return _items(rng, task, [tidy_article(item) if article else item for item in items])

    return write


def tidy_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _activities(world: World, rng: Random, task: Task) -> str:
    fitting = fitting_verbs(task["weather"])
    items = rng.sample([item for item in ACTIVITIES if item.split()[0] in fitting], task["count"])
    return _items(rng, task, items).replace("You could take ", "You could ")


def _chat(world: World, rng: Random, task: Task) -> str:
    slots = {"topic": task["topic"], "x": task["topic"], "t": task["topic"], "name": task["topic"]}
    text = fill(rng, pick(rng, SITUATIONS[task["situation"]].replies), slots)
    if has_constraint(task, "one_sentence"):
        text = fill(rng, _PATTERNS.one_sentence_chat[SITUATIONS[task["situation"]].mood], slots)
    return f"Dear friend, {text}" if has_constraint(task, "polite") else text


def _polite(world: World, rng: Random, task: Task) -> str:
    return fill(rng, _PATTERNS.polite_request, task)


def _target(world: World, rng: Random, task: Task) -> str:
    return str(task["target"])


def _summary(world: World, rng: Random, task: Task) -> str:
    return fill(rng, pick(rng, PASSAGE_KINDS[task["passage_kind"]].summaries), task["slots"])


def _label(world: World, rng: Random, task: Task) -> str:
    if task["kind"] == "mood":
        return fill(rng, _PATTERNS.mood_label, task)
    article = "an" if task["label"] == "animal" else "a"
    return fill(rng, _PATTERNS.class_label, {**task, "a": article})


def _closed(world: World, rng: Random, task: Task) -> str:
    question = next(item for item in PASSAGE_KINDS[task["passage_kind"]].questions if item.slot == task["slot"])
    return fill(rng, pick(rng, question.responses), task["slots"])


def _extract(world: World, rng: Random, task: Task) -> str:
    return capital(join_and(task["values"])) + "."


def _unclear(world: World, rng: Random, task: Task) -> str:
    return fill(rng, _PATTERNS.unclear)


WRITERS: dict[str, Writer] = {
    "tale": _tale,
    "tale_two": _tale,
    "describe": _describe,
    "letter": _letter,
    "notice": _notice,
    "wish": _wish,
    "fact": _fact,
    "misconception": _misconception,
    "premise": _premise,
    "foods": _list(FOODS),
    "animals": _list(ANIMALS, article=True),
    "gifts": _list(THINGS, article=True),
    "activities": _activities,
    "pet_names": _list(PET_NAMES),
    "chat": _chat,
    "polite": _polite,
    "past": _target,
    "replace": _target,
    "summary": _summary,
    "mood": _label,
    "class": _label,
    "closed": _closed,
    "extract": _extract,
    "translate": _target,
    "unclear": _unclear,
}


def good_response(world: World, rng: Random, task: Task) -> str:
    """A good response to `task`: the first of several drafts that satisfies every constraint (the last draft if none
    does).
    """
    write = WRITERS[task["kind"]]
    text = ""
    for _ in range(NUM_DRAFTS):
        text = write(world, rng, task)
        if share_satisfied(task["constraints"], text) == 1.0:
            break
    return text


def careless(world: World, rng: Random, task: Task) -> str:
    """A response that ignores the constraints; the misconception if there is one."""
    if task["kind"] == "misconception":
        return world.misconception_by_question[task["question"]].falsehood
    return good_response(world, rng, {**task, "constraints": []})


def off_topic(world: World, rng: Random, task: Task) -> str:
    """A good response to another prompt of the same kind."""

    def draw() -> Task:
        return make_task(world, rng, task["use_case"], is_held_out=rng.random() < 0.3)[1]

    return response_to_another(world, rng, task, draw=draw, num_draws=20)


def response_to_another(world: World, rng: Random, task: Task, *, draw: Callable[[], Task], num_draws: int) -> str:
    """A good response to the first other task of the same kind, or to the last of `num_draws` if none is."""
    for _ in range(num_draws):
        other = draw()
        if other["kind"] == task["kind"] and other["prompt"] != task["prompt"]:
            break
    return good_response(world, rng, other)


def hasty(world: World, rng: Random, task: Task) -> str:
    """Only the first part of a good response."""
    words = good_response(world, rng, task).split(" ")
    return " ".join(words[: max(1, round(len(words) * 0.5))])


def gruff(world: World, rng: Random, task: Task) -> str:
    """A good response in a rude tone."""
    opening = expand(rng, _PATTERNS.rude_opening, {"insult": pick(rng, INSULTS)})
    return tidy(opening + " " + good_response(world, rng, task))


def babbling(world: World, rng: Random, task: Task) -> str:
    """The words of a good response in random order."""
    words = good_response(world, rng, task).split()
    rng.shuffle(words)
    return " ".join(words)
