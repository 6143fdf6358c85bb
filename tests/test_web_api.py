"""What a researcher's script asks and sends: labels as the export has them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from fastapi.testclient import TestClient

from studio_world import person, queue, studio_on_both, task
from test_studio_gold import label_compare
from tutelage.labeling.labels import Label
from tutelage.studio.adjudication import adjudicate, case_of
from tutelage.studio.assignment import claim
from tutelage.studio.export import FILES, export_labels
from tutelage.studio.gold import make_gold
from tutelage.studio.people import make_api_token
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
