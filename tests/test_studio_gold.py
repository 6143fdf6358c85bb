"""Gold handed out among the others, labels changed within their window, and items that a researcher decides."""

from __future__ import annotations

import json
import threading
from uuid import uuid4

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from dataclasses import replace

from sqlalchemy import select

from studio_world import person, queue, studio_on_both, task
from tutelage.labeling.labels import Label, LabelError
from tutelage.labeling.revision import submitted_of
from tutelage.studio import guidelines
from tutelage.studio.adjudication import adjudicate, adjudication_queue, case_of, rulings
from tutelage.studio.assignment import claim, give_back, num_open, skip
from tutelage.studio.export import export_labels
from tutelage.studio.gold import gold_outcomes, make_gold, queue_gold
from tutelage.studio.labels import save_draft, submit
from tutelage.studio.progress import progress
from tutelage.studio.quality import judged_labels, quality
from tutelage.studio.revision import history, num_versions, own_label, own_labels, revise
from tutelage.studio.studio import Refusal
from tutelage.studio.tables import Gold, Item, Slot

studio = studio_on_both


def label_compare(studio, labeler, assignment, best):
    """Prefer the completion whose id is `best` ("tie": neither)."""
    letters = {identity: letter for letter, identity in zip("AB", assignment.order, strict=True)}
    save_draft(studio, assignment, "comparison", {"preference": letters.get(best, "tie")}, seconds=60)
    return submit(studio, labeler, assignment, lease_token=assignment.lease_token, client_uuid=str(uuid4()))


def golden(number, best=1):
    given = task("compare", number=number)
    other = 3 - best
    return given, Label(ranking=((f"p{number}c{best}",), (f"p{number}c{other}",)))


def is_gold(studio, item_id):
    with studio.database.read() as session:
        return session.get(Gold, item_id) is not None


def work(studio, labeler, *, give_up_after=100):
    """Label everything there is; returns whether each was gold, and the numbers that were shown before each."""
    seen, shown = [], []
    for _ in range(give_up_after):
        shown.append(num_open(studio, labeler)["compare"])
        assignment = claim(studio, labeler, "compare")
        if assignment is None:
            break
        assert num_open(studio, labeler)["compare"] == shown[-1], "taking a task does not change the number"
        seen.append(is_gold(studio, assignment.item_id))
        label_compare(studio, labeler, assignment, assignment.order[0])
    return seen, shown


@pytest.fixture
def sharing(studio):
    """A studio where a quarter of the tasks is gold."""
    return replace(studio, settings=replace(studio.settings, gold_share=0.25))


def test_one_task_in_four_is_gold_for_everybody_and_the_number_shown_does_not_tell_which(sharing):
    queue(sharing, *(task("compare", number=number) for number in range(30)), overlap=2)
    assert queue_gold(sharing, [golden(number) for number in range(100, 120)]).num_new == 20
    for name in ("Ada", "Bob"):
        seen, shown = work(sharing, person(sharing, name))
        assert (seen.count(False), seen.count(True)) == (30, 10)
        assert [sum(seen[start : start + 4]) for start in range(0, 40, 4)] == [1] * 10
        assert shown == list(range(40, -1, -1))
    outcomes = gold_outcomes(sharing)
    assert len(outcomes) == 20 and {outcome.result.num_known for outcome in outcomes} == {1}
    assert [(each.num_places, each.num_done) for each in progress(sharing)] == [(60, 60)], "gold is no progress"
    assert len(judged_labels(sharing)) == 60, "nor agreement"


def test_gold_ends_where_the_labeler_had_it_all_and_no_gold_is_given_alone(sharing):
    queue(sharing, *(task("compare", number=number) for number in range(12)))
    queue_gold(sharing, [golden(100)])
    ada = person(sharing, "Ada")
    seen, shown = work(sharing, ada)
    assert (len(seen), sum(seen), shown) == (13, 1, list(range(13, -1, -1)))
    queue_gold(sharing, [golden(number) for number in range(101, 110)])
    assert claim(sharing, ada, "compare") is None and num_open(sharing, ada)["compare"] == 0


def test_gold_given_back_comes_again_and_gold_skipped_does_not(sharing):
    queue(sharing, *(task("compare", number=number) for number in range(12)))
    queue_gold(sharing, [golden(100), golden(101)])
    ada = person(sharing, "Ada")
    while not is_gold(sharing, (assignment := claim(sharing, ada, "compare")).item_id):
        label_compare(sharing, ada, assignment, "tie")
    before = num_open(sharing, ada)["compare"]
    give_back(sharing, ada, assignment.slot_id)
    assert num_open(sharing, ada)["compare"] == before
    again = claim(sharing, ada, "compare")
    assert (again.item_id, again.slot_id) == (assignment.item_id, assignment.slot_id)
    skip(sharing, ada, again.slot_id, reason="language")
    assert num_open(sharing, ada)["compare"] == before - 1
    assert not is_gold(sharing, claim(sharing, ada, "compare").item_id)


