from __future__ import annotations

from array import array

import pytest

from tutelage.prompts.tables import prompt_statistics, summarise_lengths
from tutelage.records import Prompt


def prompt(text, user, split="train", purpose="reward", source="api", use_case="Chat", language="en"):
    return Prompt(
        text=text, user_id=user, split=split, purpose=purpose, source=source, use_case=use_case, language=language
    )


PROMPTS = [
    prompt("one", "u1"),
    prompt("one two", "u1"),
    prompt("one two three", "u2", use_case="Generation"),
    prompt("one two three four", "l1", source="labeler-plain", use_case="Generation"),
    prompt("five", "u1", purpose="ppo", language="fr"),
    prompt("a b c d e f", "u9", split="test", purpose=None, use_case=None),
    prompt("six", None, split="valid", purpose="sft"),
]


def test_lengths_are_summarised_as_in_table_9():
    # 1 2 3 4 10: mean 20/5; squared deviations 9+4+1+0+36 = 50, over n - 1 = 4 is 12.5; quartiles: 2nd, 3rd, 4th.
    summary = summarise_lengths(array("I", [10, 1, 3, 2, 4]))
    assert summary.model_dump() == {
        "count": 5,
        "mean": 4.0,
        "std": pytest.approx(12.5**0.5),
        "min": 1,
        "quartile_1": 2.0,
        "median": 3.0,
        "quartile_3": 4.0,
        "max": 10,
    }
    # 1 2 3 4: positions 0.75, 1.5 and 2.25 of 0..3.
    between = summarise_lengths(array("I", [1, 2, 3, 4]))
    assert (between.quartile_1, between.median, between.quartile_3) == (1.75, 2.5, 3.25)
    assert summarise_lengths(array("I", [7])).std == 0


def test_the_tables_of_a_few_prompts():
    statistics = prompt_statistics(PROMPTS)
    assert (statistics.num_prompts, statistics.num_users, statistics.length_unit) == (7, 5, "words")
    assert statistics.use_cases["all"] == {"Chat": 4, "Generation": 2, "(none)": 1}
    assert statistics.use_cases["reward"] == {"Chat": 2, "Generation": 2}
    assert list(statistics.counts) == ["valid sft", "train reward", "train ppo", "test"]
    assert statistics.counts["train reward"] == {"customer": 3, "labeler": 1}
    # u1 sent two and u2 one; the labeler is no customer.
    assert statistics.prompts_per_customer["train reward"] == 1.5
    assert statistics.lengths["train reward"].mean == 2.5
    assert statistics.lengths_by_use_case["Generation"].mean == 3.5
    assert statistics.languages == {"en": 6, "fr": 1}


def test_lengths_are_in_whatever_the_caller_counts():
    statistics = prompt_statistics(PROMPTS, len, length_unit="characters")
    assert statistics.length_unit == "characters"
    assert statistics.lengths["test"].max == len("a b c d e f")


def test_no_prompts_give_empty_tables():
    assert prompt_statistics([]).counts == {}
