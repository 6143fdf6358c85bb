"""Label Studio's JSON export, one task at a time: rankings and demonstrations with their labelers.

What a control refers to is in the labeling configuration, which the export does not contain: it is read from there if
given, otherwise inferred from names if they are unambiguous.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.records import Demonstration, Prompt
from tutelage.store.forms import Row, UnusableRow
from tutelage.store.turns import is_absent
from tutelage.studio.foreign import (
    CONFIG_HINT,
    RESPONSE_KEYS,
    RIVALS,
    Given,
    Groups,
    NotRead,
    Record,
    prompt_of,
    ranking_of,
    without_rivals,
)
from tutelage.studio.label_config import Control, LabelStudioConfig

_PAIR_STEMS = ("answer", "response", "text", "completion", "output", "reply", "")
_PAIR_ENDS = (("1", "2"), ("_1", "_2"), ("a", "b"), ("_a", "_b"), ("left", "right"), ("_left", "_right"))
_JUDGES = ("ranker", "pairwise")
_MIN_KEYS = ("annotation_id", "annotator")
# Where a text or a choice refers to, if it is about a part of what is shown.
_REGION_KEYS = ("parentID", "item_index")


def is_label_studio(row: Row) -> bool:
    """Whether a row is a task of Label Studio's JSON export."""
    return isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list)


def is_label_studio_min(row: Row) -> bool:
    """Whether a row is of Label Studio's JSON-MIN, which has texts and answers side by side, under any names."""
    return all(key in row for key in _MIN_KEYS)


def controls_seen(rows: Iterable[Row]) -> dict[str, dict[str, Control]]:
    """The controls that any annotation of a project answers, by project: a single task does not show all of them."""
    seen: dict[str, dict[str, Control]] = {}
    for row in filter(is_label_studio, rows):
        controls = seen.setdefault(str(row.get("project")), {})
        for result in (result for annotation in row["annotations"] for result in _results(annotation)):
            if isinstance(name := result.get("from_name"), str):
                kind, about = str(result.get("type")), (str(result.get("to_name")),)
                controls[name] = Control(kind=kind, objects=about, is_per_region=False)
    return seen


