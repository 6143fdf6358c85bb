"""Twenty at once, on SQLite and on PostgreSQL: every task has exactly its overlap, none lost, nobody twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import argon2
import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from sqlalchemy import select

from studio_world import PASSWORD, person, queue, task
from tutelage.labeling.labels import LabelError
from tutelage.studio import assignment as assignment_module
from tutelage.studio import labels, secrets
from tutelage.studio.assignment import LeaseLost, claim, give_back
from tutelage.studio.guidelines import publish_guideline
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.labels import draft_of, save_draft, submit
from tutelage.studio.people import accept_invite, invite, people
from tutelage.studio.queue import enqueue
from tutelage.studio.sign_in import sign_in
from tutelage.studio.studio import Refusal, Studio, open_studio
from tutelage.studio.tables import Item, Slot, User

NUM_ITEMS, OVERLAP, NUM_LABELERS, NUM_THREADS = 20, 3, 10, 20


@pytest.fixture(params=["sqlite", "postgresql"])
def rushed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    monkeypatch.setattr(secrets, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    opened = open_studio(tmp_path / "studio", url=url)
    yield opened
    opened.database.close()


class Rush:
    """Labelers with two browsers each, who claim and submit until nothing is left; what was acknowledged is noted."""

    def __init__(self, studio: Studio, labelers: list[User]) -> None:
        self.studio, self.labelers = studio, labelers
        self.acknowledged: dict[int, str] = {}
        self.faults: list[BaseException] = []
        self._start = threading.Barrier(NUM_THREADS)

    def run(self) -> None:
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(NUM_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=240)
        assert not any(thread.is_alive() for thread in threads)

    def _work(self, number: int) -> None:
        labeler, draw = self.labelers[number % len(self.labelers)], random.Random(number)
        self._start.wait()
        try:
            patience = 5
            while patience:
                patience = 5 if self._label_one(labeler, draw) else patience - 1
        except BaseException as error:  # noqa: BLE001
            self.faults.append(error)

    def _label_one(self, labeler: User, draw: random.Random) -> bool:
        assignment = claim(self.studio, labeler, "demonstrate")
        if assignment is None:
            # Somebody may still give a task back.
            time.sleep(0.02)
            return False
        text, uuid = f"{labeler.name} {draw.random()}", str(uuid4())
        try:
            if draw.random() < 0.15:
                give_back(self.studio, labeler, assignment.slot_id)
                return True
            save_draft(self.studio, assignment, "demonstration", {"response": text})
            for _ in range(draw.choice((1, 1, 2))):
                sent = {"lease_token": assignment.lease_token, "client_uuid": uuid}
                self.acknowledged[submit(self.studio, labeler, assignment, **sent)] = labeler.id
        except (LeaseLost, LabelError):
            # The labeler's other browser, which had the same task, was first, or gave it back.
            pass
        return True


def test_a_rush_gives_every_task_exactly_its_overlap_and_loses_none(rushed: Studio) -> None:
    labelers = [person(rushed, f"labeler {number}") for number in range(NUM_LABELERS)]
    queue(rushed, *(task("demonstrate", number=number) for number in range(NUM_ITEMS)), overlap=OVERLAP)
    rush = Rush(rushed, labelers)
    rush.run()
    assert rush.faults == []
    rows = stored_labels(rushed)
    assert set(Counter(row.item_id for row in rows).values()) == {OVERLAP}
    assert len(rows) == NUM_ITEMS * OVERLAP
    assert max(Counter((row.item_id, row.labeler_id) for row in rows).values()) == 1
    assert {row.id: row.labeler_id for row in rows} == rush.acknowledged, "what was acknowledged is there, and no more"
    with rushed.database.read() as session:
        assert set(session.scalars(select(Slot.state))) == {"done"}


def test_two_who_queue_the_same_at_once_queue_it_once(rushed: Studio) -> None:
    tasks = [task("demonstrate", number=number) for number in range(60)]
    found: list[Any] = []
    start = threading.Barrier(4)

    def put(order: int) -> None:
        start.wait()
        try:
            found.append(enqueue(rushed, tasks[::order]).num_new)
        except BaseException as error:  # noqa: BLE001
            found.append(error)

    threads = [threading.Thread(target=put, args=(1 if number % 2 else -1,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(found) == [0, 0, 0, 60]
    with rushed.database.read() as session:
        assert len(session.scalars(select(Item.id)).all()) == 60


def test_pages_that_are_saved_at_the_same_moment_are_all_kept(rushed: Studio) -> None:
    queue(rushed, task("evaluate", k=9))
    ada = person(rushed, "Ada")
    assignment = claim(rushed, ada, "evaluate")
    faults: list[BaseException] = []
    start = threading.Barrier(9)

    def save(letter: str) -> None:
        start.wait()
        try:
            save_draft(rushed, assignment, letter, {"note": letter})
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=save, args=(letter,)) for letter in "ABCDEFGHI"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert faults == []
    assert draft_of(rushed, assignment).pages == {letter: {"note": letter} for letter in "ABCDEFGHI"}


def test_one_invite_makes_one_account_however_many_send_it(rushed: Studio) -> None:
    token, outcomes = invite(rushed), []
    start = threading.Barrier(6)

    def accept(number: int) -> None:
        start.wait()
        try:
            outcomes.append(
                accept_invite(rushed, token, name=f"Ada {number}", password=PASSWORD, has_consented=True).name
            )
        except Refusal:
            outcomes.append("refused")
        except BaseException as error:  # noqa: BLE001
            outcomes.append(repr(error))

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcomes)[1:] == ["refused"] * 5
    assert len(people(rushed)) == 1


def test_two_admins_who_publish_at_once_make_two_versions(rushed: Studio) -> None:
    root, versions = person(rushed, "Root", role="admin"), []
    start = threading.Barrier(4)

    def publish(number: int) -> None:
        start.wait()
        try:
            versions.append(publish_guideline(rushed, "compare", "training", f"# {number}\n", by=root.id).version)
        except BaseException as error:  # noqa: BLE001
            versions.append(repr(error))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(versions, key=str) == [1, 2, 3, 4]


def test_wrong_passwords_that_come_at_once_are_all_counted(rushed: Studio) -> None:
    person(rushed, "Ada")
    told: list[str] = []
    start = threading.Barrier(12)

    def guess() -> None:
        start.wait()
        try:
            sign_in(rushed, name="Ada", password="not the password", address="10.0.0.1")
        except BaseException as error:  # noqa: BLE001
            told.append(str(error))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    counts = Counter(words.split(" for")[0].split(".")[0] for words in told)
    assert counts == {"The name or the password is wrong": 5, "Too many wrong passwords": 7}


# Two connections, stepped by hand: the second acts at the moment at which the first has read and not yet written.


def test_a_page_saved_while_the_task_is_submitted_is_in_the_label(rushed: Studio, monkeypatch: Any) -> None:
    """It was acknowledged, and then neither in the label nor in a draft."""
    queue(rushed, task("demonstrate"))
    ada = person(rushed, "Ada")
    assignment = claim(rushed, ada, "demonstrate")
    assert assignment is not None
    save_draft(rushed, assignment, "demonstration", {"response": "old text"}, should_hold=True)
    whole = labels.shown_guideline

    def save_meanwhile(*arguments: Any) -> Any:
        save_draft(rushed, assignment, "demonstration", {"response": "new text"}, should_hold=True)
        return whole(*arguments)

    monkeypatch.setattr(labels, "shown_guideline", save_meanwhile)
    submit(rushed, ada, assignment, lease_token=assignment.lease_token, client_uuid=str(uuid4()))
    (label,) = stored_labels(rushed)
    assert label.label.fields["response"] == "new text"
    assert draft_of(rushed, assignment).pages == {}
    # What comes after it is refused, and so not acknowledged.
    with pytest.raises(LeaseLost):
        save_draft(rushed, assignment, "demonstration", {"response": "too late"}, should_hold=True)
    assert draft_of(rushed, assignment).pages == {}


def test_a_page_saved_before_the_turn_of_a_submission_is_in_the_label(rushed: Studio, monkeypatch: Any) -> None:
    """What is read before the turn may be old by then."""
    if rushed.database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time: nothing is saved while another writes")
    queue(rushed, task("demonstrate"))
    ada = person(rushed, "Ada")
    assignment = claim(rushed, ada, "demonstrate")
    assert assignment is not None
    save_draft(rushed, assignment, "demonstration", {"response": "old text"}, should_hold=True)
    whole = labels._take_turn

    def save_first(*arguments: Any) -> None:
        monkeypatch.setattr(labels, "_take_turn", whole)
        save_draft(rushed, assignment, "demonstration", {"response": "new text"}, should_hold=True)
        whole(*arguments)

    monkeypatch.setattr(labels, "_take_turn", save_first)
    submit(rushed, ada, assignment, lease_token=assignment.lease_token, client_uuid=str(uuid4()))
    (label,) = stored_labels(rushed)
    assert label.label.fields["response"] == "new text"


def test_a_quota_counts_what_is_in_progress(rushed: Studio) -> None:
    """A quota of 1 with a task of each of two kinds gave two labels."""
    queue(rushed, task("demonstrate"), task("compare"))
    ada = person(rushed, "Ada", quota=1)
    first = claim(rushed, ada, "demonstrate")
    assert first is not None
    with pytest.raises(Refusal, match="1 tasks, and the rest are in progress"):
        claim(rushed, ada, "compare")
    again = claim(rushed, ada, "demonstrate")
    assert again is not None and again.slot_id == first.slot_id, "the task in hand is still theirs"
    give_back(rushed, ada, first.slot_id)
    assert claim(rushed, ada, "compare") is not None


def test_two_claims_at_once_do_not_exceed_a_quota(rushed: Studio, monkeypatch: Any) -> None:
    """The second claim begins when the first has counted; on PostgreSQL it waits for its turn."""
    queue(rushed, task("demonstrate"), task("compare"))
    ada = person(rushed, "Ada", quota=1)
    whole, outcomes = assignment_module.has_quota_left, []

    def other() -> None:
        try:
            outcomes.append(claim(rushed, ada, "compare"))
        except Refusal as refusal:
            outcomes.append(refusal)

    threads: list[threading.Thread] = []

    def count_and_wait(*arguments: Any) -> bool:
        if not threads:
            threads.append(threading.Thread(target=other))
            threads[0].start()
            threads[0].join(0.3)
        return whole(*arguments)

    monkeypatch.setattr(assignment_module, "has_quota_left", count_and_wait)
    assert claim(rushed, ada, "demonstrate") is not None
    threads[0].join(30)
    assert [type(outcome) for outcome in outcomes] == [Refusal]


def test_a_late_label_does_not_exceed_a_quota(studio: Studio, clock: Any) -> None:
    """The lease ran out and the place went to another; with the next task in hand there is no room for both."""
    queue(studio, task("demonstrate"), overlap=2)
    queue(studio, task("compare"))
    ada, bob = person(studio, "Ada", quota=1), person(studio, "Bob")
    late = claim(studio, ada, "demonstrate")
    assert late is not None
    save_draft(studio, late, "demonstration", {"response": "late"})
    clock.move(minutes=studio.settings.lease.total_seconds() / 60 + 1)
    assert claim(studio, bob, "demonstrate") is not None
    assert claim(studio, ada, "compare") is not None
    with pytest.raises(Refusal, match="quota"):
        submit(studio, ada, late, lease_token=late.lease_token, client_uuid=str(uuid4()))
