"""The ranking page in a real browser: by handle, by finger, by key, by the plain selects; and never by accident."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")
pytest.importorskip("playwright", reason="a real browser is an extra: pip install 'tutelage[browser]'")

from playwright.sync_api import Page, expect

from browser_world import PHONE, Finger, OpenPage, press, ranks, start, wait_for_rest, wait_for_script
from studio_world import person, queue, task
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.studio import Studio

LONG = "The moon is far away, and the trees beside the road are near. " * 12


def ranking_page(studio: Studio, open_page: OpenPage, *, k: int = 4, **options: object) -> Page:
    """Ada's page on which K long completions, all rated, are to be ranked."""
    person(studio, "Ada")
    asked = task("evaluate", k=k)
    completions = tuple(each.model_copy(update={"text": f"{each.text}. {LONG}"}) for each in asked.completions)
    queue(studio, asked.model_copy(update={"completions": completions}))
    page = open_page("Ada", **options)
    has_script = options.get("java_script_enabled", True)
    start(page, "Rate and rank completions", has_script=has_script)
    slot = re.search(r"/task/(\d+)/", page.url)[1]
    for letter in "ABCDEFGHI"[:k]:
        page.locator("input[name=overall][value='4']").check(force=True)
        page.get_by_role("button", name="Save and continue").click()
        page.wait_for_url(f"**/task/{slot}/{'ranking' if letter == 'ABCDEFGHI'[k - 1] else chr(ord(letter) + 1)}")
    if has_script:
        wait_for_script(page)
    return page


def letters_ranked(studio: Studio) -> list[str]:
    """The stored tie groups in the letters that the labeler saw, as "AC"."""
    (row,) = stored_labels(studio)
    letter_of = dict(zip(row.display_order, "ABCDEFGHI"))
    return ["".join(sorted(letter_of[each] for each in group)) for group in row.label.ranking]


def drag(page: Page, letter: str, onto: str, *, at: float = 0.5) -> None:
    """Drag the card of `letter` by its handle to a height (0 top, 1 bottom) of the first element that matches."""
    handle = page.locator(f"[data-letter={letter}] .handle")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 10, box["y"] + 30, steps=3)
    # The cards are one line high now.
    aim = page.locator(onto).first.bounding_box()
    page.mouse.move(box["x"] + 40, aim["y"] + aim["height"] * at, steps=4)
    page.mouse.up()


def test_a_full_ranking_with_ties_by_drag(studio: Studio, open_page: OpenPage) -> None:
    page = ranking_page(studio, open_page)
    expect(page.locator("#ranking-state")).to_have_attribute("data-state", "untouched")
    drag(page, "C", ".tray", at=0)
    assert ranks(page) == {"A": "", "B": "", "C": "1", "D": ""}
    expect(page.locator("#announcer")).to_contain_text("Completion C: rank 1 of 1. 1 of 4 ranked")
    drag(page, "A", ".bucket", at=0.5)
    expect(page.locator("#announcer")).to_contain_text("rank 1 of 1, tied with C")
    drag(page, "D", ".bucket", at=0.02)
    assert ranks(page) == {"A": "2", "B": "", "C": "2", "D": "1"}
    expect(page.locator("#ranking-state")).to_have_attribute("data-state", "partial")
    drag(page, "B", ".bucket >> nth=1", at=0.98)
    assert ranks(page) == {"A": "2", "B": "3", "C": "2", "D": "1"}
    drag(page, "D", ".bucket >> nth=2", at=0.5)
    expect(page.locator("#ranking-state")).to_contain_text("A = C > B = D")
    expect(page.locator("#ranking-state")).to_have_attribute("data-state", "complete")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/?done=1")
    assert letters_ranked(studio) == ["AC", "BD"]


def test_only_the_handle_drags(studio: Studio, open_page: OpenPage) -> None:
    page = ranking_page(studio, open_page)
    press(page, "j", "1", "j", "j", "j", "2")
    before = ranks(page)
    words = page.locator("[data-letter=B] .words").bounding_box()
    page.mouse.move(words["x"] + 50, words["y"] + 20)
    page.mouse.down()
    page.mouse.move(words["x"] + 50, words["y"] - 400, steps=8)
    page.mouse.up()
    assert ranks(page) == before
    # Escape in the middle of a drag leaves everything as it was.
    handle = page.locator("[data-letter=B] .handle").bounding_box()
    page.mouse.move(handle["x"] + 10, handle["y"] + 10)
    page.mouse.down()
    page.mouse.move(handle["x"] + 10, handle["y"] - 60, steps=4)
    expect(page.locator(".ghost")).to_be_visible()
    press(page, "Escape")
    page.mouse.up()
    assert ranks(page) == before


