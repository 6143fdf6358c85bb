"""What stands before the pages: sign-in, roles, tokens of forms, limits, headers. Every route is tried."""

from __future__ import annotations

import re
from inspect import signature

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from studio_world import PASSWORD, Browser, person, queue, task
from tutelage.cli import label
from tutelage.studio import people
from tutelage.studio.assignment import claim
from tutelage.studio.sign_in import sign_in
from tutelage.web import accounts, api, guidelines, lead, quality, revision, screening, tasks
from tutelage.web.app import create_app
from tutelage.web.limits import REQUESTS_PER_MINUTE

OPEN = {"/sign-in", "/invite/{token}"}
ROUTES = [
    (method, route.path)
    for room in (accounts, tasks, revision, lead, quality, screening, guidelines, api)
    for route in room.router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]


def _filled(path: str, token: str = "x") -> str:
    values = {"kind": "demonstrate", "slot_id": "1", "page_name": "demonstration", "token": token, "user_id": "x"}
    values |= {"purpose": "training", "token_id": "1", "label_id": "1", "item_id": "1", "screening_id": "1"}
    values |= {"task_id": "1", "place": "1", "name": "demonstrations"}
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], path)


def test_every_page_but_the_entrance_asks_who_is_there(studio):
    client = TestClient(create_app(studio), follow_redirects=False)
    assert len(ROUTES) > 15
    for method, path in ROUTES:
        if path not in OPEN:
            assert client.request(method, _filled(path)).status_code == 401, (method, path)


def test_every_form_refuses_a_request_without_its_token(studio):
    person(studio, "Ada", role="admin")
    queue(studio, task("demonstrate"))
    browser = Browser(studio)
    browser.sign_in("Ada")
    token = people.invite(studio)
    for method, path in ROUTES:
        if method == "POST":
            for data in ({}, {"csrf_token": "guess"}):
                assert browser.client.post(_filled(path, token), data=data).status_code == 403, path
    assert browser.open("/").status_code == 200, "still signed in"


def test_labelers_are_refused_the_leads_pages_and_researchers_the_admins(studio):
    person(studio, "Ada")
    person(studio, "Rita", role="researcher")
    labeler, researcher = Browser(studio), Browser(studio)
    labeler.sign_in("Ada")
    researcher.sign_in("Rita")
    for path in ("/lead", "/lead/people", "/api/progress"):
        assert labeler.open(path).status_code == 403
        assert researcher.open(path).status_code == 200
    page = researcher.open("/lead/people")
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]
    assert researcher.client.get("/lead/audit").status_code == 403
    for path in ("/lead/people/invite", "/lead/people/x/active", "/lead/guidelines/compare/training"):
        assert researcher.client.post(path, data={"csrf_token": csrf}).status_code == 403


def test_the_task_of_another_labeler_is_refused(studio):
    ada, _ = person(studio, "Ada"), person(studio, "Bob")
    queue(studio, task("demonstrate"))
    slot = claim(studio, ada, "demonstrate").slot_id
    browser = Browser(studio)
    browser.sign_in("Bob")
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', browser.page.text)[1]
    assert browser.open(f"/task/{slot}/demonstration").status_code == 409
    assert "Prompt 1" not in browser.page.text
    for path in ("demonstration", "skip", "give-back"):
        data = {"csrf_token": csrf, "response": "mine", "reason": "other", "go": "submit"}
        assert browser.client.post(f"/task/{slot}/{path}", data=data).status_code == 409


def test_an_admin_invites_once_and_locks_out(studio):
    person(studio, "Root", role="admin")
    admin, guest = Browser(studio), Browser(studio)
    admin.sign_in("Root")
    admin.open("/lead/people")
    page = admin.send("/lead/people/invite", role="labeler", group="heldout", quota="3")
    link = re.search(r"http://testserver(/invite/[\w-]+)", page.text)[1]
    guest.open(link)
    assert guest.send(None, name="root", password=PASSWORD, consent="yes").status_code == 400
    assert "taken" in guest.page.text
    assert guest.send(None, name="Guest", password="short").status_code == 400
    assert guest.send(None, name="Guest", password=PASSWORD, consent="yes").url.path == "/"
    assert guest.open(link).status_code == 400
    (user,) = [each for each in people.people(studio) if each.name == "Guest"]
    assert (user.role, user.labeler_group, user.quota) == ("labeler", "heldout", 3)
    admin.open("/lead/people")
    admin.send(f"/lead/people/{user.id}/active")
    assert guest.open("/").status_code == 401
    assert guest.sign_in("Guest").status_code == 400


