"""Completions of one prompt in separate rows: HelpSteer's with attributes, KTO's with true or false.

The columns are those of nvidia/HelpSteer and nvidia/HelpSteer2, and of TRL's unpaired preferences
(trl-lib/kto-mix-14k).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, FiniteFloat

from tutelage.records import Message
from tutelage.store.forms import PROMPT_KEYS, Row, UnusableRow, UnusedPart, has_keys
from tutelage.store.meaning import BEFORE_KEYS, UNREAD_KEYS, require_usable
from tutelage.store.published.building import Asked, Found, Published, dialogue, ranked
from tutelage.store.published.marked_text import helpsteer_prompt
from tutelage.store.turns import is_absent

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
# These keys contain the rows of one prompt once they are joined.
RATED, LABELED = "rated_responses", "labeled_completions"
NumberedRow = tuple[int, dict[str, Any]]


def joined_ratings(rows: Iterator[NumberedRow]) -> Iterator[NumberedRow]:
    """Join HelpSteer's consecutive rows with the same prompt into one row; other rows are unchanged."""
    group: list[dict[str, Any]] = []
    last = 0
    for number, row in rows:
        is_rated = has_keys("prompt", "response", "helpfulness")(row)
        if group and not (is_rated and _asked(row) == _asked(group[0])):
            yield last, _joined(group, RATED)
            group = []
        if is_rated:
            group.append(row)
            last = number
        else:
            yield number, row
    if group:
        yield last, _joined(group, RATED)


def joined_labels(rows: Iterator[NumberedRow]) -> Iterator[NumberedRow]:
    """Join KTO's rows with the same prompt, wherever they are, into one row at the end; other rows are unchanged.

    They are kept in memory until then.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    last: dict[str, int] = {}
    for number, row in rows:
        if has_keys("prompt", "completion")(row) and isinstance(row.get("label"), bool):
            asked = _asked(row)
            groups.setdefault(asked, []).append(row)
            last[asked] = number
        else:
            yield number, row
    for asked, group in groups.items():
        yield last[asked], _joined(group, LABELED)


def _of_prompt(row: Row) -> dict[str, Any]:
    keys = (*PROMPT_KEYS, *BEFORE_KEYS, *UNREAD_KEYS, "prompt_id")
    return {key: row[key] for key in keys if not is_absent(row.get(key))}


def _asked(row: Row) -> str:
    return json.dumps(_of_prompt(row), sort_keys=True, default=str)


def _joined(group: list[dict[str, Any]], key: str) -> dict[str, Any]:
    return {**_of_prompt(group[0]), key: group}


def _usable(parts: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[UnusedPart]]:
    """The rows that may be used, and why the others may not."""
    used, lost = [], []
    for number, part in enumerate(parts, start=1):
        try:
            require_usable({key: value for key, value in part.items() if key != "label"}, is_trained=True)
        except UnusableRow as error:
            lost.append(UnusedPart(f"completion {number} of the prompt: {error}"))
        else:
            used.append(part)
    return used, lost


def _ranked_parts(row: Row, key: str, asked: Asked, judge: Callable[[Mapping[str, Any]], tuple[str, float]]) -> Found:
    parts, lost = _usable(row[key])
    judged = [judge(part) for part in parts]
    texts, scores = [text for text, _ in judged], [score for _, score in judged]
    if len(texts) < 2:
        raise UnusableRow(lost[0].reason if lost else "the prompt has only one completion, so there is nothing to rank")
    return [*ranked(row, asked, texts, scores, used=(key,)), *lost]


class _HelpSteerPrompt(BaseModel):
    prompt: str


def _ask_helpsteer(row: Row) -> Asked:
    return helpsteer_prompt(_HelpSteerPrompt.model_validate(row).prompt)


class _Rated(BaseModel):
    response: str
    rating: FiniteFloat


def _rank_helpsteer(row: Row, judgement: str) -> Found:
    def judge(part: Mapping[str, Any]) -> tuple[str, float]:
        parsed = _Rated.model_validate({"response": part.get("response"), "rating": part.get(judgement)})
        return parsed.response, parsed.rating

    return _ranked_parts(row, RATED, _ask_helpsteer(row), judge)


class _KtoPrompt(BaseModel):
    prompt: str | tuple[Message, ...]


class _Labeled(BaseModel):
    completion: str


def _ask_kto(row: Row) -> Asked:
    prompt = _KtoPrompt.model_validate(row).prompt
    if not isinstance(prompt, str) and (not prompt or prompt[-1].role != "user"):
        raise UnusableRow("'prompt' does not end with a turn of the user, so it is not known what was asked")
    return prompt


def _rank_kto(row: Row, judgement: str) -> Found:
    labels = {part["label"] for part in row[LABELED]}
    if len(labels) == 1:
        which = "good" if True in labels else "bad"
        raise UnusableRow(f"the prompt has only {which} completions ('label'), so there is no comparison")

    def judge(part: Mapping[str, Any]) -> tuple[str, float]:
        completion = part["completion"]
        if isinstance(completion, list):
            completion = dialogue("completion", completion)
            if len(completion) != 1 or completion[0].role != "assistant":
                raise UnusableRow("a completion is more than one turn of the assistant, so there is no comparison")
            completion = completion[0].content
        return _Labeled(completion=completion).completion, float(part["label"])

    return _ranked_parts(row, LABELED, _ask_kto(row), judge)


JOINED = (
    Published(
        name="HelpSteer",
        needs=("prompt", "response", *ATTRIBUTES),
        matches=has_keys("prompt", RATED),
        ask=_ask_helpsteer,
        rank=_rank_helpsteer,
        judgements=ATTRIBUTES,
        reads=("prompt",),
    ),
    Published(
        name="KTO",
        needs=("prompt", "completion", "label"),
        matches=has_keys("prompt", LABELED),
        ask=_ask_kto,
        rank=_rank_kto,
        judgements=("label",),
        reads=("prompt",),
    ),
)
