"""The labeling studio with 200 labelers at once, on SQLite: how long a page takes, and that nothing is lost.

python benchmarks/studio_load.py [--labelers 200] [--seconds 20] [--write docs/speed.md]

A real server in a process of its own; each labeler is a connection over loopback that reads the list, takes a task,
reads its page, saves a draft and submits, and thinks in between. The labelers run in this process: what their own
work costs them is in the figures too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import argon2
import table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "src"))


from studio_server import Labeler, Server, hidden  # noqa: E402
from tutelage.labeling.tasks import Task  # noqa: E402
from tutelage.records import Prompt  # noqa: E402
from tutelage.studio import people, secrets  # noqa: E402
from tutelage.studio.label_rows import stored_labels  # noqa: E402
from tutelage.studio.queue import enqueue  # noqa: E402
from tutelage.studio.sign_in import sign_in  # noqa: E402
from tutelage.studio.studio import open_studio  # noqa: E402

BEGIN, END = "<!-- studio: written by benchmarks/studio_load.py -->", "<!-- end of studio -->"
HEADING = "## Labeling studio"
LIMIT_SECONDS = 0.2
PROMPT = "Explain to a child why the sky is blue, in three short sentences, and end with a question. " * 4
RESPONSE = "Sunlight has all colours in it. The air scatters the blue part most. That is what you see! " * 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labelers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they work, after all have come in")
    parser.add_argument("--think", type=float, default=8.0, help="mean seconds between two requests of a labeler")
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--write", type=Path, help="put the figures into their section of this file")
    parser.add_argument("--json", type=Path, help="and all of them into this one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder) / "studio", chosen)
    print(json.dumps(found, indent=1))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    if chosen.write:
        write_section(found, chosen.write)
    if found["lost"] or found["faults"]:
        sys.exit("labels were lost, or requests failed")
    if found["pages"]["p95"] > LIMIT_SECONDS:
        sys.exit(f"p95 of a page is {found['pages']['p95']:.3f} s; it must be below {LIMIT_SECONDS} s")


def measure(data: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Let the labelers work; every time that a request took, by what it asked for."""
    sessions = prepare(data, chosen)
    with Server(data) as server:
        crowd = Crowd(server.port, sessions, chosen)
        before, load_before = _cpu_seconds(server.process.pid), os.getloadavg()[0]
        crowd.run()
        cpu = _cpu_seconds(server.process.pid) - before
    studio = open_studio(data)
    rows = stored_labels(studio)
    studio.database.close()
    stored = Counter(str(row.label.fields["response"]) for row in rows)
    return {
        **table.machine(),
        "load_before": load_before,
        "labelers": chosen.labelers,
        "seconds": chosen.seconds,
        "think_seconds": chosen.think,
        "labels": len(rows),
        "lost": sum(stored[text] != 1 for text in crowd.acknowledged),
        "unacknowledged": len(rows) - len(crowd.acknowledged),
        "faults": dict(Counter(crowd.faults)),
        "server_cpu_share": cpu / (chosen.seconds + crowd.RAMP_SECONDS),
        "requests": len(crowd.times),
        "pages": summary([seconds for _, seconds in crowd.times]),
        "by_page": {
            name: summary([seconds for other, seconds in crowd.times if other == name])
            for name in sorted({name for name, _ in crowd.times})
        },
    }


def prepare(data: Path, chosen: argparse.Namespace) -> list[str]:
    """A studio with its people signed in and its tasks queued; returns the tokens of the sessions."""
    # Sessions are made here: passwords are slow to check on purpose, and nobody signs in twice a day.
    secrets._HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    studio = open_studio(data)
    sessions = []
    for number in range(chosen.labelers):
        name, password = f"labeler {number}", f"a password {number}"
        people.accept_invite(studio, people.invite(studio), name=name, password=password, has_consented=True)
        sessions.append(sign_in(studio, name=name, password=password).session)
    prompts = (Prompt(text=f"{number}. {PROMPT}", user_id=f"u{number % 97}") for number in range(chosen.items))
    enqueue(studio, (Task(kind="demonstrate", prompt=prompt) for prompt in prompts), overlap=2)
    studio.database.close()
    return sessions


