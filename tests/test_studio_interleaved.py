"""Two connections stepped by hand: the second acts when the first has read and has not yet written.

Every check of the studio that a write rests on, on SQLite and on PostgreSQL. What guards each stands in
docs/labeling.md.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from sqlalchemy import event, func, select

from studio_world import PASSWORD, Browser, person, queue, studio_on_both, task
from tutelage.labeling.labels import Label
from tutelage.labeling.screening import ScreeningTask
from tutelage.records import Completion
from tutelage.studio.adjudication import adjudicate, case_of
from tutelage.studio.assignment import claim, give_back, skip
from tutelage.studio.export import export_labels
from tutelage.studio.gold import make_gold, queue_gold
from tutelage.studio.guidelines import current_guideline, publish_guideline
from tutelage.studio.imports import Imported, import_labels
from tutelage.studio.labels import save_draft, submit
from tutelage.studio.people import audit_log, people, set_active, set_consent, sign_out
from tutelage.studio.screening import (
    add_screening,
    candidacies,
    candidacy,
    decide,
    hand_in,
    rate,
    save_response,
    screening_of,
)
from tutelage.studio.screening_tables import ScreeningBatch
from tutelage.studio.sign_in import sign_in
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import BrowserSession, Gold, Item, Slot

studio = studio_on_both
# So long the first waits for the second, which is done by then or waits itself for the first to end.
_PATIENCE = 0.4


@contextmanager
def stepping(studio: Studio, words: str, act: Callable[[], Any]) -> Iterator[list[Any]]:
    """Let `act` happen in a second connection when the first has executed a statement that matches these words.

    Gives what `act` returned or raised, once the block has ended.
    """
    outcomes: list[Any] = []
    threads: list[threading.Thread] = []
    first = threading.get_ident()

    def run() -> None:
        try:
            outcomes.append(act())
        except BaseException as error:  # noqa: BLE001
            outcomes.append(error)

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if re.search(words, " ".join(statement.split())) and not threads and threading.get_ident() == first:
            threads.append(threading.Thread(target=run))
            threads[0].start()
            threads[0].join(_PATIENCE)

    event.listen(studio.database.engine, "after_cursor_execute", executed)
    try:
        yield outcomes
    finally:
        event.remove(studio.database.engine, "after_cursor_execute", executed)
        for thread in threads:
            thread.join(30)
    assert threads, f"no statement with {words!r} was executed"
    assert not threads[0].is_alive() and len(outcomes) == 1


def faults_of(outcomes: list[Any]) -> list[Any]:
    return [each for each in outcomes if isinstance(each, BaseException)]


def label(studio: Studio, who: Any, kind: str = "demonstrate", text: str = "A response.") -> int:
    assignment = claim(studio, who, kind)
    assert assignment is not None
    save_draft(studio, assignment, "demonstration", {"response": text})
    return submit(studio, who, assignment, lease_token=assignment.lease_token, client_uuid=str(uuid4()))


# Handing out.


def test_two_tabs_that_start_at_once_hold_one_task(studio: Studio) -> None:
    queue(studio, task("demonstrate", number=1), task("demonstrate", number=2))
    ada = person(studio, "Ada")
    with stepping(studio, "UPDATE slots", lambda: claim(studio, ada, "demonstrate")) as second:
        first = claim(studio, ada, "demonstrate")
    assert first is not None and [each.slot_id for each in second] == [first.slot_id]
    with studio.database.read() as session:
        assert session.scalar(select(func.count()).where(Slot.state == "leased")) == 1


def test_skips_at_once_are_all_counted_when_an_item_is_halted(studio: Studio) -> None:
    queue(studio, task("demonstrate"), overlap=7)
    labelers = [person(studio, f"labeler {number}") for number in range(5)]
    held = [claim(studio, each, "demonstrate") for each in labelers]

    def pass_on(number: int) -> None:
        assignment = held[number]
        assert assignment is not None
        skip(studio, labelers[number], assignment.slot_id, reason="ambiguous")

    for number in range(3):
        pass_on(number)
    with stepping(studio, r"count\(\*\) AS count_1 FROM skips", lambda: pass_on(4)) as second:
        pass_on(3)
    assert faults_of(second) == []
    with studio.database.read() as session:
        assert session.scalar(select(Item.is_halted)), "five skips halt an item, in whatever order they come"


GOLD = Label(ranking=(("p9c1",), ("p9c2",)))


def _all_gold(studio: Studio) -> Studio:
    return replace(studio, settings=replace(studio.settings, gold_share=1.0))


def test_a_free_place_of_gold_that_another_takes_is_not_the_end_of_all_tasks(studio: Studio) -> None:
    studio = _all_gold(studio)
    queue_gold(studio, [(task("compare", number=9), GOLD)])
    queue(studio, *(task("compare", number=number) for number in range(1, 4)), overlap=3)
    ada, bob, eve = (person(studio, name) for name in ("Ada", "Bob", "Eve"))
    left = claim(studio, eve, "compare")
    assert left is not None and left.task.prompt is not None and left.task.prompt.id == "p9"
    give_back(studio, eve, left.slot_id)
    with stepping(
        studio, r"WHERE slots\.item_id = \S+ AND slots\.state = \S+ ORDER", lambda: claim(studio, bob, "compare")
    ) as second:
        first = claim(studio, ada, "compare")
    assert first is not None and faults_of(second) == [] and second[0] is not None
    assert first.slot_id != second[0].slot_id and first.item_id == second[0].item_id


def test_an_import_and_a_claim_that_add_a_place_to_one_item_both_do(studio: Studio) -> None:
    studio = _all_gold(studio)
    queue_gold(studio, [(task("compare", number=9), GOLD)])
    queue(studio, task("compare", number=1), overlap=3)
    ada = person(studio, "Ada")
    found = [Imported(task=task("compare", number=9), label=GOLD, labeler="elsewhere")]
    with stepping(
        studio, r"SELECT max\(slots\.place\).*item_id = \S+$", lambda: claim(studio, ada, "compare")
    ) as second:
        assert import_labels(studio, iter(found), name="file").num_new == 1
    assert faults_of(second) == [] and second[0] is not None
    with studio.database.read() as session:
        places = session.scalars(select(Slot.place).where(Slot.item_id == second[0].item_id)).all()
    assert sorted(places) == [1, 2]


def test_gold_said_twice_at_once_is_one(studio: Studio) -> None:
    queue(studio, task("compare", number=9))
    with studio.database.read() as session:
        item_id = session.scalar(select(Item.id))
    assert item_id is not None
    other = Label(ranking=(("p9c2",), ("p9c1",)))
    with stepping(studio, "FROM gold", lambda: make_gold(studio, item_id, other)) as second:
        make_gold(studio, item_id, GOLD)
    assert second == [None]
    with studio.database.read() as session:
        assert Label.model_validate(session.scalars(select(Gold.expected)).one()) == other


# People.


def test_two_admins_cannot_lock_each_other_out(studio: Studio) -> None:
    root, boss = (person(studio, name, role="admin") for name in ("Root", "Boss"))
    with stepping(studio, "FROM users", lambda: set_active(studio, root.id, False, by=boss.id)) as second:
        set_active(studio, boss.id, False, by=root.id)
    assert [type(each) for each in second] == [Refusal]
    assert [each.name for each in people(studio) if each.is_active] == ["Root"]


def test_who_is_kept_out_while_they_sign_in_gets_no_session(studio: Studio) -> None:
    root, ada = person(studio, "Root", role="admin"), person(studio, "Ada")
    with (
        stepping(studio, "FROM users", lambda: set_active(studio, ada.id, False, by=root.id)) as second,
        pytest.raises(Refusal, match="The name or the password is wrong"),
    ):
        sign_in(studio, name="Ada", password=PASSWORD)
    assert faults_of(second) == []
    with studio.database.read() as session:
        assert session.scalars(select(BrowserSession)).all() == []


def test_one_browser_that_signs_in_twice_at_once_is_known_once(studio: Studio) -> None:
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    device = sign_in(studio, name=bob.name, password=PASSWORD).device

    def enter() -> Any:
        return sign_in(studio, name=ada.name, password=PASSWORD, device=device)

    with stepping(studio, r"^SELECT.*known_devices\.seen_at", enter) as second:
        entrance = enter()
    assert faults_of(second) == []
    assert entrance.device == second[0].device == device
    sign_out(studio, entrance.session)


def test_consent_is_as_the_last_entry_of_the_log_says(studio: Studio) -> None:
    ada = person(studio, "Ada", has_consented=True)
    set_consent(studio, ada, False)
    with stepping(studio, "FROM users", lambda: set_consent(studio, ada, True)) as second:
        set_consent(studio, ada, False)
    assert faults_of(second) == []
    (user,) = people(studio)
    last = next(entry.action for entry, _ in audit_log(studio, limit=9) if "consent" in entry.action)
    assert last == ("withdraw consent" if user.consented_at is None else "give consent")


# The screening test.

TEST = (
    ScreeningTask(part="flagging", text="words", is_sensitive=True),
    ScreeningTask(
        part="ranking",
        prompt="Which?",
        completions=tuple(Completion(id=name, text=name) for name in "xy"),
        ranking=(("x",), ("y",)),
    ),
    ScreeningTask(part="demonstration", prompt="Help me."),
)
ENTRIES: tuple[dict[str, str], ...] = (
    {"is_sensitive": "yes"},
    {"rank.A": "1", "rank.B": "2"},
    {"response": "Gladly."},
    {"gender": "yes"},
)


def _tested(studio: Studio) -> tuple[Any, list[int]]:
    """A candidate whose test is complete and not handed in."""
    add_screening(studio, TEST)
    candidate = person(studio, "Candidate", role="candidate")
    ids = [page.task_id for page in screening_of(studio, candidate).pages]
    for task_id, entries in zip(ids, ENTRIES, strict=True):
        assert save_response(studio, candidate, task_id, entries) == {}
    return candidate, ids


def test_a_candidate_who_begins_twice_while_the_test_is_replaced_takes_one_test(studio: Studio) -> None:
    add_screening(studio, TEST, name="old")
    candidate = person(studio, "Candidate", role="candidate")
    kept: list[str] = []

    def begin_and_write() -> None:
        own = screening_of(studio, candidate)
        save_response(studio, candidate, own.pages[2].task_id, {"response": "acknowledged"})
        kept.append(own.batch)
        add_screening(studio, TEST, name="new")

    with stepping(studio, "FROM screenings", begin_and_write) as second:
        own = screening_of(studio, candidate)
    assert faults_of(second) == []
    assert len(candidacies(studio)) == 1 and [own.batch] == kept
    assert own.pages[2].entries == {"response": "acknowledged"}


def test_nothing_is_changed_in_a_test_that_is_handed_in(studio: Studio) -> None:
    candidate, ids = _tested(studio)
    saved: list[bool] = []

    def empty() -> None:
        save_response(studio, candidate, ids[2], {"response": ""})
        saved.append(True)

    with stepping(studio, "FROM screening_responses", empty) as second:
        hand_in(studio, candidate)
    assert [type(each) for each in second] == [Refusal] and saved == []
    (own,) = candidacies(studio)
    assert own.submitted_at is not None and own.pages[2].entries == ENTRIES[2]


def test_one_page_of_a_test_that_is_saved_twice_at_once_is_saved(studio: Studio) -> None:
    add_screening(studio, TEST)
    candidate = person(studio, "Candidate", role="candidate")
    task_id = screening_of(studio, candidate).pages[2].task_id

    def save(text: str) -> Any:
        return save_response(studio, candidate, task_id, {"response": text})

    with stepping(studio, "FROM screening_responses", lambda: save("second")) as second:
        save("first")
    assert second == [{}]
    assert screening_of(studio, candidate).pages[2].entries == {"response": "second"}


def test_ratings_and_decisions_at_once_are_one_after_the_other(studio: Studio) -> None:
    candidate, ids = _tested(studio)
    hand_in(studio, candidate)
    lead = person(studio, "Lead", role="researcher")
    (own,) = candidacies(studio)
    with stepping(studio, "FROM screening_scores", lambda: rate(studio, own.id, ids[2], 6, by=lead)) as second:
        rate(studio, own.id, ids[2], 3, by=lead)
    assert second == [None]
    assert candidacy(studio, own.id).ratings == {ids[2]: {lead.id: 6}}


def test_the_role_is_that_of_the_decision_that_holds(studio: Studio) -> None:
    candidate, _ = _tested(studio)
    hand_in(studio, candidate)
    lead = person(studio, "Lead", role="researcher")
    (own,) = candidacies(studio)

    def judge(decision: Any) -> None:
        decide(studio, own.id, decision, note="", by=lead)

    with stepping(studio, "FROM users", lambda: judge("accepted")) as second:
        judge("declined")
    assert second == [None]
    role = next(each.role for each in people(studio) if each.id == candidate.id)
    assert (candidacy(studio, own.id).decision, role) in {("accepted", "labeler"), ("declined", "candidate")}


def test_of_two_tests_that_are_added_at_once_one_is_open(studio: Studio) -> None:
    with stepping(studio, "FROM screening_batches", lambda: add_screening(studio, TEST, name="second")) as second:
        add_screening(studio, TEST, name="first")
    assert faults_of(second) == []
    with studio.database.read() as session:
        assert session.scalars(select(ScreeningBatch.name).where(ScreeningBatch.is_open)).all() == ["second"]


# Guidelines.


def test_the_same_guideline_published_twice_at_once_is_one_version(studio: Studio) -> None:
    root = person(studio, "Root", role="admin")
    assert current_guideline(studio, "compare", "training").version == 1

    def publish() -> int:
        return publish_guideline(studio, "compare", "training", "# New\n", by=root.id).version

    with stepping(studio, "FROM guidelines", publish) as second:
        assert publish() == 2
    assert second == [2]
    assert current_guideline(studio, "compare", "training").version == 2


def test_a_label_names_the_guideline_that_its_page_showed(studio: Studio, tmp_path: Path) -> None:
    """Published while the labeler works: they did not read it."""
    queue(studio, task("demonstrate"))
    person(studio, "Ada")
    root = person(studio, "Root", role="admin")
    browser = Browser(studio)
    browser.sign_in("Ada")
    browser.open("/")
    browser.send("/tasks/demonstrate")
    assert "Guidelines, version 1" in browser.page.text
    publish_guideline(studio, "demonstrate", "training", "# Another one\n", by=root.id)
    browser.send(None, response="As version 1 has it.", go="submit")
    assert browser.page.url.query == b"done=1"
    manifest = export_labels(studio, tmp_path / "out")
    assert manifest.guidelines == {"demonstrate, training, version 1": 1}


# Reading while others write.


def test_an_export_is_of_one_moment_and_says_which(studio: Studio, tmp_path: Path, clock: Any) -> None:
    queue(studio, task("demonstrate", number=1), task("demonstrate", number=2))
    ada = person(studio, "Ada")
    lead = person(studio, "Lead", role="researcher")
    label(studio, ada)
    began = clock().isoformat()

    def meanwhile() -> None:
        clock.move(minutes=5)
        label(studio, ada, text="Later.")
        with studio.database.read() as session:
            item_id = session.scalars(select(Item.id).order_by(Item.id)).first()
        assert item_id is not None
        ruled = {"demonstration": {"response": "Decided later."}}
        adjudicate(studio, case_of(studio, item_id), ruled, note="", by=lead)
        set_consent(studio, ada, False)

    with stepping(studio, "FROM labels JOIN items", meanwhile) as second:
        manifest = export_labels(studio, tmp_path / "out")
    assert faults_of(second) == []
    assert manifest.counts == {"demonstrations.jsonl": 1}
    assert manifest.num_labels == 1 and manifest.num_without_consent == 0
    assert manifest.exported_at == began, "what was withdrawn later was withdrawn after this export"


def test_what_is_read_in_one_block_is_of_one_moment(studio: Studio) -> None:
    counted = select(func.count()).select_from(Item)
    with (
        stepping(studio, r"count\(\*\)", lambda: queue(studio, task("demonstrate"))) as second,
        studio.database.read() as session,
    ):
        assert [session.scalar(counted), session.scalar(counted)] == [0, 0]
    assert faults_of(second) == []


# What a page acknowledged.


def test_what_is_changed_after_going_back_from_a_submitted_page_is_not_acknowledged(studio: Studio) -> None:
    """The browser's Back shows the page as it was sent: changed and sent again, it was told to be done and was lost."""
    queue(studio, task("demonstrate"))
    person(studio, "Ada")
    browser = Browser(studio)
    browser.sign_in("Ada")
    browser.open("/")
    work = browser.send("/tasks/demonstrate")
    browser.send(None, response="First thought.", go="submit")
    assert browser.page.url.query == b"done=1"
    browser.page = work
    browser.send(None, response="First thought.", go="submit")
    assert browser.page.url.query == b"done=1", "a double click is no change"
    browser.page = work
    browser.send(None, response="Second thought.", go="submit")
    assert browser.page.status_code == 409 and "Second thought." in browser.page.text
    assert "already submitted" in browser.page.text
