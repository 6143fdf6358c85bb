"""Short passages about strangers, with what can be asked about them and what sums them up; and notices in a good or a
bad mood.

Strangers are not villagers, so no passage contradicts a fact of the world. Pretraining pages and closed-domain
prompts are both written from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.lexicon import COLOURS, DAYS, FOODS, NUMBERS, PLACES, TOYS
from tutelage.reproduction.village.phrases import expand, pick, tidy
from tutelage.reproduction.village.world import stranger_pronoun

GARMENTS = ("coat", "hat", "scarf")
PASSAGE_PETS = ("goat", "dog", "pony", "hen", "donkey", "cat")


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


@dataclass(frozen=True)
class Passage:
    """A text with the values that its slots got."""

    kind: str
    text: str
    slots: dict[str, str]


_DAY = Question(
    "day", ("On what day was this?", "What day was it?"), ("When did this happen?",), ("It was on {day}.", "On {day}.")
)
_PLACE_WALK = Question(
    "place",
    ("Where did {who} go?", "To what place did {who} come?"),
    ("What place did {who} visit?",),
    ("{who} went to the {place}.", "{who} came to the {place}."),
)

KINDS: dict[str, PassageKind] = {
    "visit": PassageKind(
        (
            "[{who} came to the {place} on {day}.|On {day} {who} came to the {place}.]",
            "{he} wore a {colour} {garment} and sold {food}.",
            "[In the evening {he} went home with {number} coins.|{he} earned {number} coins that day.]",
        ),
        (
            _PLACE_WALK,
            _DAY,
            Question(
                "food",
                ("What did {who} sell?",),
                ("What goods did {who} have?",),
                ("{who} sold {food}.", "{he} sold {food}."),
            ),
            Question(
                "colour",
                ("What colour was the {garment}?", "What was the colour of the {garment} of {who}?"),
                ("Which colour did the {garment} have?",),
                ("The {garment} was {colour}.", "It was {colour}."),
            ),
            Question(
                "number",
                ("How many coins did {who} earn?",),
                ("How much did {who} earn?",),
                ("{who} earned {number} coins.",),
            ),
        ),
        ("{who} came to the {place} and sold {food}.", "{who} sold {food} at the {place}."),
        ("who", "place", "food"),
    ),
    "lost": PassageKind(
        (
            "[{who} lost a {colour} {toy} near the {place}.|On the way to the {place} {who} lost a {colour} {toy}.]",
            "{he} looked for it all {day}.",
            "[At last {other} found it under a {shelter}.|Then {other} saw it under a {shelter}.]",
            "{who} thanked {other} with {food}.",
        ),
        (
            Question(
                "toy",
                ("What did {who} lose?",),
                ("What was {who} looking for?",),
                ("{who} lost a {toy}.", "{he} lost a {colour} {toy}."),
            ),
            Question(
                "other",
                ("Who found the {toy}?",),
                ("Who helped {who}?",),
                ("{other} found it.", "{other} found the {toy}."),
            ),
            Question(
                "shelter",
                ("Where was the {toy}?",),
                ("Under what was the {toy}?",),
                ("It was under a {shelter}.", "The {toy} was under a {shelter}."),
            ),
            Question(
                "food",
                ("What did {who} give to {other}?",),
                ("What were the thanks of {who}?",),
                ("{who} gave {other} {food}.",),
            ),
            Question(
                "colour",
                ("What colour was the {toy}?",),
                ("Which colour did the {toy} have?",),
                ("The {toy} was {colour}.", "It was {colour}."),
            ),
        ),
        ("{who} lost a {toy} and {other} found it.", "{other} found the {toy} that {who} had lost."),
        ("who", "toy", "other"),
    ),
    "runaway": PassageKind(
        (
            "[{who} had a {colour} {pet}.|A {colour} {pet} belonged to {who}.]",
            "[On {day} it ran to the {place}.|It ran away on {day}, as far as the {place}.]",
            "{other} caught it with {food} and brought it home.",
        ),
        (
            Question(
                "other",
                ("Who caught the {pet}?",),
                ("Who brought the {pet} back?",),
                ("{other} caught it.", "{other} caught the {pet}."),
            ),
            Question(
                "place",
                ("Where did the {pet} run?",),
                ("How far did the {pet} run?",),
                ("It ran to the {place}.", "The {pet} ran to the {place}."),
            ),
            Question("pet", ("What animal did {who} have?",), ("Which animal ran away?",), ("{who} had a {pet}.",)),
            Question(
                "colour",
                ("What colour was the {pet}?",),
                ("Which colour did the {pet} have?",),
                ("The {pet} was {colour}.", "It was {colour}."),
            ),
            _DAY,
        ),
        ("The {pet} of {who} ran away and {other} caught it.", "{other} caught the {pet} that {who} had lost."),
        ("who", "pet", "other"),
    ),
    "race": PassageKind(
        (
            "[On {day} {who} and {other} ran a race to the {place}.|{who} and {other} ran to the {place} on {day}.]",
            "{other} fell over a {shelter}, so {who} won.",
            "[The prize was {number} coins.|{who} got {number} coins and a lot of {food}.]",
        ),
        (
            Question("who", ("Who won the race?",), ("Which of the two won?",), ("{who} won.", "{who} won the race.")),
            Question(
                "shelter",
                ("Over what did {other} fall?",),
                ("Why did {other} fall?",),
                ("{other} fell over a {shelter}.",),
            ),
            Question(
                "place",
                ("Where did the race end?",),
                ("To what place did they run?",),
                ("They ran to the {place}.", "It ended at the {place}."),
            ),
            Question(
                "number",
                ("How many coins did {who} get?",),
                ("How big was the prize?",),
                ("The prize was {number} coins.", "{who} got {number} coins."),
            ),
            _DAY,
        ),
        ("{who} won the race to the {place} because {other} fell.", "{who} ran a race with {other} and won."),
        ("who", "other", "won"),
    ),
}
SHELTERS = ("bench", "stone", "barrel", "bush", "log", "sack")


def passage(rng: Random, strangers: Sequence[str], kind: str | None = None) -> Passage:
    """A passage about two of `strangers`."""
    kind = kind or pick(rng, tuple(KINDS))
    who, other = rng.sample(strangers, 2)
    is_she = stranger_pronoun(who) == "she"
    slots = {
        "who": who,
        "other": other,
        "he": "she" if is_she else "he",
        "place": pick(rng, PLACES).name,
        "day": pick(rng, DAYS),
        "colour": pick(rng, COLOURS),
        "garment": pick(rng, GARMENTS),
        "food": pick(rng, FOODS),
        "number": pick(rng, NUMBERS),
        "toy": pick(rng, TOYS),
        "pet": pick(rng, PASSAGE_PETS),
        "shelter": pick(rng, SHELTERS),
        "won": "won",
    }
    text = tidy(" ".join(expand(rng, pattern, slots) for pattern in KINDS[kind].sentences))
    return Passage(kind, text, slots)


def questions_in(item: Passage) -> tuple[Question, ...]:
    """The questions whose true value really stands in the text (a choice of wording may have left it out)."""
    return tuple(question for question in KINDS[item.kind].questions if item.slots[question.slot] in item.text)


MOOD_SENTENCES = {
    "glad": (
        "The {food} at the inn [was|were] warm and fresh.",
        "I laughed all evening.",
        "The music was wonderful.",
        "Everybody was kind to me.",
        "I will come again soon.",
        "It was the best day of the year.",
        "My room was clean and quiet.",
    ),
    "sad": (
        "The {food} at the inn [was|were] cold and old.",
        "I waited all evening for nothing.",
        "The music was terrible.",
        "Nobody talked to me.",
        "I will never come again.",
        "It was the worst day of the year.",
        "My room was dirty and loud.",
    ),
}


def mood_notice(rng: Random, mood: str) -> str:
    """Two or three sentences in a "glad" or "sad" mood."""
    patterns = rng.sample(MOOD_SENTENCES[mood], 2 + int(rng.random() * 2))
    food = pick(rng, FOODS)
    verb = "were" if food.endswith("s") else "was"
    return tidy(" ".join(expand(rng, pattern.replace("[was|were]", verb), {"food": food}) for pattern in patterns))
