"""Label Studio's and Argilla's exports, a row at a time, as rankings and demonstrations with their labelers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tutelage.records import Completion, Demonstration, Ranking
from tutelage.store.annotated import tie_groups
from tutelage.store.forms import UnusableRow

Row = Mapping[str, Any]
Record = Ranking | Demonstration
# Where people put the prompt, by how often: templates and documents of both tools use these.
_PROMPT_KEYS = ("prompt", "instruction", "question", "input", "text")
_PAIR_KEYS = (("answer1", "answer2"), ("response1", "response2"), ("text1", "text2"), ("left", "right"))
_ITEM_TEXT_KEYS = ("body", "text", "html", "title")


def is_label_studio(row: Row) -> bool:
    """Whether a row is a task of Label Studio's JSON export."""
    return isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list)


def is_argilla(row: Row) -> bool:
    """Whether a row is a record of Argilla: nested (`fields`, `responses`), or flat as it stands on the hub."""
    return (isinstance(row.get("fields"), dict) and "responses" in row) or bool(_flat_questions(row))


def records_of_label_studio(row: Row) -> list[Record]:
    """What each annotation ranks (`Ranker`, `Pairwise`) or writes (`TextArea`). Raises UnusableRow where there is none.

    Buckets are left out: a file does not tell which bucket is better.
    """
    data, found = row["data"], []
    prompt = _prompt(data)
    for annotation in row["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        labeler = annotation.get("completed_by")
        labeler = labeler.get("email") or labeler.get("id") if isinstance(labeler, dict) else labeler
        shared = {"prompt": prompt, "labeler_id": None if labeler is None else str(labeler)}
        for result in annotation.get("result") or ():
            found += _of_result(result, data, shared)
    if not found:
        raise UnusableRow("no annotation ranks all items of a list, chooses one of a pair, or writes a text")
    return found


def _prompt(texts: Mapping[str, Any]) -> str:
    for key in _PROMPT_KEYS:
        if isinstance(texts.get(key), str) and texts[key].strip():
            return str(texts[key])
    raise UnusableRow(f"there is no prompt; it is looked for under {', '.join(_PROMPT_KEYS)}")


def _of_result(result: Row, data: Row, shared: dict[str, Any]) -> list[Record]:
    value, kind = result.get("value") or {}, result.get("type")
    if kind == "textarea":
        text = "\n".join(value.get("text") or ())
        return [Demonstration(**shared, response=text)] if text.strip() else []
    if kind == "pairwise" and value.get("selected") in ("left", "right"):
        pair = next((keys for keys in _PAIR_KEYS if all(isinstance(data.get(key), str) for key in keys)), None)
        if pair is None:
            return []
        completions = tuple(Completion(id=key, text=data[key]) for key in pair)
        order = pair if value["selected"] == "left" else pair[::-1]
        return [Ranking(**shared, completions=completions, ranking=tuple((each,) for each in order))]
    if kind == "ranker":
        return _of_ranker(value.get("ranker"), data, shared)
    return []


def _of_ranker(ranked: Any, data: Row, shared: dict[str, Any]) -> list[Record]:
    # A list, or a mapping of one name to a list; "_" is what was left in its place.
    lists = [ranked] if isinstance(ranked, list) else [ids for name, ids in (ranked or {}).items() if name != "_"]
    items = next((_items(value) for value in data.values() if _items(value)), {})
    if len(lists) != 1 or sorted(map(str, lists[0])) != sorted(items) or len(items) < 2:
        return []
    completions = tuple(Completion(id=identity, text=text) for identity, text in items.items())
    return [Ranking(**shared, completions=completions, ranking=tuple((str(each),) for each in lists[0]))]


def _items(value: Any) -> dict[str, str]:
    """The items of a `List` by id, if that is what this is."""
    if not isinstance(value, list) or not all(isinstance(item, dict) and "id" in item for item in value):
        return {}
    return {str(item["id"]): next((str(item[key]) for key in _ITEM_TEXT_KEYS if item.get(key)), "") for item in value}


def records_of_argilla(row: Row) -> list[Record]:
    """What each submitted response ranks, or writes where the record asks for nothing but one text.

    Raises UnusableRow where there is none. Equal ranks are ties; discarded responses and drafts are left out.
    """
    fields, responses = _nested(row)
    found: list[Record] = []
    prompt = _prompt(fields)
    for labeler, value in responses:
        shared = {"prompt": prompt, "labeler_id": labeler}
        ranks = _ranks(value)
        texts = {name: fields[name] for name in ranks if isinstance(fields.get(name), str)}
        if len(ranks) > 1 and len(texts) == len(ranks):
            completions = tuple(Completion(id=name, text=text) for name, text in texts.items())
            groups = tie_groups(list(ranks), [-rank for rank in ranks.values()])
            found.append(Ranking(**shared, completions=completions, ranking=groups))
        elif isinstance(value, str) and value.strip() and len(fields) == 1:
            found.append(Demonstration(**shared, response=value))
    if not found:
        raise UnusableRow("no submitted response ranks fields of the record, or writes its only text")
    return found


def _nested(row: Row) -> tuple[dict[str, Any], list[tuple[str | None, Any]]]:
    """The fields of a record, and each submitted answer with who gave it."""
    if isinstance(row.get("fields"), dict):
        given = row.get("responses") or []
        answers = list(_of_users(given) if isinstance(given, list) else _of_questions(given))
        return dict(row["fields"]), answers
    questions = _flat_questions(row)
    fields = {
        name: value for name, value in row.items() if isinstance(value, str) and name not in ("external_id", "id")
    }
    return fields, list(_of_questions(questions))


def _flat_questions(row: Row) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, list)
        and value
        and all(isinstance(one, dict) and {"user_id", "value"} <= one.keys() for one in value)
    }


def _of_users(responses: list[Any]) -> Iterator[tuple[str | None, Any]]:
    """Argilla 1: one response a user, its values by question."""
    for response in responses:
        if response.get("status", "submitted") == "submitted":
            for answer in (response.get("values") or {}).values():
                yield _user(response), answer.get("value") if isinstance(answer, dict) else answer


def _of_questions(questions: Mapping[str, Any]) -> Iterator[tuple[str | None, Any]]:
    """Argilla 2, and the hub: one list of responses a question."""
    for answers in questions.values():
        for answer in answers:
            if answer.get("status", "submitted") == "submitted":
                yield _user(answer), answer.get("value")


def _user(response: Row) -> str | None:
    return str(response["user_id"]) if response.get("user_id") else None


def _ranks(value: Any) -> dict[str, float]:
    """Ranks by name: [{value, rank}], or both as lists, as the package datasets stores it."""
    if isinstance(value, dict) and isinstance(value.get("rank"), list) and isinstance(value.get("value"), list):
        value = [{"value": name, "rank": rank} for name, rank in zip(value["value"], value["rank"])]
    if not isinstance(value, list) or not all(isinstance(one, dict) and one.get("rank") is not None for one in value):
        return {}
    return {str(one["value"]): float(one["rank"]) for one in value}
