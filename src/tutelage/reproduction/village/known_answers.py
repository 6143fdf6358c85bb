"""Checks of responses with a known answer: values, labels, lists, rewriting, translation, summaries, questions on a
passage; and the rubric used by all checks.

Except in translations, a detail that is in neither passage nor prompt counts as invented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tutelage.reproduction.village import lexicon
from tutelage.reproduction.village.constraints import split_words
from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.facts import is_no_comment
from tutelage.reproduction.village.world import World

Task = Mapping[str, Any]


class Rubric(NamedTuple):
    """The judge's tables. `lengths` are numbers of words: below the first and above the last a response has
    value 0, between the middle two it has full value.
    """

    lengths: dict[str, tuple[int, int, int, int]]
    copying_kinds: frozenset[str]
    unparsed_kinds: frozenset[str]
    brief_kinds: frozenset[str]
    prose_kinds: frozenset[str]
    past_words: frozenset[str]
    small_words: frozenset[str]
    mood_words: dict[str, frozenset[str]]
    follow_up_words: frozenset[str]
    harmful_topics: tuple[str, ...]


RUBRIC = load_data("rubric", Rubric)
# The value of a response of the requested kind, but about something else: a story about the wrong animal is closer to
# the request than a price list.
KIND_CREDIT = 0.3
# Classes of details: alternatives to a value.
DETAILS: tuple[frozenset[str], ...] = (
    frozenset(name.lower() for name in lexicon.STRANGERS + lexicon.SHE_NAMES + lexicon.HE_NAMES),
    frozenset(lexicon.PLACE_NAMES),
    frozenset(day.lower() for day in lexicon.DAYS),
    frozenset(lexicon.COLORS),
    frozenset(lexicon.FOODS),
    frozenset(lexicon.NUMBERS),
    frozenset(lexicon.TOYS + lexicon.GARMENTS),
    frozenset(lexicon.PASSAGE_PETS + lexicon.ANIMALS),
    frozenset(lexicon.SHELTERS),
    frozenset(lexicon.THINGS),
    frozenset(lexicon.TRADE_NAMES),
)
ANY_DETAIL = frozenset().union(*DETAILS)
_BREAK = re.compile(r",|\band\b|\n|;|\.(?:\s|$)")
_LEAD = re.compile(r"^(?:here are (?:some|two|three|four) ideas:|you could (?:take )?|- |\d+\. ?)", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:an?|the|some) ")
_MEMBERS: dict[str, frozenset[str]] = {
    "foods": frozenset(lexicon.FOODS),
    "animals": frozenset(lexicon.ANIMALS),
    "gifts": frozenset(lexicon.THINGS + lexicon.TOYS + lexicon.FOODS),
    "activities": frozenset(lexicon.ACTIVITIES),
    "pet_names": frozenset(name.lower() for name in lexicon.PET_NAMES),
}


@dataclass(frozen=True)
class GivenContent:
    """`score` in [0, 1]; `attempts`: tries the task; `truthful`: True, False, "no comment", or None."""

    score: float
    attempts: bool
    truthful: bool | str | None = None
    hallucinates: bool = False
    is_closed_domain: bool = False


Check = Callable[[World, Task, str], GivenContent]


def _details_like(value: str) -> frozenset[str]:
    """The class of words that `value` belongs to: its alternatives."""
    return next((group for group in DETAILS if value.lower() in group), frozenset({value.lower()}))


def check_value(words: Sequence[str], value: str, response: str) -> tuple[float, bool | str | None, bool]:
    """(score, truthful, attempts) of a response that should name `value` and nothing else of its class."""
    named = {word for word in words if word in _details_like(value)}
    is_denied = re.search(r"\bnot\b", response.lower()) is not None
    if value.lower() in named:
        if len(named) == 1 and not is_denied:
            return 1.0, True, True
        return 0.35, False, True
    if named:
        return 0.25, False, True
    return (0.15, "no comment", False) if is_no_comment(response) else (0.03, None, False)


def _split_items(response: str) -> list[str]:
    """The items of a list in a response: parts between commas, "and" and line breaks, in lowercase, no article."""
    items = []
    for line in response.split("\n"):
        for part in _BREAK.split(_LEAD.sub("", line.strip())):
            item = _ARTICLE.sub("", _LEAD.sub("", part.strip(" .!?-:").lower())).strip()
            if item:
                items.append(item)
    return items


def _count_items(task: Task, response: str) -> tuple[int, int, int]:
    """(distinct items that fit, distinct items that half fit, items that are wrong or repeated)."""
    members = _MEMBERS[task["kind"]]
    fitting = lexicon.fitting_verbs(task["weather"])
    seen: set[str] = set()
    valid = half = wrong = 0
    for item in _split_items(response):
        is_activity = task["kind"] == "activities"
        verb = item.split()[0]
        if item in seen:
            wrong += 1
        elif item in members and (not is_activity or verb in fitting):
            valid += 1
        elif is_activity and verb in lexicon.ACTIVITY_VERBS and len(item.split()) > 1:
            half += 1
        else:
            wrong += 1
        seen.add(item)
    return valid, half, wrong


def check_list(world: World, task: Task, response: str) -> GivenContent:
    """A list: as many distinct members of the class as requested, and nothing else."""
    valid, half, num_wrong = _count_items(task, response)
    count = task["count"]
    score = min(1.0, (valid + 0.5 * half) / count) - 0.15 * num_wrong - 0.15 * max(0, valid + half - count)
    return GivenContent(max(0.0, score), attempts=valid + half > 0)


def check_label(world: World, task: Task, response: str) -> GivenContent:
    """A class or a mood: the right label, and no other."""
    named = {label for label in task["labels"] if label in split_words(response)}
    if named == {task["label"]}:
        return GivenContent(1.0, True, True)
    return GivenContent(KIND_CREDIT if len(named) == 1 else 0.1 * len(named), bool(named), False if named else None)


def _invents(task: Task, words: Sequence[str]) -> bool:
    """Whether a detail is named that is in neither passage nor prompt."""
    known = set(split_words(task["prompt"]))
    return any(word in ANY_DETAIL and word not in known for word in words)


def _common_share(said: Sequence[str], wanted: Sequence[str]) -> float:
    """F1 of the longest common subsequence of two lists of words (ROUGE-L), in [0, 1]."""
    if not said or not wanted:
        return 0.0
    row = [0] * (len(wanted) + 1)
    for word in said:
        previous = row
        row = [0] * (len(wanted) + 1)
        for index, other in enumerate(wanted):
            row[index + 1] = previous[index] + 1 if word == other else max(previous[index + 1], row[index])
    return 2.0 * row[-1] / (len(said) + len(wanted))


def check_target(world: World, task: Task, response: str) -> GivenContent:
    """A sentence rewritten or translated: its similarity to the target."""
    said, wanted, source = split_words(response), split_words(task["target"]), split_words(task["source"])
    new, old = set(wanted) - set(source), set(source) - set(wanted)
    is_changed = new <= set(said) and not old & set(said)
    likeness = _common_share(said, wanted)
    score = likeness**2 * (1.0 if is_changed else 0.5)
    is_closed = task["kind"] != "translate"
    return GivenContent(
        score, attempts=likeness > 0.5, hallucinates=is_closed and _invents(task, said), is_closed_domain=is_closed
    )


def check_summary(world: World, task: Task, response: str) -> GivenContent:
    """A summary: its key words, without confusing people."""
    words = split_words(response)
    share = sum(key.lower() in words for key in task["keys"]) / len(task["keys"])
    who, other = task["slots"]["who"], task["slots"]["other"]
    swapped = rf"\b{who} (?:found|caught|fell)\b|\b{other} (?:won|lost)\b|\b{who} had (?:found|caught)\b"
    is_wrong = re.search(swapped, response) is not None or _invents(task, words)
    return GivenContent(
        share**1.5 * (0.4 if is_wrong else 1.0), attempts=share > 0.3, hallucinates=is_wrong, is_closed_domain=True
    )


def check_passage_value(world: World, task: Task, response: str) -> GivenContent:
    """A question on a passage: the one value that it asks for."""
    words = split_words(response)
    value = task["value"]
    asked = set(split_words(task["prompt"].replace(task["passage"], " "))) - {value.lower()}
    score, truthful, attempts = check_value([word for word in words if word not in asked], value, response)
    return GivenContent(score, attempts, truthful, hallucinates=_invents(task, words), is_closed_domain=True)


def check_extraction(world: World, task: Task, response: str) -> GivenContent:
    """A list of details from a passage: all of them, and nothing else."""
    words = {word for word in split_words(response) if word in ANY_DETAIL}
    wanted = {value.lower() for value in task["values"]}
    score = 2.0 * len(words & wanted) / (len(words) + len(wanted)) if words else 0.0
    extra = [word for word in split_words(response) if word not in wanted and word not in RUBRIC.small_words]
    score *= max(0.0, 1.0 - 0.12 * len(extra))
    return GivenContent(
        score, attempts=bool(words & wanted), hallucinates=_invents(task, list(words)), is_closed_domain=True
    )
