"""The labeling verbs: what goes in by a file comes out by a file; mistakes are told; torch is not needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from typer.testing import CliRunner

from tutelage.cli import app
from tutelage.errors import StorageError, UserError
from tutelage.studio.studio import open_studio
from tutelage.studio.tables import Item, Slot


def _label(*arguments):
    return CliRunner().invoke(app, ["label", *map(str, arguments)])


def test_prompts_and_completions_are_queued_once(tmp_path):
    prompts, completions = tmp_path / "prompts.jsonl", tmp_path / "completions.jsonl"
    prompts.write_text('{"text": "Name a fruit."}\n{"text": "Name a tree."}\n')
    row = {
        "prompt_id": "p",
        "prompt": "Name a bird.",
        "completions": [{"id": "a", "text": "Owl"}, {"id": "b", "text": "Cat"}],
    }
    completions.write_text(json.dumps(row) + "\n")
    data = tmp_path / "studio"
    arguments = ["--data", data, "--prompts", prompts, "--completions", completions, "--overlap", 3]
    first, second = _label("queue", *arguments), _label("queue", *arguments)
    assert "prompts.jsonl: 2 tasks queued, 0 already" in first.output and "0 tasks queued, 2 already" in second.output
    studio = open_studio(data)
    with studio.database.read() as session:
        assert sorted(item.kind for item in session.query(Item)) == ["demonstrate", "demonstrate", "evaluate"]
        assert session.query(Slot).count() == 9
    studio.database.close()


def test_an_invite_is_a_link_and_an_export_a_new_folder(tmp_path):
    links = _label("invite", "--data", tmp_path / "s", "--count", 2, "--address", "https://l.example/").output.split()
    assert len(set(links)) == 2 and all(link.startswith("https://l.example/invite/") for link in links)
    assert _label("export", "--data", tmp_path / "s", "--out", tmp_path / "out").exit_code == 0
    assert json.loads((tmp_path / "out/manifest.json").read_text())["num_labels"] == 0
    assert isinstance(_label("export", "--data", tmp_path / "s", "--out", tmp_path / "out").exception, StorageError)


def test_what_an_import_took_in_replaced_and_left_out_is_counted_by_reason(tmp_path):
    """One whole ranking of three, one that is not whole in each of two tasks, and a comment beside two rankings."""
    items = [{"id": "x", "body": "An owl."}, {"id": "y", "body": "A cat."}]
    note = {"type": "textarea", "from_name": "note", "to_name": "what", "value": {"text": ["Close."]}}

    def annotation(number, *ids):
        rank = {"type": "ranker", "from_name": "rank", "to_name": "answers", "value": {"ranker": {"rank": ids}}}
        return {"id": number, "completed_by": number, "unique_id": f"u{number}", "result": [rank, note]}

    def task(prompt, *annotations):
        return {"project": 1, "data": {"prompt": prompt, "items": items}, "annotations": annotations}

    def written(name, ids):
        path = tmp_path / name
        tasks = [task("Name a bird.", annotation(1, *ids), annotation(2, "x")), task("A pet?", annotation(3, "y"))]
        path.write_text(json.dumps(tasks))
        return path

    xml = tmp_path / "config.xml"
    xml.write_text(
        '<View><Text name="what" value="$prompt"/><List name="answers" value="$items"/>'
        '<Ranker name="rank" toName="answers"/><TextArea name="note" toName="what"/></View>'
    )
    for name, ids, told in (
        ("first.json", "xy", ["1 labels imported, 0 already there"]),
        ("copy.json", "xy", ["0 labels imported, 1 already there"]),
        ("later.json", "yx", ["0 labels imported, 0 already there", "replaced: 1 labels"]),
        ("first.json", "xy", ["left out: an earlier version of a label", "the newer one stays [labels: 1]"]),
    ):
        done = _label("import", written(name, ids), "--data", tmp_path / "s", "--label-config", xml)
        output = " ".join(done.output.split())
        assert all(words in output for words in told)
        assert "line 1, annotation 2: the ranking names 1 ids" in output
        assert "[records: 2, annotations: 2]" in output and "[records: 2, annotations: 3]" in output
    as_tasks = _label("import", written("first.json", "xy"), "--data", tmp_path / "s", "--as", "tasks")
    assert "0 tasks imported, 1 already there" in as_tasks.output


def test_mistakes_are_told(tmp_path):
    single = tmp_path / "single.jsonl"
    single.write_text('{"prompt": "x", "completions": [{"id": "a", "text": "Owl"}]}\n')
    for arguments, words in [
        (["queue"], "nothing to queue"),
        (["queue", "--completions", single], "has 2 to 9 completions, not 1"),
        (["invite", "--database", "nonsense://x"], "cannot be opened"),
    ]:
        error = _label(*arguments, "--data", tmp_path / "s").exception
        assert isinstance(error, UserError) and words in str(error)


def test_the_studio_needs_no_torch_and_help_needs_no_studio():
    script = """
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent)
import tutelage.cli
assert not {"sqlalchemy", "fastapi", "uvicorn", "alembic", "argon2"} & sys.modules.keys()
import tutelage.web.app, tutelage.studio.export, tutelage.studio.queue
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
