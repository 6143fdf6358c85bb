"""Argilla's records, one at a time: rankings and demonstrations with their labelers, in the formats it writes.

Argilla 1 stores answers by user, Argilla 2 by question (nested); both also flat, one column per field or question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tutelage.records import Demonstration
from tutelage.store.annotated import tie_groups
from tutelage.store.forms import Row, UnusableRow
from tutelage.studio.foreign import (
    CONFIG_HINT,
    RESPONSE_KEYS,
    RIVALS,
    Given,
    NotRead,
    Record,
    prompt_of,
    ranking_of,
    without_rivals,
)
from tutelage.studio.label_config import ArgillaSettings

_RESPONSES, _SUGGESTION = ".responses", "-suggestion"
_NO_FIELDS = ("id", "external_id", "_server_id", "status", "score", "metadata", "vectors")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one person answered to one question. `status` is None if the file does not say."""

    question: str
    user: str | None
    value: Any
    status: str | None


def is_argilla(row: Row) -> bool:
    """Whether a row is an Argilla record, answered or not: nested, or flat."""
    if isinstance(row.get("fields"), dict) and "responses" in row:
        return True
    return "_server_id" in row or any(_is_flat(row, name) for name in row)


def records_in(row: Row) -> list[Row]:
    """The records of one object of a file: itself, or all of them, if `to_dict` wrote columns or an index."""
    values = list(row.values())
    if isinstance(row.get("_server_id"), list) and all(isinstance(column, list) for column in values):
        return [dict(zip(row, each, strict=True)) for each in zip(*values, strict=True)]
    if values and all(isinstance(each, dict) and "_server_id" in each for each in values):
        return values
    return [row]


