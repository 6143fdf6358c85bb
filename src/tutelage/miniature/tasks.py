"""What users want: a prompt text for each use case, with the task that ground truth needs to judge any response to it.

A task is a JSON-able dict with `kind`, `use_case`, `prompt`, `constraints` and whatever the kind needs. With `is_held_out` the
wordings, names and facts are those that training users never use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tutelage.miniature.facts import question_about
from tutelage.miniature.lexicon import (
    ANIMALS,
    COLOURS,
    FOODS,
    PAST_TENSE,
    PETS,
    PLACES,
    RUDE_SINGULAR,
    THINGS,
)
from tutelage.miniature.passages import KINDS, mood_notice, passage, questions_in
from tutelage.miniature.phrases import chance, expand, pick, tidy
from tutelage.miniature.tales import TRADE_NAMES
from tutelage.miniature.templates import CHAT_FRAMES, CONSTRAINTS, FOREIGN, SITUATIONS, TEMPLATES, Wordings
from tutelage.miniature.tongue import sentence, translate
from tutelage.miniature.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

Task = dict[str, Any]
Maker = Callable[[World, Random, bool], tuple[str, Task]]

# Table 1 of the paper, per cent.
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
CONSTRAINTS_OF_KIND = {
    "tale": ("use_word", "avoid_word", "one_sentence"),
    "tale_two": ("use_word", "avoid_word", "one_sentence"),
    "describe": ("short",),
    "letter": ("use_word", "polite", "avoid_word"),
    "notice": ("one_sentence", "short", "polite"),
    "wish": ("one_sentence", "use_word"),
    "fact": ("polite", "short", "one_sentence"),
    "misconception": ("polite", "one_sentence"),
    "premise": ("polite", "one_sentence"),
    "chat": ("one_sentence", "polite"),
    "foods": ("avoid_item",),
    "gifts": ("avoid_item",),
    "animals": ("avoid_item",),
    "summary": ("short",),
}
AVOIDABLE = ("night", "old", "morning", "water", "food", "home", "lived", "end")
AVOIDABLE_HELD_OUT = ("day", "winter", "children", "small")
SHARE_CONSTRAINED = 0.38  # of the prompts whose kind has constraints; about a quarter of all


def _of_split(items: tuple[str, ...], is_held_out: bool) -> tuple[str, ...]:
    """Every fourth item is held out."""
    return tuple(item for index, item in enumerate(items) if (index % 4 == 1) == is_held_out)


def _word(rng: Random, wordings: Wordings, is_held_out: bool, slots: Mapping[str, str]) -> str:
    return expand(rng, pick(rng, wordings.held_out if is_held_out else wordings.training), slots)


def _text(rng: Random, kind: str, is_held_out: bool, slots: Mapping[str, str]) -> str:
    return tidy(_word(rng, TEMPLATES[kind], is_held_out, slots))


def _thing_names(world: World, is_held_out: bool) -> tuple[str, ...]:
    return tuple(thing.name for thing in world.things_for(is_held_out))


def _nouns(world: World, is_held_out: bool) -> tuple[str, ...]:
    return world.animals_for(is_held_out) + _thing_names(world, is_held_out) + _of_split(TRADE_NAMES, is_held_out)


def _tale(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    x = pick(rng, _nouns(world, is_held_out))
    if chance(rng, 0.3):
        y = pick(
            rng, [noun for noun in world.animals_for(is_held_out) + _of_split(TRADE_NAMES, is_held_out) if noun != x]
        )
        return _text(rng, "tale_two", is_held_out, {"x": x, "y": y}), {"kind": "tale_two", "x": x, "y": y}
    return _text(rng, "tale", is_held_out, {"x": x}), {"kind": "tale", "x": x}


def _foreign(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    _, text, x = pick(rng, FOREIGN[1::3] if is_held_out else FOREIGN[0::3] + FOREIGN[2::3])
    return text, {"kind": "tale", "x": x, "is_foreign": True}


def _describe(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    if chance(rng, 0.6):
        subject = topic = pick(rng, world.people_for(is_held_out)).name
    else:
        subject = pick(rng, world.things_for(is_held_out)).name
        topic = f"the {subject}"
    return _text(rng, "describe", is_held_out, {"topic": topic}), {"kind": "describe", "subject": subject}


def _letter(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    sender, receiver = (person.name for person in rng.sample(world.people_for(is_held_out), 2))
    x = pick(rng, world.animals_for(is_held_out) + _thing_names(world, is_held_out))
    slots = {"sender": sender, "receiver": receiver, "x": x}
    return _text(rng, "letter", is_held_out, slots), {"kind": "letter", **slots}


def _notice(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    slots = {"x": pick(rng, _thing_names(world, is_held_out)), "colour": pick(rng, COLOURS)}
    return _text(rng, "notice", is_held_out, slots), {"kind": "notice", **slots}


def _wish(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    slots = {"name": pick(rng, world.people_for(is_held_out)).name}
    return _text(rng, "wish", is_held_out, slots), {"kind": "wish", **slots}


def _generation(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    draw = rng.random()
    for maker, upto in ((_tale, 0.5), (_describe, 0.66), (_letter, 0.79), (_notice, 0.9), (_wish, 0.975)):
        if draw < upto:
            return maker(world, rng, is_held_out)
    return _foreign(world, rng, is_held_out)


def _open_qa(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    draw = rng.random()
    if draw < 0.12:
        thing = pick(rng, world.things_for(is_held_out))
        wrong = pick(rng, [colour for colour in COLOURS if colour != thing.colour])
        slots = {"thing": thing.name, "wrong": wrong}
        return _text(rng, "premise", is_held_out, slots), {"kind": "premise", **slots}
    if draw < 0.45:
        item = pick(rng, world.misconceptions_for(is_held_out))
        question = item.question_heldout if is_held_out else item.question
        text = _text(rng, "fact", is_held_out, {"question": question})
        return text, {"kind": "misconception", "question": item.question}
    if draw < 0.75:
        subject, attribute = pick(rng, world.people_for(is_held_out)).name, pick(rng, PERSON_ATTRIBUTES)
    else:
        subject, attribute = pick(rng, world.things_for(is_held_out)).name, pick(rng, THING_ATTRIBUTES)
    question = question_about(rng, world, subject, attribute, is_held_out)
    return _text(rng, "fact", is_held_out, {"question": question}), {
        "kind": "fact",
        "subject": subject,
        "attribute": attribute,
    }


def _brainstorm(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    kind = pick(rng, ("foods", "animals", "gifts", "activities", "pet_names"))
    count = pick(rng, ("two", "three", "three", "three", "four"))
    slots = {
        "count": count,
        "trade": pick(rng, _of_split(TRADE_NAMES, is_held_out)),
        "weather": pick(rng, ("stormy", "warm") if is_held_out else ("rainy", "sunny")),
        "x": pick(rng, [animal for animal in world.animals_for(is_held_out) if animal in PETS]),
    }
    task = {"kind": kind, "count": {"two": 2, "three": 3, "four": 4}[count], "weather": slots["weather"]}
    return _text(rng, kind, is_held_out, slots), task


def _chat(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    name = pick(rng, tuple(SITUATIONS))
    situation = SITUATIONS[name]
    pattern = pick(rng, situation.held_out_openings if is_held_out else situation.openings)
    slots = {
        "x": pick(rng, world.animals_for(is_held_out)),
        "t": pick(rng, _thing_names(world, is_held_out)),
        "food": pick(rng, _of_split(FOODS, is_held_out)),
        "name": pick(rng, world.strangers_for(is_held_out)),
        "insult": pick(rng, RUDE_SINGULAR),
    }
    topic = next((slots[slot] for slot in ("x", "t", "food", "name") if "{" + slot + "}" in pattern), "")
    text = tidy(_word(rng, CHAT_FRAMES, is_held_out, {"text": tidy(expand(rng, pattern, slots))}))
    return text, {"kind": "chat", "situation": name, "topic": topic}


def _rewrite(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    kind = pick(rng, ("polite", "past", "replace"))
    x, y = rng.sample(world.animals_for(is_held_out), 2)
    thing = pick(rng, _thing_names(world, is_held_out))
    if kind == "polite":
        verb = pick(rng, ("give", "bring", "show", "sell"))
        text = tidy(f"{verb} me the {thing}" + pick(rng, (".", ", you lout.", " now.")))
        return _text(rng, kind, is_held_out, {"text": text}), {"kind": kind, "verb": verb, "object": thing}
    present = pick(rng, tuple(PAST_TENSE)[2:])
    place = pick(rng, PLACES).where
    source = tidy(f"the {x} {present} the {pick(rng, ('fish', 'bread', 'cheese', thing))} {place}.")
    if kind == "past":
        target = source.replace(present, PAST_TENSE[present])
        return _text(rng, kind, is_held_out, {"text": source}), {"kind": kind, "source": source, "target": target}
    target = source.replace(f"The {x} ", f"The {y} ")
    return _text(rng, kind, is_held_out, {"text": source, "x": x, "y": y}), {
        "kind": kind,
        "source": source,
        "target": target,
    }


def _summary(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    item = passage(rng, world.strangers_for(is_held_out))
    keys = [item.slots[slot] for slot in KINDS[item.kind].summary_slots]
    text = _text(rng, "summary", is_held_out, {"passage": item.text})
    return text, {"kind": "summary", "passage": item.text, "passage_kind": item.kind, "slots": item.slots, "keys": keys}


def _classification(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    if chance(rng, 0.6):
        mood = pick(rng, ("glad", "sad"))
        text = _text(rng, "mood", is_held_out, {"notice": mood_notice(rng, mood)})
        return text, {"kind": "mood", "label": mood, "labels": ["glad", "sad"]}
    x = pick(rng, world.animals_for(is_held_out) if chance(rng, 0.5) else _thing_names(world, is_held_out))
    label = "animal" if x in ANIMALS else "thing"
    return _text(rng, "class", is_held_out, {"x": x}), {
        "kind": "class",
        "x": x,
        "label": label,
        "labels": ["animal", "thing"],
    }


def _other(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    if chance(rng, 0.45):
        return _text(rng, "unclear", is_held_out, {}), {"kind": "unclear"}
    source = sentence(rng)
    return _text(rng, "translate", is_held_out, {"text": source}), {
        "kind": "translate",
        "source": source,
        "target": translate(source),
    }


def _closed_qa(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    item = passage(rng, world.strangers_for(is_held_out))
    question = pick(rng, questions_in(item))
    asked = tidy(expand(rng, pick(rng, question.held_out_wordings if is_held_out else question.wordings), item.slots))
    slots = {"passage": item.text, "question": asked, "lower_question": asked[0].lower() + asked[1:]}
    task = {
        "kind": "closed",
        "passage": item.text,
        "passage_kind": item.kind,
        "slots": item.slots,
        "slot": question.slot,
    }
    return _text(rng, "closed", is_held_out, slots), {**task, "value": item.slots[question.slot]}


_EXTRACTABLE: dict[str, tuple[str, ...]] = {
    "names": (),
    "foods": FOODS,
    "colours": COLOURS,
    "places": tuple(place.name for place in PLACES),
}


def _extract(world: World, rng: Random, is_held_out: bool) -> tuple[str, Task]:
    item = passage(rng, world.strangers_for(is_held_out))
    names = world.strangers_for(is_held_out)
    said = re.findall(r"\w+", item.text)
    found = {what: [word for word in (members or names) if word in said] for what, members in _EXTRACTABLE.items()}
    what = "names" if chance(rng, 0.5) else pick(rng, [what for what, words in found.items() if words])
    text = _text(rng, "extract", is_held_out, {"what": what, "passage": item.text})
    return text, {"kind": "extract", "what": what, "values": found[what], "passage": item.text}


MAKERS: dict[str, Maker] = {
    "generation": _generation,
    "open_qa": _open_qa,
    "brainstorming": _brainstorm,
    "chat": _chat,
    "rewrite": _rewrite,
    "summarization": _summary,
    "classification": _classification,
    "other": _other,
    "closed_qa": _closed_qa,
    "extract": _extract,
}


def _constraint(world: World, rng: Random, task: Task, is_held_out: bool) -> dict[str, str]:
    kind = pick(rng, CONSTRAINTS_OF_KIND[task["kind"]])
    if kind == "use_word":
        taken = {task.get("x"), task.get("y")}
        words = world.animals_for(is_held_out) + _thing_names(world, is_held_out)
        return {"type": kind, "word": pick(rng, [word for word in words if word not in taken])}
    if kind == "avoid_word":
        return {"type": kind, "word": pick(rng, AVOIDABLE_HELD_OUT if is_held_out else AVOIDABLE)}
    if kind == "avoid_item":
        pool = {"foods": FOODS, "gifts": THINGS, "animals": ANIMALS}[task["kind"]]
        return {"type": "avoid_word", "word": pick(rng, _of_split(pool, is_held_out))}
    return {"type": kind}


def make_task(world: World, rng: Random, use_case: str, *, is_held_out: bool) -> tuple[str, Task]:
    """A prompt text of `use_case` and its task."""
    text, task = MAKERS[use_case](world, rng, is_held_out)
    constraints = []
    if task["kind"] in CONSTRAINTS_OF_KIND and not task.get("is_foreign") and chance(rng, SHARE_CONSTRAINED):
        constraint = _constraint(world, rng, task, is_held_out)
        wording = _word(rng, CONSTRAINTS[constraint["type"]], is_held_out, constraint)
        if not text.endswith("Helper:") and not text.endswith("Host:"):
            text = f"{text} {wording}"
            constraints.append(constraint)
    return text, {**task, "use_case": use_case, "prompt": text, "constraints": constraints}
