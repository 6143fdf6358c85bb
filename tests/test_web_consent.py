"""Labels of people who did not say that they may be used stay in the studio, and are counted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from studio_world import PASSWORD, Browser, person, queue, studio_on_both, task
from test_studio_gold import label_compare
from test_web_api import client_of
from tutelage.studio.adjudication import adjudicate, case_of
from tutelage.studio.assignment import claim
from tutelage.studio.export import export_labels
from tutelage.studio.people import audit_log, invite, people
from tutelage.studio.progress import labeler_progress

studio = studio_on_both


def labeled(studio, *users):
    queue(studio, task("compare", number=1), task("compare", number=2), overlap=len(users))
    for user in users:
        for _ in range(2):
            label_compare(studio, user, claim(studio, user, "compare"), "tie")


def optional(studio):
    return replace(studio, settings=replace(studio.settings, is_consent_required=False))


def exported_labelers(folder):
    path = folder / "rankings.jsonl"
    return {json.loads(line)["labeler_id"] for line in path.read_text().splitlines()} if path.exists() else set()


def test_an_account_needs_consent_unless_the_studio_says_otherwise(studio):
    browser, token = Browser(studio), invite(studio)
    browser.open(f"/invite/{token}")
    assert 'name="consent" value="yes" required' in browser.page.text
    assert browser.send(None, name="Ada", password=PASSWORD).status_code == 400
    assert "you must agree that your labels may be used" in browser.page.text and people(studio) == []
    assert browser.send(None, name="Ada", password=PASSWORD, consent="yes").url.path == "/"
    assert people(studio)[0].consented_at == studio.clock() and "not used" not in browser.page.text

    guest = Browser(optional(studio))
    guest.open(f"/invite/{invite(studio)}")
    assert 'name="consent" value="yes">' in guest.page.text
    assert guest.send(None, name="Bob", password=PASSWORD).url.path == "/"
    assert people(studio)[1].consented_at is None and "Your labels are not used" in guest.page.text


def test_labels_without_consent_are_left_out_and_counted(studio, tmp_path):
    studio = optional(studio)
    ada, bob = person(studio, "Ada"), person(studio, "Bob", has_consented=False)
    labeled(studio, ada, bob)
    rita = person(studio, "Rita", role="researcher", has_consented=False)
    adjudicate(studio, case_of(studio, 1), {"comparison": {"preference": "A"}}, note="", by=rita)
    manifest = export_labels(studio, tmp_path / "out")
    assert exported_labelers(tmp_path / "out") == {ada.id} == set(manifest.labeler_groups)
    assert (manifest.num_labels, manifest.num_without_consent) == (2, 2)
    assert "rankings_ruled.jsonl" not in manifest.counts, "nor what a researcher decided who did not consent"
    assert export_labels(studio, tmp_path / "none", purpose="evaluation").num_without_consent == 0
    assert {row.name: row.num_labels for row in labeler_progress(studio)}["Bob"] == 2, "they are there"
    answer = client_of(studio, rita).get("/api/labels/rankings.jsonl")
    assert answer.headers["x-labels-without-consent"] == "2" and bob.id not in answer.text and ada.id in answer.text


def test_consent_is_withdrawn_and_given_again_on_the_account_page(studio, tmp_path):
    ada = person(studio, "Ada")
    labeled(studio, ada)
    browser = Browser(studio)
    browser.sign_in("Ada")
    browser.open("/account")
    assert "Since 2026-03-01" in browser.page.text
    for step, (consent, labelers) in enumerate((("no", set()), ("yes", {ada.id}))):
        browser.send("/account/consent", consent=consent)
        export_labels(studio, tmp_path / str(step))
        assert exported_labelers(tmp_path / str(step)) == labelers
    assert [entry.action for entry, _ in audit_log(studio, limit=2)] == ["give consent", "withdraw consent"]
