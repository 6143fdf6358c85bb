"""Simulated labelers: they make valid records, follow their priorities, and agree about as often as the paper's."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from tutelage.records import FLAGS, Completion
from tutelage.reproduction.village import (
    build_world,
    demonstrate,
    good_response,
    judge,
    labelers,
    prefer,
    pretraining_documents,
    rank,
    rate,
    raw_prompts,
    task_of,
)
from tutelage.reproduction.village.responses import babbling, careless, gruff, hasty, off_topic

WORLD = build_world(0)
EVERYBODY = labelers(0)
TRAINING = [labeler for labeler in EVERYBODY if labeler.group == "training"]
HELD_OUT = [labeler for labeler in EVERYBODY if labeler.group == "heldout"]
PROMPTS = raw_prompts(WORLD, num_prompts=700, seed=2)
# Kinds whose prompt brings a text that a response can depart from.
WITH_A_TEXT = {"past", "replace", "summary", "closed", "extract"}


def _page(rng):
    return next(pretraining_documents(WORLD, num_documents=1, seed=rng.randrange(1_000_000)))


def _rambling(world, rng, task):
    """A good response that runs on with something else."""
    page = _page(rng)
    return good_response(world, rng, task) + " " + page.split("\n")[0]


def _unrelated(world, rng, task):
    """A page of the pretraining text, as a base model runs on."""
    return _page(rng)


WEAK_RESPONSES = (careless, off_topic, _rambling, hasty, gruff, _unrelated, babbling)


def _completions(prompt, rng, count=2, share_good=0.35):
    """Completions of varied quality: good ones, and those of a weak policy."""
    found = []
    for index in range(count):
        write = good_response if rng.random() < share_good else rng.choice(WEAK_RESPONSES)
        found.append(Completion(id=f"c{index}", text=write(WORLD, rng, task_of(prompt))))
    return found


def _agreement(first_group, second_group, seed):
    """Share of comparisons that two different labelers judge alike, a tie being a judgment of its own."""
    rng = Random(seed)
    alike = total = 0
    for prompt in PROMPTS:
        a, b = _completions(prompt, rng)
        first = rng.choice(first_group)
        second = rng.choice([labeler for labeler in second_group if labeler is not first])
        outcomes = [prefer(WORLD, prompt, a, b, labeler, rng, "training") for labeler in (first, second)]
        alike += outcomes[0] == outcomes[1]
        total += 1
    return alike / total


def test_forty_training_labelers_and_ten_held_out_ones():
    assert (len(TRAINING), len(HELD_OUT)) == (40, 10)
    assert len({labeler.id for labeler in EVERYBODY}) == 50
    assert all(labeler.id.startswith("simulated") for labeler in EVERYBODY)
    assert labelers(0) == EVERYBODY and labelers(1) != EVERYBODY


def test_agreement_is_near_the_papers():
    assert 0.68 < _agreement(TRAINING, TRAINING, 1) < 0.78
    assert 0.68 < _agreement(HELD_OUT, HELD_OUT, 2) < 0.80
    assert 0.66 < _agreement(TRAINING, HELD_OUT, 3) < 0.78


def test_held_out_labelers_have_another_mix_of_tastes():
    def mean(group):
        return sum(labeler.length_taste for labeler in group) / len(group)

    assert mean(TRAINING) > 0.0 > mean(HELD_OUT)


def test_demonstrations_are_mostly_good_and_sometimes_not():
    rng = Random(4)
    values = []
    for prompt in PROMPTS:
        demonstration = demonstrate(WORLD, prompt, rng.choice(TRAINING), rng)
        assert demonstration.prompt == prompt.text and demonstration.prompt_id == prompt.id
        values.append(judge(WORLD, task_of(prompt), demonstration.response, is_complete=True).helpfulness)
    assert 0.04 < sum(value < 0.7 for value in values) / len(values) < 0.18
    assert sum(values) / len(values) > 0.85


def test_rankings_are_valid_and_put_the_good_before_the_bad():
    rng = Random(5)
    right = total = 0
    for prompt in PROMPTS[:250]:
        completions = _completions(prompt, rng, count=5)
        ranking = rank(WORLD, prompt, completions, [True] * 5, rng.choice(TRAINING), rng)
        assert sorted(ranking.display_order) == sorted(completion.id for completion in completions)
        truth = [judge(WORLD, task_of(prompt), item.text, is_complete=True).helpfulness for item in completions]
        for chosen, rejected in ranking.pairs():
            if abs(truth[chosen] - truth[rejected]) > 0.5:
                right += truth[chosen] > truth[rejected]
                total += 1
    assert total > 500 and right / total > 0.93


def test_identical_completions_are_often_tied_and_never_with_a_lean():
    rng = Random(6)
    text = good_response(WORLD, rng, task_of(PROMPTS[0]))
    outcomes = [
        prefer(WORLD, PROMPTS[0], Completion(id="a", text=text), Completion(id="b", text=text), labeler, rng)
        for labeler in EVERYBODY * 10
    ]
    assert outcomes.count(0.5) > 40
    assert abs(outcomes.count(1.0) - outcomes.count(0.0)) < 90  # four standard deviations of a fair coin


def test_a_response_without_end_is_liked_less():
    rng = Random(7)
    wins = 0.0
    for prompt in PROMPTS[:200]:
        text = good_response(WORLD, rng, task_of(prompt))
        a, b = Completion(id="a", text=text), Completion(id="b", text=text)
        wins += prefer(WORLD, prompt, a, b, rng.choice(TRAINING), rng, complete=(True, False))
    assert wins / 200 > 0.9


def test_evaluation_puts_truth_before_help():
    """A false but fluent reply loses to "I do not know." more often in evaluation than in training labels."""
    rng = Random(8)
    prompts = [prompt for prompt in PROMPTS if task_of(prompt)["kind"] == "misconception"]
    shares = {}
    for priorities in ("training", "evaluation"):
        outcomes = []
        for prompt in prompts * 12:
            item = WORLD.misconception_by_question[task_of(prompt)["question"]]
            a, b = Completion(id="a", text=item.falsehood), Completion(id="b", text="I do not know.")
            outcomes.append(prefer(WORLD, prompt, a, b, rng.choice(TRAINING), rng, priorities))
        shares[priorities] = sum(outcomes) / len(outcomes)
    assert shares["evaluation"] < shares["training"] - 0.1


def test_ratings_spread_over_the_scale_and_flags_err_rarely():
    rng = Random(9)
    good, bad, errors = [], [], 0
    for prompt in PROMPTS[:300]:
        labeler = rng.choice(TRAINING)
        fine = Completion(id="a", text=good_response(WORLD, rng, task_of(prompt)))
        rating = rate(WORLD, prompt, fine, True, labeler, rng)
        task = task_of(prompt)
        assert ("hallucination" in rating.flags) == (task["kind"] in WITH_A_TEXT)
        assert ("satisfies_constraint" in rating.flags) == bool(task["constraints"])
        assert set(FLAGS) - set(rating.flags) <= {"hallucination", "satisfies_constraint"}
        good.append(rating.overall)
        errors += rating.flags["inappropriate_for_customer_assistant"]
        poor = Completion(id="b", text="bell the the of, plums")
        bad.append(rate(WORLD, prompt, poor, True, labeler, rng).overall)
    assert sum(good) / 300 > 5.5 and sum(bad) / 300 < 2.5
    assert errors / 300 < 0.08


@pytest.mark.parametrize("count", [4, 6])
def test_every_pair_of_a_ranking_is_either_ordered_or_tied(count):
    rng = Random(10)
    ranking = rank(WORLD, PROMPTS[3], _completions(PROMPTS[3], rng, count), [True] * count, TRAINING[0], rng)
    group_of = {identity: index for index, group in enumerate(ranking.ranking) for identity in group}
    ties = sum(group_of[a] == group_of[b] for a, b in combinations(group_of, 2))
    assert len(ranking.pairs()) + ties == count * (count - 1) // 2
