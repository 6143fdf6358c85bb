"""A server that is killed at work has every acknowledged label when it comes back; one that cannot start says why."""

from __future__ import annotations

import http.client
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import argon2
import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from typer.testing import CliRunner

from studio_server import Labeler, Server, hidden
from studio_world import PASSWORD, person, queue, task
from tutelage.cli import app
from tutelage.errors import UserError
from tutelage.studio import secrets
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.people import people
from tutelage.studio.sign_in import sign_in
from tutelage.studio.studio import open_studio

NUM_LABELERS, NUM_ITEMS, NUM_BEFORE = 6, 400, 40


class Load:
    """Labelers who write and submit until the server is gone; `acknowledged`: what it said it had, by its text."""

    def __init__(self, port: int, sessions: list[str]) -> None:
        self.acknowledged: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(port, number, session)) for number, session in enumerate(sessions)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, port: int, number: int, session: str) -> None:
        # Until the server is killed.
        with suppress(OSError, http.client.HTTPException), Labeler(port, session) as labeler:
            form = hidden(labeler.get("/")[1])
            for count in range(NUM_ITEMS):
                _, _, place = labeler.post("/tasks/demonstrate", {"csrf_token": form["csrf_token"]})
                page = labeler.get(f"{place}/demonstration")[1]
                text = f"labeler {number}, response {count}"
                sent = {**hidden(page), "response": text, "go": "submit"}
                status, _, leads_to = labeler.post(f"{place}/demonstration", sent)
                if (status, leads_to) == (303, "/?done=1"):
                    self.acknowledged.append(text)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in self._threads)


def test_a_killed_server_comes_back_with_every_acknowledged_label(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(secrets, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    data = tmp_path / "studio"
    studio = open_studio(data)
    for number in range(NUM_LABELERS):
        person(studio, f"labeler {number}")
    queue(studio, *(task("demonstrate", number=number) for number in range(NUM_ITEMS)))
    sessions = [sign_in(studio, name=f"labeler {number}", password=PASSWORD).session for number in range(NUM_LABELERS)]
    with Server(data) as server:
        load = Load(server.port, sessions)
        deadline = time.monotonic() + 120
        while len(load.acknowledged) < NUM_BEFORE and time.monotonic() < deadline:
            time.sleep(0.01)
        server.kill()
        load.join()
    assert len(load.acknowledged) >= NUM_BEFORE, server.output()
    with closing(sqlite3.connect(data / "studio.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with Server(data) as server, Labeler(server.port, sessions[0]) as labeler:
        status, page, _ = labeler.get("/")
        assert status == 200 and "done" in page, "the session outlived the server too"
    rows = stored_labels(studio)
    studio.database.close()
    stored = Counter(str(row.label.fields["response"]) for row in rows)
    assert [text for text in load.acknowledged if stored[text] != 1] == []
    # What was on its way when the server died may be stored or not, but only once each, and one a labeler at most.
    assert len(rows) == len(stored) <= len(load.acknowledged) + NUM_LABELERS
    assert max(Counter(row.item_id for row in rows).values()) == 1


def test_an_occupied_port_is_one_message_and_no_invite(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        command = [sys.executable, "-m", "tutelage", "label", "serve", "--data", str(tmp_path), "--port", str(port)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stdout == "", "no link to a studio that is not there"
    (message,) = done.stderr.splitlines()
    assert f"cannot serve at 127.0.0.1, port {port}: the address is already in use" in message
    assert "--port" in message


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_the_users_mistake(tmp_path: Path, host: str) -> None:
    arguments = ["label", "serve", "--data", str(tmp_path), "--host", host]
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, UserError) and f"cannot serve at {host}" in str(error)
    studio = open_studio(tmp_path)
    assert people(studio) == []
    studio.database.close()


def test_ctrl_c_stops_the_server_without_complaint(tmp_path: Path) -> None:
    with Server(tmp_path / "studio") as server:
        assert "Open this link once" in server.output()
    assert server.process.returncode == 0
    assert "Traceback" not in server.output() and "stopped" not in server.output()