def test_invites_expire(studio, clock):
    token = people.invite(studio)
    clock.move(days=15)
    assert Browser(studio).open(f"/invite/{token}").status_code == 400


def test_signing_out_ends_the_session_also_for_a_copied_cookie(studio):
    person(studio, "Ada")
    browser = Browser(studio)
    browser.sign_in("Ada")
    copied = dict(browser.client.cookies)
    browser.send("/sign-out")
    thief = Browser(studio)
    thief.client.cookies.update(copied)
    assert thief.open("/").status_code == 401


def test_tokens_are_made_shown_once_and_revoked_on_the_account_page(studio):
    person(studio, "Rita", role="researcher")
    browser = Browser(studio)
    browser.sign_in("Rita")
    browser.open("/account")
    token = re.search(r"<code>([\w-]{32})</code>", browser.send("/account/tokens", name="nightly").text)[1]
    assert token not in browser.open("/account").text
    script = TestClient(create_app(studio))
    headers = {"Authorization": f"Bearer {token}"}
    assert script.get("/api/me", headers=headers).status_code == 200
    browser.send("/account/tokens/1/revoke")
    assert script.get("/api/me", headers=headers).status_code == 401
    assert people.api_tokens(studio, people.people(studio)[0])[0].revoked_at is not None


def test_a_new_guideline_is_a_new_version_and_old_labels_keep_theirs(studio):
    person(studio, "Root", role="admin")
    queue(studio, task("compare", number=1), task("compare", number=2))
    browser = Browser(studio)
    browser.sign_in("Root")
    versions = []
    for text in ("# First\r\n\r\n- <i>one</i>", "# First\n\n- <i>one</i>\n", "# Second"):
        browser.open("/lead/guidelines/compare/training")
        versions.append(re.search(r"Version (\d)", browser.send(None, markdown=text).text)[1])
    assert versions == ["2", "2", "3"], "the same text again is no new version"
    browser.open("/")
    browser.send("/tasks/compare")
    assert "Guidelines, version 3" in browser.page.text and "<h3>Second</h3>" in browser.page.text
    assert browser.open("/lead/audit").text.count("publish guideline") == 2


def test_an_api_token_speaks_for_its_user_until_they_are_locked_out(studio):
    rita = person(studio, "Rita", role="researcher")
    client = TestClient(create_app(studio))
    headers = {"Authorization": f"Bearer {people.make_api_token(studio, rita, 'nightly')}"}
    assert client.get("/api/me", headers=headers).json()["name"] == "Rita"
    assert client.get("/api/progress", headers=headers).json() == []
    assert client.get("/api/me", headers={"Authorization": "Bearer wrong"}).status_code == 401
    people.set_active(studio, rita.id, False, by=rita.id)
    assert client.get("/api/me", headers=headers).status_code == 401


@pytest.mark.parametrize("target", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example"])
def test_sign_in_leads_nowhere_else(studio, target):
    person(studio, "Ada")
    browser = Browser(studio)
    browser.open(f"/sign-in?going_on={target}")
    assert 'name="going_on" value="/"' in browser.page.text
    assert browser.send("/sign-in", name="Ada", password=PASSWORD, going_on=target).url.host == "testserver"


def test_secrets_are_stored_as_hashes_only(studio, tmp_path):
    ada = person(studio, "Ada")
    session = sign_in(studio, name="Ada", password=PASSWORD).session
    token = people.make_api_token(studio, ada, "nightly")
    link = people.invite(studio)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "studio").iterdir())
    for secret in (PASSWORD, session, token, link):
        assert secret.encode() not in stored
    assert b"$argon2id$" in stored


def test_every_page_forbids_what_comes_from_elsewhere(studio):
    browser = Browser(studio)
    person(studio, "Ada")
    for path in ("/sign-in", "/nowhere", "/static/studio.css", "/api/me"):
        headers = browser.open(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "'unsafe-inline'" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"""\s(style|on\w+)=|(src|href)=["']?(https?:)?//""", browser.sign_in("Ada").text)
    cookie = browser.client.post("/sign-in").request.headers.get("cookie", "")
    assert people.signed_in(studio, re.search(r"tutelage_session=([^;]+)", cookie)[1]) is not None


def test_the_command_line_and_the_application_have_one_limit():
    assert signature(create_app).parameters["requests_per_minute"].default == REQUESTS_PER_MINUTE
    assert signature(label.serve).parameters["requests_per_minute"].default == REQUESTS_PER_MINUTE