class Crowd:
    """All labelers, each a thread; they come in one after the other, as people do in the morning."""

    RAMP_SECONDS = 10.0

    def __init__(self, port: int, sessions: list[str], chosen: argparse.Namespace) -> None:
        self.acknowledged: list[str] = []
        self.faults: list[str] = []
        self.times: list[tuple[str, float]] = []
        self._port, self._sessions, self._think = port, sessions, chosen.think
        self._seconds = chosen.seconds
        self._end = 0.0

    def run(self) -> None:
        self._end = time.monotonic() + self.RAMP_SECONDS + self._seconds
        threads = [threading.Thread(target=self._person, args=each) for each in enumerate(self._sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _person(self, number: int, session: str) -> None:
        draw = random.Random(number)
        time.sleep(draw.random() * self.RAMP_SECONDS)
        with Labeler(self._port, session) as labeler:
            try:
                for count in range(1_000_000):
                    if time.monotonic() > self._end:
                        break
                    self._task(labeler, f"labeler {number}, task {count}. {RESPONSE}", draw)
            except (OSError, ValueError) as error:
                self.faults.append(f"{type(error).__name__}: {error}")
            self.times += labeler.seconds

    def _task(self, labeler: Labeler, text: str, draw: random.Random) -> None:
        """List, take, page, draft, submit. Who is interrupted by the end of the day leaves a draft."""
        form = hidden(self._expected(labeler.get("/"), 200)[1])
        self._pause(draw)
        place = self._expected(labeler.post("/tasks/demonstrate", {"csrf_token": form["csrf_token"]}), 303)[2]
        place = self._expected(labeler.get(place), 303)[2]
        page = hidden(self._expected(labeler.get(place), 200)[1])
        self._pause(draw)
        kept = {**page, "response": text[: len(text) // 2], "active_seconds": "5"}
        self._expected(labeler.post(f"/api{place.replace('/demonstration', '/pages/demonstration')}", kept), 200)
        self._pause(draw)
        sent = {**page, "response": text, "active_seconds": "5", "go": "submit"}
        self._expected(labeler.post(place, sent), 303)
        self.acknowledged.append(text)

    def _pause(self, draw: random.Random) -> None:
        time.sleep(min(draw.expovariate(1 / self._think), 4 * self._think) if self._think else 0.0)

    def _expected(self, answer: tuple[int, str, str], status: int) -> tuple[int, str, str]:
        if answer[0] != status:
            raise ValueError(f"status {answer[0]} instead of {status}: {answer[1][:80]}")
        return answer


def summary(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {"n": len(ordered), **{name: ordered[int(share * len(ordered))] for name, share in shares.items()}}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_section(found: dict[str, Any], path: Path) -> None:
    """Put the figures between their marks; what else is in the file stays."""
    text = path.read_text() if path.exists() else f"# Speed\n\n{table.BEGIN}\n{table.END}\n"
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n{HEADING}\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    path.write_text(f"{before}{BEGIN}\n{section(found)}\n{END}{after}")


def section(found: dict[str, Any]) -> str:
    rows = [("all", found["pages"]), *found["by_page"].items()]
    lines = [
        f"| {name} | {row['n']:,} | {1000 * row['p50']:.0f} | {1000 * row['p95']:.0f} | {1000 * row['p99']:.0f} |"
        for name, row in rows
    ]
    return "\n".join(
        [
            f"{found['labelers']} simulated labelers at once on SQLite, against a real server over loopback. Each",
            "reads the list of tasks, takes one, reads its page, saves a draft and submits; between two it waits",
            f"{found['think_seconds']:g} s on average. {found['labels']:,} labels in {found['seconds']:.0f} s, "
            f"{found['lost']} lost, {sum(found['faults'].values())} requests failed.",
            f"{found['processor']}, {found['cores']} cores, shared by the server (which used "
            f"{found['server_cpu_share']:.0%} of one), the labelers and",
            f"other programs: the load average before was {found['load_before']:.1f}. An idle machine is faster.",
            "",
            "| request (N: a number) | times asked | median, ms | p95, ms | p99, ms |",
            "|---|---|---|---|---|",
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
