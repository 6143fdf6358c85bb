"""Texts contained in prompts, and the tasks on them: rewrite, summarize, classify, extract, translate, questions.

The texts are short passages about strangers, notices in a good or a bad mood, and sentences with their translation into
the old tongue of the village over the hill. Strangers are not villagers, so no passage contradicts a fact of the world.
Both pretraining pages and closed-domain prompts use them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.lexicon import (
    ANIMALS,
    COLORS,
    DAYS,
    FOODS,
    GARMENTS,
    NUMBERS,
    PASSAGE_PETS,
    PAST_TENSE,
    PLACE_NAMES,
    PLACES,
    SHELTERS,
    TEMPLATES,
    TOYS,
)
from tutelage.reproduction.village.patterns import chance, expand, pick, tidy
from tutelage.reproduction.village.world import HeldOut, World, stranger_pronoun

Task = dict[str, Any]


class Question(NamedTuple):
    """What can be asked about a passage: the slot that holds the true value, question wordings, response wordings."""

    slot: str
    wordings: tuple[str, ...]
    held_out_wordings: tuple[str, ...]
    responses: tuple[str, ...]


class PassageKind(NamedTuple):
    """A kind of event: sentences in order, questions, summaries, and the slots that a summary must name."""

    sentences: tuple[str, ...]
    questions: tuple[Question, ...]
    summaries: tuple[str, ...]
    summary_slots: tuple[str, ...]


class Passages(NamedTuple):
    """Kinds of passages, and the sentences of notices by mood."""

    kinds: dict[str, PassageKind]
    moods: dict[str, tuple[str, ...]]


class OldTongue(NamedTuple):
    """The old tongue: its words, and the English words of the sentences that it can express."""

    words: dict[str, str]
    nouns: tuple[str, ...]
    qualities: tuple[str, ...]
    verbs: tuple[str, ...]
    foods: tuple[str, ...]


_PASSAGES = load_data("passages", Passages)
PASSAGE_KINDS = _PASSAGES.kinds
OLD_TONGUE = load_data("translation", OldTongue)


@dataclass(frozen=True)
class Passage:
    """A text with the values of its slots."""

    kind: str
    text: str
    slots: dict[str, str]


def draw_passage(rng: Random, strangers: Sequence[str], kind: str | None = None) -> Passage:
    """A passage about two of `strangers`."""
    kind = kind or pick(rng, tuple(PASSAGE_KINDS))
    who, other = rng.sample(strangers, 2)
    is_she = stranger_pronoun(who) == "she"
    slots = {
        "who": who,
        "other": other,
        "he": "she" if is_she else "he",
        "place": pick(rng, PLACE_NAMES),
        "day": pick(rng, DAYS),
        "colour": pick(rng, COLORS),
        "garment": pick(rng, GARMENTS),
        "food": pick(rng, FOODS),
        "number": pick(rng, NUMBERS),
        "toy": pick(rng, TOYS),
        "pet": pick(rng, PASSAGE_PETS),
        "shelter": pick(rng, SHELTERS),
        "won": "won",
    }
    text = tidy(" ".join(expand(rng, pattern, slots) for pattern in PASSAGE_KINDS[kind].sentences))
    return Passage(kind, text, slots)


def answerable_questions(item: Passage) -> tuple[Question, ...]:
    """The questions whose true value occurs in the text (a choice of wording may have omitted it)."""
    return tuple(question for question in PASSAGE_KINDS[item.kind].questions if item.slots[question.slot] in item.text)


def draw_notice(rng: Random, mood: str) -> str:
    """Two or three sentences in a "glad" or "sad" mood."""
    patterns = rng.sample(_PASSAGES.moods[mood], 2 + int(rng.random() * 2))
    food = pick(rng, FOODS)
    verb = "were" if food.endswith("s") else "was"
    return tidy(" ".join(expand(rng, pattern.replace("[was|were]", verb), {"food": food}) for pattern in patterns))


def draw_sentence(rng: Random) -> str:
    """A sentence of three to six words that the old tongue can express, in lowercase without a period."""
    quality = pick(rng, OLD_TONGUE.qualities) + " " if chance(rng, 0.6) else ""
    subject = f"the {quality}{pick(rng, OLD_TONGUE.nouns)}"
    if chance(rng, 0.3):
        return f"{subject} eats {pick(rng, OLD_TONGUE.foods)}"
    return f"{subject} {pick(rng, OLD_TONGUE.verbs)}"


def translate(text: str) -> str:
    """`text` in the old tongue, word by word, except that an adjective follows its noun."""
    words = text.split()
    ordered: list[str] = []
    index = 0
    while index < len(words):
        if words[index] in OLD_TONGUE.qualities and index + 1 < len(words):
            ordered += [words[index + 1], words[index]]
            index += 2
        else:
            ordered.append(words[index])
            index += 1
    return " ".join(OLD_TONGUE.words[word] for word in ordered)


def rewrite(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    kind = pick(rng, ("polite", "past", "replace"))
    x, y = rng.sample(world.animals_for(new.content), 2)
    thing = pick(rng, world.thing_names_for(new.content))
    if kind == "polite":
        verb = pick(rng, ("give", "bring", "show", "sell"))
        text = tidy(f"{verb} me the {thing}" + pick(rng, (".", ", you lout.", " now.")))
        return TEMPLATES.prompts[kind].write(rng, new.wording, {"text": text}), {
            "kind": kind,
            "verb": verb,
            "object": thing,
        }
    present = pick(rng, tuple(PAST_TENSE)[2:])
    place = pick(rng, PLACES).where
    source = tidy(f"the {x} {present} the {pick(rng, ('fish', 'bread', 'cheese', thing))} {place}.")
    if kind == "past":
        target = source.replace(present, PAST_TENSE[present])
        return TEMPLATES.prompts[kind].write(rng, new.wording, {"text": source}), {
            "kind": kind,
            "source": source,
            "target": target,
        }
    target = source.replace(f"The {x} ", f"The {y} ")
    return TEMPLATES.prompts[kind].write(rng, new.wording, {"text": source, "x": x, "y": y}), {
        "kind": kind,
        "source": source,
        "target": target,
    }


def summary(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    item = draw_passage(rng, world.strangers_for(new.content))
    keys = [item.slots[slot] for slot in PASSAGE_KINDS[item.kind].summary_slots]
    text = TEMPLATES.prompts["summary"].write(rng, new.wording, {"passage": item.text})
    return text, {"kind": "summary", "passage": item.text, "passage_kind": item.kind, "slots": item.slots, "keys": keys}


def classification(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    if chance(rng, 0.6):
        mood = pick(rng, ("glad", "sad"))
        text = TEMPLATES.prompts["mood"].write(rng, new.wording, {"notice": draw_notice(rng, mood)})
        return text, {"kind": "mood", "label": mood, "labels": ["glad", "sad"]}
    x = pick(rng, world.animals_for(new.content) if chance(rng, 0.5) else world.thing_names_for(new.content))
    label = "animal" if x in ANIMALS else "thing"
    return TEMPLATES.prompts["class"].write(rng, new.wording, {"x": x}), {
        "kind": "class",
        "x": x,
        "label": label,
        "labels": ["animal", "thing"],
    }


def other(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    if chance(rng, 0.45):
        return TEMPLATES.prompts["unclear"].write(rng, new.wording, {}), {"kind": "unclear"}
    source = draw_sentence(rng)
    return TEMPLATES.prompts["translate"].write(rng, new.wording, {"text": source}), {
        "kind": "translate",
        "source": source,
        "target": translate(source),
    }


def closed_qa(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    item = draw_passage(rng, world.strangers_for(new.content))
    question = pick(rng, answerable_questions(item))
    asked = tidy(expand(rng, pick(rng, question.held_out_wordings if new.wording else question.wordings), item.slots))
    slots = {"passage": item.text, "question": asked, "lower_question": asked[0].lower() + asked[1:]}
    task = {
        "kind": "closed",
        "passage": item.text,
        "passage_kind": item.kind,
        "slots": item.slots,
        "slot": question.slot,
    }
    return TEMPLATES.prompts["closed"].write(rng, new.wording, slots), {**task, "value": item.slots[question.slot]}


_EXTRACTABLE: dict[str, tuple[str, ...]] = {
    "names": (),
    "foods": FOODS,
    "colours": COLORS,
    "places": PLACE_NAMES,
}


def extract(world: World, rng: Random, new: HeldOut) -> tuple[str, Task]:
    item = draw_passage(rng, world.strangers_for(new.content))
    names = world.strangers_for(new.content)
    said = re.findall(r"\w+", item.text)
    found = {what: [word for word in (members or names) if word in said] for what, members in _EXTRACTABLE.items()}
    what = "names" if chance(rng, 0.5) else pick(rng, [what for what, words in found.items() if words])
    text = TEMPLATES.prompts["extract"].write(rng, new.wording, {"what": what, "passage": item.text})
    return text, {"kind": "extract", "what": what, "values": found[what], "passage": item.text}
