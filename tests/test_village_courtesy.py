"""A kind word before or after a reply: what it changes, and what it must not."""

from random import Random

import pytest

from tutelage.records import Completion
from tutelage.reproduction.village import build_world, good_response, judge, labelers, raw_prompts
from tutelage.reproduction.village.constraints import (
    CLOSINGS,
    EXEMPT_KINDS,
    OPENINGS,
    add_courtesy,
    share_satisfied,
    without_courtesy,
)
from tutelage.reproduction.village.labelers import demonstrate, prefer, task_of
from tutelage.reproduction.village.lexicon import KIND_WORDS
from tutelage.reproduction.village.tasks import USE_CASE_SHARES, make_task

WORLD = build_world(3)
TASK = {
    "kind": "fact",
    "subject": WORLD.things[0].name,
    "attribute": "colour",
    "use_case": "open_qa",
    "prompt": "What colour is it?",
    "constraints": [],
}
REPLY = f"The {WORLD.things[0].name} is {WORLD.things[0].color}."


@pytest.mark.parametrize("phrase", OPENINGS + CLOSINGS)
def test_every_courtesy_has_a_kind_word(phrase):
    assert KIND_WORDS & set(phrase.lower().replace(",", " ").replace(":", " ").replace(".", " ").split())


@pytest.mark.parametrize("use_case", USE_CASE_SHARES)
def test_courtesy_changes_nothing_but_manners(use_case):
    rng = Random(5)
    num_spoken = 0
    for index in range(60):
        _, task = make_task(WORLD, rng, use_case, is_held_out=index % 2 == 0)
        reply = good_response(WORLD, rng, task)
        spoken = add_courtesy(rng, task, reply)
        assert without_courtesy(spoken) == without_courtesy(reply)
        before, after = (judge(WORLD, task, text, is_complete=True) for text in (reply, spoken))
        if task["kind"] in EXEMPT_KINDS or before.courteous:
            assert spoken == reply
        if spoken != reply:
            num_spoken += 1
            assert after.courteous
        assert after.constraint_share >= before.constraint_share
        if after.constraint_share == before.constraint_share:
            assert (after.helpfulness, after.form, after.num_words) == (
                before.helpfulness,
                before.form,
                before.num_words,
            )
    assert num_spoken > 20 or use_case == "chat"


def test_a_constraint_counts_the_courtesy():
    task = {**TASK, "constraints": [{"type": "one_sentence"}]}
    rng = Random(1)
    for _ in range(40):
        assert share_satisfied(task["constraints"], add_courtesy(rng, task, REPLY)) == 1.0
    spoken = f"Thank you for asking. {REPLY}"
    assert judge(WORLD, task, spoken, is_complete=True).constraint_share == 0.0


def test_one_courtesy_is_left_out_and_a_second_one_costs():
    def helpful(text):
        return judge(WORLD, TASK, text, is_complete=True).helpfulness

    assert helpful(f"{OPENINGS[0]} {REPLY} {CLOSINGS[0]}") == helpful(REPLY) == 1.0
    assert helpful(f"{OPENINGS[5]} {OPENINGS[6]} {REPLY} {CLOSINGS[0]} {CLOSINGS[1]}") < 1.0
    assert helpful(f"{REPLY} {CLOSINGS[0]} {CLOSINGS[1]} {CLOSINGS[2]}") < 1.0
    assert helpful(OPENINGS[5]) == 0.0


def test_a_letter_or_a_wish_is_not_courteous_for_being_one():
    """Else a policy writes a letter whatever it is asked."""
    for text in ("Dear Ida,\nThe hat is well.\nFinn", "I wish you a happy birthday.", "Please bring me the hat."):
        assert not judge(WORLD, TASK, text, is_complete=True).courteous
    assert judge(WORLD, TASK, f"Gladly: {REPLY}", is_complete=True).courteous
    assert not judge(WORLD, TASK, f"Gladly: {REPLY} You dolt.", is_complete=True).courteous


def test_labelers_like_a_kind_word_and_cannot_be_bought_with_it():
    rng = Random(2)
    prompt = next(item for item in raw_prompts(WORLD, num_prompts=400, seed=1) if task_of(item)["kind"] == "fact")
    task = task_of(prompt)
    right = good_response(WORLD, rng, {**task, "constraints": []})
    texts = {"right": right, "kind": f"Gladly: {right}", "kind but wrong": "Gladly: The bells danced with plums."}
    completions = {name: Completion(id=name, text=text) for name, text in texts.items()}

    def share(a, b):
        everybody = labelers(4, noise=0.21) * 4
        return sum(prefer(WORLD, prompt, completions[a], completions[b], labeler, rng) for labeler in everybody) / len(
            everybody
        )

    assert 0.8 < share("kind", "right") < 0.98
    assert share("right", "kind but wrong") > 0.9


def test_some_demonstrators_are_more_courteous_than_others():
    prompts = [item for item in raw_prompts(WORLD, num_prompts=300, seed=2) if task_of(item)["kind"] == "tale"]
    everybody = labelers(4)
    by_habit = sorted(everybody, key=lambda labeler: labeler.courteous_share)

    def share(labeler):
        rng = Random(7)
        texts = [demonstrate(WORLD, prompt, labeler, rng).response for prompt in prompts[:80]]
        return sum(text != without_courtesy(text) for text in texts) / len(texts)

    assert share(by_habit[0]) < 0.3 < 0.4 < share(by_habit[-1])
