"""Every form of the pages, sent with hostile values, missing fields and wrong types: refused or kept, never a fault."""

from __future__ import annotations

import random
import re

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from fastapi.routing import APIRoute

from studio_world import PASSWORD, Browser, person, queue, studio_on_both, task
from test_studio_gold import golden, label_compare
from test_web_quality import TEST
from tutelage.labeling.tasks import Task
from tutelage.studio.assignment import claim
from tutelage.studio.gold import queue_gold
from tutelage.studio.people import invite
from tutelage.studio.screening import add_screening
from tutelage.web import accounts, guidelines, lead, quality, revision, screening, tasks

studio = studio_on_both

FORMS = sorted(
    route.path
    for room in (accounts, tasks, revision, lead, quality, screening, guidelines)
    for route in room.router.routes
    if isinstance(route, APIRoute) and "POST" in route.methods
)
# These end the session or the account that asks.
_LAST = {"/sign-out"}
VALUES = (
    "",
    " ",
    "0",
    "-1",
    "1",
    "7",
    "9" * 400,
    "1e999",
    "nan",
    "yes",
    "submit",
    "\0",
    "\ud7ff\uffff",
    "a\0b",
    "%00",
    "ÿ" * 300,
    "' OR 1=1 --",
    "<script>",
    "../../x",
    "{{7*7}}",
    "true",
    "[]",
    '{"a": 1}',
    "x" * 50_000,
    "\u202e\u0000\r\n",
    "A",
    "B",
)
ODD_NAMES = (
    "overall",
    "rank.A",
    "rank.",
    "A.overall",
    "go",
    "page",
    "x" * 300,
    "\0",
    "score",
    "quota",
    "consent",
    "__class__",
)


def names_of(page: str) -> list[str]:
    return sorted(set(re.findall(r'\bname="([^"]+)"', page)) - {"csrf_token"})


def ways_in(studio):
    """Root with a task of every kind in hands, a case and a screened candidate; Cato with a test; the addresses."""
    for number, kind in enumerate(("demonstrate", "evaluate", "compare", "toxicity")):
        queue(studio, task(kind, number=number, k=2))
    queue(studio, Task(kind="prompt", prompt_kind="few-shot"))
    queue_gold(studio, [golden(50)])
    add_screening(studio, TEST)
    root, _ = person(studio, "Root", role="admin"), person(studio, "Cato", role="candidate")
    queue(studio, task("compare", number=9), priority=9)
    label_compare(studio, root, claim(studio, root, "compare"), "tie")
    slots = {kind: claim(studio, root, kind).slot_id for kind in ("demonstrate", "evaluate", "compare", "prompt")}
    browsers = {}
    for name in ("Root", "Cato"):
        browsers[name] = Browser(studio)
        browsers[name].sign_in(name)
    pages = {"demonstrate": "demonstration", "evaluate": "A", "compare": "comparison", "prompt": "prompt"}
    addresses = {
        "/task/{slot_id}/{page_name}": [f"/task/{slot}/{pages[kind]}" for kind, slot in slots.items()]
        + [f"/task/{slots['evaluate']}/ranking"],
        "/task/{slot_id}/skip": [f"/task/{slots['compare']}/skip"],
        "/task/{slot_id}/give-back": ["/task/99/give-back"],
        "/invite/{token}": [f"/invite/{invite(studio)}"],
        "/labels/{label_id}": ["/labels/1"],
        "/lead/cases/{item_id}": ["/lead/cases/1", f"/lead/cases/{item_with_label(studio)}"],
    }
    return browsers, addresses


def item_with_label(studio):
    from tutelage.studio.label_rows import stored_labels

    return stored_labels(studio)[0].item_id


def address_of(path, addresses):
    values = {"kind": "demonstrate", "user_id": "x", "purpose": "training", "place": "1"}
    filled = re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], "1"), path)
    return addresses.get(path, [filled])


def test_hostile_forms_are_refused_or_kept_and_never_fail(studio):
    draw = random.Random(0)
    browsers, addresses = ways_in(studio)
    assert len(FORMS) > 15
    statuses = set()
    for path in (each for each in FORMS if each not in _LAST):
        opened = browsers["Cato" if path.startswith("/screening") else "Root"]
        for address in address_of(path, addresses):
            shown = opened.client.get(address, follow_redirects=False)
            names = names_of(shown.text) or ["name"]
            for number in range(8):
                chosen = [name for name in names if draw.random() < 0.7] + draw.choices(ODD_NAMES, k=2)
                data = {name: draw.choice(VALUES) for name in chosen} if number else {}
                token = re.search(r'name="csrf_token" value="([^"]+)"', opened.client.get("/account").text)
                if token is None:
                    # A form of sign-in has let somebody else in, or nobody.
                    opened.sign_in("Cato" if path.startswith("/screening") else "Root", PASSWORD)
                    token = re.search(r'name="csrf_token" value="([^"]+)"', opened.open("/account").text)
                # The last comes as a file, where a text is due.
                files = {"overall": ("x.txt", b"\xff\x00")} if number == 7 else None
                sent = {"csrf_token": token[1], **data}
                answer = opened.client.post(address, data=sent, files=files, follow_redirects=False)
                statuses.add(answer.status_code)
                assert answer.status_code < 500, (address, data)
    assert {303, 400, 422} <= statuses, f"some were kept, some refused: {statuses}"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a=%ff%00&a=1", b"=" * 1000, b"&" * 300, b"a=1&" * 300])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "application/json", "x"])
def test_bodies_that_are_no_form_are_refused(studio, content, kind):
    browser = Browser(studio)
    person(studio, "Ada")
    browser.sign_in("Ada")
    for path in ("/sign-in", "/tasks/demonstrate", "/account/consent", "/task/1/demonstration"):
        answer = browser.client.post(path, content=content, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, (path, answer.status_code)