def test_on_a_phone_scrolling_never_reorders_and_the_handle_does(studio: Studio, open_page: OpenPage) -> None:
    page = ranking_page(studio, open_page, **PHONE)
    for number, letter in enumerate("ABCD", start=1):
        page.locator(f"[data-letter={letter}] select").select_option(str(number))
    finger = Finger(page)
    # A finger on every part of the screen: texts, buttons, headings.
    for height in (300, 400, 500, 600, 700):
        page.evaluate("scrollTo(0, 300)")
        wait_for_rest(page)
        before = page.evaluate("scrollY")
        finger.down(160, height)
        for step in range(1, 10):
            finger.move(160, height - 20 * step)
        finger.up()
        page.wait_for_function("before => scrollY > before + 50", arg=before)
    assert ranks(page) == {"A": "1", "B": "2", "C": "3", "D": "4"}
    # The prompt stays in sight, and leaves most of the screen to the work.
    prompt = page.locator("#prompt").bounding_box()
    assert prompt["y"] == pytest.approx(0, abs=2) and prompt["height"] < 0.25 * 844

    wait_for_rest(page)
    page.evaluate("scrollTo(0, 0)")
    handle = page.locator("[data-letter=B] .handle")
    handle.evaluate("each => each.scrollIntoView({ block: 'center' })")
    wait_for_rest(page)
    box = handle.bounding_box()
    x, y = box["x"] + 15, box["y"] + 15
    finger.down(x, y)
    finger.move(x, y - 15)
    page.locator(".ghost").wait_for()
    # All cards are one line high now.
    aim = page.locator(".bucket").first.bounding_box()
    finger.move(x, aim["y"] + aim["height"] / 2)
    finger.up()
    assert ranks(page) == {"A": "1", "B": "1", "C": "2", "D": "3"}


def test_keys_and_buttons_move_cards_and_say_so(studio: Studio, open_page: OpenPage) -> None:
    page = ranking_page(studio, open_page)
    press(page, "j", "2", "j", "1")
    # A has rank 2 and is first in the list; the one after it is B.
    assert ranks(page) == {"A": "2", "B": "1", "C": "", "D": ""}
    for letter, key in zip("ABCD", "1234"):
        page.locator(f"[data-letter={letter}]").focus()
        press(page, key)
        expect(page.locator(f"[data-letter={letter}]")).to_be_focused()
    press(page, "=")
    expect(page.locator("#announcer")).to_contain_text("Completion D: rank 3 of 3, tied with C. All are ranked.")
    press(page, "u")
    assert ranks(page) == {"A": "1", "B": "2", "C": "4", "D": "3"}
    page.get_by_role("button", name="Move completion A down").click()
    assert ranks(page) == {"A": "2", "B": "1", "C": "4", "D": "3"}
    expect(page.get_by_role("button", name="Move completion A down")).to_be_focused()
    page.get_by_role("button", name="Move completion B up").click()
    expect(page.locator("#announcer")).to_have_text("Completion B is first already.")
    page.locator("[data-letter=C]").focus()
    press(page, "0")
    expect(page.locator("#ranking-state")).to_contain_text("still to rank: C")
    page.get_by_role("button", name="Side by side").click()
    boxes = [page.locator(f"[data-letter={letter}]").bounding_box() for letter in "ABCD"]
    assert len({round(box["y"]) for box in boxes}) == 1 and len({round(box["x"]) for box in boxes}) == 4


def test_what_nobody_touched_is_never_submitted(studio: Studio, open_page: OpenPage) -> None:
    page = ranking_page(studio, open_page, k=2)
    press(page, "Control+Enter")
    expect(page.locator("#ranking-state")).to_contain_text("Not submitted: Nothing is ranked yet.")
    press(page, "1", "Control+Enter")
    expect(page.locator("#ranking-state")).to_contain_text("Not submitted: 1 of 2 ranked")
    assert stored_labels(studio) == []
    page.get_by_text("All equal, or cannot be ranked").click()
    page.get_by_label("They cannot be ranked", exact=True).check()
    assert ranks(page) == {"A": "", "B": ""}
    press(page, "Control+Enter")
    expect(page.get_by_label("Why can they not be ranked?")).to_be_focused()
    page.get_by_label("They cannot be ranked", exact=True).uncheck()
    assert "1" in ranks(page).values(), "what was ranked before comes back"
    page.get_by_label("All are about equally good").check()
    press(page, "Control+Enter")
    page.wait_for_url("**/?done=1")
    assert letters_ranked(studio) == ["AB"]


def test_without_javascript_the_selects_do_it_all(studio: Studio, open_page: OpenPage) -> None:
    page = ranking_page(studio, open_page, k=3, java_script_enabled=False)
    assert page.locator("#show-keys, .views, .unfold, kbd.key").filter(visible=True).count() == 0
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#problems")).to_contain_text("Choose a rank for A, B, C")
    for letter, rank in zip("ABC", "212"):
        page.get_by_label(f"Rank of completion {letter}").select_option(rank)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/?done=1")
    assert letters_ranked(studio) == ["B", "AC"]
