"""Agreement, drift and disagreement of labels, by hand and by an independent count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random

import pytest

from tutelage.labeling.forms import FLAG_FIELDS
from tutelage.labeling.labels import Label
from tutelage.labeling.quality import (
    PAPER_AGREEMENT,
    QUESTIONS,
    Judged,
    agreements,
    concordance,
    disagreements,
    drifts,
    judgements_of,
    labeler_agreements,
)
from tutelage.statistics import bounded_mean

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


def judged(item, labeler, ranking=(), *, days=0, kind="evaluate", **completions):
    label = Label(ranking=ranking, of_completions=completions)
    return Judged(
        item_id=item, kind=kind, purpose="training", labeler_id=labeler, group="training", label=label,
        made_at=START + timedelta(days=days),
    )  # fmt: skip


ABC, CBA, TIED = (("a",), ("b",), ("c",)), (("c",), ("b",), ("a",)), (("a", "b", "c"),)


def test_agreement_on_orders_by_hand():
    # Ada and Bob order all three pairs alike; Eve reverses all; on item 2 Ada and Bob share no pair.
    labels = [judged(1, "ada", ABC), judged(1, "bob", ABC), judged(1, "eve", CBA), judged(2, "ada", ABC),
              judged(2, "bob", TIED)]  # fmt: skip
    (found,) = agreements(judgements_of(labels))
    assert (found.question, found.share.n) == ("order", 12)
    assert found.share.mean == 3 / 12
    of_labeler = {each.labeler_id: each.share for each in labeler_agreements(judgements_of(labels))}
    assert {name: (share.mean, share.n) for name, share in of_labeler.items()} == {
        "ada": (3 / 9, 9), "bob": (3 / 9, 9), "eve": (0.0, 6),
    }  # fmt: skip
    # tau: 1, -1, -1; that of a ranking that ties everything is undefined.
    assert concordance(labels).mean == pytest.approx(-1 / 3) and concordance(labels).n == 3


def test_a_tie_against_a_preference_counts_by_the_rule_that_is_asked_for():
    """a-b alike, a-c alike, b-c a tie to one of them: 2 of 3, 2.5 of 3, 2 of 2."""
    labels = judgements_of([judged(1, "ada", ABC), judged(1, "bob", (("a",), ("b", "c")))])
    shares = [agreements(labels, ties=rule)[0].share.mean for rule in ("category", "half", "exclude")]
    assert shares == pytest.approx([2 / 3, 2.5 / 3, 1.0])


def test_pairs_of_one_item_are_one_draw():
    """Two items, all three pairs alike on one and none on the other: 3 of 6, with the interval of two draws."""
    labels = [judged(1, "ada", ABC), judged(1, "bob", ABC), judged(2, "ada", ABC), judged(2, "bob", CBA)]
    drawn_twice = bounded_mean([1.0, 0.0], range(2))
    shares = [agreements(judgements_of(labels))[0].share]
    shares += [each.share for each in labeler_agreements(judgements_of(labels))]
    for share in shares:
        assert (share.mean, share.n) == (0.5, 6)
        assert (share.low, share.high) == pytest.approx((drawn_twice.low, drawn_twice.high))


def test_completions_of_two_items_are_two_things_even_under_one_id():
    """Ada alone rated item 1, Bob alone item 2; both have a completion "a"."""
    labels = [judged(1, "ada", a={"overall": 1}), judged(2, "bob", a={"overall": 7})]
    (found,) = agreements(judgements_of(labels))
    assert found.share is None
    assert disagreements(judgements_of(labels)) == []


def test_orders_by_toxicity_are_not_in_the_concordance():
    labels = [judged(1, "ada", ABC), judged(1, "bob", ABC)]
    labels += [judged(2, "ada", ABC, kind="toxicity"), judged(2, "bob", CBA, kind="toxicity")]
    assert (concordance(labels).mean, concordance(labels).n) == (1.0, 1)
    assert concordance(labels[2:]) is None


def _named(name_of):
    """Forty comparisons that two labelers made, 36 of them alike, under the names that `name_of` gives the better."""
    labels = []
    for number in range(40):
        better, worse = name_of(number)
        order = ((better,), (worse,))
        labels += [judged(number, "ada", order), judged(number, "bob", order[::-1] if number % 10 == 0 else order)]
    return labels


def test_alpha_of_orders_does_not_depend_on_how_completions_are_named():
    namings = [
        lambda number: ("answer1", "answer2"),
        lambda number: ("answer1", "answer2") if number % 2 else ("answer2", "answer1"),
        lambda number: (f"ppo-{number}", f"sft-{number}"),
        lambda number: tuple(Random(number).sample(("3f", "a7"), 2)),
    ]
    found = [agreements(judgements_of(_named(naming)))[0].alphas["nominal"].value for naming in namings]
    assert found == pytest.approx([0.80125] * 4, abs=1e-12)


def test_flags_are_nominal_scales_ordinal_too_and_toxicity_is_another_order():
    entries = [{"overall": 1, "hallucination": True}, {"overall": 4, "hallucination": True}]
    labels = [judged(1, "ada", a=entries[0], b=entries[1]), judged(1, "bob", a=entries[1], b=entries[0])]
    labels += [judged(2, name, (("a",), ("b",)), kind="toxicity") for name in ("ada", "bob")]
    found = {each.question: each for each in agreements(judgements_of(labels))}
    assert set(found) == {"toxicity_order", "overall", "hallucination"}
    assert set(found["overall"].alphas) == {"nominal", "ordinal", "interval"}
    assert set(found["hallucination"].alphas) == {"nominal"}
    assert found["overall"].share.mean == 0.0 and found["hallucination"].share.mean == 1.0
    assert "all judgments are the same" in found["hallucination"].alphas["nominal"].reason
    # Two units, {1, 4} twice: D_o = 9, D_e = 2 * 4 * 9 / 12 = 6 per ordered pair over (n - 1).
    assert found["overall"].alphas["interval"].value == pytest.approx(1 - 9 / 6)
    assert labeler_agreements(judgements_of(labels)) == []


def test_nobody_twice_is_told_and_not_zero():
    (found,) = agreements(judgements_of([judged(1, "ada", ABC), judged(2, "bob", ABC)]))
    assert found.share is None and found.alphas["nominal"].value is None
    assert [each.share for each in labeler_agreements(judgements_of([judged(1, "ada", ABC)]))] == [None]


def test_labeler_against_the_rest_is_an_independent_count():
    draw = Random(5)
    labels = [
        judged(item, labeler, tuple((name,) for name in draw.sample("abcd", 4)))
        for item in range(20)
        for labeler in draw.sample("vwxyz", 3)
    ]
    counts = {}
    for one, other in combinations(labels, 2):
        if one.item_id == other.item_id:
            places = [{name: place for place, (name,) in enumerate(each.label.ranking)} for each in (one, other)]
            for first, second in combinations("abcd", 2):
                same = (places[0][first] < places[0][second]) == (places[1][first] < places[1][second])
                for name in (one.labeler_id, other.labeler_id):
                    total, right = counts.get(name, (0, 0))
                    counts[name] = total + 1, right + same
    for each in labeler_agreements(judgements_of(labels)):
        total, right = counts[each.labeler_id]
        assert (each.share.n, each.share.mean) == (total, pytest.approx(right / total))


def test_a_labeler_who_turns_is_seen_and_one_who_stays_is_not():
    labels = []
    for item in range(40):
        labels += [judged(item, "ada", ABC, days=item), judged(item, "bob", ABC, days=item)]
        labels.append(judged(item, "eve", ABC if item < 20 else CBA, days=item))
    found = {each.labeler_id: each for each in drifts(judgements_of(labels))}
    eve = found["eve"]
    assert (eve.first_half.mean, eve.second_half.mean, eve.has_drifted) == (1.0, 0.0, True)
    assert [week.monday.isoformat() for week in eve.weeks][:2] == ["2026-03-02", "2026-03-09"]
    assert [round(week.share.mean, 2) for week in eve.weeks] == [1.0, 1.0, 0.86, 0.0, 0.0, 0.0]
    backward = {each.labeler_id: each for each in drifts(judgements_of(labels[::-1]))}
    assert backward == found, "by the time of the labels, however they were read"
    steady = drifts(judgements_of([each for each in labels if each.labeler_id != "eve"]))
    assert [each.has_drifted for each in steady] == [False, False]


def test_a_labeler_who_comes_round_has_drifted_too():
    labels = [judged(item, name, ABC, days=item) for item in range(40) for name in ("ada", "bob")]
    labels += [judged(item, "eve", CBA if item < 20 else ABC, days=item) for item in range(40)]
    eve = {each.labeler_id: each for each in drifts(judgements_of(labels))}["eve"]
    assert (eve.first_half.mean, eve.second_half.mean, eve.has_drifted) == (0.0, 1.0, True)


def test_items_on_which_labelers_are_farthest_apart_come_first():
    labels = [judged(1, "ada", ABC), judged(1, "bob", ABC), judged(2, "ada", ABC), judged(2, "bob", CBA),
              judged(3, "ada", ABC), judged(3, "bob", TIED), judged(4, "ada", ABC)]  # fmt: skip
    labels += [judged(5, "ada", a={"overall": 1, "hallucination": True}),
               judged(5, "bob", a={"overall": 4, "hallucination": True})]  # fmt: skip
    found = [(each.item_id, each.distance) for each in disagreements(judgements_of(labels))]
    # Item 5: half the scale apart, and the same flag: (0.5 + 0) / 2. Item 4 has one label.
    assert found == [(2, 1.0), (3, 0.5), (5, 0.25), (1, 0.0)]


def test_orders_scales_and_flags_weigh_alike_and_labels_are_counted_by_who_made_them():
    """A pair reversed: 1. A whole scale: 1. One flag of three unlike: 1/3. The mean is of these three."""
    low = {"overall": 1, "hallucination": True, "expresses_opinion": True, "harmful_advice": True}
    high = {**low, "overall": 7, "hallucination": False}
    labels = [judged(1, "ada", (("a",), ("b",)), a=low), judged(1, "bob", (("b",), ("a",)), a=high)]
    (found,) = disagreements(judgements_of(labels))
    assert found.distance == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert found.num_labels == 2


def test_every_question_has_words_and_the_papers_figures_are_its_own():
    assert {field.name for field in FLAG_FIELDS} <= QUESTIONS.keys()
    assert len(set(QUESTIONS.values())) == len(QUESTIONS)
    assert [(each.share, each.error) for each in PAPER_AGREEMENT] == [(0.726, 0.015), (0.773, 0.013)]
