"""A studio for tests: its clock stands until it is moved; people and tasks are made in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import argon2
import pytest
from fastapi.testclient import TestClient

from tutelage.labeling.tasks import Task
from tutelage.records import Completion, Prompt
from tutelage.studio import people, secrets
from tutelage.studio.queue import enqueue
from tutelage.studio.studio import Settings, Studio, open_studio
from tutelage.studio.tables import User
from tutelage.web.app import create_app

PASSWORD = "correct horse battery"


class Clock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def studio(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from _opened(tmp_path, clock, monkeypatch, None)


@pytest.fixture(params=["sqlite", "postgresql"])
def studio_on_both(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Studio]:
    """For the tests of a file that imports it as `studio`: each runs on SQLite, and on PostgreSQL where it is."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    yield from _opened(tmp_path, clock, monkeypatch, url)


def _opened(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, url: str | None) -> Iterator[Studio]:
    monkeypatch.setattr(secrets, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(secrets, "_NOBODY", secrets.hash_password("nobody has this password"))
    opened = open_studio(tmp_path / "studio", url=url, clock=clock, settings=Settings(seed=7))
    yield opened
    opened.database.close()


def person(studio: Studio, name: str, *, has_consented: bool = True, **invitation: Any) -> User:
    token = people.invite(studio, **invitation)
    return people.accept_invite(studio, token, name=name, password=PASSWORD, has_consented=has_consented)


def task(kind: str = "evaluate", *, k: int = 3, number: int = 1, **more: Any) -> Task:
    count = {"demonstrate": 0, "compare": 2}.get(kind, k)
    completions = tuple(
        Completion(id=f"p{number}c{place}", text=f"Completion {place} of {number}", policy=f"secret-policy-{place}")
        for place in range(1, count + 1)
    )
    return Task(kind=kind, prompt=Prompt(id=f"p{number}", text=f"Prompt {number}"), completions=completions, **more)


def queue(studio: Studio, *tasks: Task, **how: Any) -> None:
    assert enqueue(studio, tasks, **how).num_new == len(tasks)


class Browser:
    """A browser without JavaScript: it follows links and sends the forms that are on the page, and nothing else."""

    def __init__(self, studio: Studio, *, address: str = "192.0.2.1") -> None:
        app = create_app(studio, requests_per_minute=0)
        self.client = TestClient(app, follow_redirects=True, client=(address, 50000))
        self.page: Any = None

    def open(self, path: str) -> Any:
        self.page = self.client.get(path)
        return self.page

    def send(self, action: str | None = None, **entries: str) -> Any:
        """Send the form with this action (None: the one without), its hidden fields included."""
        path = self.page.url.path if action is None else action
        form = next(each for each in _forms(self.page.text) if each["action"] == action)
        names = {name.replace("__", "."): value for name, value in entries.items()}
        self.page = self.client.post(path, data={**form["hidden"], **names})
        return self.page

    def sign_in(self, name: str, password: str = PASSWORD) -> Any:
        self.open("/sign-in")
        return self.send("/sign-in", name=name, password=password)


def _forms(html: str) -> Iterator[dict[str, Any]]:
    for attributes, body in re.findall(r"<form([^>]*)>(.*?)</form>", html, re.DOTALL):
        action = re.search(r'action="([^"]*)"', attributes)
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', body))
        hidden |= dict(re.findall(r'<textarea hidden name="([^"]*)">\n(.*?)</textarea>', body, re.DOTALL))
        yield {"action": action[1] if action else None, "hidden": hidden}
