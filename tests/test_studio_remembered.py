"""What is computed of all labels is kept as long as it is true, and no longer."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from studio_world import Browser, person, queue, studio_on_both, task
from test_studio_gold import label_compare
from tutelage.labeling.labels import Label
from tutelage.studio import remembered
from tutelage.studio.adjudication import adjudicate, adjudication_queue, case_of
from tutelage.studio.assignment import claim
from tutelage.studio.gold import make_gold
from tutelage.studio.quality import evidence_of, quality
from tutelage.studio.remembered import Remembered
from tutelage.studio.revision import revise

studio = studio_on_both


@pytest.fixture
def disputed(studio):
    """Two labelers who have judged three items of four."""
    queue(studio, *(task("compare", number=number) for number in range(1, 5)), overlap=2)
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    for labeler, best in ((ada, "p1c1"), (bob, "p1c2")):
        for number in range(3):
            label_compare(studio, labeler, claim(studio, labeler, "compare"), best if number == 0 else "tie")
    return ada, bob, person(studio, "Rita", role="researcher")


def test_what_has_not_changed_is_not_computed_again(studio, disputed, monkeypatch):
    kept, computed = Remembered(studio), []
    monkeypatch.setattr(remembered, "quality", lambda *given, **ties: computed.append(given) or quality(*given, **ties))
    first = kept.quality(None, None, ties="category")
    assert kept.quality(None, None, ties="category") is first and len(computed) == 1
    assert kept.quality("training", None, ties="category") == first and len(computed) == 2, "of each choice its own"
    assert kept.disputed() is kept.disputed() and [each.item_id for each in kept.disputed()] == [1]


def test_labels_are_read_once_for_all_that_is_shown_of_them(studio, disputed, monkeypatch):
    ada, _, _ = disputed
    queue(studio, task("compare", number=9), purpose="evaluation")
    label_compare(studio, ada, claim(studio, ada, "compare"), "tie")
    label_compare(studio, ada, claim(studio, ada, "compare"), "tie")
    kept, read = Remembered(studio), []
    monkeypatch.setattr(remembered, "evidence_of", lambda given: read.append(given) or evidence_of(given))
    for purpose, kind in ((None, None), ("training", None), ("evaluation", "compare"), (None, "evaluate")):
        assert kept.quality(purpose, kind, ties="half") == quality(studio, purpose, kind, ties="half")
    of_each = [kept.quality(purpose, None, ties="half").num_labels for purpose in (None, "training", "evaluation")]
    of_kind = [kept.quality(None, kind, ties="half").num_labels for kind in ("compare", "evaluate")]
    assert (of_each, of_kind) == ([8, 7, 1], [8, 0])
    assert kept.disputed() == tuple(adjudication_queue(studio)) and len(read) == 1


def test_whatever_changes_is_shown_at_once(studio, disputed):
    ada, _, rita = disputed
    kept = Remembered(studio)

    def shown():
        found = kept.quality(None, None, ties="category"), kept.disputed()
        assert found == (quality(studio), tuple(adjudication_queue(studio))), "what is kept is what is computed"
        return found

    before = shown()
    changes = (
        lambda: label_compare(studio, ada, claim(studio, ada, "compare"), "p4c1"),
        lambda: revise(studio, ada, 2, {"comparison": {"preference": "A"}}),
        lambda: revise(studio, ada, 2, {"comparison": {"preference": "B"}}),
        lambda: adjudicate(studio, case_of(studio, 1), {"comparison": {"preference": "A"}}, note="", by=rita),
        lambda: make_gold(studio, 3, Label(ranking=(("p3c1",), ("p3c2",)))),
        lambda: make_gold(studio, 3, Label(ranking=(("p3c1", "p3c2"),))),
    )
    for number, change in enumerate(changes):
        version = remembered.labels_version(studio)
        change()
        assert remembered.labels_version(studio) != version, number
        after = shown()
        assert after != before or number == 2, (number, "the other of two preferences agrees as little")
        before = after


def test_the_page_shows_a_label_that_was_made_a_moment_ago(studio, disputed):
    ada, _, _ = disputed
    lead = Browser(studio)
    lead.sign_in("Rita")
    assert "6 labels" in lead.open("/lead/quality").text and "1 item is disputed" in lead.page.text
    label_compare(studio, ada, claim(studio, ada, "compare"), "p4c1")
    assert "7 labels" in lead.open("/lead/quality").text
