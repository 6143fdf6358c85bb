"""Argilla's records, shaped as version 2.8 and version 1 write them: whose answers they are, and which count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from tutelage.errors import DataError
from tutelage.studio.imports import Imported, import_labels, read_imported
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.people import people
from tutelage.studio.studio import Studio

ADA, BOB = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))
FIELDS = {"prompt": "Name a bird.", "reply_1": "An owl.", "reply_2": "A cat."}
FIRST = [{"value": "reply_1", "rank": 1}, {"value": "reply_2", "rank": 2}]
TIED = [{"value": "reply_1", "rank": 1}, {"value": "reply_2", "rank": 1}]
CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
Answers = dict[str, list[tuple[str, Any, str]]]


def _server(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def nested(number: int, fields: dict[str, Any], answers: Answers, status: str = "completed") -> dict[str, Any]:
    """As `Record.to_dict` writes it: no answer says whether it was submitted."""
    given = {
        question: [{"value": value, "user_id": user} for user, value, _ in each] for question, each in answers.items()
    }
    shape = {"id": f"r{number}", "fields": fields, "metadata": {"source": "web"}, "suggestions": {}, "responses": given}
    return {**shape, "vectors": {}, "status": status, "_server_id": _server(number)}


def flat(number: int, fields: dict[str, Any], answers: Answers, status: str = "completed") -> dict[str, Any]:
    """As `to_list(flatten=True)` writes it; what a record has not is null, if another one has it."""
    row = {"id": f"r{number}", "status": status, "_server_id": _server(number), **fields}
    for question, each in answers.items():
        row[f"{question}.responses"] = [value for _, value, _ in each] or None
        row[f"{question}.responses.users"] = [user for user, _, _ in each] or None
        row[f"{question}.responses.status"] = [one for _, _, one in each] or None
        row |= {
            f"{question}.suggestion": "Owl",
            f"{question}.suggestion.score": 0.5,
            f"{question}.suggestion.agent": "m",
        }
    return row


def of_version_1(number: int, fields: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """One response a user, with the status of all that they answered."""
    users = dict.fromkeys((user, status) for each in answers.values() for user, _, status in each)
    responses = [
        {
            "user_id": user,
            "status": status,
            "values": {
                question: {"value": value}
                for question, each in answers.items()
                for one, value, _ in each
                if one == user
            },
        }
        for user, status in users
    ]
    return {"id": _server(number), "fields": fields, "metadata": {}, "responses": responses, "suggestions": []}


def on_the_hub(number: int, fields: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """Version 1 as a data set: a column a question, ranks and names side by side."""
    row: dict[str, Any] = {**fields, "external_id": f"r{number}", "metadata": '{"source": "web"}'}
    for question, each in answers.items():
        row[question] = [
            {
                "user_id": user,
                "status": status,
                "value": value
                if isinstance(value, str)
                else {"rank": [one["rank"] for one in value], "value": [one["value"] for one in value]},
            }
            for user, value, status in each
        ]
        row |= {f"{question}-suggestion": None, f"{question}-suggestion-metadata": {"agent": None}}
    return row


SETTINGS: dict[str, Any] = {
    "guidelines": None,
    "questions": [{"id": None, "name": "write", "settings": {"type": "text", "use_markdown": False}}],
    "fields": [{"id": None, "name": "prompt", "settings": {"type": "text", "use_markdown": False}}],
    "distribution": {"strategy": "overlap", "min_submitted": 2},
}


def settings_of(fields: Any, *texts: str) -> dict[str, Any]:
    """Settings with these fields, dialogues as such, and these questions for a text."""
    return {
        **SETTINGS,
        "fields": [
            {"name": name, "settings": {"type": "text" if isinstance(value, str) else "chat"}}
            for name, value in dict(fields).items()
        ],
        "questions": [{"name": name, "settings": {"type": "text"}} for name in texts],
    }


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[list[Imported], list[str]]]:
    """Writes records to a file and reads them: what they give, and why the rest is left out."""

    def read_records(*records: Any, settings: Any = None, lines: bool = False) -> tuple[list[Imported], list[str]]:
        told: list[str] = []
        path, given = tmp_path / ("records.jsonl" if lines else "records.json"), {}
        path.write_text("\n".join(map(json.dumps, records)) if lines else json.dumps(list(records)))
        if settings is not None:
            given["label_config"] = tmp_path / "settings.json"
            given["label_config"].write_text(json.dumps(settings))
        found = list(read_imported(path, on_skip=lambda skipped: told.append(skipped.message), **given))
        return found, told

    return read_records


ALL_SHAPES = pytest.mark.parametrize("shape", [flat, of_version_1, on_the_hub])


@ALL_SHAPES
def test_submitted_rankings_are_read_in_every_shape(read: Callable[..., Any], shape: Any) -> None:
    """An unanswered record comes first; drafts and what was discarded are left out; equal ranks tie."""
    answers = {"order": [(ADA, TIED, "submitted"), (BOB, FIRST, "draft"), ("x", FIRST, "discarded")]}
    empty = {name: [] for name in answers}
    found, told = read(shape(1, {**FIELDS, "prompt": "Name a cat."}, empty), shape(2, FIELDS, answers))
    assert [(each.labeler, each.label.ranking) for each in found] == [(ADA, (("reply_1", "reply_2"),))]
    assert found[0].task.prompt.text == "Name a bird."
    assert [message.split(": ", 1)[1] for message in told] == [
        "nobody has answered the record",
        "the answer was not submitted, its status is draft",
        "the answer was not submitted, its status is discarded",
    ]


@ALL_SHAPES
@pytest.mark.parametrize("status", ["draft", "discarded"])
def test_a_draft_is_no_demonstration(read: Callable[..., Any], shape: Any, status: str) -> None:
    answers = {"response": [(ADA, "An ow", status), (BOB, "A crow.", "submitted")]}
    ask = {"prompt": "Name a bird."}
    found, told = read(shape(1, ask, answers), settings=settings_of(ask, "response"))
    assert [each.label.fields["response"] for each in found] == ["A crow."] and status in told[0]


def test_nested_answers_count_where_the_record_says_that_they_were_submitted(read: Callable[..., Any]) -> None:
    """Of a complete record one answer was submitted, or as many as the settings ask for; of two it is not known."""
    one, two = {"write": [(ADA, "An owl.", "")]}, {"write": [(ADA, "An owl.", ""), (BOB, "A crow.", "")]}
    ask = {"prompt": "Name a bird."}
    cases = [("pending", one, 1, 0), ("completed", one, 1, 1), ("completed", two, 1, 0), ("completed", two, 2, 2)]
    for status, answers, fewest, number in cases:
        settings = {**SETTINGS, "distribution": {"min_submitted": fewest}}
        found, told = read(nested(1, ask, answers, status), settings=settings)
        assert len(found) == number and len(told) == (0 if number else len(answers["write"]))
        assert all("was submitted is not known" in message for message in told)


def test_columns_and_an_index_are_the_same_records(read: Callable[..., Any]) -> None:
    """`to_dict` writes one object: columns, or records by their id."""
    records = [flat(number, FIELDS, {"order": [(ADA, FIRST, "submitted")]}) for number in (1, 2)]
    columns = {key: [record[key] for record in records] for key in records[0]}
    for written in (columns, {record["id"]: record for record in records}):
        found, told = read(written, lines=True)
        assert len(found) == 2 and not told


@pytest.mark.parametrize(
    ("fields", "answers", "reason"),
    [
        ({"prompt": "I love it."}, {"tone": [(ADA, "positive", "submitted")]}, "response or for a label"),
        ({"prompt": "Is it an owl?"}, {"answer": [(ADA, "yes", "submitted")]}, "response or for a label"),
        (
            {"prompt": "Name a bird."},
            {"response": [(ADA, "An owl.", "submitted")], "tone": [(ADA, "good", "submitted")]},
            "may be a comment",
        ),
        (
            {"prompt": "Name a bird."},
            {"response": [(ADA, "An owl.", "submitted")], "tone": [(BOB, "good", "submitted")]},
            "may be a comment",
        ),
        (FIELDS, {"order": [(ADA, FIRST, "submitted")], "response": [(ADA, "Both.", "submitted")]}, "may be a comment"),
        (FIELDS, {"order": [(ADA, FIRST, "submitted")], "response": [(BOB, "Both.", "submitted")]}, "may be a comment"),
        ({"prompt": "Name a bird."}, {"stars": [(ADA, 4, "submitted")]}, "neither a ranking nor a text"),
        ({"prompt": "Name a bird."}, {"tags": [(ADA, ["a", "b"], "submitted")]}, "neither a ranking nor a text"),
    ],
)
def test_an_answer_that_may_be_no_response_is_no_demonstration(
    read: Callable[..., Any], fields: dict[str, Any], answers: Answers, reason: str
) -> None:
    found, told = read(flat(1, fields, answers))
    assert not [each for each in found if each.task.kind == "demonstrate"]
    assert any(reason in message for message in told)


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [({"prompt": "Hi", "response": "Yo."}, "Rude.", "holds a response already"), ({"prompt": "Hi"}, " ", "blank")],
)
def test_a_text_that_is_no_response_is_no_demonstration(
    read: Callable[..., Any], fields: dict[str, Any], text: str, reason: str
) -> None:
    record = flat(1, fields, {"answer": [(ADA, text, "submitted")]})
    found, told = read(record, settings=settings_of(fields, "answer"))
    assert found == [] and reason in told[0]


def test_the_settings_say_what_a_question_asks_for(read: Callable[..., Any]) -> None:
    """A text under any name; a label under the name of a response; metadata that stands among the fields."""
    record = flat(1, {"prompt": "Name a bird.", "source": "a page"}, {"write": [(ADA, "An owl.", "submitted")]})
    found, told = read(record)
    assert found == [] and "response or for a label" in told[0]
    found, told = read(record, settings=SETTINGS)
    assert not told and found[0].label.fields["response"] == "An owl." and found[0].task.prompt.text == "Name a bird."
    labels = [{"name": "response", "settings": {"type": "label_selection"}}]
    record = flat(1, {"prompt": "Good?"}, {"response": [(ADA, "yes", "submitted")]})
    found, told = read(record, settings={**SETTINGS, "questions": labels})
    assert found == [] and "does not ask for a text" in told[0]
    fields = [*SETTINGS["fields"], {"name": "photo", "settings": {"type": "image"}}]
    record = flat(1, {"prompt": "What?", "photo": "a.png"}, {"write": [(ADA, "An owl.", "submitted")]})
    found, told = read(record, settings={**SETTINGS, "fields": fields})
    assert found == [] and "more than text: field 'photo'" in told[0]


def test_a_record_that_gives_nothing_takes_all_its_annotations_with_it(tmp_path: Path) -> None:
    path, settings, skipped = tmp_path / "records.json", tmp_path / "settings.json", []
    answers = {"write": [(ADA, "An owl.", "submitted"), (BOB, "A crow.", "submitted")]}
    path.write_text(json.dumps([flat(1, {"prompt": "a.png"}, answers)]))
    image = [{"name": "prompt", "settings": {"type": "image"}}]
    settings.write_text(json.dumps({**SETTINGS, "fields": image}))
    assert list(read_imported(path, label_config=settings, on_skip=skipped.append)) == []
    assert [(one.line, one.num_annotations) for one in skipped] == [(1, 2)]


@pytest.mark.parametrize(
    ("fields", "prompt"),
    [
        ({"passage": "Owls hunt.", "prompt": "When?"}, "Owls hunt.\n\nWhen?"),
        ({"text": "Owls hunt.", "instruction": "Sum it up."}, "Owls hunt.\n\nSum it up."),
        ({"chat": CHAT, "prompt": "Name a bird."}, [*CHAT, {"role": "user", "content": "Name a bird."}]),
        ({"chat": CHAT[:1]}, CHAT[:1]),
    ],
)
def test_passages_and_turns_stand_before_the_prompt(
    read: Callable[..., Any], fields: dict[str, Any], prompt: Any
) -> None:
    record = flat(1, fields, {"response": [(ADA, "At night.", "submitted")]})
    found, told = read(record, settings=settings_of(fields, "response"))
    assert not told
    asked = found[0].task.prompt
    assert (asked.text or [turn.model_dump() for turn in asked.messages]) == prompt


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": "When?", "notes": "Owls hunt."}, "whether 'notes' is part"),
        ({"chat": CHAT, "passage": "Owls hunt."}, "belongs in the dialogue"),
        ({"chat": CHAT}, "does not end with the user"),
        ({"chat": CHAT, "messages": CHAT}, "all dialogues"),
        ({"text": "Owls hunt."}, "'text' is not a prompt"),
        ({"headline": "Owls hunt."}, "whether 'headline' is part"),
    ],
)
def test_a_prompt_that_may_not_be_whole_is_refused(
    read: Callable[..., Any], fields: dict[str, Any], reason: str
) -> None:
    for shape in (flat, of_version_1):
        record = shape(1, fields, {"response": [(ADA, "At night.", "submitted")]})
        found, told = read(record, settings=settings_of(fields, "response"))
        assert found == [] and reason in told[0]


def test_two_rankings_of_the_same_fields_do_not_count(read: Callable[..., Any]) -> None:
    """Nobody says which criterion counts; rankings of other fields do."""
    others = [{"value": "reply_3", "rank": 2}, {"value": "reply_4", "rank": 1}]
    fields = {**FIELDS, "reply_3": "A hen.", "reply_4": "A dog."}
    answers = {
        name: [(ADA, value, "submitted")] for name, value in (("helpful", FIRST), ("true", TIED), ("more", others))
    }
    found, told = read(flat(1, fields, answers))
    assert [each.label.ranking for each in found] == [(("reply_4",), ("reply_3",))]
    assert len(told) == 2 and all("more than once" in message for message in told)


def test_rankings_by_two_criteria_do_not_mix_whoever_made_them(read: Callable[..., Any]) -> None:
    """Each labeler answers one of two questions, one of them in another record; or the settings show the second."""
    helpful, true = {"helpful": [(ADA, FIRST, "submitted")]}, {"true": [(BOB, TIED, "submitted")]}
    for records in (
        [flat(1, FIELDS, helpful | true)],
        [flat(1, FIELDS, helpful), flat(2, FIELDS, true)],
        [of_version_1(1, FIELDS, helpful), of_version_1(2, FIELDS, true)],
    ):
        found, told = read(*records)
        assert found == [] and len(told) == 2 and all("more than once" in message for message in told)
    for options, number in ((["reply_1", "reply_2"], 0), (["reply_3", "reply_4"], 1)):
        ranking = {"type": "ranking", "options": [{"value": option, "text": option} for option in options]}
        settings = {**settings_of(FIELDS), "questions": [{"name": "true", "settings": ranking}]}
        found, told = read(flat(1, FIELDS, helpful), settings=settings)
        assert len(found) == number and len(told) == 1 - number


def test_metadata_beside_the_fields_of_a_flat_record_is_told_from_them_only_by_the_settings(
    read: Callable[..., Any],
) -> None:
    """Numbers and what says where a record comes from are metadata; any other text may have been shown."""
    answers = {"order": [(ADA, FIRST, "submitted")]}
    found, told = read(flat(1, {**FIELDS, "length": 12, "is_new": True, "source": "web"}, answers))
    assert not told and found[0].task.prompt.text == "Name a bird."
    noted = flat(1, {**FIELDS, "notes": "by Ada"}, answers)
    found, told = read(noted)
    assert found == [] and "whether 'notes' is part" in told[0] and "--label-config" in told[0]
    found, told = read(noted, settings=settings_of(FIELDS))
    assert not told and found[0].task.prompt.text == "Name a bird."


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([*FIRST, {"value": "reply_9", "rank": 3}], "2 of 3 ranked names"),
        ([FIRST[0], {"value": "reply_2", "rank": None}], "not everything ranked"),
        (FIRST[:1], "1 of 1 ranked names"),
    ],
)
def test_a_ranking_that_is_not_whole_is_told(read: Callable[..., Any], value: Any, reason: str) -> None:
    found, told = read(flat(1, FIELDS, {"order": [(ADA, FIRST, "submitted"), (BOB, value, "submitted")]}))
    assert [each.labeler for each in found] == [ADA] and len(told) == 1 and reason in told[0]


def test_every_shape_of_the_same_records_gives_the_same_labels_once(studio: Studio, tmp_path: Path) -> None:
    """Two people, three labels: from the nested file, the flat one, and a copy of it with one answer more."""
    one = {"order": [(ADA, FIRST, "submitted")]}
    two = {"order": [(ADA, FIRST, "submitted"), (BOB, TIED, "submitted")]}
    files = {
        "nested.json": ([nested(1, FIELDS, one), nested(2, FIELDS | {"prompt": "Name a cat."}, one)], 2),
        "flat.json": ([flat(1, FIELDS, one), flat(2, FIELDS | {"prompt": "Name a cat."}, one)], 0),
        "copy.json": ([flat(1, FIELDS, one), flat(2, FIELDS | {"prompt": "Name a cat."}, two)], 1),
    }
    for name, (records, number) in files.items():
        (tmp_path / name).write_text(json.dumps(records))
        assert import_labels(studio, read_imported(tmp_path / name), name=name).num_new == number
    assert len(stored_labels(studio)) == 3 and len(people(studio)) == 2


def test_the_configuration_of_the_other_tool_is_told(tmp_path: Path) -> None:
    path, xml = tmp_path / "records.json", tmp_path / "config.xml"
    path.write_text(json.dumps([flat(1, FIELDS, {"order": [(ADA, FIRST, "submitted")]})]))
    xml.write_text("<View/>")
    with pytest.raises(DataError, match="not an export of the tool"):
        list(read_imported(path, label_config=xml))
