"""Handing out tasks: exact overlap under a rush, leases, skips, groups; submits that cannot happen twice."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import product
from uuid import uuid4

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from sqlalchemy import select

from studio_world import person, queue, task
from tutelage.labeling.assignment import GROUPS, Standing, may_take
from tutelage.labeling.labels import LabelError
from tutelage.labeling.tasks import PURPOSES
from tutelage.records import Completion
from tutelage.studio.assignment import (
    LeaseLost,
    assignment_of,
    claim,
    give_back,
    leased,
    num_open,
    renew,
    skip,
)
from tutelage.studio.label_rows import stored_labels
from tutelage.studio.labels import draft_of, num_labels, save_draft, submit
from tutelage.studio.progress import progress
from tutelage.studio.queue import enqueue
from tutelage.studio.studio import Refusal
from tutelage.studio.tables import Item, Slot


def _write(studio, labeler, assignment, text="a response", uuid=None):
    save_draft(studio, assignment, "demonstration", {"response": text})
    return submit(studio, labeler, assignment, lease_token=assignment.lease_token, client_uuid=uuid or str(uuid4()))


def test_twenty_threads_give_every_task_exactly_its_overlap(studio):
    num_items, overlap = 12, 3
    queue(studio, *(task("demonstrate", number=number) for number in range(num_items)), overlap=overlap)
    # Five labelers with four browsers each: they race with each other and with themselves.
    labelers = [person(studio, f"labeler {number}") for number in range(5)]
    start, failures = threading.Barrier(20), []

    def work(labeler):
        start.wait()
        while (assignment := claim(studio, labeler, "demonstrate")) is not None:
            try:
                _write(studio, labeler, assignment)
            except (LeaseLost, LabelError) as error:
                # The labeler's other browser, which had the same task, was first.
                failures.append(error)

    threads = [threading.Thread(target=work, args=(labelers[number % 5],)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    rows = stored_labels(studio)
    assert len(rows) == num_items * overlap
    assert set(Counter(row.item_id for row in rows).values()) == {overlap}
    assert max(Counter((row.item_id, row.labeler_id) for row in rows).values()) == 1
    assert [(each.num_places, each.num_done) for each in progress(studio)] == [(num_items * overlap,) * 2]


def test_two_labelers_never_hold_one_place_and_the_third_gets_nothing(studio):
    queue(studio, task("demonstrate"), overlap=2)
    ada, bob, eve = (person(studio, name) for name in ("Ada", "Bob", "Eve"))
    first, second = claim(studio, ada, "demonstrate"), claim(studio, bob, "demonstrate")
    assert first.slot_id != second.slot_id
    assert claim(studio, eve, "demonstrate") is None
    assert claim(studio, ada, "demonstrate").slot_id == first.slot_id
    assert num_open(studio, eve)["demonstrate"] == 0 and num_open(studio, ada)["demonstrate"] == 1


def test_the_same_submit_sent_again_is_the_same_label(studio):
    queue(studio, task("demonstrate"), task("demonstrate", number=2))
    ada = person(studio, "Ada")
    assignment, uuid = claim(studio, ada, "demonstrate"), str(uuid4())
    label_id = _write(studio, ada, assignment, uuid=uuid)
    assert submit(studio, ada, assignment, lease_token=assignment.lease_token, client_uuid=uuid) == label_id
    save_draft(studio, assignment, "demonstration", {"response": "another"})
    with pytest.raises(LeaseLost):
        submit(studio, ada, assignment, lease_token=assignment.lease_token, client_uuid=str(uuid4()))
    assert [row.label.fields["response"] for row in stored_labels(studio)] == ["a response"]


def test_two_submits_of_one_page_at_once_are_one_label(studio):
    queue(studio, task("demonstrate"), overlap=5)
    ada, uuid, labels = person(studio, "Ada"), str(uuid4()), []
    assignment = claim(studio, ada, "demonstrate")
    save_draft(studio, assignment, "demonstration", {"response": "once"})
    start = threading.Barrier(8)

    def send():
        start.wait()
        try:
            labels.append(submit(studio, ada, assignment, lease_token=assignment.lease_token, client_uuid=uuid))
        except LabelError as error:
            labels.append(error)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(labels) == 8 and len(set(labels)) == 1
    assert num_labels(studio, ada) == 1


def test_an_expired_lease_goes_to_the_next_and_the_draft_stays(studio, clock):
    queue(studio, task("demonstrate"))
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    late = claim(studio, ada, "demonstrate")
    save_draft(studio, late, "demonstration", {"response": "half a"})
    clock.move(minutes=29)
    assert claim(studio, bob, "demonstrate") is None
    renew(studio, ada, late.slot_id)
    clock.move(minutes=29)
    assert claim(studio, bob, "demonstrate") is None
    clock.move(minutes=2)
    taken = claim(studio, bob, "demonstrate")
    assert taken.slot_id == late.slot_id
    with pytest.raises(LeaseLost):
        assignment_of(studio, ada, late.slot_id)
    with pytest.raises(LeaseLost):
        renew(studio, ada, late.slot_id)
    with pytest.raises(LeaseLost):
        _write(studio, ada, late)
    assert draft_of(studio, late).pages["demonstration"]["response"] == "a response"
    give_back(studio, bob, taken.slot_id)
    again = claim(studio, ada, "demonstrate")
    assert draft_of(studio, again).pages["demonstration"]["response"] == "a response"


def test_a_page_from_before_the_task_went_to_another_does_not_submit(studio, clock):
    queue(studio, task("demonstrate"))
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    old = claim(studio, ada, "demonstrate")
    clock.move(hours=1)
    give_back(studio, bob, claim(studio, bob, "demonstrate").slot_id)
    new = claim(studio, ada, "demonstrate")
    assert new.slot_id == old.slot_id
    with pytest.raises(LeaseLost):
        _write(studio, ada, old)
    assert _write(studio, ada, new)


def test_the_statement_that_takes_a_place_names_the_state_it_must_be_in(studio):
    """What another process does between the choice of a place and its taking, which SQLite's lock forbids here."""
    queue(studio, task("demonstrate"))
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    slot_id = claim(studio, ada, "demonstrate").slot_id
    with studio.database.write() as session:
        assert session.execute(leased(studio, bob.id).where(Slot.id == slot_id)).rowcount == 0


