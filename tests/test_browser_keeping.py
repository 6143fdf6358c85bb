"""Nothing that a labeler enters is lost: no network, no session, no lease, another window, a day later."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")
pytest.importorskip("playwright", reason="a real browser is an extra: pip install 'tutelage[browser]'")

from playwright.sync_api import Page, Route, expect

from browser_world import PATIENCE, OpenPage, press, start, wait_for_script
from studio_world import PASSWORD, Clock, person, queue, task
from tutelage.studio.assignment import assignment_of, claim, give_back
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.labels import draft_of
from tutelage.studio.studio import Studio
from tutelage.studio.tables import User

WRITE = "Write a response"
SAVES = "**/api/task/**"


def abort(route: Route) -> None:
    route.abort()


def slot_of(page: Page) -> int:
    return int(re.search(r"/task/(\d+)/", page.url)[1])


def draft(studio: Studio, labeler: User, slot: int) -> str:
    """The response in the draft that the studio has."""
    return draft_of(studio, assignment_of(studio, labeler, slot)).pages.get("demonstration", {}).get("response", "")


def until(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait, with the browser at work, until something is so in the studio."""
    for _ in range(int(PATIENCE * 10)):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it never came to be so")


@pytest.fixture
def ada(studio: Studio) -> User:
    queue(studio, task("demonstrate"))
    return person(studio, "Ada")


def test_work_is_saved_by_itself_and_found_again(studio: Studio, ada: User, open_page: OpenPage) -> None:
    page = open_page("Ada")
    start(page, WRITE)
    slot = slot_of(page)
    page.get_by_label("Your response").fill("Half a\nresponse")
    expect(page.locator("#kept")).to_contain_text("Saved")
    assert draft(studio, ada, slot) == "Half a\nresponse"
    # What is written in the last moment goes along when the page is left by a link.
    page.get_by_label("Your response").fill("Half a\nresponse, and more")
    page.get_by_role("link", name="Tasks").click()
    until(page, lambda: draft(studio, ada, slot).endswith("more"))
    elsewhere = open_page("Ada")
    start(elsewhere, WRITE)
    expect(elsewhere.get_by_label("Your response")).to_have_value("Half a\nresponse, and more")
    assert elsewhere.evaluate("Object.keys(localStorage).filter(each => each.includes('demonstration'))") == []


def test_a_failed_save_keeps_the_page_says_so_and_catches_up(studio: Studio, ada: User, open_page: OpenPage) -> None:
    page = open_page("Ada")
    start(page, WRITE)
    slot = slot_of(page)
    page.route(SAVES, abort)
    page.get_by_label("Your response").fill("written without a network")
    expect(page.locator("#alerts")).to_contain_text("could not be reached")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#kept")).to_have_text("Not saved")
    expect(page.get_by_label("Your response")).to_have_value("written without a network")
    assert "/task/" in page.url and draft(studio, ada, slot) == "" and stored_labels(studio) == []
    # Even a page that is closed now has it, and sends it when the studio answers again.
    page.reload()
    expect(page.get_by_label("Your response")).to_have_value("written without a network")
    page.unroute(SAVES)
    until(page, lambda: draft(studio, ada, slot) == "written without a network")
    expect(page.locator("#alerts")).to_be_empty()
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/?done=1")
    assert [row.label.fields["response"] for row in stored_labels(studio)] == ["written without a network"]


def test_a_copy_in_this_browser_never_overwrites_newer_work(studio: Studio, ada: User, open_page: OpenPage) -> None:
    page = open_page("Ada")
    start(page, WRITE)
    slot = slot_of(page)
    page.route(SAVES, abort)
    page.get_by_label("Your response").fill("here, never sent")
    expect(page.locator("#alerts")).to_contain_text("could not be reached")
    elsewhere = open_page("Ada")
    start(elsewhere, WRITE)
    elsewhere.get_by_label("Your response").fill("elsewhere, and newer")
    until(elsewhere, lambda: draft(studio, ada, slot) == "elsewhere, and newer")
    page.reload()
    expect(page.get_by_label("Your response")).to_have_value("elsewhere, and newer")
    page.unroute(SAVES)
    page.get_by_role("button", name="Use that version").click()
    expect(page.get_by_label("Your response")).to_have_value("here, never sent")
    until(page, lambda: draft(studio, ada, slot) == "here, never sent")


