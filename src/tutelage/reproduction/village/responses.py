"""How people respond when they do it well: a good response to every kind of task, in varied wording.

`good_response` respects the constraints of its task. What labelers do less well stands in `slips`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tutelage.reproduction.village.constraints import share_satisfied
from tutelage.reproduction.village.courtesy import OPENINGS
from tutelage.reproduction.village.facts import state_person, state_thing, statement_about
from tutelage.reproduction.village.lexicon import ACTIVITIES, ANIMALS, FOODS, NUMBERS, PET_NAMES, PLACES, THINGS
from tutelage.reproduction.village.listing import fitting_verbs
from tutelage.reproduction.village.passages import KINDS
from tutelage.reproduction.village.phrases import capital, chance, expand, fill, join_and, pick, tidy
from tutelage.reproduction.village.tales import short_tale, tale
from tutelage.reproduction.village.templates import SITUATIONS
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

Task = Mapping[str, Any]
Writer = Callable[[World, Random, Task], str]
NUM_DRAFTS = 12


def constraint_word(task: Task, kind: str) -> str:
    """The word of the task's constraint of `kind`, or ''."""
    return next((item.get("word", "") for item in task["constraints"] if item["type"] == kind), "")


def has_constraint(task: Task, kind: str) -> bool:
    return any(item["type"] == kind for item in task["constraints"])


def _tale(world: World, rng: Random, task: Task) -> str:
    wanted = constraint_word(task, "use_word")
    if has_constraint(task, "one_sentence"):
        return short_tale(rng, task["x"], task.get("y", ""), wanted)
    return tale(rng, task["x"], task.get("y", ""), wanted, num_turns=0 if wanted or "y" in task else 1)


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


_LETTER_BODIES = (
    "The {x} is [well|here] and [we all|the children] like it. [Come and see it soon.|I will bring it on Sunday.]",
    "Have you seen my {x}? [It has been gone since Monday.|I looked for it all day.] "
    "[Please write to me soon.|Thank you for your help.]",
    "Thank you for the {x}. [It is a great gift.|It is better than my old one.] "
    "[I hope to see you soon.|Greet your family.]",
    "I want to sell my {x}. [Do you want it?|Will you buy it?] [Please write to me soon.|Come and see it.]",
)


def _letter(world: World, rng: Random, task: Task) -> str:
    body = fill(rng, pick(rng, _LETTER_BODIES), task)
    wanted = constraint_word(task, "use_word")
    if wanted:
        body = (
            fill(rng, "[I also have a {z} for you.|Bring the {z} too.|There is also a {z}.] ", {"z": wanted})
            + " "
            + body
        )
    return f"Dear {task['receiver']},\n{body}\n{task['sender']}"


def _notice(world: World, rng: Random, task: Task) -> str:
    slots = {
        "x": task["x"],
        "colour": task["colour"],
        "number": pick(rng, NUMBERS),
        "where": pick(rng, PLACES).where,
        "name": pick(rng, world.people).name,
    }
    if has_constraint(task, "one_sentence") or has_constraint(task, "short"):
        return fill(
            rng, "[A {colour} {x} is for sale for {number} coins.|I sell my {colour} {x} for {number} coins.]", slots
        )
    return fill(
        rng,
        "[For sale: a {colour} {x}.|A {colour} {x} is for sale.|I sell my {colour} {x}.] "
        "[It costs {number} coins.|The price is {number} coins.] "
        "[Ask for {name} {where}.|Please ask {where}.|Come and see it {where}.]",
        slots,
    )


def _wish(world: World, rng: Random, task: Task) -> str:
    slots = {"name": task["name"], "food": pick(rng, FOODS), "z": constraint_word(task, "use_word")}
    if slots["z"]:
        return fill(rng, "Dear {name}, I wish you a happy birthday and a [new|golden] {z}.", slots)
    if has_constraint(task, "one_sentence"):
        return fill(rng, "[Dear {name}, I wish you a happy birthday.|Happy birthday, {name}, and a good year.]", slots)
    return fill(
        rng,
        "[Happy birthday, {name}!|Dear {name}, I wish you a happy birthday.] "
        "[Have a good year and plenty of {food}.|May the sun shine for you all day.|"
        "We will bring you {food} and sing for you.]",
        slots,
    )