def test_too_late_for_the_place_but_not_for_the_item(studio, clock):
    queue(studio, task("demonstrate"))
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    late = claim(studio, ada, "demonstrate")
    clock.move(hours=1)
    assert _write(studio, ada, late), "nobody wanted the place: a late label is a label"
    queue(studio, task("demonstrate", number=2), overlap=2)
    late = claim(studio, ada, "demonstrate")
    clock.move(hours=1)
    assert claim(studio, bob, "demonstrate").slot_id == late.slot_id
    assert _write(studio, ada, late), "another place of the item was free"
    assert num_labels(studio, ada) == 2


def test_the_claim_follows_the_pure_rule(studio):
    """Every combination of purpose, group and history, the database's verdict against `may_take`."""
    labelers = {group: person(studio, f"one of {group}", group=group) for group in GROUPS}
    other = person(studio, "another one")
    for number, (purpose, group, author, history, is_halted) in enumerate(
        product(PURPOSES, GROUPS, (None, "self", "other"), (None, "labeled", "skipped"), (False, True))
    ):
        labeler = labelers[group]
        author_id = {None: None, "self": labeler.id, "other": other.id}[author]
        item = task("compare", number=number)
        if author_id:
            written = Completion(id="own", text="By hand", policy="labeler", labeler_id=author_id)
            item = item.model_copy(update={"completions": (item.completions[0], written)})
        queue(studio, item, purpose=purpose, overlap=2)
        with studio.database.write() as session:
            stored = session.scalars(select(Item).order_by(Item.id.desc())).first()
            stored.is_halted = is_halted
            if history == "labeled":
                slot = session.scalars(select(Slot).where(Slot.item_id == stored.id, Slot.place == 1)).one()
                slot.state, slot.labeler_id = "done", labeler.id
            elif history == "skipped":
                from tutelage.studio.tables import Skip

                session.add(
                    Skip(item_id=stored.id, labeler_id=labeler.id, reason="other", note="", created_at=studio.clock())
                )
        standing = Standing(
            purpose=purpose,
            author_ids=[author_id] if author_id else [],
            labeler_ids=[labeler.id] if history == "labeled" else [],
            skipper_ids=[labeler.id] if history == "skipped" else [],
            is_halted=is_halted,
        )
        claimed = claim(studio, labeler, "compare")
        assert (claimed is not None) == may_take(standing, labeler.id, group), (purpose, group, author, history)
        with studio.database.write() as session:
            # Out of the way of the next combination.
            session.get_one(Item, stored.id).is_halted = True


def test_skips_need_a_reason_hide_the_task_and_at_last_halt_it(studio):
    queue(studio, task("demonstrate"))
    for number in range(5):
        labeler = person(studio, f"labeler {number}")
        assignment = claim(studio, labeler, "demonstrate")
        with pytest.raises(Refusal):
            skip(studio, labeler, assignment.slot_id, reason="")
        skip(studio, labeler, assignment.slot_id, reason="language")
        assert claim(studio, labeler, "demonstrate") is None
    assert claim(studio, person(studio, "the sixth"), "demonstrate") is None
    assert progress(studio)[0].num_halted == 1


def test_quota_priority_and_queueing_twice(studio):
    queue(studio, task("demonstrate", number=1))
    queue(studio, task("demonstrate", number=2), priority=5)
    assert enqueue(studio, [task("demonstrate", number=2)]).num_known == 1
    ada = person(studio, "Ada", quota=1)
    assignment = claim(studio, ada, "demonstrate")
    assert assignment.task.prompt.text == "Prompt 2"
    _write(studio, ada, assignment)
    with pytest.raises(Refusal, match="quota"):
        claim(studio, ada, "demonstrate")


def test_nobody_reads_or_finishes_the_task_of_another(studio):
    queue(studio, task("demonstrate"), overlap=1)
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    assignment = claim(studio, ada, "demonstrate")
    for act in (assignment_of, renew, give_back):
        with pytest.raises(LeaseLost):
            act(studio, bob, assignment.slot_id)
    with pytest.raises(LeaseLost):
        skip(studio, bob, assignment.slot_id, reason="other")
    save_draft(studio, assignment, "demonstration", {"response": "Ada's"})
    with pytest.raises(LeaseLost):
        submit(studio, bob, assignment, lease_token=assignment.lease_token, client_uuid=str(uuid4()))
    assert stored_labels(studio) == []
