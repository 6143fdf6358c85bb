"""`tutelage run` with people: it queues tasks, says what it waits for, and goes on once hands have labeled them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import pytest
import yaml

pytest.importorskip("torch", reason="the run trains")
pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from typer.testing import CliRunner

from studio_world import Browser, person
from tiny import TEXT, Tiny
from tutelage.cli import app
from tutelage.records import Completion, Prompt
from tutelage.studio import secrets
from tutelage.studio.studio import open_studio
from tutelage.workflow.people import People
from tutelage.workflow.sources import Waiting

NUM_TEST = 3


@pytest.fixture
def recipe(tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four prompts to demonstrate, four to rank completions of, some for PPO, three to compare policies on."""
    monkeypatch.setattr(secrets, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    kinds = [("train", "sft", 3), ("valid", "sft", 1), ("train", "reward", 3), ("valid", "reward", 1)]
    kinds += [("train", "ppo", 4), ("test", None, NUM_TEST)]
    prompts = [
        {"text": f"{split} {purpose} {i}: where is the cat?", "split": split, "purpose": purpose}
        for split, purpose, number in kinds
        for i in range(number)
    ]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    small = {"optimizer": {"learning_rate": 1e-3}}
    config = {
        "out": str(tmp_path / "run"),
        "base_model": str(tiny.policy),
        "prompts": str(tmp_path / "prompts.jsonl"),
        "demonstrations": "people",
        "rankings": "people",
        "judge": "people",
        "arms": ["base", "sft", "dpo"],
        "select_sft_by": "validation_loss",
        "completions_per_prompt": [2, 2],
        "text": TEXT,
        "all_stages": {"device": "cpu"},
        "sft": {"num_epochs": 1, **small},
        "dpo": small,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run(recipe: Path, *others: str) -> Any:
    result = CliRunner().invoke(app, ["run", str(recipe), *others])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result


def label_all(folder: Path, name: str, kind: str, fill: Callable[[Browser], None], **invitation: Any) -> int:
    """One person takes tasks of a kind on the studio's pages until there is none left."""
    studio = open_studio(folder)
    person(studio, name, **invitation)
    browser = Browser(studio)
    browser.sign_in(name)
    number = 0
    while f"/tasks/{kind}" in browser.open("/").text:
        browser.send(f"/tasks/{kind}")
        fill(browser)
        assert browser.page.url.path == "/", browser.page.text
        number += 1
    studio.database.close()
    return number


def demonstrate(browser: Browser) -> None:
    browser.send(None, response="At the mill.", go="submit")


def rank_first(browser: Browser) -> None:
    for _ in "AB":
        browser.send(None, overall="4", go="next")
    browser.send(None, rank__A="1", rank__B="2", go="submit")


def test_hands_fill_the_studio_between_two_calls(recipe: Path) -> None:
    out = recipe.parent / "run"
    studio = out / "studio"
    waiting = run(recipe)
    assert "waiting for 3 demonstrations by people and 1 demonstrations by people" in waiting.stdout
    assert f"tutelage label serve --data {studio}" in waiting.stdout
    assert run(recipe).stdout == waiting.stdout, "nothing is queued twice"
    assert label_all(studio, "Ada", "demonstrate", demonstrate) == 4

    waiting = run(recipe)
    assert "waiting for 3 rankings by people and 1 rankings by people" in waiting.stdout
    demonstrations = [json.loads(line) for line in (out / "data/demonstrations.jsonl").read_text().splitlines()]
    assert [row["response"] for row in demonstrations] == ["At the mill."] * 3
    assert (out / "sft/model").is_dir()
    assert label_all(studio, "Cleo", "evaluate", rank_first) == 4

    waiting = run(recipe)
    assert re.search(rf"waiting for {2 * NUM_TEST} comparisons by people", waiting.stdout)
    assert "--group heldout" in waiting.stdout

    def prefer_longer(browser: Browser) -> None:
        """The longer of the two texts as they stand on the page; the first where both are as long."""
        shown = re.findall(r'<div class="words" dir="auto">(.*?)</div>', browser.page.text, re.DOTALL)[-2:]
        shown = [html.unescape(text) for text in shown]
        browser.send(None, preference="A" if len(shown[0]) >= len(shown[1]) else "B", go="submit")

    assert label_all(studio, "Eve", "compare", prefer_longer, group="heldout") == 2 * NUM_TEST
    done = run(recipe)
    assert "Judged by: people." in done.stdout
    summary = json.loads((out / "summary.json").read_text())
    assert {arm: found["n"] for arm, found in summary["win_rate_vs_sft"].items()} == {"base": NUM_TEST, "dpo": NUM_TEST}
    texts = {
        (row["arm"], row["prompt_id"]): row["text"]
        for row in map(json.loads, (out / "evaluation/completions.jsonl").read_text().splitlines())
    }
    rows = [json.loads(line) for line in (out / "evaluation/comparisons.jsonl").read_text().splitlines()]
    for row in rows:
        own, other = texts[row["arm"], row["prompt_id"]], texts["sft", row["prompt_id"]]
        if len(own) != len(other):
            assert row["outcome"] == float(len(own) > len(other))
    assert run(recipe).stdout == done.stdout


def test_an_outcome_is_of_the_first_whatever_the_policies_are_called(tmp_path: Path, recipe: Path) -> None:
    """Exports order the two by name. Nobody is asked about completions that say the same."""
    people = People(tmp_path / "studio", address="http://localhost", labels_per_task=1)
    pairs = [
        (
            Prompt(id=f"p{i}", text=f"Prompt {i}"),
            Completion(id=f"{i}a", text=texts[0], policy=policies[0]),
            Completion(id=f"{i}b", text=texts[1], policy=policies[1]),
        )
        for i, (policies, texts) in enumerate(
            [(("z", "a"), ("good", "bad")), (("a", "z"), ("good", "bad")), (("z", "a"), ("bad", "good"))]
        )
    ]
    pairs.append((Prompt(id="p3", text="P"), Completion(id="3a", text="same"), Completion(id="3b", text="same")))
    with pytest.raises(Waiting, match="waiting for 3 comparisons by people"):
        list(people.compare(pairs))

    def prefer_good(browser: Browser) -> None:
        shown = re.findall(r'<div class="words" dir="auto">(.*?)</div>', browser.page.text, re.DOTALL)[-2:]
        browser.send(None, preference="A" if shown[0] == "good" else "B", go="submit")

    assert label_all(people.folder, "Flo", "compare", prefer_good, group="heldout") == 3
    assert {row.prompt.id: row.outcome for row in people.compare(pairs)} == {"p0": 1.0, "p1": 1.0, "p2": 0.0, "p3": 0.5}
