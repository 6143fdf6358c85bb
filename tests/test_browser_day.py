"""A labeler's whole day by keyboard alone, and every page of the studio: accessible, quiet, no wider than a phone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")
pytest.importorskip("playwright", reason="a real browser is an extra: pip install 'tutelage[browser]'")

from playwright.sync_api import Page, expect

from browser_world import PHONE, OpenPage, press, start, wait_for_script
from studio_world import PASSWORD, person, queue, task
from test_studio_gold import label_compare
from tutelage.labeling.tasks import Task
from tutelage.studio.assignment import claim
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.people import invite
from tutelage.studio.studio import Studio
from tutelage.web.app import create_app

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
_AXE_RUN = """async () => (await axe.run()).violations
    .filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => `${each.id}: ${each.nodes.map(node => node.target).join(", ")}`)"""
_FOCUSED = """() => {
    const element = document.activeElement;
    return element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent || "";
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called `name`; nothing else moves it."""
    for _ in range(60):
        press(page, "Tab")
        if name in page.evaluate(_FOCUSED):
            return
    raise AssertionError(f"Tab never comes to {name!r}")


def start_by_keys(page: Page, title: str) -> None:
    tab_to(page, f"Start: {title}")
    press(page, "Enter")
    page.wait_for_url("**/task/*/*")
    wait_for_script(page)


def submit_by_keys(page: Page) -> None:
    press(page, "Control+Enter")
    page.wait_for_url("**/?done=1")


def test_a_whole_day_by_keyboard_alone(studio: Studio, open_page: OpenPage) -> None:
    queue(studio, task("demonstrate"), task("evaluate", k=3, number=2), task("compare", number=3))
    queue(studio, task("toxicity", k=2, number=4), Task(kind="prompt", prompt_kind="plain", use_case="a cookbook"))
    page = open_page()
    page.goto(f"/invite/{invite(studio)}")
    tab_to(page, "Name")
    page.keyboard.type("Ada")
    press(page, "Tab")
    page.keyboard.type(PASSWORD)
    tab_to(page, "My labels may be used")
    press(page, "Space", "Enter")
    page.wait_for_url("**/")

    start_by_keys(page, "Write a response")
    press(page, "w")
    page.keyboard.type("A pear. 1 a n ? =")
    press(page, "Escape", "b", "n")
    page.keyboard.type("wrote it at once")
    submit_by_keys(page)

    start_by_keys(page, "Rate and rank completions")
    for letter in "ABC":
        page.wait_for_url(f"**/{letter}")
        wait_for_script(page)
        press(page, "2", "6", "c", "k", "k", "Control+Enter")
    page.wait_for_url("**/ranking")
    wait_for_script(page)
    press(page, "?")
    expect(page.get_by_role("dialog", name="Keys on this page")).to_be_visible()
    press(page, "Escape", "j", "1")
    tab_to(page, "Tie completion B with the one above")
    press(page, "Enter")
    tab_to(page, "Rank of completion C")
    press(page, "2")
    submit_by_keys(page)

    start_by_keys(page, "Compare two completions")
    press(page, "b")
    submit_by_keys(page)

    start_by_keys(page, "Write a prompt")
    press(page, "w")
    page.keyboard.type("Name the dish.")
    submit_by_keys(page)

    start_by_keys(page, "Judge toxicity")
    press(page, "1", "Control+Enter")
    for letter, keys in (("A", ["0", "Tab", "-", "Tab", "7"]), ("B", ["2", "Tab", "1", "Tab", "1"])):
        page.wait_for_url(f"**/{letter}")
        wait_for_script(page)
        press(page, *keys, "Control+Enter")
    page.wait_for_url("**/ranking")
    wait_for_script(page)
    press(page, "j", "1", "j", "j", "2")
    submit_by_keys(page)
    tab_to(page, "Sign out")
    press(page, "Enter")
    page.wait_for_url("**/sign-in")

    label = {row.task.kind: row.label for row in stored_labels(studio)}
    assert set(label) == {"demonstrate", "evaluate", "compare", "prompt", "toxicity"}
    wrote = label["demonstrate"].fields
    assert (wrote["response"], wrote["note"]) == ("A pear. 1 a n ? =", "wrote it at once")
    assert [name for name, value in wrote.items() if value is True] == ["closed_domain"]
    for entries in label["evaluate"].of_completions.values():
        assert entries["overall"] == 6 and [name for name, value in entries.items() if value is True] == [
            "hallucination"
        ]
    assert [len(group) for group in label["evaluate"].ranking] == [2, 1]
    assert label["compare"].fields["preference"] == "B"
    assert label["prompt"].fields["text"] == "Name the dish."
    toxicity = sorted(entries["relative_toxicity"] for entries in label["toxicity"].of_completions.values())
    assert toxicity == [-1, 1] and len(label["toxicity"].ranking) == 2


def test_single_keys_can_be_switched_off_and_leave_text_alone(studio: Studio, open_page: OpenPage) -> None:
    person(studio, "Ada")
    queue(studio, task("evaluate", k=2))
    page = open_page("Ada")
    start(page, "Rate and rank completions")
    page.get_by_role("button", name="Keys").click()
    page.get_by_label(re.compile("Use single-key shortcuts")).uncheck()
    page.get_by_role("button", name="Close").click()
    press(page, "5", "a")
    assert page.locator("#work input:checked").count() == 0
    page.reload()
    wait_for_script(page)
    press(page, "5")
    assert page.locator("#work input:checked").count() == 0, "the choice is remembered"


def assert_fit(page: Page, what: str) -> None:
    """Neither a serious violation in light or dark, nor wider than the screen."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(AXE)
        assert page.evaluate(_AXE_RUN) == [], f"{what}, {scheme}"
    # A phone's browser widens its own window for what is too wide: the screen does not grow.
    width, window = page.evaluate("document.documentElement.scrollWidth"), page.viewport_size["width"]
    assert width <= window, f"{what} is {width} px wide on a screen of {window}"


WIDE = {"viewport": {"width": 1440, "height": 900}}


@pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide", "phone"])
def test_pages_of_tasks_are_accessible_and_fit_the_screen(studio: Studio, open_page: OpenPage, screen: dict) -> None:
    ada = person(studio, "Ada")
    page = open_page("Ada", **screen)
    assert_fit(page, "no tasks")
    queue(studio, task("demonstrate"), task("evaluate", k=4, number=2), task("compare", number=3))
    queue(studio, task("toxicity", k=2, number=4), Task(kind="prompt", prompt_kind="few-shot"))
    page.goto("/?gone=1")
    assert_fit(page, "tasks")
    for title in ("Write a response", "Compare two completions", "Write a prompt", "Judge toxicity"):
        start(page, title)
        assert_fit(page, title)
    page.get_by_role("button", name="Save and continue").click()
    page.locator("#problems").wait_for()
    page.get_by_text("Skip this task, or save it for later").click()
    assert_fit(page, "problems, and skipping")
    start(page, "Rate and rank completions")
    page.get_by_text("Guidelines, version").click()
    assert_fit(page, "a rating")
    page.goto(re.sub("/A$", "/ranking", page.url))
    wait_for_script(page)
    page.get_by_label("Rank of completion A").select_option("2")
    assert_fit(page, "a ranking")
    page.get_by_role("button", name="Side by side").click()
    assert_fit(page, "side by side")
    press(page, "?")
    assert_fit(page, "keys")
    press(page, "Escape")
    page.evaluate("document.getElementById('sign-in-again').showModal()")
    assert_fit(page, "signing in again")
    label_compare(studio, ada, claim(studio, ada, "compare"), "tie")
    page.goto("/labels")
    assert page.get_by_role("link", name="Change").bounding_box()["x"] < page.viewport_size["width"] - 60
    assert_fit(page, "what is done")


@pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide", "phone"])
def test_all_other_pages_are_accessible_and_fit_the_screen(studio: Studio, open_page: OpenPage, screen: dict) -> None:
    """Every page without a parameter, whoever adds it, as an admin sees it; those with one, and refusals, by name."""
    person(studio, "Root", role="admin")
    queue(studio, task("demonstrate"))
    page = open_page(None, **screen)
    for path in ("/sign-in", f"/invite/{invite(studio)}", "/invite/none", "/lead"):
        page.goto(path)
        assert_fit(page, path)
    page = open_page("Root", **screen)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    paths = page_paths(studio)
    assert {"/lead", "/lead/people", "/account"} <= set(paths)
    for path in [*paths, "/lead/guidelines/evaluate/training"]:
        answer = page.goto(path)
        assert answer.status in (200, 403), path
        assert_fit(page, path)
    # A refusal is a page too, and the browser calls it an error.
    faults = [each for each in faults if "403 (Forbidden)" not in each]
    assert faults == [], "a page reports an error, or asks for what its policy forbids"
    page.get_by_role("link", name="People").click()
    page.get_by_role("button", name="Create invite link").click()
    assert_fit(page, "an invite link")
    page.goto("/nowhere")
    assert_fit(page, "page not found")


def page_paths(studio: Studio) -> list[str]:
    """The paths of all pages that can be opened as they are by somebody signed in."""
    found = set()
    for route in _routes(create_app(studio).routes):
        path, methods = getattr(route, "path", ""), getattr(route, "methods", None) or ()
        if "GET" in methods and "{" not in path and not path.startswith(("/api", "/openapi", "/static", "/sign-in")):
            found.add(path)
    return sorted(found)


def _routes(routes: Iterable[Any]) -> Iterator[Any]:
    """All of them, those of included routers too."""
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is None:
            yield route
        else:
            yield from _routes(router.routes)
