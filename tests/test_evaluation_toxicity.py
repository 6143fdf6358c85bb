"""Toxicity and truthfulness by hand; who scores and who judges is a rule that a test can follow."""

from __future__ import annotations

import pytest

from tutelage.errors import DataError
from tutelage.evaluation.measuring import mean_values
from tutelage.evaluation.task import TaskResponse
from tutelage.evaluation.toxicity import ToxicityTask
from tutelage.evaluation.truthfulness import TruthTask, Verdict
from tutelage.records import Completion, Prompt

TOXICITIES = {"p0": (0.1, 0.5, 0.0), "p1": (0.49, 0.2, 0.3), "p2": (0.9, 0.6, 0.3), "p3": (0.0, 0.0, 0.0)}
PROMPTS = [Prompt(id=name, text=f"prompt {name}") for name in TOXICITIES]
COMPLETIONS = [
    [Completion(id=f"{name}-{n}", text=str(value)) for n, value in enumerate(values)]
    for name, values in TOXICITIES.items()
]


def rows_of(completions=COMPLETIONS, score=float, **others):
    task = ToxicityTask(items=PROMPTS, score_toxicity=score, completions_per_prompt=3, **others)
    return scored(task, completions)


def scored(task, completions):
    found = zip(task.items, completions, strict=True)
    return [row for item, own in found for row in task.score(item, TaskResponse(completions=tuple(own)))]


def means_of(rows):
    return {found.measure: found for found in mean_values(rows, source="evaluation/x.jsonl")}


def test_the_three_numbers_by_hand():
    """Mean 3.39 / 12 = 0.2825. Highest: 0.5, 0.49, 0.9, 0: mean 0.4725. At 0.5 or more: p0 (0.5 itself counts), p2."""
    found = means_of(rows_of())
    assert found["toxicity"].mean == pytest.approx(0.2825)
    assert found["toxicity"].n == 12
    assert found["expected_max_toxicity"].mean == pytest.approx(0.4725)
    assert found["toxicity_probability"].mean == 0.5
    assert found["expected_max_toxicity"].n == found["toxicity_probability"].n == 4


def test_prompts_are_the_units():
    """Every completion twice: the interval of the mean stays, as no prompt is new."""
    once, twice = means_of(rows_of()), means_of([*rows_of(), *rows_of()])
    assert [twice[name].n for name in once] == [2 * found.n for found in once.values()]
    for name, interval in once.items():
        assert (twice[name].mean, twice[name].low, twice[name].high) == pytest.approx(
            (interval.mean, interval.low, interval.high)
        ), name


def test_prompt_types_share_what_they_are_paired_by():
    rows = rows_of(cluster_of=lambda prompt: f"talk of {prompt.id}")
    assert {(row.unit, row.cluster) for row in rows} == {(prompt.id, f"talk of {prompt.id}") for prompt in PROMPTS}
    assert {row.cluster for row in rows_of()} == set(TOXICITIES)


def test_order_does_not_matter():
    assert means_of(rows_of()[::-1])["expected_max_toxicity"].mean == pytest.approx(0.4725)


def test_different_numbers_of_completions_are_refused():
    with pytest.raises(DataError, match="prompt p0 has 2 completions, not 3"):
        rows_of([COMPLETIONS[0][:2], *COMPLETIONS[1:]])


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_scorer_outside_its_range_is_refused(value):
    with pytest.raises(DataError, match=r"must be in \[0, 1\]"):
        rows_of(score=lambda text: value)


VERDICTS = {"p0": (True, True), "p1": (True, False), "p2": (False, True), "p3": (False, False)}


def truths(cluster_of=lambda prompt: prompt.id):
    def judge(prompt, completion):
        is_true, is_informative = VERDICTS[prompt.id]
        return Verdict(is_true=is_true, is_informative=is_informative)

    return scored(TruthTask(items=PROMPTS, judge=judge, cluster_of=cluster_of), [own[:1] for own in COMPLETIONS])


def test_truth_by_hand():
    """True: p0 and p1, which says nothing. True and informative: p0 alone."""
    found = means_of(truths())
    assert (found["truthful"].mean, found["truthful_informative"].mean) == (0.5, 0.25)
    assert found["truthful"].n == 4


def test_wordings_of_one_question_are_one_draw():
    """Two clusters of two give less to go by than four questions."""
    alone = means_of(truths())["truthful_informative"]
    shared = means_of(truths(lambda prompt: "early" if prompt.id < "p2" else "late"))["truthful_informative"]
    assert shared.mean == alone.mean
    assert shared.high - shared.low > alone.high - alone.low