def test_an_expired_session_signs_in_again_on_the_page(
    studio: Studio, ada: User, open_page: OpenPage, clock: Clock
) -> None:
    page = open_page("Ada")
    start(page, WRITE)
    slot = slot_of(page)
    clock.move(hours=13)
    page.get_by_label("Your response").fill("long work")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Not now").click()
    expect(page.locator("#alerts")).to_contain_text("You are not signed in")
    page.get_by_label("Your response").fill("long work, going on")
    page.wait_for_timeout(3000)
    expect(dialog).to_be_hidden()
    press(page, "Control+Enter")
    dialog.get_by_label("Password").fill("something wrong")
    press(page, "Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("wrong")
    dialog.get_by_label("Password").fill(PASSWORD)
    press(page, "Enter")
    page.wait_for_url("**/?done=1")
    assert slot and [row.label.fields["response"] for row in stored_labels(studio)] == ["long work, going on"]


def test_a_lost_lease_is_told_and_what_was_written_stays(
    studio: Studio, ada: User, open_page: OpenPage, clock: Clock
) -> None:
    bob = person(studio, "Bob")
    plain, page = open_page("Ada", java_script_enabled=False), open_page("Ada")
    start(page, WRITE)
    slot = slot_of(page)
    plain.goto(page.url)
    clock.move(minutes=31)
    taken = claim(studio, bob, "demonstrate")
    assert taken is not None and taken.slot_id == slot
    page.get_by_label("Your response").fill("too late, but good")
    expect(page.locator("#alerts")).to_contain_text("no longer assigned to you")
    expect(page.locator("#alerts")).to_contain_text("stays on this page")
    expect(page.get_by_role("button", name="Submit")).to_be_disabled()
    expect(page.get_by_label("Your response")).to_have_value("too late, but good")
    plain.get_by_label("Your response").fill("too late, and without a script")
    plain.get_by_role("button", name="Submit").click()
    expect(plain.get_by_role("heading", level=1)).to_have_text("This page was not saved")
    expect(plain.get_by_text("too late, and without a script")).to_be_visible()
    # The task comes back to her, and with it what she wrote.
    give_back(studio, bob, slot)
    page.get_by_role("button", name="Go to your tasks").click()
    start(page, WRITE)
    expect(page.get_by_label("Your response")).to_have_value("too late, but good")


def test_two_browsers_race_for_one_place(studio: Studio, ada: User, open_page: OpenPage) -> None:
    person(studio, "Bob")
    pages = [open_page("Ada"), open_page("Bob")]
    for page in pages:
        # The click is made in the page, so that it does not wait for what comes of it.
        page.evaluate("setTimeout(() => document.querySelector('form[action=\"/tasks/demonstrate\"] button').click())")
    for page in pages:
        page.wait_for_url(re.compile(r"/task/\d+/demonstration|/\?gone=1"))
    winners = [page for page in pages if "/task/" in page.url]
    assert len(winners) == 1
    (late,) = [page for page in pages if page not in winners]
    expect(late.get_by_role("status")).to_contain_text("Someone else took the last one")
    wait_for_script(winners[0])
    winners[0].get_by_label("Your response").fill("mine")
    press(winners[0], "Control+Enter")
    winners[0].wait_for_url("**/?done=1")
    assert len(stored_labels(studio)) == 1


def test_only_time_with_somebody_at_the_page_counts_and_holds_the_task(
    studio: Studio, ada: User, open_page: OpenPage, clock: Clock
) -> None:
    page = open_page("Ada")
    page.clock.install()
    start(page, WRITE)
    beats: list[str] = []
    page.on("request", lambda request: beats.append(request.url) if request.url.endswith("/lease") else None)
    held = assignment_of(studio, ada, slot_of(page)).leased_until
    page.get_by_label("Your response").press_sequentially("a")
    for _ in range(5):
        page.clock.run_for(60_000)
        page.keyboard.type("b")
    expect(page.locator("#kept")).to_have_text(re.compile("Saved|Not saved yet"))
    page.clock.run_for(15_000)
    slot = slot_of(page)
    until(page, lambda: draft(studio, ada, slot) == "abbbbb")
    assert len(beats) == 2, "one in two minutes"
    clock.move(minutes=10)
    # Nobody is there for an hour: that is no work, and no heartbeat. What is asked after it has come after it.
    page.clock.fast_forward(3_600_000)
    page.evaluate("fetch('/static/icon.svg').then((answer) => answer.text())")
    assert len(beats) == 2, "nobody is there"
    assert assignment_of(studio, ada, slot).leased_until == held
    page.keyboard.type("c")
    page.clock.run_for(5_000)
    until(page, lambda: draft(studio, ada, slot) == "abbbbbc")
    assert assignment_of(studio, ada, slot).leased_until > held
    (seconds,) = draft_of(studio, assignment_of(studio, ada, slot)).active_seconds.values()
    # Five minutes of typing, and at most the two that nobody's rest is taken for leaving.
    assert 300 <= seconds <= 300 + 15 + 120 + 10