def _results(annotation: Any) -> list[Row]:
    results = annotation.get("result") if isinstance(annotation, dict) else None
    return [result for result in results or () if isinstance(result, dict)] if isinstance(results, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStudioReader:
    """Reads tasks. `controls` is what `controls_seen` found in the file, `config` the configuration given with it."""

    controls: Mapping[str, Mapping[str, Control]]
    config: LabelStudioConfig | None = None
    tool: str = "Label Studio"

    def num_annotations(self, row: Row) -> int:
        annotations = row.get("annotations")
        return len(annotations) if isinstance(annotations, list) else 0

    def read(self, row: Row) -> list[Given | NotRead]:
        if not is_label_studio(row):
            raise UnusableRow("it is not a task of Label Studio with 'data' and 'annotations'")
        if not row["annotations"]:
            raise UnusableRow("nobody has annotated the task")
        return [each for annotation in row["annotations"] for each in self._of_annotation(row, annotation)]

    def _of_annotation(self, row: Row, annotation: Any) -> list[Given | NotRead]:
        where = f"annotation {annotation.get('id') if isinstance(annotation, dict) else annotation}"
        if isinstance(annotation, dict) and annotation.get("was_cancelled"):
            return [NotRead(reason="its labeler skipped the task", where=where)]
        results = _results(annotation)
        if not results:
            return [NotRead(reason="the annotation holds no result", where=where)]
        found: list[Given | NotRead] = []
        for result in results:
            try:
                record = self._of_result(row, result, results)
            except UnusableRow as error:
                found.append(NotRead(reason=str(error), where=where))
            else:
                found.append(Given(record=record, where=where, **_identities(annotation, result)))
        return without_rivals(found)

    def _of_result(self, row: Row, result: Row, results: list[Row]) -> Record:
        value, kind = result.get("value"), result.get("type")
        if not isinstance(value, dict):
            raise UnusableRow("a result has no value")
        if kind == "textarea":
            return self._demonstration(row, result, value, results)
        if kind in _JUDGES:
            judged = self._judged(row["data"], kind, result)
            self._require_sole(row, result, judged)
            return (
                self._of_pair(row["data"], judged, value)
                if kind == "pairwise"
                else self._of_ranker(row["data"], judged[0], result)
            )
        raise UnusableRow(f"a result of type {kind!r} is neither a ranking nor a text")

    def _demonstration(self, row: Row, result: Row, value: Row, results: list[Row]) -> Demonstration:
        """The text of an annotation, if it can only be the response to a prompt."""
        name, data = str(result.get("from_name")), row["data"]
        if value.keys() != {"text"} or any(not is_absent(result.get(key)) for key in _REGION_KEYS):
            raise UnusableRow("a text about a region of what was shown is not a response")
        if self.config is not None:
            control = self.config.controls.get(name)
            if control is None or control.is_per_region:
                raise UnusableRow("the configuration has no control that asks for this text about the whole task")
            data = {key: data[key] for key in self.config.shown if key in data}
        if len(results) > 1 or set(self._controls(row)) - {name}:
            raise UnusableRow("a text beside other controls may be a comment, and no response to the prompt")
        texts = _without_lists(data)
        there = [key for key in RESPONSE_KEYS if not is_absent(texts.get(key))]
        if len(texts) < len(data) or _pairs(texts) or there:
            raise UnusableRow("the task holds responses already, which the text may be about")
        response = value["text"]
        if isinstance(response, list) and len(response) == 1:
            (response,) = response
        if not isinstance(response, str):
            raise UnusableRow("several texts were written; whether they are one response is not known")
        if not response.strip():
            raise UnusableRow("the text is blank")
        prompt = self._prompt(row["data"], ())
        return Demonstration(prompt=prompt.text, messages=prompt.messages, response=response)

    def _prompt(self, data: Row, judged: Iterable[str]) -> Prompt:
        """The prompt, from what the labeler saw apart from the judged completions and lists with the same ids."""
        if self.config is None:
            ids = [_ids(data[key]) for key in judged if _is_list(data.get(key))]
            rivals = [key for key, value in data.items() if _is_list(value) and _ids(value) in ids]
            left = {key: value for key, value in data.items() if key not in (*judged, *rivals)}
            return prompt_of(left, are_all_shown=False)
        if self.config.unread:
            raise UnusableRow(f"the labeler saw more than text under one key: {self.config.unread[0]}")
        judged = {*judged, *(key for control in self.config.controls.values() for key in self._judged_by(control))}
        shown = {key: data[key] for key in self.config.shown if key in data and key not in judged}
        return prompt_of(shown, are_all_shown=True)

    def _controls(self, row: Row) -> Mapping[str, Control]:
        return self.config.controls if self.config is not None else self.controls.get(str(row.get("project")), {})

    def _judged_by(self, control: Control) -> list[str]:
        keys = self.config.key_of if self.config else {}
        return [keys[name] for name in control.objects if name in keys] if control.kind in _JUDGES else []

    def _judged(self, data: Row, kind: str, result: Row) -> tuple[str, ...]:
        """The keys of what a ranker or a pair judges."""
        return self._sides(data, result) if kind == "pairwise" else (self._list_key(data, result),)

    def _require_sole(self, row: Row, result: Row, judged: tuple[str, ...]) -> None:
        """Raise UnusableRow if another control may judge the same, answered by anyone: it may be what counts."""
        if self.config is not None and result.get("from_name") not in self.config.controls:
            raise UnusableRow(f"the configuration has no control named {result.get('from_name')!r}")
        for name, control in self._controls(row).items():
            if control.kind != result["type"] or name == result.get("from_name"):
                continue
            try:
                other = self._judged(
                    row["data"], control.kind, {"from_name": name, "to_name": ",".join(control.objects)}
                )
            except UnusableRow:
                other = judged  # It is unknown what it judges.
            if set(other) == set(judged):
                raise UnusableRow(RIVALS)

    def _of_pair(self, data: Row, sides: tuple[str, ...], value: Row) -> Record:
        if value.get("selected") not in ("left", "right"):
            raise UnusableRow("neither side of the pair is selected")
        left, right = sides
        if not isinstance(data.get(left), str) or not isinstance(data.get(right), str):
            raise UnusableRow(f"a side of the pair ({left!r}, {right!r}) is not text")
        order = (left, right) if value["selected"] == "left" else (right, left)
        prompt = self._prompt(data, (left, right))
        return ranking_of({left: data[left], right: data[right]}, tuple((key,) for key in order), prompt)

    def _sides(self, data: Row, result: Row) -> tuple[str, str]:
        """The keys of the left and the right side: a `Pairwise` names itself in `to_name`, not what it compares."""
        if self.config is not None:
            control = self.config.controls.get(str(result.get("from_name")))
            keys = self._judged_by(control) if control is not None else []
            if len(keys) != 2:
                raise UnusableRow("the configuration does not say which two texts the pair is of")
            return keys[0], keys[1]
        named = [name.strip() for name in str(result.get("to_name") or "").split(",")]
        if len(named) == 2 and all(isinstance(data.get(name), str) for name in named):
            return named[0], named[1]
        # A result does not say what its control's `toName` was: `answer1` may have been on the right.
        raise UnusableRow(f"which keys hold the left and the right side is not known; {CONFIG_HINT}")

    def _of_ranker(self, data: Row, key: str, result: Row) -> Record:
        items = _items(data.get(key))
        order = _order(result["value"].get("ranker"), result, items)
        return ranking_of(items, order, self._prompt(data, (key,)))

    def _list_key(self, data: Row, result: Row) -> str:
        """The key of the list that was ranked: `to_name` names the tag `List`, whose `value` is the key."""
        name = str(result.get("to_name"))
        if self.config is not None:
            if name not in self.config.key_of:
                raise UnusableRow(f"the configuration has no list named {name!r}")
            return self.config.key_of[name]
        if _is_list(data.get(name)):
            return name
        lists = [key for key, each in data.items() if _is_list(each)]
        if len(lists) != 1:
            raise UnusableRow(f"which list was ranked is not known, there are {len(lists)}; {CONFIG_HINT}")
        return lists[0]


def _identities(annotation: Row, result: Row) -> dict[str, str | None]:
    """Who made a result, and its id in every export."""
    labeler = annotation.get("completed_by")
    name = labeler
    if isinstance(labeler, dict):
        # The number is in every export, the email address in some.
        name = labeler.get("email") or labeler.get("id")
        labeler = labeler.get("id") or labeler.get("email")
    unique = annotation.get("unique_id")
    return {
        "label_id": f"{unique} {result.get('from_name')}" if unique else None,
        "labeler": None if labeler is None else str(labeler),
        "labeler_name": None if name is None else str(name),
    }


def _is_list(value: object) -> bool:
    """Whether this is what a `List` shows: items with ids that are not turns of a dialogue."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and "id" in item and not item.keys() & {"role", "from"} for item in value)
    )


def _ids(items: list[Row]) -> list[str]:
    return sorted(str(item["id"]) for item in items)


def _without_lists(data: Row) -> dict[str, Any]:
    return {key: value for key, value in data.items() if not _is_list(value)}


def _items(value: Any) -> dict[str, str]:
    """The items of a `List` by id, each with everything its labeler read: the title, then the body."""
    if not _is_list(value):
        raise UnusableRow("what was ranked is not a list of items with an id")
    items = {str(item["id"]): _text_of(item) for item in value}
    if len(items) < max(2, len(value)):
        raise UnusableRow(f"the list has {len(value)} items with {len(items)} different ids; a ranking needs two")
    return items


def _text_of(item: Row) -> str:
    if not is_absent(item.get("html")):
        raise UnusableRow("an item of the list is HTML, not text")
    parts = [item[key] for key in ("title", "body") if not is_absent(item.get(key))] or [item.get("text")]
    if not all(isinstance(part, str) and part.strip() for part in parts):
        raise UnusableRow("an item of the list has no text; it is looked for under title, body and text")
    return "\n".join(parts)


def _order(ranked: Any, result: Row, items: Mapping[str, str]) -> Groups:
    """The order of a `Ranker` without buckets, stored under its own name; which bucket is better is unknown."""
    if isinstance(ranked, dict):
        if len(ranked) != 1 or next(iter(ranked)) != result.get("from_name", next(iter(ranked))):
            raise UnusableRow("items were sorted into buckets; which bucket is better is not known")
        (ranked,) = ranked.values()
    if not isinstance(ranked, list):
        raise UnusableRow("the ranking is not a list of ids")
    if sorted(map(str, ranked)) != sorted(items):
        raise UnusableRow(f"the ranking names {len(ranked)} ids, which are not those of the {len(items)} items")
    return tuple((str(each),) for each in ranked)


def _pairs(data: Row) -> list[tuple[str, str]]:
    """Pairs of texts whose names say which one is on the left and which on the right."""
    named = [(stem + left, stem + right) for stem in _PAIR_STEMS for left, right in _PAIR_ENDS]
    return [pair for pair in named if all(isinstance(data.get(key), str) and data[key] for key in pair)]
