"""Checks of responses to a text that the prompt brings: rewriting, translation, summaries, questions on a passage.

But for translations, a detail that neither passage nor prompt has is invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tutelage.reproduction.village.constraints import words_of
from tutelage.reproduction.village.credit import Content, Task, value_content
from tutelage.reproduction.village.rubric import ANY_DETAIL, SMALL_WORDS
from tutelage.reproduction.village.world import World


def _invents(task: Task, words: Sequence[str]) -> bool:
    """Whether a detail is named that neither passage nor prompt has."""
    known = set(words_of(task["prompt"]))
    return any(word in ANY_DETAIL and word not in known for word in words)


def common_share(said: Sequence[str], wanted: Sequence[str]) -> float:
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


def target(world: World, task: Task, response: str) -> Content:
    """A sentence rewritten or translated: how like it is to the one that is wanted."""
    said, wanted, source = words_of(response), words_of(task["target"]), words_of(task["source"])
    new, old = set(wanted) - set(source), set(source) - set(wanted)
    is_changed = new <= set(said) and not old & set(said)
    likeness = common_share(said, wanted)
    score = likeness**2 * (1.0 if is_changed else 0.5)
    is_closed = task["kind"] != "translate"
    return Content(
        score, attempts=likeness > 0.5, hallucinates=is_closed and _invents(task, said), is_closed_domain=is_closed
    )


def summary(world: World, task: Task, response: str) -> Content:
    """A passage in short: its key words, nobody taken for somebody else."""
    words = words_of(response)
    share = sum(key.lower() in words for key in task["keys"]) / len(task["keys"])
    who, other = task["slots"]["who"], task["slots"]["other"]
    swapped = rf"\b{who} (?:found|caught|fell)\b|\b{other} (?:won|lost)\b|\b{who} had (?:found|caught)\b"
    is_wrong = re.search(swapped, response) is not None or _invents(task, words)
    return Content(
        share**1.5 * (0.4 if is_wrong else 1.0), attempts=share > 0.3, hallucinates=is_wrong, is_closed_domain=True
    )


def closed(world: World, task: Task, response: str) -> Content:
    """A question on a passage: the one value that it asks for."""
    words = words_of(response)
    value = task["value"]
    asked = set(words_of(task["prompt"].replace(task["passage"], " "))) - {value.lower()}
    score, truthful, attempts = value_content([word for word in words if word not in asked], value, response)
    return Content(score, attempts, truthful, hallucinates=_invents(task, words), is_closed_domain=True)


def extract(world: World, task: Task, response: str) -> Content:
    """A list of details out of a passage: all of them, and nothing else."""
    words = {word for word in words_of(response) if word in ANY_DETAIL}
    wanted = {value.lower() for value in task["values"]}
    score = 2.0 * len(words & wanted) / (len(words) + len(wanted)) if words else 0.0
    extra = [word for word in words_of(response) if word not in wanted and word not in SMALL_WORDS]
    score *= max(0.0, 1.0 - 0.12 * len(extra))
    return Content(
        score, attempts=bool(words & wanted), hallucinates=_invents(task, list(words)), is_closed_domain=True
    )
