"""Taking in what was labeled elsewhere: tasks to label again, or finished labels with their labelers, never twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from sqlalchemy import select

from studio_world import PASSWORD, person
from tutelage.errors import DataError
from tutelage.store.sources import load_demonstrations, load_rankings
from tutelage.studio.assignment import claim
from tutelage.studio.export import export_labels
from tutelage.studio.imports import import_labels, import_tasks, read_imported
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.people import people
from tutelage.studio.sign_in import sign_in
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Item, Slot

ITEMS = [{"id": "x", "body": "An owl."}, {"id": "y", "body": "A cat."}, {"id": "z", "body": "A bat."}]


def _annotation(labeler: Any, kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"completed_by": labeler, "result": [{"type": kind, "value": value}], **more}


LABEL_STUDIO = [
    {
        "data": {"prompt": "Name a bird.", "items": ITEMS},
        "annotations": [
            _annotation(3, "ranker", {"ranker": {"rank": ["x", "z", "y"]}}),
            _annotation({"id": 4, "email": "bob@example.org"}, "ranker", {"ranker": ["y", "x", "z"]}),
            _annotation(5, "ranker", {"ranker": ["x", "y", "z"]}, was_cancelled=True),
            _annotation(6, "ranker", {"ranker": {"good": ["x"], "bad": ["y", "z"]}}),
        ],
    },
    {
        "data": {"prompt": "Name a tree.", "answer1": "An oak.", "answer2": "A brick."},
        "annotations": [
            {
                "completed_by": 3,
                "result": [{"type": "pairwise", "value": {"selected": "right"}, "to_name": "answer1,answer2"}],
            }
        ],
    },
    {"data": {"prompt": "Name a fish."}, "annotations": [_annotation(3, "textarea", {"text": ["A pike."]})]},
    {"data": {"prompt": "Name a star.", "items": ITEMS}, "annotations": []},
]
FIELDS = {"prompt": "Name a bird.", "reply-1": "An owl.", "reply-2": "A cat.", "reply-3": "A bat."}
RANKS = [{"value": "reply-2", "rank": 2}, {"value": "reply-1", "rank": 1}, {"value": "reply-3", "rank": 2}]
ARGILLA_1 = [
    {
        "fields": FIELDS,
        "responses": [
            {"user_id": "u1", "status": "submitted", "values": {"order": {"value": RANKS}}},
            {"user_id": "u2", "status": "discarded", "values": {"order": {"value": RANKS}}},
        ],
    }
]
ARGILLA_2 = [
    {"id": "1", "fields": FIELDS, "status": "completed", "responses": {"order": [{"value": RANKS, "user_id": "u1"}]}}
]
ARGILLA_FLAT = [
    {
        **FIELDS,
        "order": [
            {
                "user_id": "u1",
                "status": "submitted",
                "value": {"rank": [2, 1, 2], "value": ["reply-2", "reply-1", "reply-3"]},
            }
        ],
    }
]
HH = [{"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: Go away."}]
OASST = [
    {
        "message_tree_id": "t",
        "prompt": {
            "message_id": "m",
            "text": "Name a bird.",
            "role": "prompter",
            "replies": [
                {"message_id": f"r{rank}", "text": text, "role": "assistant", "rank": rank, "replies": []}
                for rank, text in enumerate(("An owl.", "A bat.", "A cat."))
            ],
        },
    }
]


def _file(folder: Path, rows: list[Any], name: str = "rows.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_label_studios_orders_pairs_and_texts_come_with_their_labelers(studio: Studio, tmp_path: Path) -> None:
    told: list[str] = []
    path = _file(tmp_path, LABEL_STUDIO)
    found = read_imported(path, on_skip=lambda record: told.append(record.message))
    assert import_labels(studio, found, name="pilot").num_new == 4
    assert [message.split(": ")[1].split(";")[0] for message in told] == [
        "its labeler skipped the task",
        "items were sorted into buckets",
        "nobody has annotated the task",
    ]
    manifest = export_labels(studio, tmp_path / "out")
    assert manifest.kinds == {"evaluate": 2, "compare": 1, "demonstrate": 1}
    assert manifest.batches == {"pilot": 4} and manifest.ui_versions == {"imported": 4}
    assert all("imported, version 1" in name for name in manifest.guidelines)
    by_prompt = Counter((each.prompt, each.ranking) for each in load_rankings(tmp_path / "out/rankings.jsonl"))
    assert by_prompt == {
        ("Name a bird.", (("x",), ("z",), ("y",))): 1,
        ("Name a bird.", (("y",), ("x",), ("z",))): 1,
        ("Name a tree.", (("answer2",), ("answer1",))): 1,
    }
    (written,) = load_demonstrations(tmp_path / "out/demonstrations.jsonl")
    assert (written.prompt, written.response) == ("Name a fish.", "A pike.")
    names = {user.id: user.name for user in people(studio)}
    assert len(names) == 2 and names[written.labeler_id].startswith("3 (Label Studio"), "not of the batch"


@pytest.mark.parametrize("rows", [ARGILLA_1, ARGILLA_2, ARGILLA_FLAT], ids=["1", "2", "hub"])
def test_argillas_ranks_are_tie_groups(rows: list[Any], tmp_path: Path) -> None:
    (found,) = read_imported(_file(tmp_path, rows, "rows.jsonl"))
    assert found.labeler == "u1" and found.task.kind == "evaluate"
    assert found.task.prompt.text == "Name a bird."
    best, tied = found.label.ranking
    assert best == ("reply-1",) and set(tied) == {"reply-2", "reply-3"}
    assert {each.id: each.text for each in found.task.completions} == {
        name: text for name, text in FIELDS.items() if name != "prompt"
    }


def test_hh_and_oasst_are_labels_of_nobody_known(studio: Studio, tmp_path: Path) -> None:
    for name, rows in (("hh.jsonl", HH), ("oasst.jsonl", OASST)):
        assert import_labels(studio, read_imported(_file(tmp_path, rows, name)), name=name).num_new == 1
    rows = {row.task.kind: row for row in stored_labels(studio)}
    assert rows["compare"].task.prompt.messages[0].content == "Hi"
    assert rows["evaluate"].label.ranking == (("r0",), ("r1",), ("r2",))
    assert export_labels(studio, tmp_path / "out").counts["rankings.jsonl"] == 2


def test_a_copy_of_a_file_of_nobody_known_adds_only_what_says_something_else(studio: Studio, tmp_path: Path) -> None:
    """Two people who say the same stay two; who says the opposite is a third one of the same task."""
    opposite = [{"chosen": HH[0]["rejected"], "rejected": HH[0]["chosen"]}]
    for name, rows, number in (
        ("hh.jsonl", HH * 2, 2),
        ("copy.jsonl", HH * 2, 0),
        ("more.jsonl", HH * 2 + opposite, 1),
    ):
        assert import_labels(studio, read_imported(_file(tmp_path, rows, name)), name=name).num_new == number
    assert len(stored_labels(studio)) == 3


def test_a_labeler_of_our_own_rows_is_the_same_in_every_file(studio: Studio, tmp_path: Path) -> None:
    shown = [{"id": "a", "text": "An owl."}, {"id": "b", "text": "A cat."}]
    row = {"prompt": "Name a bird.", "completions": shown, "ranking": [["a"], ["b"]], "labeler_id": "l3"}
    for name, number in (("a.jsonl", 1), ("b.jsonl", 0)):
        assert import_labels(studio, read_imported(_file(tmp_path, [row], name)), name=name).num_new == number
    turned = import_labels(studio, read_imported(_file(tmp_path, [row | {"ranking": [["b"], ["a"]]}])), name="c")
    assert turned.num_new == 0 and list(turned.left.values()) == [1], "one of the two was said first"
    assert len(people(studio)) == 1


def test_the_same_file_again_adds_nothing(studio: Studio, tmp_path: Path) -> None:
    path = _file(tmp_path, LABEL_STUDIO)
    import_labels(studio, read_imported(path), name="pilot")
    again = import_labels(studio, read_imported(path), name="pilot")
    assert (again.num_new, again.num_known) == (0, 4)
    assert len(stored_labels(studio)) == 4
    with studio.database.read() as session:
        assert set(session.scalars(select(Slot.state))) == {"done"}
        assert sorted(session.scalars(select(Item.overlap))) == [1, 1, 2]


def test_those_who_came_with_their_labels_cannot_sign_in_and_others_get_no_such_task(
    studio: Studio, tmp_path: Path
) -> None:
    import_labels(studio, read_imported(_file(tmp_path, LABEL_STUDIO)), name="pilot", group="heldout")
    for user in people(studio):
        assert user.labeler_group == "heldout"
        for password in ("", PASSWORD):
            with pytest.raises(Refusal):
                sign_in(studio, name=user.name, password=password)
    assert claim(studio, person(studio, "Ada"), "evaluate") is None


def test_as_tasks_only_the_questions_are_taken_in(studio: Studio, tmp_path: Path) -> None:
    path = _file(tmp_path, LABEL_STUDIO)
    assert import_tasks(studio, read_imported(path), name="again", overlap=2).num_new == 3
    assert stored_labels(studio) == [] and people(studio) == []
    assert len(claim(studio, person(studio, "Ada"), "evaluate").task.completions) == 3


def test_a_form_that_nobody_knows_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Label Studio"):
        list(read_imported(_file(tmp_path, [{"a": 1}], "rows.jsonl")))
