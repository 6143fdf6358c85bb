"""Win rates, ratings, accuracy and agreement, all by hand; who judges is a rule that a test can follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import sqrt

import pytest

from tutelage.evaluation.measuring import mean_of, mean_ratings, mean_values, win_rates
from tutelage.evaluation.preference import ranking_agreement, score_rows
from tutelage.evaluation.records import EvaluatedComparison, TaskRow
from tutelage.records import Completion, Prompt, Ranking, Rating
from tutelage.statistics import bounded_mean

pytest.importorskip("torch", reason="the workflow trains")

from tutelage.reproduction import simulated
from tutelage.reproduction.simulated import VillageJudges
from tutelage.workflow.judging import comparison_row, rating_row


@dataclass(frozen=True)
class Labeler:
    id: str


PROMPTS = [Prompt(id=f"p{n}", text=f"prompt {n}", use_case="chat") for n in range(3)]
COMPLETIONS = {
    arm: [
        Completion(
            id=f"{arm}-{n}", text=f"{arm} {n}", policy=arm, num_tokens=n + 3 * (arm == "ppo"), test_set="instruct"
        )
        for n in range(3)
    ]
    for arm in ("sft", "ppo", "base")
}
LABELERS = [Labeler("a"), Labeler("b")]
# What labelers a and b say of ppo's completion beside sft's; of base's they say that it loses.
VERDICTS = {"p0": (1.0, 1.0), "p1": (0.5, 0.0), "p2": (0.5, 0.5)}


def prefer(prompt, first, second, labeler, rng):
    """The verdict, whichever of the two is shown first."""
    is_first = first.policy != "sft"
    own = first if is_first else second
    verdict = VERDICTS[prompt.id]["ab".index(labeler.id)] if own.policy == "ppo" else 0.0
    return verdict if is_first else 1.0 - verdict


def compared(groups, number=2, prefer=prefer, seed=0):
    """Rows of ppo and base against sft, by `number` labelers of each group and prompt."""

    class Judges(VillageJudges):
        def _prefer(self, *asked):
            return prefer(*asked)

    pairs = [
        (prompt, COMPLETIONS[arm][n], COMPLETIONS["sft"][n])
        for n, prompt in enumerate(PROMPTS)
        for arm in ("ppo", "base")
    ]
    return list(map(comparison_row, Judges(None, groups, number=number, seed=seed).compare(pairs)))


def rated(groups, rate, monkeypatch):
    """Rows of all completions, prompt by prompt, by one labeler of the first group."""
    monkeypatch.setattr(simulated.village, "rate", lambda world, prompt, own, done, who, rng: rate(prompt, own, who))
    asked = [(prompt, COMPLETIONS[arm][n]) for n, prompt in enumerate(PROMPTS) for arm in COMPLETIONS]
    return [rating_row(*found) for found in VillageJudges(None, groups, number=1, seed=1).rate(asked)]


def rates_of(rows, labelers="heldout"):
    return {found.arm: found for found in win_rates(rows) if found.condition["labelers"] == labelers}


HELDOUT = {"heldout": LABELERS}


def test_win_rate_by_hand():
    """Ties half, clustered by prompt.

    (1 + 1 + 0.5 + 0 + 0.5 + 0.5) / 6 = 7/12. Residuals summed by prompt: 10/12, -8/12, -2/12, so the variance of the
    mean is 3/2 * (100 + 64 + 4) / 144 / 36 = 7/144, and with the allowance for odds of 7 to 5, 1 + (49/25 - 1) / 60,
    the effective size (7/12 * 5/12) / (7/144) / 1.016 = 5 / 1.016: fewer than the six judgements. Wilson's interval
    with Student's t on 2 degrees of freedom, 4.302653.
    """
    found = rates_of(compared(HELDOUT))
    assert found["base"].mean == 0.0
    assert "sft" not in found
    ppo = found["ppo"]
    assert (ppo.mean, ppo.n) == (pytest.approx(7 / 12), 6)
    t, size = 4.302653, 5 / 1.016
    centre = (7 / 12 + t**2 / (2 * size)) / (1 + t**2 / size)
    half = t * sqrt(35 / 144 / size + t**2 / (4 * size**2)) / (1 + t**2 / size)
    assert (ppo.low, ppo.high) == (pytest.approx(centre - half, abs=1e-6), pytest.approx(centre + half, abs=1e-6))


def test_a_comparison_says_what_was_compared_and_by_whom():
    rows = compared({**HELDOUT, "training": [Labeler("b")]})
    assert len(rows) == 3 * 2 * (2 + 1)
    row = next(r for r in rows if (r.prompt_id, r.arm, r.labeler_id) == ("p1", "ppo", "a"))
    assert row == EvaluatedComparison(
        prompt_id="p1",
        use_case="chat",
        distribution="instruct",
        arm="ppo",
        baseline="sft",
        completion_id="ppo-1",
        baseline_id="sft-1",
        labeler_id="a",
        labeler_group="heldout",
        length_difference=3,
        outcome=0.5,
    )
    # Labeler b alone: won, lost, tied.
    assert rates_of(rows, "training")["ppo"].mean == pytest.approx(0.5)
    assert rates_of(rows)["ppo"].mean == pytest.approx(7 / 12)


def test_neither_is_shown_first_more_often():
    """Labelers who always take what they see first find no difference; each pair is drawn anew, for each labeler."""
    shown = Counter()

    def first(prompt, one, other, labeler, rng):
        shown[one.policy] += 1
        return 1.0

    many = [Labeler(str(n)) for n in range(200)]
    rows = compared({"heldout": many}, number=200, prefer=first)
    rate = rates_of(rows)["ppo"].mean
    assert rate == pytest.approx(0.5, abs=0.06), "600 draws: three standard deviations"
    assert shown["sft"] == pytest.approx(600, abs=60)


def test_each_prompt_has_its_own_labelers_each_once():
    many = [Labeler(str(n)) for n in range(6)]
    rows = compared({"heldout": many}, prefer=lambda *_: 1.0)
    chosen = {p.id: {r.labeler_id for r in rows if r.prompt_id == p.id} for p in PROMPTS}
    assert [len(own) for own in chosen.values()] == [2, 2, 2]
    assert len(set(map(frozenset, chosen.values()))) > 1
    assert len(rows) == 3 * 2 * 2
    all_of_them = compared({"heldout": many}, number=9, prefer=lambda *_: 1.0)
    assert len(all_of_them) == 3 * 6 * 2


def test_ratings_of_every_arm_by_the_same_labeler(monkeypatch):
    def rate(prompt, completion, labeler):
        overall = int(completion.text[-1]) + 1
        return Rating(prompt_id=prompt.id, completion_id=completion.id, labeler_id=labeler.id, overall=overall)

    rows = rated(HELDOUT, rate, monkeypatch)
    assert len(rows) == 9
    assert [row.overall for row in rows] == [1] * 3 + [2] * 3 + [3] * 3
    assert [row.arm for row in rows[:3]] == ["sft", "ppo", "base"]
    assert [row.completion_id for row in rows[3:6]] == ["sft-1", "ppo-1", "base-1"]
    assert {row.labeler_group for row in rows} == {"heldout"}
    by_prompt = {p.id: {row.labeler_id for row in rows if row.prompt_id == p.id} for p in PROMPTS}
    assert all(len(own) == 1 for own in by_prompt.values())


def ranking(groups, labeler, prompt="p"):
    completions = tuple(Completion(id=c, text=c) for c in "abc")
    return Ranking(prompt=prompt, prompt_id=prompt, completions=completions, ranking=groups, labeler_id=labeler)


def test_accuracy_of_scores_by_hand():
    """a > b > c with scores 2, 1, 1: right, right, even: 2.5. c > {a, b} with 0, 3, 1: right, wrong: 1. 3.5 of 5."""
    rankings = [ranking((("a",), ("b",), ("c",)), "l"), ranking((("c",), ("a", "b")), "l")]
    rows = score_rows(rankings, [[2.0, 1.0, 1.0], [0.0, 3.0, 1.0]], {"labelers": "training"})
    (found,) = mean_values(rows, source="evaluation/reward_model.jsonl")
    assert (found.mean, found.n) == (pytest.approx(3.5 / 5), 5)
    assert (found.measure, found.condition) == ("reward_model_accuracy", {"labelers": "training"})


def test_agreement_by_hand():
    """Of three pairs the two labelers decide a-b alike and b-c unlike; a-c is a tie to one of them and left out.

    Where the tie is b-c and the other two are decided alike, agreement is whole: a tie is not half of one.
    """
    one, two = ranking((("a",), ("b",), ("c",)), "one"), ranking((("a", "c"), ("b",)), "two")
    found = ranking_agreement([one, two])
    assert found.mean == pytest.approx(1 / 2)
    assert ranking_agreement([one, ranking((("a",), ("b", "c")), "two")]).mean == 1.0
    assert ranking_agreement([one, ranking((("a",), ("b",), ("c",)), "two")]).mean == 1.0
    other_prompt = ranking((("c",), ("b",), ("a",)), "two", prompt="q")
    assert ranking_agreement([one, two, other_prompt]).mean == pytest.approx(1 / 2), "nobody else judged that prompt"


def test_comparisons_of_one_prompt_are_one_draw():
    """Two prompts, all three pairs alike on one and none on the other: 3 of 6, with the interval of two draws."""
    up, down = (("a",), ("b",), ("c",)), (("c",), ("b",), ("a",))
    found = ranking_agreement(
        [ranking(up, "one"), ranking(up, "two"), ranking(up, "one", "q"), ranking(down, "two", "q")]
    )
    drawn_twice = bounded_mean([1.0, 0.0], range(2))
    assert (found.mean, found.n) == (0.5, 6)
    assert (found.low, found.high) == pytest.approx((drawn_twice.low, drawn_twice.high))


def compared_by(arm, size, baseline, baseline_size, outcome, **more):
    about = {"prompt_id": "p", "completion_id": "c", "labeler_group": "heldout", "outcome": outcome} | more
    return EvaluatedComparison(arm=arm, size=size, baseline=baseline, baseline_size=baseline_size, **about)


def test_win_rates_are_told_apart_by_all_that_a_row_says():
    """Arm, its size, baseline, its size, labelers, distribution: one field differs at a time from the first row."""
    rows = [
        compared_by("ppo", "s", "sft", "l", 1.0),
        compared_by("gpt", "s", "sft", "l", 0.0),
        compared_by("ppo", "l", "sft", "l", 0.0),
        compared_by("ppo", "s", "gpt", "l", 0.0),
        compared_by("ppo", "s", "sft", "s", 0.0),
        compared_by("ppo", "s", "sft", "l", 0.0, labeler_group="training"),
        compared_by("ppo", "s", "sft", "l", 0.0, distribution="gpt"),
        compared_by("ppo", "s", "sft", "l", 0.5, prompt_id="q"),
    ]
    found = win_rates(rows)
    assert [own.mean for own in found] == [0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    for own in found:
        # The rows that a measurement names are those that it averaged, and no others.
        values = [value for row in rows if (value := row.value_for(own)) is not None]
        assert (len(values), sum(values) / len(values)) == (own.n, own.mean)


def test_a_measurement_names_its_ratings_and_flags(monkeypatch):
    def rate(prompt, completion, labeler):
        flags = {"hallucination": prompt.id == "p0"} if prompt.id != "p2" else {}
        about = {"prompt_id": prompt.id, "completion_id": completion.id, "labeler_id": labeler.id}
        return Rating(**about, overall=1 + int(completion.text[-1]), flags=flags)

    rows = [row for group in ("heldout", "training") for row in rated({group: LABELERS}, rate, monkeypatch)]
    found = mean_ratings(rows)
    assert len(found) == 3 * 2 * 2
    for own in found:
        values = [value for row in rows if (value := row.value_for(own)) is not None]
        assert (len(values), own.n) == ((3, 3) if own.measure == "likert" else (2, 2))
        assert sum(values) / len(values) == own.mean == (2.0 if own.measure == "likert" else 0.5)
        assert own.condition["distribution"] == "instruct" and own.condition["labelers"] in ("heldout", "training")


def test_a_quantity_per_token_is_the_ratio_of_totals_and_its_interval_is_not_that_of_the_plain_mean():
    """6 nats of 2 tokens and 2 of 2: 2 a token, where the plain mean of values is 4."""
    rows = [TaskRow(measure="loss", unit=unit, value=value, count=2) for unit, value in (("a", 6.0), ("b", 2.0))]
    assert mean_of(rows, source="evaluation/loss.jsonl").mean == 2.0
