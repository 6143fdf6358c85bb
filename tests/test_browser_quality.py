"""The lead's pages of quality in a real browser: agreement, cases and screening, by keyboard, on a phone, with axe."""

from __future__ import annotations

from uuid import uuid4

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")
pytest.importorskip("playwright", reason="a real browser is an extra: pip install 'tutelage[browser]'")

from playwright.sync_api import Page, expect

from browser_world import PHONE, OpenPage, press, start
from studio_world import Browser, person, queue, task
from test_browser_day import WIDE, assert_fit, tab_to
from test_studio_gold import golden
from test_studio_hostile import HOSTILE, WRITTEN
from test_web_quality import TEST
from tutelage.studio.adjudication import rulings
from tutelage.studio.assignment import claim
from tutelage.studio.gold import gold_outcomes, queue_gold
from tutelage.studio.guidelines import publish_guideline
from tutelage.studio.labels import save_draft, submit
from tutelage.studio.screening import add_screening, candidacies
from tutelage.studio.studio import Studio

SCREENS = pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide", "phone"])


@pytest.fixture
def judged(studio: Studio) -> Studio:
    """Two labelers with ratings, flags, orders and gold, who differ; a researcher; a test that somebody handed in."""
    queue(studio, *(task("evaluate", k=4, number=number) for number in range(1, 4)), overlap=2)
    queue_gold(studio, [golden(9)])
    for name, group in (("Ada Lovelace of the long name", "training"), ("Bob", "training")):
        labeler = person(studio, name, group=group)
        for number in range(3):
            assignment = claim(studio, labeler, "evaluate")
            for place, letter in enumerate("ABCD"):
                rating = {"overall": str(1 + (place + number) % 7), "hallucination": "yes" if place else ""}
                save_draft(studio, assignment, letter, rating, seconds=40)
            ranks = {f"rank.{letter}": str(place) for place, letter in enumerate("ABCD", start=1)}
            save_draft(studio, assignment, "ranking", ranks)
            submit(studio, labeler, assignment, lease_token=assignment.lease_token, client_uuid=str(uuid4()))
    add_screening(studio, TEST, name="autumn")
    person(studio, "Cato", role="candidate")
    person(studio, "Rita", role="researcher")
    return studio


def hand_in(studio: Studio) -> None:
    """Cato does the whole test."""
    browser = Browser(studio)
    browser.sign_in("Cato")
    pages = (
        {"is_sensitive": "yes"},
        {"is_sensitive": "no"},
        {"rank__A": "1", "rank__B": "2", "rank__C": "3"},
        {"response": "I hope you are safe."},
        {"religion": "yes"},
    )
    for number, entries in enumerate(pages, start=1):
        browser.open(f"/screening/{number}")
        browser.send(None, go="next", **entries)
    browser.open("/screening")
    browser.send("/screening")


@SCREENS
def test_the_pages_of_quality_are_accessible_and_fit_the_screen(
    judged: Studio, open_page: OpenPage, screen: dict
) -> None:
    candidate = open_page(None, **screen)
    candidate.goto("/sign-in")
    candidate.get_by_label("Name").fill("Cato")
    candidate.get_by_label("Password").fill("correct horse battery")
    candidate.get_by_role("button", name="Sign in").click()
    candidate.wait_for_url("**/screening")
    assert_fit(candidate, "a test")
    for number in range(1, 6):
        candidate.goto(f"/screening/{number}")
        assert_fit(candidate, f"task {number} of a test")
    hand_in(judged)
    lead = open_page("Rita", **screen)
    for path in ("/lead", "/lead/quality", "/lead/cases", "/lead/cases/1", "/lead/screening", "/lead/screening/1"):
        assert lead.goto(path).status == 200
        assert_fit(lead, path)
        assert_nothing_is_cut(lead, path)


