"""Tasks about a text that the prompt brings along: rewrite, sum up, classify, extract, translate, and questions on a
passage.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

from tutelage.reproduction.village.lexicon import ANIMALS, COLOURS, FOODS, PAST_TENSE, PLACES
from tutelage.reproduction.village.passages import KINDS, mood_notice, passage, questions_in
from tutelage.reproduction.village.phrases import chance, expand, pick, tidy
from tutelage.reproduction.village.templates import TEMPLATES
from tutelage.reproduction.village.tongue import sentence, translate
from tutelage.reproduction.village.world import HeldOut, World

Task = dict[str, Any]


def rewrite(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    kind = pick(rng, ("polite", "past", "replace"))
    x, y = rng.sample(world.animals_for(new.content), 2)
    thing = pick(rng, world.thing_names_for(new.content))
    if kind == "polite":
        verb = pick(rng, ("give", "bring", "show", "sell"))
        text = tidy(f"{verb} me the {thing}" + pick(rng, (".", ", you lout.", " now.")))
        return TEMPLATES[kind].write(rng, new.wording, {"text": text}), {
            "kind": kind,
            "verb": verb,
            "object": thing,
        }
    present = pick(rng, tuple(PAST_TENSE)[2:])
    place = pick(rng, PLACES).where
    source = tidy(f"the {x} {present} the {pick(rng, ('fish', 'bread', 'cheese', thing))} {place}.")
    if kind == "past":
        target = source.replace(present, PAST_TENSE[present])
        return TEMPLATES[kind].write(rng, new.wording, {"text": source}), {
            "kind": kind,
            "source": source,
            "target": target,
        }
    target = source.replace(f"The {x} ", f"The {y} ")
    return TEMPLATES[kind].write(rng, new.wording, {"text": source, "x": x, "y": y}), {
        "kind": kind,
        "source": source,
        "target": target,
    }


def summary(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    item = passage(rng, world.strangers_for(new.content))
    keys = [item.slots[slot] for slot in KINDS[item.kind].summary_slots]
    text = TEMPLATES["summary"].write(rng, new.wording, {"passage": item.text})
    return text, {"kind": "summary", "passage": item.text, "passage_kind": item.kind, "slots": item.slots, "keys": keys}


def classification(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    if chance(rng, 0.6):
        mood = pick(rng, ("glad", "sad"))
        text = TEMPLATES["mood"].write(rng, new.wording, {"notice": mood_notice(rng, mood)})
        return text, {"kind": "mood", "label": mood, "labels": ["glad", "sad"]}
    x = pick(rng, world.animals_for(new.content) if chance(rng, 0.5) else world.thing_names_for(new.content))
    label = "animal" if x in ANIMALS else "thing"
    return TEMPLATES["class"].write(rng, new.wording, {"x": x}), {
        "kind": "class",
        "x": x,
        "label": label,
        "labels": ["animal", "thing"],
    }


def other(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    if chance(rng, 0.45):
        return TEMPLATES["unclear"].write(rng, new.wording, {}), {"kind": "unclear"}
    source = sentence(rng)
    return TEMPLATES["translate"].write(rng, new.wording, {"text": source}), {
        "kind": "translate",
        "source": source,
        "target": translate(source),
    }


def closed_qa(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    item = passage(rng, world.strangers_for(new.content))
    question = pick(rng, questions_in(item))
    asked = tidy(expand(rng, pick(rng, question.held_out_wordings if new.wording else question.wordings), item.slots))
    slots = {"passage": item.text, "question": asked, "lower_question": asked[0].lower() + asked[1:]}
    task = {
        "kind": "closed",
        "passage": item.text,
        "passage_kind": item.kind,
        "slots": item.slots,
        "slot": question.slot,
    }
    return TEMPLATES["closed"].write(rng, new.wording, slots), {**task, "value": item.slots[question.slot]}


_EXTRACTABLE: dict[str, tuple[str, ...]] = {
    "names": (),
    "foods": FOODS,
    "colours": COLOURS,
    "places": tuple(place.name for place in PLACES),
}


def extract(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    item = passage(rng, world.strangers_for(new.content))
    names = world.strangers_for(new.content)
    said = re.findall(r"\w+", item.text)
    found = {what: [word for word in (members or names) if word in said] for what, members in _EXTRACTABLE.items()}
    what = "names" if chance(rng, 0.5) else pick(rng, [what for what, words in found.items() if words])
    text = TEMPLATES["extract"].write(rng, new.wording, {"what": what, "passage": item.text})
    return text, {"kind": "extract", "what": what, "values": found[what], "passage": item.text}