def questions_seen(rows: Iterable[Row]) -> dict[str, frozenset[str]]:
    """What anyone in a file ranked, by question: a single record does not show all questions."""
    seen: dict[str, set[str]] = {}
    for row in filter(is_argilla, rows):
        for answer in _answers(row):
            seen.setdefault(answer.question, set()).update(_ranks(answer.value))
    return {question: frozenset(names) for question, names in seen.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgillaReader:
    """Reads records. `questions` is what `questions_seen` found in the file, `settings` the given settings file."""

    questions: Mapping[str, frozenset[str]]
    settings: ArgillaSettings | None = None
    tool: str = "Argilla"

    def num_annotations(self, row: Row) -> int:
        return sum(1 for _ in _answers(row)) if is_argilla(row) else 0

    def read(self, row: Row) -> list[Given | NotRead]:
        if not is_argilla(row):
            raise UnusableRow("it is not a record of Argilla")
        answers = list(_answers(row))
        if not answers:
            raise UnusableRow("nobody has answered the record")
        fields = self._fields(row)
        ranked = {name for answer in answers for name in _ranks(answer.value) if name in fields}
        found: list[Given | NotRead] = []
        for user in dict.fromkeys(answer.user for answer in answers):
            own = [answer for answer in answers if answer.user == user]
            found += without_rivals([self._of_answer(row, answer, own, answers, fields, ranked) for answer in own])
        return found

    def _fields(self, row: Row) -> dict[str, Any]:
        """What the labeler saw, by the name of the field."""
        if isinstance(row.get("fields"), dict):
            fields = {name: value for name, value in row["fields"].items() if value is not None}
        else:
            fields = {name: value for name, value in row.items() if value is not None and _is_field(row, name)}
        if self.settings is None:
            return fields
        others = [
            name for name, kind in self.settings.fields.items() if name in fields and kind not in ("text", "chat")
        ]
        if others:
            raise UnusableRow(f"the labeler saw more than text: field {others[0]!r}")
        return {name: fields[name] for name in self.settings.fields if name in fields}

    def _of_answer(
        self, row: Row, answer: _Answer, own: list[_Answer], answers: list[_Answer], fields: Row, ranked: set[str]
    ) -> Given | NotRead:
        where = f"annotation {answer.user} {answer.question}"
        try:
            self._require_submitted(row, answer, answers)
            record = self._record(row, answer, own, fields, ranked)
        except UnusableRow as error:
            return NotRead(reason=str(error), where=where)
        return Given(record=record, label_id=_label_id(row, answer), labeler=answer.user, where=where)

    def _require_submitted(self, row: Row, answer: _Answer, answers: list[_Answer]) -> None:
        if answer.status == "submitted":
            return
        if answer.status is not None:
            raise UnusableRow(f"the answer was not submitted, its status is {answer.status}")
        # Of a complete record at least so many answers were submitted; if there are no more, these are they.
        fewest = self.settings.min_submitted if self.settings else 1
        if row.get("status") != "completed" or len({each.user for each in answers}) > fewest:
            raise UnusableRow(
                "whether the answer was submitted is not known; the output of to_list(flatten=True) says so"
            )

    def _record(self, row: Row, answer: _Answer, own: list[_Answer], fields: Row, ranked: set[str]) -> Record:
        value = answer.value
        if ranks := _ranks(value):
            self._require_sole(answer.question, ranks)
            # A flat record also has its metadata next to its fields, which the labeler did not see.
            are_all_shown = self.settings is not None or isinstance(row.get("fields"), dict)
            return _ranking(ranks, fields, ranked, are_all_shown=are_all_shown)
        if not isinstance(value, str):
            raise UnusableRow(f"an answer to the question {answer.question!r} is neither a ranking nor a text")
        others = {*self.questions, *(self.settings.questions if self.settings else ())} - {answer.question}
        if len(own) > 1 or others or ranked:
            raise UnusableRow("a text beside other questions may be a comment, and no response to the prompt")
        if self.settings is None:
            raise UnusableRow(
                f"whether {answer.question!r} asks for a response or for a label is not known; {CONFIG_HINT}"
            )
        if self.settings.questions.get(answer.question) != "text":
            raise UnusableRow(f"the question {answer.question!r} does not ask for a text")
        if any(key in fields for key in RESPONSE_KEYS):
            raise UnusableRow("the record holds a response already, which the text may be about")
        if not value.strip():
            raise UnusableRow("the text is blank")
        prompt = prompt_of(fields, are_all_shown=True)
        return Demonstration(prompt=prompt.text, messages=prompt.messages, response=value)

    def _require_sole(self, question: str, ranks: Iterable[str]) -> None:
        """Raise UnusableRow if another question ranks the same, answered by anyone: it may be the one that counts."""
        others = [*self.questions.items(), *(self.settings.ranked.items() if self.settings else ())]
        if any(name != question and len(names.intersection(ranks)) > 1 for name, names in others):
            raise UnusableRow(RIVALS)


def _ranking(ranks: Mapping[str, Any], fields: Row, ranked: set[str], *, are_all_shown: bool) -> Record:
    texts = {name: fields[name] for name in ranks if isinstance(fields.get(name), str)}
    if len(texts) < len(ranks) or len(ranks) < 2:
        raise UnusableRow(
            f"{len(texts)} of {len(ranks)} ranked names are fields with text; a ranking needs all, and two"
        )
    if any(isinstance(rank, bool) or not isinstance(rank, int | float) for rank in ranks.values()):
        raise UnusableRow("not everything ranked has a rank")
    left = {name: value for name, value in fields.items() if name not in ranked}
    prompt = prompt_of(left, are_all_shown=are_all_shown)
    return ranking_of(texts, tie_groups(list(ranks), [-float(rank) for rank in ranks.values()]), prompt)


def _ranks(value: Any) -> dict[str, Any]:
    """Ranks by name: [{value, rank}], or both as lists, as the `datasets` package stores them."""
    if isinstance(value, dict) and isinstance(value.get("rank"), list) and isinstance(value.get("value"), list):
        value = [{"value": name, "rank": rank} for name, rank in zip(value["value"], value["rank"])]
    if not isinstance(value, list) or not all(isinstance(one, dict) and "value" in one for one in value):
        return {}
    return {str(one["value"]): one.get("rank") for one in value if "rank" in one}


def _label_id(row: Row, answer: _Answer) -> str | None:
    """The identity of an answer: the record's number on its server, or its own id if that is unique everywhere."""
    for key in ("_server_id", "id"):
        try:
            return f"{UUID(str(row.get(key)))} {answer.user} {answer.question}" if answer.user else None
        except ValueError:
            continue
    return None


def _answers(row: Row) -> Iterator[_Answer]:
    responses = row.get("responses")
    if isinstance(row.get("fields"), dict):
        yield from _of_users(responses) if isinstance(responses, list) else _of_questions(responses or {})
        return
    for name in row:
        if name.endswith(_RESPONSES):
            yield from _of_columns(row, name)
        elif _is_flat(row, name):
            yield from _of_questions({name: row[name]})


def _of_users(responses: list[Any]) -> Iterator[_Answer]:
    """Argilla 1: one response per user, its values by question; without a status it is submitted, as its type says."""
    for response in _objects(responses):
        for question, given in (response.get("values") or {}).items():
            value = given.get("value") if isinstance(given, dict) else given
            status = str(response.get("status") or "submitted")
            yield _Answer(question=question, user=_user(response), value=value, status=status)


def _of_questions(questions: Mapping[str, Any]) -> Iterator[_Answer]:
    """Argilla 2, and Argilla 1 on the hub: one list of answers per question."""
    for question, answers in questions.items():
        for each in _objects(answers or ()):
            status = str(each["status"]) if each.get("status") else None
            yield _Answer(question=question, user=_user(each), value=each.get("value"), status=status)


def _objects(values: Iterable[Any]) -> Iterator[Row]:
    # None has neither an answer nor a person who answered.
    return (value for value in values if isinstance(value, dict))


def _of_columns(row: Row, name: str) -> Iterator[_Answer]:
    """Argilla 2, flat: values, users and statuses of a question in three lists side by side."""
    values = row[name] or []
    users, statuses = row.get(f"{name}.users") or [], row.get(f"{name}.status") or []
    for number, value in enumerate(values):
        user = str(users[number]) if number < len(users) else None
        status = str(statuses[number]) if number < len(statuses) and statuses[number] else "not told"
        yield _Answer(question=name.removesuffix(_RESPONSES), user=user, value=value, status=status)


def _user(response: Row) -> str | None:
    return str(response["user_id"]) if response.get("user_id") else None


def _is_flat(row: Row, name: str) -> bool:
    """Whether a column is a question with its answers: Argilla 2's by its name, Argilla 1's by its content."""
    value = row[name]
    if name.endswith((_RESPONSES, f"{_RESPONSES}.users", f"{_RESPONSES}.status")):
        return True
    if f"{name}{_SUGGESTION}" in row and isinstance(value, list | None):
        return True
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and {"user_id", "value"} <= one.keys() for one in value)
    )


def _is_field(row: Row, name: str) -> bool:
    if not isinstance(row[name], str | list | dict):
        return False  # Metadata: a field holds text or turns.
    if isinstance(row[name], list) and all(isinstance(number, int | float) for number in row[name]):
        return False  # A vector, or nothing.
    is_suggested = any(name.startswith(f"{question}{_SUGGESTION}") for question in row if question != name)
    return name not in _NO_FIELDS and not is_suggested and ".suggestion" not in name and not _is_flat(row, name)