def assert_nothing_is_cut(page: Page, what: str) -> None:
    """No text of a cell stands outside the table's frame, where only a scroll would show it."""
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".stacks")].flatMap(frame => {
            const end = frame.getBoundingClientRect().right + 1;
            return [...frame.querySelectorAll("td *, th *")]
                .filter(each => each.getBoundingClientRect().right > end)
                .map(each => each.textContent);
        })"""
    )
    assert cut == [], what


def test_a_lead_decides_a_case_by_keyboard_alone(judged: Studio, open_page: OpenPage) -> None:
    page = open_page("Rita")
    page.goto("/lead/quality")
    tab_to(page, "disputed: decide")
    press(page, "Enter")
    page.wait_for_url("**/lead/cases")
    first = page.locator("main td a, main th a").first.text_content()
    tab_to(page, first)
    press(page, "Enter")
    page.wait_for_url("**/lead/cases/*")
    item = int(page.url.rsplit("/", 1)[1])
    for place in range(1, 5):
        tab_to_field(page, f"{'ABCD'[place - 1]}.overall")
        press(page, "Space")
    for place, letter in enumerate("ABCD", start=1):
        tab_to_field(page, f"rank.{letter}")
        press(page, str(place))
    tab_to_field(page, "ruling_note")
    page.keyboard.type("the clearer one")
    tab_to_field(page, "as_gold")
    press(page, "Space", "Enter")
    page.wait_for_url("**/lead/cases")
    expect(page.get_by_text("the clearer one")).to_be_visible()
    ruling = rulings(judged)[item]
    assert len(ruling.label.ranking) == 4 and ruling.note == "the clearer one"
    assert len(gold_outcomes(judged)) == 2, "it is gold now"


def tab_to_field(page: Page, name: str) -> None:
    """Press Tab until the field `name` has the focus."""
    for _ in range(120):
        if page.evaluate("document.activeElement.name") == name:
            return
        press(page, "Tab")
    raise AssertionError(f"Tab never comes to the field {name!r}")


def test_a_candidate_is_rated_and_accepted_by_keyboard_alone(judged: Studio, open_page: OpenPage) -> None:
    hand_in(judged)
    page = open_page("Rita")
    page.goto("/lead/screening")
    tab_to(page, "Candidate 1")
    press(page, "Enter")
    page.wait_for_url("**/lead/screening/1")
    tab_to_field(page, "score")
    press(page, "Space")
    page.keyboard.press("ArrowRight")
    press(page, "Enter")
    page.wait_for_load_state()
    expect(page.get_by_text("Your rating of demonstration 1")).to_be_attached()
    tab_to_field(page, "decision_note")
    page.keyboard.type("kind and exact")
    tab_to(page, "Accept")
    press(page, "Enter")
    expect(page.get_by_text("Rita accepted this candidate")).to_be_visible()
    (found,) = candidacies(judged)
    assert (found.decision, found.decision_note, found.scores.demonstration.mean) == ("accepted", "kind and exact", 2.0)


@SCREENS
def test_a_guideline_fits_the_screen_and_its_links_open_beside_the_work(
    studio: Studio, open_page: OpenPage, address: str, screen: dict
) -> None:
    """What is wide (a table, code) and what is hostile; the link leads to a page of ours, for no other is there."""
    ada = person(studio, "Ada", role="admin")
    wide = "\n".join(("| a | b |", "|--:|:--|", f"| {'long ' * 30} | {'x' * 90} |"))
    text = "\n\n".join((WRITTEN, f"    {'code ' * 40}", f"```\n{'y' * 200}\n```", wide, *HOSTILE.values()))
    text = text.replace(HOSTILE["huge"], "") + f"\n\n[The list]({address}/) [runs](javascript:alert(1))\n"
    publish_guideline(studio, "compare", "training", text, by=ada.id)
    queue(studio, task("compare"))
    page = open_page("Ada", **screen)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    page.goto("/lead/guidelines/compare/training")
    assert_fit(page, "a guideline")
    start(page, "Compare two completions")
    # On a wide screen the page's script opens it.
    page.locator("#guideline").evaluate("guideline => guideline.open = true")
    assert_fit(page, "a task with a guideline")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="The list").click()
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("[window.opener, document.referrer]") == [None, ""]
    assert page.get_by_role("link", name="runs").count() == 0 and dialogs == []
