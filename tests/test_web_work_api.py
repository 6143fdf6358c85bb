"""What the script of a work page asks over HTTP, and the keys that it obeys."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from studio_world import PASSWORD, Browser, Clock, person, queue, task
from tutelage.labeling.fields import Scale
from tutelage.labeling.forms import pages_of
from tutelage.labeling.tasks import Task
from tutelage.studio.assignment import assignment_of
from tutelage.studio.labels import draft_of
from tutelage.studio.studio import Studio
from tutelage.studio.tables import User
from tutelage.web.shortcuts import keys_of

TASKS = [
    task("demonstrate"),
    task("evaluate", k=9),
    task("compare"),
    task("toxicity"),
    *(Task(kind="prompt", prompt_kind=kind) for kind in ("plain", "few-shot", "user-based")),
]


@pytest.mark.parametrize("page", [page for each in TASKS for page in pages_of(each)], ids=lambda page: page.name)
def test_no_key_stands_for_two_inputs_but_the_digits_that_scales_share(page) -> None:
    scales = {each.name for each in page.fields if isinstance(each, Scale)}
    keys = [key for name, key in keys_of(page).items() if name.partition("=")[0] not in scales]
    assert len(set(keys)) == len(keys) and not any(key.isdigit() for key in keys)
    assert all(len(key) == 1 for key in keys_of(page).values())
    asked = {each.name for each in page.fields if each.kind != "text"}
    assert asked <= {name.partition("=")[0] for name in keys_of(page)}


def test_the_paper_form_has_its_digits_and_letters() -> None:
    keys = keys_of(pages_of(task("evaluate"))[0])
    assert [keys[f"overall={step}"] for step in range(1, 8)] == list("1234567")
    assert (keys["fails_instruction"], keys["hallucination"], keys["note"]) == ("a", "c", "n")
    assert "".join(keys.values()) == "1234567abcdefghijkn"


@pytest.fixture
def ada(studio: Studio) -> User:
    queue(studio, task("demonstrate"))
    return person(studio, "Ada")


@pytest.fixture
def work(studio: Studio, ada: User) -> tuple[Browser, int, dict[str, str]]:
    """Ada's browser on a task, its place, and the header that her page sends."""
    browser = Browser(studio)
    browser.sign_in("Ada")
    slot = int(browser.send("/tasks/demonstrate").url.path.split("/")[2])
    return browser, slot, {"X-CSRF-Token": browser.client.get("/api/session").json()["csrf_token"]}


def test_a_page_is_kept_and_the_place_held(
    studio: Studio, ada: User, work: tuple[Browser, int, dict[str, str]], clock: Clock
) -> None:
    browser, slot, header = work
    clock.move(minutes=20)
    path, sent = f"/api/task/{slot}/pages/demonstration", {"response": "half", "active_seconds": "12.5", "go": "next"}
    kept = browser.client.post(path, data=sent, headers=header)
    assert (kept.status_code, kept.json()) == (200, {"lease_seconds": 1800.0, "total_seconds": 12.5})
    assignment = assignment_of(studio, ada, slot)
    assert draft_of(studio, assignment).pages == {"demonstration": {"response": "half"}}
    assert (assignment.leased_until - clock()).total_seconds() == 1800
    clock.move(minutes=29)
    assert browser.client.post(f"/api/task/{slot}/lease", headers=header).json() == {"lease_seconds": 1800.0}


def test_only_ones_own_page_with_its_token_is_kept(
    studio: Studio, work: tuple[Browser, int, dict[str, str]], clock: Clock
) -> None:
    browser, slot, header = work
    path = f"/api/task/{slot}/pages/demonstration"
    assert browser.client.post(path, data={"response": "x"}).status_code == 403
    assert browser.client.post(path, data={"response": "x"}, headers={"X-CSRF-Token": "wrong"}).status_code == 403
    assert browser.client.post(f"/api/task/{slot}/pages/ranking", headers=header).status_code == 400
    assert browser.client.post(f"/api/task/{2**70}/pages/ranking", headers=header).status_code == 422
    person(studio, "Bob")
    other = Browser(studio)
    other.sign_in("Bob")
    of_bob = {"X-CSRF-Token": other.client.get("/api/session").json()["csrf_token"]}
    for address in (path, f"/api/task/{slot}/lease"):
        answer = other.client.post(address, data={"response": "x"}, headers=of_bob)
        assert answer.status_code == 409 and "no longer assigned" in answer.json()["detail"]
    clock.move(hours=13)
    late = browser.client.post(path, data={"response": "x"}, headers=header)
    assert late.status_code == 401 and "Sign in" in late.json()["detail"]


def test_a_session_begins_again_without_leaving_the_page(
    studio: Studio, ada: User, work: tuple[Browser, int, dict[str, str]], clock: Clock
) -> None:
    browser, slot, header = work
    clock.move(hours=13)
    nobody = browser.client.get("/api/session").json()
    assert (nobody["labeler_id"], nobody["name"]) == (None, None)
    entry = {"name": "Ada", "password": PASSWORD}
    assert browser.client.post("/api/session", data=entry, headers=header).status_code == 403
    token = {"X-CSRF-Token": nobody["csrf_token"]}
    wrong = browser.client.post("/api/session", data={**entry, "password": "wrong"}, headers=token)
    assert (wrong.status_code, wrong.json()["detail"]) == (400, "The name or the password is wrong.")
    again = browser.client.post("/api/session", data=entry, headers=token).json()
    assert again["labeler_id"] == ada.id and again["csrf_token"] not in (nobody["csrf_token"], header["X-CSRF-Token"])
    new = {"X-CSRF-Token": again["csrf_token"]}
    path = f"/api/task/{slot}/pages/demonstration"
    assert browser.client.post(path, data={"response": "on"}, headers=new).status_code == 200
