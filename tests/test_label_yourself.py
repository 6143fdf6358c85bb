"""Handing a quickstart's comparisons to people: which ones, blind, once, and what comes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from typer.testing import CliRunner

from studio_world import Browser, person
from tutelage.cli import app
from tutelage.errors import DataError, UserError
from tutelage.studio.export import export_labels
from tutelage.studio.studio import open_studio


def _run(folder: Path, number: int) -> Path:
    """The file of a finished run that matters here: every arm's completion of every test prompt."""
    rows = [
        {
            "prompt_id": f"p{prompt}",
            "prompt": f"Question {prompt}?",
            "use_case": "chat",
            "arm": arm,
            "completion_id": f"{arm}-{prompt}",
            "text": "the same" if prompt == 3 else f"{arm} says {prompt}",
        }
        for arm in ("base", "sft", "ppo_ptx")
        for prompt in range(number)
    ]
    (folder / "evaluation").mkdir(parents=True)
    (folder / "evaluation/completions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_comparisons_of_a_run_are_put_before_people_blind_and_once(tmp_path: Path) -> None:
    label_yourself = pytest.importorskip("tutelage.reproduction.label_yourself").label_yourself
    run = _run(tmp_path / "run", 50)
    assert label_yourself(run) == label_yourself(run) == run / "studio"
    studio = open_studio(run / "studio")
    person(studio, "Ada", group="heldout")
    browser = Browser(studio)
    browser.sign_in("Ada")
    assert "20 open" in browser.page.text
    prompts = []
    for _ in range(20):
        page = browser.send("/tasks/compare").text
        letter = "A" if page.index("ppo_ptx says") < page.index("sft says") else "B"
        prompts.append(page.split("Question ")[1].split("?")[0])
        browser.send(None, preference=letter, go="submit")
    assert len(set(prompts)) == 20 and "3" not in prompts and max(map(int, prompts)) > 40, "spread over the prompts"
    manifest = export_labels(studio, tmp_path / "labels")
    assert manifest.preferences == {"ppo_ptx against sft": {"won": 20, "lost": 0, "tied": 0}}
    studio.database.close()


def test_a_folder_without_a_finished_run_is_told(tmp_path: Path) -> None:
    label_yourself = pytest.importorskip("tutelage.reproduction.label_yourself").label_yourself
    with pytest.raises(DataError, match="of a finished quickstart"):
        label_yourself(tmp_path)
    assert not (tmp_path / "studio").exists()


def test_of_a_full_run_the_largest_size_meets_on_prompts_written_for_instructgpt(tmp_path: Path) -> None:
    label_yourself = pytest.importorskip("tutelage.reproduction.label_yourself").label_yourself
    run = _run(tmp_path / "run", 6)
    path = run / "evaluation/completions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    of_sizes = [
        {
            **row,
            "size": size,
            "text": f"{row['text']} ({size})",
            "distribution": "gpt" if row["prompt_id"] < "p2" else "instruct",
        }
        for size in ("small", "large")
        for row in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in of_sizes))
    studio = open_studio(label_yourself(run))
    person(studio, "Ada", group="heldout")
    browser = Browser(studio)
    browser.sign_in("Ada")
    assert "3 open" in browser.page.text, "six prompts, two of them for GPT, and one with the same text twice"
    page = browser.send("/tasks/compare").text
    assert "(large)" in page and "(small)" not in page
    studio.database.close()


def test_the_flag_hands_over_after_the_run_and_says_how_to_start(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("torch", reason="the quickstart trains")
    import tutelage.report
    import tutelage.reproduction.quickstart
    from tutelage.reproduction import paper_report

    run = tmp_path / "run"
    monkeypatch.setattr(
        tutelage.reproduction.quickstart, "quickstart", lambda out, **_: {"seed": 0} if _run(out, 8) else {}
    )
    monkeypatch.setattr(paper_report, "write_paper_report", lambda out: out / "report.html")
    monkeypatch.setattr(tutelage.report, "terminal_table", lambda out: "table")
    done = CliRunner().invoke(app, ["quickstart", "--out", str(run), "--label-yourself"])
    assert done.exit_code == 0, done.output
    assert f"tutelage label serve --data {run / 'studio'}" in done.output
    assert (run / "studio/studio.sqlite3").exists()


def test_the_flag_is_refused_before_the_run_where_the_studio_is_not_installed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "fastapi" else sys)
    error = CliRunner().invoke(app, ["quickstart", "--out", str(tmp_path / "run"), "--label-yourself"]).exception
    assert isinstance(error, UserError) and "pip install 'tutelage[studio]'" in str(error)
    assert not (tmp_path / "run").exists()
