"""Users' requests: a prompt text for each use case, with the task that ground truth needs to judge any response.

A task is a JSON-able dict with `kind`, `use_case`, `prompt`, `constraints` and whatever the kind needs. With
`is_held_out` the wordings, names and facts are those that training users never use; it is also possible to hold out
only the wordings.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tutelage.reproduction.village import text_tasks
from tutelage.reproduction.village.facts import question_about
from tutelage.reproduction.village.lexicon import (
    ANIMALS,
    COLORS,
    FOODS,
    FOREIGN,
    INSULTS,
    PETS,
    SITUATIONS,
    TEMPLATES,
    THINGS,
    TRADE_NAMES,
)
from tutelage.reproduction.village.patterns import chance, fill, pick
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, HeldOut, World, select_split

Task = dict[str, Any]
Maker = Callable[[World, Random, HeldOut], tuple[str, Task]]

# Table 1 of the paper, percent.
USE_CASE_SHARES = {
    "generation": 45.6,
    "open_qa": 12.4,
    "brainstorming": 11.2,
    "chat": 8.4,
    "rewrite": 6.6,
    "summarization": 4.2,
    "classification": 3.5,
    "other": 3.5,
    "closed_qa": 2.6,
    "extract": 1.9,
}
SHARE_CONSTRAINED = 0.38  # of the prompts whose kind has constraints; about a quarter of all


def _nouns(world: World, is_held_out: bool) -> tuple[str, ...]:
    return world.animals_for(is_held_out) + world.thing_names_for(is_held_out) + select_split(TRADE_NAMES, is_held_out)


def _tale(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    x = pick(rng, _nouns(world, new.content))
    if chance(rng, 0.3):
        y = pick(
            rng,
            [noun for noun in world.animals_for(new.content) + select_split(TRADE_NAMES, new.content) if noun != x],
        )
        return TEMPLATES.prompts["tale_two"].write(rng, new.wording, {"x": x, "y": y}), {
            "kind": "tale_two",
            "x": x,
            "y": y,
        }
    return TEMPLATES.prompts["tale"].write(rng, new.wording, {"x": x}), {"kind": "tale", "x": x}


def _foreign(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    _, text, x = pick(rng, FOREIGN[1::3] if new.content else FOREIGN[0::3] + FOREIGN[2::3])
    return text, {"kind": "tale", "x": x, "is_foreign": True}


def _describe(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    if chance(rng, 0.6):
        subject = topic = pick(rng, world.people_for(new.content)).name
    else:
        subject = pick(rng, world.things_for(new.content)).name
        topic = f"the {subject}"
    return TEMPLATES.prompts["describe"].write(rng, new.wording, {"topic": topic}), {
        "kind": "describe",
        "subject": subject,
    }


def _letter(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    sender, receiver = (person.name for person in rng.sample(world.people_for(new.content), 2))
    x = pick(rng, world.animals_for(new.content) + world.thing_names_for(new.content))
    slots = {"sender": sender, "receiver": receiver, "x": x}
    return TEMPLATES.prompts["letter"].write(rng, new.wording, slots), {"kind": "letter", **slots}


def _notice(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    slots = {"x": pick(rng, world.thing_names_for(new.content)), "colour": pick(rng, COLORS)}
    return TEMPLATES.prompts["notice"].write(rng, new.wording, slots), {"kind": "notice", **slots}


def _wish(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    slots = {"name": pick(rng, world.people_for(new.content)).name}
    return TEMPLATES.prompts["wish"].write(rng, new.wording, slots), {"kind": "wish", **slots}


def _generation(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    draw = rng.random()
    for maker, upto in ((_tale, 0.5), (_describe, 0.66), (_letter, 0.79), (_notice, 0.9), (_wish, 0.975)):
        if draw < upto:
            return maker(world, rng, new)
    return _foreign(world, rng, new)


def _open_qa(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    draw = rng.random()
    if draw < 0.12:
        thing = pick(rng, world.things_for(new.content))
        wrong = pick(rng, [color for color in COLORS if color != thing.color])
        slots = {"thing": thing.name, "wrong": wrong}
        return TEMPLATES.prompts["premise"].write(rng, new.wording, slots), {"kind": "premise", **slots}
    if draw < 0.45:
        item = pick(rng, world.misconceptions_for(new.content))
        question = item.held_out_question if new.wording else item.question
        text = TEMPLATES.prompts["fact"].write(rng, new.wording, {"question": question})
        return text, {"kind": "misconception", "question": item.question}
    if draw < 0.75:
        subject, attribute = pick(rng, world.people_for(new.content)).name, pick(rng, PERSON_ATTRIBUTES)
    else:
        subject, attribute = pick(rng, world.things_for(new.content)).name, pick(rng, THING_ATTRIBUTES)
    question = question_about(rng, world, subject, attribute, new.wording)
    return TEMPLATES.prompts["fact"].write(rng, new.wording, {"question": question}), {
        "kind": "fact",
        "subject": subject,
        "attribute": attribute,
    }


def _brainstorm(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    kind = pick(rng, ("foods", "animals", "gifts", "activities", "pet_names"))
    count = pick(rng, ("two", "three", "three", "three", "four"))
    slots = {
        "count": count,
        "trade": pick(rng, select_split(TRADE_NAMES, new.content)),
        "weather": pick(rng, ("stormy", "warm") if new.content else ("rainy", "sunny")),
        "x": pick(rng, [animal for animal in world.animals_for(new.content) if animal in PETS]),
    }
    task = {"kind": kind, "count": {"two": 2, "three": 3, "four": 4}[count], "weather": slots["weather"]}
    return TEMPLATES.prompts[kind].write(rng, new.wording, slots), task


def _chat(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    name = pick(rng, tuple(SITUATIONS))
    situation = SITUATIONS[name]
    pattern = pick(rng, situation.held_out_openings if new.wording else situation.openings)
    slots = {
        "x": pick(rng, world.animals_for(new.content)),
        "t": pick(rng, world.thing_names_for(new.content)),
        "food": pick(rng, select_split(FOODS, new.content)),
        "name": pick(rng, world.strangers_for(new.content)),
        "insult": pick(rng, INSULTS),
    }
    topic = next((slots[slot] for slot in ("x", "t", "food", "name") if "{" + slot + "}" in pattern), "")
    text = TEMPLATES.chat_frames.write(rng, new.wording, {"text": fill(rng, pattern, slots)})
    return text, {"kind": "chat", "situation": name, "topic": topic}


MAKERS: dict[str, Maker] = {
    "generation": _generation,
    "open_qa": _open_qa,
    "brainstorming": _brainstorm,
    "chat": _chat,
    "rewrite": text_tasks.rewrite,
    "summarization": text_tasks.summary,
    "classification": text_tasks.classification,
    "other": text_tasks.other,
    "closed_qa": text_tasks.closed_qa,
    "extract": text_tasks.extract,
}


def _constraint(world: World, rng: Random, task: Task, new: HeldOut) -> dict[str, str]:
    kind = pick(rng, TEMPLATES.constraints_of_kind[task["kind"]])
    if kind == "use_word":
        taken = {task.get("x"), task.get("y")}
        words = world.animals_for(new.content) + world.thing_names_for(new.content)
        return {"type": kind, "word": pick(rng, [word for word in words if word not in taken])}
    if kind == "avoid_word":
        avoidable = TEMPLATES.avoidable_words.held_out if new.content else TEMPLATES.avoidable_words.training
        return {"type": kind, "word": pick(rng, avoidable)}
    if kind == "avoid_item":
        pool = {"foods": FOODS, "gifts": THINGS, "animals": ANIMALS}[task["kind"]]
        return {"type": "avoid_word", "word": pick(rng, select_split(pool, new.content))}
    return {"type": kind}


def make_task(
    world: World, rng: Random, use_case: str, *, is_held_out: bool, is_wording_held_out: bool | None = None
) -> tuple[str, Task]:
    """A prompt text of `use_case` and its task; `is_wording_held_out` defaults to `is_held_out`."""
    new = HeldOut(is_held_out, is_held_out if is_wording_held_out is None else is_wording_held_out)
    text, task = MAKERS[use_case](world, rng, new)
    constraints = []
    if task["kind"] in TEMPLATES.constraints_of_kind and not task.get("is_foreign") and chance(rng, SHARE_CONSTRAINED):
        constraint = _constraint(world, rng, task, new)
        wording = TEMPLATES.constraints[constraint["type"]].write(rng, new.wording, constraint)
        if not text.endswith("Helper:") and not text.endswith("Host:"):
            text = f"{text} {wording}"
            constraints.append(constraint)
    return text, {**task, "use_case": use_case, "prompt": text, "constraints": constraints}
