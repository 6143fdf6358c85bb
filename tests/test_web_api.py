"""What a researcher's script asks and sends: labels as the export has them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from fastapi.testclient import TestClient

from studio_world import Browser, person, queue, studio_on_both, task
from test_studio_gold import label_compare
from tutelage.labeling.labels import Label
from tutelage.studio.adjudication import adjudicate, case_of
from tutelage.studio.assignment import claim
from tutelage.studio.export import FILES, export_labels
from tutelage.studio.gold import make_gold
from tutelage.studio.people import make_api_token
from tutelage.studio.progress import batch_progress
from tutelage.studio.studio import Studio
from tutelage.studio.tables import User
from tutelage.web.app import create_app

studio = studio_on_both


def client_of(studio: Studio, user: User) -> TestClient:
    token = make_api_token(studio, user, "script")
    return TestClient(create_app(studio), headers={"Authorization": f"Bearer {token}"})


def decided(studio: Studio) -> User:
    """Two labelers, two items: one is gold now, the other a researcher has decided. Returns the researcher."""
    queue(studio, task("compare", number=1), task("compare", number=2), overlap=2)
    for name in ("Ada", "Bob"):
        labeler = person(studio, name)
        for _ in range(2):
            label_compare(studio, labeler, claim(studio, labeler, "compare"), "tie")
    rita = person(studio, "Rita", role="researcher")
    adjudicate(studio, case_of(studio, 1), {"comparison": {"preference": "A"}}, note="clearer", by=rita)
    make_gold(studio, 2, Label(ranking=(("p2c1",), ("p2c2",))))
    return rita


@pytest.mark.parametrize("group", [None, "training"])
def test_every_file_of_the_api_is_the_exports(studio: Studio, tmp_path: Path, group: str | None) -> None:
    client = client_of(studio, decided(studio))
    manifest = export_labels(studio, tmp_path / "out", group=group)
    parts = ("rankings", "rankings_gold", *(("rankings_ruled",) if group is None else ()))
    assert {f"{name}.jsonl" for name in parts} <= set(manifest.counts)
    for name in (file + kind for file in FILES for kind in ("", "_gold", "_ruled")):
        written = tmp_path / "out" / f"{name}.jsonl"
        asked = client.get(f"/api/labels/{name}.jsonl", params={"group": group} if group else {})
        assert asked.status_code == 200
        assert asked.content == (written.read_bytes() if f"{name}.jsonl" in manifest.counts else b""), name


def test_a_batch_that_is_not_there_is_refused_as_in_the_export(studio: Studio) -> None:
    answer = client_of(studio, decided(studio)).get("/api/labels/rankings.jsonl?batch=nowhere")
    assert answer.status_code == 400 and "There is no batch 'nowhere'" in answer.json()["detail"]


def test_a_script_queues_what_label_queue_does(studio: Studio) -> None:
    client = client_of(studio, person(studio, "Rita", role="researcher"))
    completions = [{"id": name, "text": name} for name in "abc"]
    sent = {
        "batch": "two",
        "overlap": 2,
        "priority": 3,
        "prompts": [{"text": "Name a tree."}],
        "completions": [{"prompt": "Name a fruit.", "user_id": "u2", "completions": completions}],
    }
    assert client.post("/api/queue", json=sent).json() == {"num_new": 2, "num_known": 0}
    assert client.post("/api/queue", json=sent).json() == {"num_new": 0, "num_known": 2}
    (batch, _) = batch_progress(studio)
    assert (batch.name, batch.num_items, batch.num_places) == ("two", 1, 2)
    ada = person(studio, "Ada")
    assert claim(studio, ada, "demonstrate").task.prompt.text == "Name a tree."
    judged = claim(studio, ada, "evaluate").task
    assert judged.prompt.user_id == "u2" and [each.id for each in judged.completions] == ["a", "b", "c"]


def test_all_of_what_a_script_queues_comes_in_or_nothing(studio: Studio) -> None:
    client = client_of(studio, person(studio, "Rita", role="researcher"))
    one = {"prompt": "p", "completions": [{"id": "a", "text": "a"}]}
    answer = client.post("/api/queue", json={"prompts": [{"text": "fine"}], "completions": [one]})
    assert answer.status_code == 400 and "completions, entry 1" in answer.json()["detail"]
    for wrong in ({}, {"prompts": [{"text": str(number)} for number in range(501)]}):
        assert client.post("/api/queue", json=wrong).status_code in (400, 422)
    for field in ({"overlap": 0}, {"priority": 2**40}, {"kind": "prompt"}, {"unknown": 1}, {"batch": "x" * 201}):
        assert client.post("/api/queue", json={"prompts": [{"text": "fine"}], **field}).status_code == 422, field
    assert batch_progress(studio) == []
    odd = '{"prompts": [{"text": "a\\u0000b", "extra\\u0000": "\\ud800", "number": 1e999}]}'
    answer = client.post("/api/queue", content=odd, headers={"Content-Type": "application/json"})
    assert answer.json() == {"num_new": 1, "num_known": 0}, "what PostgreSQL cannot hold is replaced"


def test_only_a_researchers_script_may_queue(studio: Studio) -> None:
    sent = {"prompts": [{"text": "Name a tree."}]}
    assert TestClient(create_app(studio)).post("/api/queue", json=sent).status_code == 401
    assert client_of(studio, person(studio, "Ada")).post("/api/queue", json=sent).status_code == 403
    person(studio, "Rita", role="researcher")
    browser = Browser(studio)
    browser.sign_in("Rita")
    answer = browser.client.post("/api/queue", json=sent)
    assert answer.status_code == 403 and "API token" in answer.json()["detail"], "another site could send that"
    assert batch_progress(studio) == []
