"""A labeler's day and a lead's, in a browser without JavaScript."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from studio_world import PASSWORD, Browser, Clock, person, queue, task
from tutelage.labeling.tasks import Task
from tutelage.records import Demonstration, Prompt, Ranking, Rating
from tutelage.store.jsonl import read_records
from tutelage.studio.export import export_labels
from tutelage.studio.people import invite
from tutelage.studio.studio import Studio


@pytest.fixture
def browser(studio: Studio) -> Browser:
    return Browser(studio)


def test_a_day_without_javascript_ends_in_the_files_that_the_trainer_reads(
    studio: Studio,
    browser: Browser,
    clock: Clock,
    tmp_path: Path,
) -> None:
    queue(studio, task("demonstrate"), task("compare", number=2), task("evaluate", k=3, number=3))
    queue(studio, Task(kind="prompt", prompt_kind="few-shot", use_case="a cookbook"))

    browser.open(f"/invite/{invite(studio)}")
    assert browser.send(None, name="Ada", password=PASSWORD, consent="yes").url.path == "/"
    browser.send("/sign-out")
    assert browser.sign_in("ada").url.path == "/"

    browser.send("/tasks/demonstrate")
    clock.move(seconds=90)
    assert browser.send(None, response="A pear.\r\nOr a plum.", ambiguous="yes", go="submit").url.path == "/"

    browser.send("/tasks/compare")
    assert browser.send(None, preference="B", go="submit").url.path == "/"

    browser.send("/tasks/prompt")
    browser.send(None, text="Name the dish.", shot_1_input="eggs", shot_1_response="Omelette", go="submit")
    assert browser.page.url.path == "/"

    browser.send("/tasks/evaluate")
    shown = []
    for number, letter in enumerate("ABC", start=1):
        assert browser.page.url.path.endswith(f"/{letter}")
        shown.append(re.search(r"Completion (\d) of 3", browser.page.text)[1])
        browser.send(None, overall=str(number), hallucination="yes", note=f"note {letter}", go="next")
    assert browser.page.url.path.endswith("/ranking")
    assert browser.send(None, rank__A="2", rank__B="1", rank__C="2", go="submit").url.path == "/"
    assert "4 tasks done" in browser.page.text

    manifest = export_labels(studio, tmp_path / "out")
    assert manifest.counts == {
        "comparisons.jsonl": 1, "demonstrations.jsonl": 1, "prompts.jsonl": 1, "rankings.jsonl": 2, "ratings.jsonl": 3
    }  # fmt: skip
    (demonstration,) = read_records(tmp_path / "out/demonstrations.jsonl", Demonstration)
    assert (demonstration.prompt, demonstration.response) == ("Prompt 1", "A pear.\nOr a plum.")
    assert demonstration.model_extra["prompt_marks"] == ["ambiguous"]
    comparison, ranking = read_records(tmp_path / "out/rankings.jsonl", Ranking)
    assert comparison.ranking == ((comparison.display_order[1],), (comparison.display_order[0],))
    order = [f"p3c{place}" for place in shown]
    assert list(ranking.display_order) == order
    assert ranking.ranking == ((order[1],), (order[0], order[2]))
    assert ranking.prompt_id == "p3"
    ratings = {rating.completion_id: rating for rating in read_records(tmp_path / "out/ratings.jsonl", Rating)}
    assert [ratings[identity].overall for identity in order] == [1, 2, 3]
    assert ratings[order[0]].flags["hallucination"] is True and ratings[order[0]].flags["sexual_content"] is False
    assert ratings[order[2]].note == "note C"
    (prompt,) = read_records(tmp_path / "out/prompts.jsonl", Prompt)
    assert prompt.text == "Name the dish.\n\nInput: eggs\nResponse: Omelette"
    assert (prompt.source, prompt.use_case) == ("labeler-few-shot", "a cookbook")
    assert manifest.active_hours == pytest.approx(90 / 3600, abs=1e-3)
    written = json.loads((tmp_path / "out/manifest.json").read_text())
    assert written["guidelines"]["evaluate, training, version 1"] == 1


def test_pages_never_name_a_policy_or_a_completion(studio: Studio, browser: Browser) -> None:
    person(studio, "Ada")
    queue(studio, task("evaluate"), task("compare", number=2), task("toxicity", number=3))
    browser.sign_in("Ada")
    for kind in ("evaluate", "compare", "toxicity"):
        start = browser.open("/") and browser.send(f"/tasks/{kind}").url.path.rpartition("/")[0]
        for name in {"evaluate": "ABC", "compare": ["comparison"], "toxicity": ["prompt", *"ABC"]}[kind]:
            text = browser.open(f"{start}/{name}").text
            assert browser.page.status_code == 200
            assert "secret-policy" not in text and not re.search(r"p\dc\d", text)


def test_an_untouched_or_half_ranking_is_kept_but_not_submitted(studio: Studio, browser: Browser) -> None:
    person(studio, "Ada")
    queue(studio, task("evaluate", k=2))
    browser.sign_in("Ada")
    browser.send("/tasks/evaluate")
    for _ in range(2):
        browser.send(None, overall="4", go="next")
    assert browser.send(None, go="submit").status_code == 422
    assert browser.send(None, rank__A="1", go="submit").status_code == 422
    assert "Choose a rank for B" in browser.page.text
    assert '<option value="1" selected>' in browser.open(browser.page.url.path).text
    assert browser.send(None, rank__A="1", rank__B="1", go="submit").url.path == "/"


def test_submitting_twice_labels_once(studio: Studio, browser: Browser) -> None:
    person(studio, "Ada")
    queue(studio, task("demonstrate"))
    browser.sign_in("Ada")
    page = browser.send("/tasks/demonstrate")
    browser.send(None, response="once", go="submit")
    browser.page = page
    assert browser.send(None, response="once", go="submit").url.path == "/"
    assert "1 task done" in browser.page.text


def test_an_expired_session_signs_in_again_and_loses_nothing(
    studio: Studio,
    browser: Browser,
    clock: Clock,
) -> None:
    person(studio, "Ada")
    queue(studio, task("demonstrate"))
    browser.sign_in("Ada")
    browser.send("/tasks/demonstrate")
    clock.move(hours=13)
    assert browser.send(None, response="<b>long</b> &amp; work\n\nkept", go="submit").status_code == 401
    browser.send("/sign-in", name="Ada", password=PASSWORD)
    assert "Welcome back" in browser.page.text
    form = re.search(r'<form method="post" action="(/task/[^"]+)"', browser.page.text)
    assert browser.send(form[1]).url.path == "/"
    assert "1 task done" in browser.page.text


def test_text_of_prompts_and_completions_is_shown_as_text(studio: Studio, browser: Browser) -> None:
    person(studio, "Ada")
    script = "<script>alert(1)</script>{{ 7 * 7 }}"
    hostile = task("compare")
    hostile = hostile.model_copy(
        update={
            "prompt": Prompt(id="p", text=script),
            "completions": tuple(each.model_copy(update={"text": script}) for each in hostile.completions),
        }
    )
    queue(studio, hostile)
    browser.sign_in("Ada")
    text = browser.send("/tasks/compare").text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}") == 3
    assert "<script>" not in text