def test_gold_given_back_is_no_ordinary_task_for_anybody_else(sharing):
    queue_gold(sharing, [golden(0)])
    queue(sharing, *(task("compare", number=number) for number in range(1, 9)), overlap=2)
    giver, other = person(sharing, "Ada"), person(sharing, "Ben")
    for _ in range(8):
        assignment = claim(sharing, giver, "compare")
        if is_gold(sharing, assignment.item_id):
            give_back(sharing, giver, assignment.slot_id)
            break
        label_compare(sharing, giver, assignment, assignment.order[0])
    else:
        raise AssertionError("a quarter is gold: it must have come among eight")
    # A quarter of nothing: whatever comes now comes as an ordinary task.
    plain = replace(sharing, settings=replace(sharing.settings, gold_share=0.0))
    seen, _ = work(plain, other)
    assert seen and not any(seen)


def test_nobody_has_a_gold_item_twice_when_everybody_reaches_for_it_at_once(sharing):
    queue(sharing, *(task("compare", number=number) for number in range(8)), overlap=8)
    queue_gold(sharing, [golden(100), golden(101)])
    labelers, failures = [person(sharing, f"labeler {number}") for number in range(4)], []
    start = threading.Barrier(8)

    def rush(labeler):
        start.wait()
        try:
            while (assignment := claim(sharing, labeler, "compare")) is not None:
                label_compare(sharing, labeler, assignment, assignment.order[0])
        except (Refusal, LabelError) as error:
            # Their own other browser was first.
            failures.append(error)

    threads = [threading.Thread(target=rush, args=(labelers[number % 4],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    outcomes = [(outcome.labeler_id, outcome.item_id) for outcome in gold_outcomes(sharing)]
    assert len(set(outcomes)) == len(outcomes) > 0
    with sharing.database.read() as session:
        places = session.execute(select(Slot.item_id, Slot.place).join(Gold, Gold.item_id == Slot.item_id)).all()
    assert len(set(places)) == len(places)


def test_gold_counts_what_is_right(sharing):
    queue(sharing, *(task("compare", number=number) for number in range(4)))
    queue_gold(sharing, [golden(100, best=2)])
    for name, best, share in (("Ada", "p100c2", 1.0), ("Bob", "p100c1", 0.0)):
        labeler = person(sharing, name)
        for _ in range(5):
            assignment = claim(sharing, labeler, "compare")
            if is_gold(sharing, assignment.item_id):
                label_compare(sharing, labeler, assignment, best)
                break
            label_compare(sharing, labeler, assignment, "tie")
            queue(sharing, task("compare", number=200 + assignment.item_id))
        (found,) = [each for each in quality(sharing).labelers if each.name == name]
        assert found.gold.mean == share


def test_only_what_can_be_compared_is_gold(studio):
    queue(studio, task("demonstrate"))
    with pytest.raises(Refusal, match="nothing to compare"):
        make_gold(studio, 1, Label(fields={"response": "words"}))
    with pytest.raises(Refusal, match="No item with the id 99"):
        make_gold(studio, 99, Label(ranking=(("a",), ("b",))))


def test_a_changed_label_keeps_every_version_until_its_time_is_over(studio, clock):
    queue(studio, task("compare"), overlap=2)
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    label_id = label_compare(studio, ada, claim(studio, ada, "compare"), "p1c1")
    own = own_label(studio, ada, label_id)
    same = submitted_of(own.task, own.label, own.order)
    assert own.is_open and revise(studio, ada, label_id, same) is False and num_versions(studio) == {}
    with pytest.raises(Refusal, match="no label"):
        own_label(studio, bob, label_id)
    with pytest.raises(Refusal, match="no label"):
        revise(studio, bob, label_id, same)
    with pytest.raises(LabelError):
        revise(studio, ada, label_id, {})
    for best in ("tie", "p1c2"):
        clock.move(hours=11)
        letters = {identity: letter for letter, identity in zip("AB", own.order, strict=True)}
        assert revise(studio, ada, label_id, {"comparison": {"preference": letters.get(best, "tie")}})
    clock.move(hours=3)
    with pytest.raises(Refusal, match="could only be changed until 02 March 2026, 09:00"):
        revise(studio, ada, label_id, same)
    assert [label.ranking for label in history(studio, label_id)] == [
        (("p1c1",), ("p1c2",)), (own.order,), (("p1c2",), ("p1c1",)),
    ]  # fmt: skip
    assert num_versions(studio) == {label_id: 2} and not own_labels(studio, ada)[0].is_open
    assert [each.label.ranking for each in judged_labels(studio)] == [(("p1c2",), ("p1c1",))]


def test_a_researcher_decides_where_labelers_differ_and_the_labels_stay(studio):
    queue(studio, *(task("compare", number=number) for number in (1, 2, 3)), overlap=2)
    ada, bob, rita = person(studio, "Ada"), person(studio, "Bob"), person(studio, "Rita", role="researcher")
    for labeler, second in ((ada, "p2c1"), (bob, "p2c2")):
        for best in ("p1c1", second, "p3c1" if labeler is ada else "tie"):
            label_compare(studio, labeler, claim(studio, labeler, "compare"), best)
    assert [(each.item_id, each.distance) for each in adjudication_queue(studio)] == [(2, 1.0), (3, 0.5)]
    case = case_of(studio, 2)
    assert [(each.name, each.label.ranking[0]) for each in case.opinions] == [("Ada", ("p2c1",)), ("Bob", ("p2c2",))]
    with pytest.raises(LabelError):
        adjudicate(studio, case, {}, note="", by=rita)
    for letter, note in (("A", "first thought"), ("B", "on reflection")):
        adjudicate(studio, case, {"comparison": {"preference": letter}}, note=note, by=rita)
    ruling = rulings(studio)[2]
    assert (ruling.label.ranking[0], ruling.note, ruling.by) == ((case.order[1],), "on reflection", "Rita")
    assert case_of(studio, 2).ruling == ruling
    assert [each.item_id for each in adjudication_queue(studio)] == [3]
    assert [each.label for each in case_of(studio, 2).opinions] == [each.label for each in case.opinions]
    make_gold(studio, 2, ruling.label, by=rita.id)
    assert case_of(studio, 2).is_gold and len(gold_outcomes(studio)) == 2
    for number in (0, 99):
        with pytest.raises(Refusal, match="No labeled item"):
            case_of(studio, number)


def test_an_export_marks_what_was_changed_or_decided_and_keeps_gold_and_decisions_apart(studio, tmp_path):
    queue(studio, task("compare", number=1), task("compare", number=2), overlap=2)
    labelers, rita = [person(studio, name) for name in ("Ada", "Bob")], person(studio, "Rita", role="researcher")
    for labeler in labelers:
        for _ in range(2):
            label_compare(studio, labeler, claim(studio, labeler, "compare"), "tie")
    own = own_label(studio, labelers[0], 1)
    assert revise(studio, labelers[0], 1, {"comparison": {"preference": "A"}})
    case = case_of(studio, 1)
    for letter in "AB":
        adjudicate(studio, case, {"comparison": {"preference": letter}}, note="clearer", by=rita)
    make_gold(studio, 2, Label(ranking=(("p2c1",), ("p2c2",))))
    manifest = export_labels(studio, tmp_path / "out")
    read = {
        name: [json.loads(line) for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("rankings", "rankings_gold", "rankings_ruled")
    }
    assert {name: len(rows) for name, rows in read.items()} == {"rankings": 2, "rankings_gold": 2, "rankings_ruled": 1}
    marks = [(row["provenance"]["num_changes"], row["provenance"]["is_ruled"]) for row in read["rankings"]]
    assert marks == [(1, True), (0, True)] and read["rankings"][0]["ranking"][0] == [own.order[0]]
    (ruled,) = read["rankings_ruled"]
    assert (ruled["ranking"][0], ruled["labeler_id"]) == ([case.order[1]], rita.id)
    assert ruled["provenance"]["note"] == "clearer" and ruled["labeler_group"] == "researcher"
    assert {row["provenance"]["is_ruled"] for row in read["rankings_gold"]} == {False}
    assert manifest.num_labels == 4
    assert "rankings_ruled.jsonl" not in export_labels(studio, tmp_path / "some", group="training").counts


def test_two_who_publish_a_guideline_at_the_same_moment_both_have_a_version(studio, monkeypatch):
    """What PostgreSQL allows and SQLite's lock does not: both read the same newest version before either writes."""
    admin = person(studio, "Root", role="admin")
    first = guidelines.current_guideline(studio, "compare", "training")
    theirs = guidelines.publish_guideline(studio, "compare", "training", "theirs", by=admin.id)
    read, stale = guidelines._newest, [first]

    def newest(session, kind, purpose):
        return stale.pop() if stale else read(session, kind, purpose)

    monkeypatch.setattr(guidelines, "_newest", newest)
    ours = guidelines.publish_guideline(studio, "compare", "training", "ours", by=admin.id)
    assert (theirs.version, ours.version, stale) == (2, 3, [])


def test_of_equal_tasks_the_highest_priority_comes_first_then_the_oldest(studio):
    """The highest is queued neither first nor last, so that no order in which rows happen to lie is this one."""
    for number, priority in ((1, 0), (2, 5), (3, 9), (4, 5), (5, -1)):
        queue(studio, task("compare", number=number), priority=priority)
    ada, prompts = person(studio, "Ada"), []
    while (assignment := claim(studio, ada, "compare")) is not None:
        prompts.append(assignment.task.prompt.id)
        label_compare(studio, ada, assignment, "tie")
    assert prompts == ["p3", "p2", "p4", "p1", "p5"]


def test_the_places_of_one_item_are_taken_in_their_order(studio):
    queue(studio, task("compare"), overlap=3)
    places = []
    for name in ("Ada", "Bob", "Eve"):
        slot = claim(studio, person(studio, name), "compare").slot_id
        with studio.database.read() as session:
            places.append(session.get_one(Slot, slot).place)
            assert session.get_one(Item, 1).overlap == 3
    assert places == [1, 2, 3]