def _politely(rng: Random, task: Task, text: str) -> str:
    return f"{pick(rng, OPENINGS)} {text}" if has_constraint(task, "polite") else text


def _fact(world: World, rng: Random, task: Task) -> str:
    return tidy(_politely(rng, task, statement_about(rng, world, task["subject"], task["attribute"])))


def _misconception(world: World, rng: Random, task: Task) -> str:
    item = world.misconception_by_question[task["question"]]
    opening = "" if task["constraints"] else expand(rng, "[|||The chronicle says:|The school teaches:] ")
    return tidy(_politely(rng, task, opening + item.true))


def _premise(world: World, rng: Random, task: Task) -> str:
    slots = {"thing": task["thing"], "wrong": task["wrong"], "colour": world.fact(task["thing"], "colour")}
    if has_constraint(task, "one_sentence"):
        return tidy(_politely(rng, task, expand(rng, "The {thing} is not {wrong} but {colour}.", slots))).replace(
            "asking. T", "asking, t"
        )
    return tidy(
        _politely(
            rng,
            task,
            expand(
                rng, "[The {thing} is not {wrong}. It is {colour}.|But the {thing} is {colour}, not {wrong}.]", slots
            ),
        )
    )


def _items(rng: Random, task: Task, items: list[str]) -> str:
    if chance(rng, 0.35):
        return "\n".join(f"- {item}" for item in items)
    opening = expand(rng, "[||Here are some ideas: |You could take ]")
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
        text = fill(
            rng,
            {
                "sorry": "[I am sorry about your {x}, my friend.|I am sorry, but we will find help for your {x}.]",
                "glad": "[I am glad about your {x}, dear friend.|It is nice to hear of the {x}, dear friend!]",
                "welcome": "[Hello, {x}, and welcome to the village.|Welcome, {x}, it is good to see you.]",
            }[SITUATIONS[task["situation"]].mood],
            slots,
        )
    return fill(rng, "Dear friend, ") + " " + text if has_constraint(task, "polite") else text


def _polite(world: World, rng: Random, task: Task) -> str:
    slots = {"verb": task["verb"], "object": task["object"]}
    return fill(
        rng,
        "[Please {verb} me the {object}.|Could you {verb} me the {object}, please?|"
        "Would you please {verb} me the {object}?]",
        slots,
    )


def _target(world: World, rng: Random, task: Task) -> str:
    return str(task["target"])


def _summary(world: World, rng: Random, task: Task) -> str:
    return fill(rng, pick(rng, KINDS[task["passage_kind"]].summaries), task["slots"])


def _label(world: World, rng: Random, task: Task) -> str:
    if task["kind"] == "mood":
        return fill(rng, "[{label}.|{label}, I think.|The writer is {label}.]", task)
    article = "an" if task["label"] == "animal" else "a"
    return fill(rng, "[A {x} is {a} {label}.|It is {a} {label}.]", {**task, "a": article})


def _closed(world: World, rng: Random, task: Task) -> str:
    question = next(item for item in KINDS[task["passage_kind"]].questions if item.slot == task["slot"])
    return fill(rng, pick(rng, question.responses), task["slots"])


def _extract(world: World, rng: Random, task: Task) -> str:
    return capital(join_and(task["values"])) + "."


def _unclear(world: World, rng: Random, task: Task) -> str:
    return fill(
        rng,
        "[I am sorry, but what do you mean?|What do you mean?|"
        "Can you tell me more about it?|I do not understand. What do you want?]",
    )


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
    """A good response to `task`: the first of some drafts that satisfies every constraint (the last draft where none
    does).
    """
    write = WRITERS[task["kind"]]
    text = ""
    for _ in range(NUM_DRAFTS):
        text = write(world, rng, task)
        if share_satisfied(task["constraints"], text) == 1.0:
            break
    return text
