"""The labeling verbs about people: a test goes in, scores come out; agreement as tables and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from typer.testing import CliRunner

from studio_world import person
from test_web_quality import TEST, disputed
from tutelage.cli import app
from tutelage.errors import RecordError, UserError
from tutelage.studio.assignment import claim
from tutelage.studio.screening import candidacies, save_response, screening_of

ROOT = Path(__file__).resolve().parent.parent


def _label(*arguments):
    return CliRunner().invoke(app, ["label", *map(str, arguments)], env={"COLUMNS": "160"})


def test_agreement_as_tables_and_as_json(studio, tmp_path):
    disputed(studio)
    data = tmp_path / "studio"
    told = _label("agreement", "--data", data).output
    assert "50.0 %" in told and "72.6 % (± 1.5)" in told and "Ada" in told and "-0.000" not in told
    found = json.loads(_label("agreement", "--data", data, "--json", "--ties", "half").output)
    assert (found["num_labels"], found["num_shared"]) == (4, 2)
    assert (found["by_group"]["training"]["mean"], found["by_group"]["heldout"]) == (0.5, None)
    (order,) = found["agreements"]
    assert order["alphas"]["nominal"]["num_judgements"] == 4
    empty = json.loads(_label("agreement", "--data", data, "--json", "--kind", "evaluate").output)
    assert empty["agreements"] == []


def test_a_screening_test_goes_in_and_scores_come_out(studio, tmp_path):
    data, tasks = tmp_path / "studio", tmp_path / "screening.jsonl"
    tasks.write_text("".join(task.model_dump_json() + "\n" for task in TEST))
    assert "test 1: 4 tasks" in _label("screen", "--data", data, "--tasks", tasks).output
    cato = person(studio, "Cato", role="candidate")
    page = screening_of(studio, cato).pages[0]
    save_response(studio, cato, page.task_id, {"is_sensitive": "yes"})
    told = _label("screen", "--data", data).output
    assert "1.00" in told and "not complete" in told and "Cato" not in told
    (found,) = json.loads(_label("screen", "--data", data, "--json").output)
    assert found["scores"]["flagging"]["mean"] == 1.0 and found["scores"]["ranking"] is None
    assert [each["cutoff"]["value"] for each in found["cutoffs"]] == [0.75, 0.75, 6.0]
    assert (found["test"], found["decision"], found["suggested"]) == ("screening.jsonl", None, "not complete")


def test_the_documents_example_of_a_test_is_one(studio, tmp_path):
    text = (ROOT / "docs/quality.md").read_text(encoding="utf-8")
    (tmp_path / "screening.jsonl").write_text(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    assert "3 tasks" in _label("screen", "--data", tmp_path / "studio", "--tasks", tmp_path / "screening.jsonl").output
    assert len(screening_of(studio, person(studio, "Cato", role="candidate")).pages) == 4
    assert len(candidacies(studio)) == 1


def test_gold_goes_in_once(studio, tmp_path):
    rankings = tmp_path / "gold.jsonl"
    completions = [{"id": name, "text": name} for name in "ab"]
    rankings.write_text(json.dumps({"prompt": "Which?", "completions": completions, "ranking": [["b"], ["a"]]}) + "\n")
    arguments = ("gold", "--data", tmp_path / "studio", "--rankings", rankings, "--as", "compare")
    assert "1 gold items queued, 0 already there" in _label(*arguments).output
    assert "0 gold items queued, 1 already there" in _label(*arguments).output
    assert claim(studio, person(studio, "Ada"), "compare") is None


def test_mistakes_are_told(tmp_path):
    tasks, rankings = tmp_path / "tasks.jsonl", tmp_path / "rankings.jsonl"
    tasks.write_text('{"part": "flagging", "text": "words"}\n')
    three = [{"id": name, "text": name} for name in "abc"]
    rankings.write_text(json.dumps({"prompt": "Which?", "completions": three, "ranking": [["a"], ["b"], ["c"]]}) + "\n")
    error = _label("screen", "--data", tmp_path / "s", "--tasks", tasks).exception
    assert isinstance(error, RecordError) and "is_sensitive" in str(error)
    tasks.write_text(TEST[0].model_dump_json() + "\n")
    error = _label("screen", "--data", tmp_path / "s", "--tasks", tasks).exception
    assert isinstance(error, UserError) and "missing: demonstration, ranking" in str(error)
    error = _label("gold", "--data", tmp_path / "s", "--rankings", rankings, "--as", "compare").exception
    assert isinstance(error, UserError) and "2 to 2 completions, not 3" in str(error)
