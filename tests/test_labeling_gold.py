"""Gold: which turns, what is compared, and that nothing that a labeler sees tells which tasks they were."""

from __future__ import annotations

from collections import Counter

import pytest

from tutelage.labeling.gold import GoldTurns, gold_result
from tutelage.labeling.labels import Label

TURNS = GoldTurns(seed=3, labeler_id="ada", kind="evaluate", share=0.2)


def test_every_block_has_one_turn_for_gold_and_never_its_last():
    golden = [[turn % 5 for turn in range(block * 5, block * 5 + 5) if TURNS.is_gold(turn)] for block in range(200)]
    places = Counter(place for block in golden for place in block)
    assert all(len(block) == 1 for block in golden)
    assert set(places) == {0, 1, 2, 3} and min(places.values()) > 30


def test_each_labeler_and_kind_has_turns_of_their_own():
    def golden(**more):
        turns = GoldTurns(**({"seed": 3, "labeler_id": "ada", "kind": "evaluate", "share": 0.2} | more))
        return [turns.is_gold(turn) for turn in range(200)]

    assert golden() == golden()
    for more in ({"labeler_id": "bob"}, {"kind": "compare"}, {"seed": 4}):
        assert golden(**more) != golden()
    assert not any(golden(share=0.0)) and sum(golden(share=1.0)) == 100
    assert sum(golden(share=0.15)) == 29, (
        "blocks of 7, the whole number nearest to 1 / 0.15 = 6.67; 28 whole ones in 200"
    )


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("num_gold", [0, 1, 3, 100])
def test_the_number_ahead_is_that_of_walking_there_and_goes_down_by_one_with_each_task(share, num_gold):
    for seed in range(6):
        turns = GoldTurns(seed=seed, labeler_id="ada", kind="evaluate", share=share)
        for start in range(0, 47, 5):
            for num_ordinary in (0, 1, 2, 3, 7, 18, 19, 20, 57, 64):
                told = turns.num_ahead(start, num_ordinary=num_ordinary, num_gold=num_gold)
                turn, ordinary, gold = start, num_ordinary, num_gold
                while ordinary:
                    assert turns.num_ahead(turn, num_ordinary=ordinary, num_gold=gold) == told - (turn - start)
                    if gold and turns.is_gold(turn):
                        gold -= 1
                    else:
                        ordinary -= 1
                    turn += 1
                assert turn - start == told


def test_labelers_get_the_same_gold_in_another_order():
    ids = list(range(50))
    other = GoldTurns(seed=3, labeler_id="bob", kind="evaluate", share=0.2)
    assert [TURNS.choose(turn, ids) for turn in range(20)] != [other.choose(turn, ids) for turn in range(20)]
    assert TURNS.choose(4, ids) == TURNS.choose(4, ids[::-1])
    assert len({TURNS.choose(turn, ids) for turn in range(20)}) > 10, "one item is not given at every turn"


def _entries(overall, flag):
    return {"overall": overall, "hallucination": flag, "note": "words"}


EXPECTED = Label(ranking=(("a",), ("b", "c")), of_completions={"a": _entries(6, False), "b": _entries(2, True)})


@pytest.mark.parametrize(
    ("label", "num_right"),
    [
        (EXPECTED, 7),
        # The tie of b and c, and nothing else, is missed.
        (EXPECTED.model_copy(update={"ranking": (("a",), ("b",), ("c",))}), 6),
        (EXPECTED.model_copy(update={"ranking": (), "cannot_rank": "all bad"}), 4),
        # One step on the scale is no other opinion; two steps are.
        (EXPECTED.model_copy(update={"of_completions": {"a": _entries(7, False), "b": _entries(1, True)}}), 7),
        (EXPECTED.model_copy(update={"of_completions": {"a": _entries(4, True), "b": _entries(2, True)}}), 5),
        (Label(ranking=EXPECTED.ranking), 3),
    ],
)
def test_what_is_right(label, num_right):
    found = gold_result(EXPECTED, label)
    assert (found.num_right, found.num_known) == (num_right, 7)
    assert found.share == num_right / 7


def test_gold_that_refuses_to_rank_and_gold_that_says_nothing():
    refused = Label(cannot_rank="all are the same text")
    assert gold_result(refused, Label(cannot_rank="equal")).share == 1.0
    assert gold_result(refused, Label(ranking=(("a",), ("b",)))).share == 0.0
    with pytest.raises(ValueError, match="nothing to compare"):
        gold_result(Label(fields={"response": "words"}), EXPECTED)
