"""The studio as people meet it: a real server in a process of its own, and labelers who ask it over HTTP."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')
_IDLE_SECONDS = 4.0
_SOURCE = Path(__file__).resolve().parent.parent / "src"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Server:
    """`tutelage label serve` in a folder; `python` and `source` choose another installation of it."""

    def __init__(self, data: Path, *options: str, python: Path | None = None, source: Path | None = _SOURCE) -> None:
        self.port = free_port()
        self._command = [str(python or sys.executable), "-m", "tutelage", "label", "serve", "--data", str(data)]
        self._command += ["--port", str(self.port), "--requests-per-minute", "0", *options]
        self._environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if source is not None:
            self._environment["PYTHONPATH"] = str(source)
        self._log = data.parent / f"server-{self.port}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, cwd=self._log.parent, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            with Labeler(self.port, "") as visitor:
                return visitor.get("/sign-in")[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        """What a power cut or an impatient admin does: nothing of the process is asked."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)

    def output(self) -> str:
        return self._log.read_text()


class Labeler:
    """One person's connection: the cookie of a session that is there already, one request after the other."""

    def __init__(self, port: int, session: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Cookie": f"tutelage_session={session}"} if session else {}
        self.seconds: list[tuple[str, float]] = []
        self.cookies = ""
        self._asked_at = 0.0

    def get(self, path: str) -> tuple[int, str, str]:
        """Status, text, and where the answer leads."""
        return self._ask("GET", path)

    def post(self, path: str, entries: dict[str, Any]) -> tuple[int, str, str]:
        return self._ask("POST", path, urlencode(entries))

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str, str]:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        started = time.perf_counter()
        if started - self._asked_at > _IDLE_SECONDS:
            # The server closes what stands idle; a browser then connects again, and so does this.
            self._connection.close()
        self._connection.request(method, path, body, {**self.headers, **kind})
        answer = self._connection.getresponse()
        text, self.cookies = answer.read().decode(), answer.headers.get("Set-Cookie", "")
        self._asked_at = time.perf_counter()
        self.seconds.append((f"{method} {re.sub('[0-9]+', 'N', path)}", self._asked_at - started))
        return answer.status, text, answer.headers.get("Location", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the forms on a page; of several with one name the first."""
    return dict(reversed(_HIDDEN.findall(page)))
