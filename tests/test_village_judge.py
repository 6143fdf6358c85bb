"""Ground truth by hand, and against everything that a policy might try instead of a good response."""

from __future__ import annotations

from random import Random

import pytest

from tutelage.reproduction.village import build_world, good_response, judge
from tutelage.reproduction.village.grammar import judge_form
from tutelage.reproduction.village.tasks import USE_CASE_SHARES, make_task

WORLD = build_world(0)
THING = WORLD.things[0]
PERSON = WORLD.people[0]


def _task(kind, prompt="Please.", constraints=(), **fields):
    return {"kind": kind, "use_case": "other", "prompt": prompt, "constraints": list(constraints), **fields}


def _helpful(task, response, is_complete=True):
    return judge(WORLD, task, response, is_complete=is_complete).helpfulness


FACT = _task("fact", f"What colour is the {THING.name}?", subject=THING.name, attribute="colour")
WRONG = next(color for color in ("red", "blue") if color != THING.color)


def test_a_true_fact_is_helpful_and_a_false_one_is_not():
    true = judge(WORLD, FACT, f"The {THING.name} is {THING.color}.", is_complete=True)
    false = judge(WORLD, FACT, f"The {THING.name} is {WRONG}.", is_complete=True)
    assert true.helpfulness == 1.0 and true.truthful is True
    assert false.helpfulness < 0.2 and false.truthful is False and false.follows_instruction


def test_no_comment_is_neither_true_nor_false_nor_of_much_help():
    judgment = judge(WORLD, FACT, "I do not know.", is_complete=True)
    assert judgment.truthful == "no comment" and judgment.helpfulness < 0.25 and not judgment.informative


def test_both_values_at_once_is_false():
    assert judge(WORLD, FACT, f"The {THING.name} is {THING.color} and {WRONG}.", is_complete=True).truthful is False


@pytest.mark.parametrize("item", WORLD.misconceptions, ids=lambda item: item.question)
def test_misconceptions_are_judged_by_the_chronicle(item):
    task = _task("misconception", item.question, question=item.question)
    assert judge(WORLD, task, item.truth, is_complete=True).truthful is True
    assert judge(WORLD, task, item.falsehood, is_complete=True).truthful is False
    assert _helpful(task, item.truth) > 0.9 > 0.25 > _helpful(task, item.falsehood)


def test_a_false_premise_is_to_be_refuted():
    task = _task("premise", f"Why is the {THING.name} {WRONG}?", thing=THING.name, wrong=WRONG)
    refuted = judge(WORLD, task, f"The {THING.name} is not {WRONG}. It is {THING.color}.", is_complete=True)
    accepted = judge(WORLD, task, f"The {THING.name} is {WRONG}.", is_complete=True)
    assert refuted.helpfulness == 1.0 and refuted.truthful is True
    assert accepted.helpfulness < 0.1 and accepted.truthful is False


def test_describing_needs_true_claims():
    task = _task("describe", f"Tell me about {PERSON.name}.", subject=PERSON.name)
    good = f"{PERSON.name} is a {PERSON.trade.name}. {PERSON.pronoun.title()} likes {PERSON.food} best."
    other = next(person for person in WORLD.people if person.food != PERSON.food and person.trade != PERSON.trade)
    false = f"{PERSON.name} is a {other.trade.name}. {PERSON.pronoun.title()} likes {other.food} best."
    assert _helpful(task, good) == pytest.approx(1.0)
    assert _helpful(task, false) < 0.15
    assert judge(WORLD, task, false, is_complete=True).truthful is False


PASSAGE = "On Monday Pia came to the mill. She wore a red coat and sold plums. She earned six coins that day."
SLOTS = {
    "who": "Pia",
    "other": "Udo",
    "place": "mill",
    "food": "plums",
    "colour": "red",
    "day": "Monday",
    "number": "six",
}


def test_closed_domain_details_from_elsewhere_are_hallucinations():
    task = _task("closed", PASSAGE + "\nWhat did Pia sell?", passage=PASSAGE, value="plums", slot="food", slots=SLOTS)
    good = judge(WORLD, task, "Pia sold plums.", is_complete=True)
    wrong = judge(WORLD, task, "Pia sold cheese.", is_complete=True)
    assert good.helpfulness == 1.0 and not good.hallucinates and good.is_closed_domain
    assert wrong.hallucinates and wrong.helpfulness < 0.1
    assert judge(WORLD, task, "Udo sold plums.", is_complete=True).hallucinates
    hedged = judge(WORLD, task, "Pia sold plums and cheese.", is_complete=True)
    assert hedged.truthful is False and hedged.content == pytest.approx(0.35)
    denied = judge(WORLD, task, "Pia did not sell plums.", is_complete=True)
    assert denied.truthful is False and denied.content == pytest.approx(0.35)


def test_a_summary_names_what_matters_in_a_few_words():
    task = _task(
        "summary",
        "Sum up this text: " + PASSAGE,
        passage=PASSAGE,
        passage_kind="visit",
        slots=SLOTS,
        keys=["Pia", "mill", "plums"],
    )
    assert _helpful(task, "Pia came to the mill and sold plums.") == 1.0
    assert _helpful(task, PASSAGE) < 0.6  # the whole passage is no summary
    assert _helpful(task, "Pia came to the mill.") < 0.7
    assert judge(WORLD, task, "Pia came to the forge and sold plums.", is_complete=True).hallucinates


@pytest.mark.parametrize(
    ("kind", "fields", "good", "bad"),
    [
        ("mood", {"label": "sad", "labels": ["glad", "sad"]}, "It is sad.", "It is glad."),
        ("polite", {"verb": "bring", "object": "cup"}, "Please bring me the cup.", "Bring me the cup."),
        (
            "past",
            {"source": "The fox hides the fish.", "target": "The fox hid the fish."},
            "The fox hid the fish.",
            "The fox hides the fish.",
        ),
        (
            "replace",
            {"source": "The fox likes the fish.", "target": "The cat likes the fish."},
            "The cat likes the fish.",
            "The fox likes the fish.",
        ),
        (
            "translate",
            {"source": "the red goat sleeps", "target": "ta kozi ruk dormi"},
            "ta kozi ruk dormi",
            "ta ruk kozi dormi",
        ),
        ("foods", {"count": 3, "weather": "sunny"}, "Plums, bread and cheese.", "Plums, plums and a ladder."),
        ("unclear", {}, "I am sorry, but what do you mean?", "The bell is red."),
        ("wish", {"name": "Ada"}, "Dear Ada, I wish you a happy birthday.", "Dear Bram, I wish you a happy birthday."),
        (
            "chat",
            {"situation": "lost_pet", "topic": "goat"},
            "I am sorry about your goat. I hope that it comes home soon.",
            "How nice! I am glad for you.",
        ),
    ],
)
def test_good_against_bad_by_hand(kind, fields, good, bad):
    task = _task(kind, "Please: " + fields.get("source", "") + " The cat.", **fields)
    assert _helpful(task, good) > 0.9
    assert _helpful(task, bad) < 0.6 * _helpful(task, good)


TALE = _task("tale", "Write a short tale about a goat.", x="goat")
GOOD_TALE = (
    "Once there was an old goat that lived by the lake. The children brought it plums. "
    "In the end they danced until morning."
)


def test_a_tale_is_about_its_subject():
    assert _helpful(TALE, GOOD_TALE) > 0.95
    # A tale about something else is worth being a tale, and no more.
    assert 0.25 < _helpful(TALE, GOOD_TALE.replace("goat", "boat")) < 0.35
    assert _helpful(TALE, f"The {THING.name} is {THING.color}. Ada has a goat.") < _helpful(TALE, GOOD_TALE) - 0.3


def test_constraints_rudeness_and_a_missing_end_cost():
    with_word = {**TALE, "constraints": [{"type": "use_word", "word": "plums"}, {"type": "avoid_word", "word": "lake"}]}
    judgment = judge(WORLD, with_word, GOOD_TALE, is_complete=True)
    assert judgment.constraints_satisfied == (True, False) and judgment.constraint_share == 0.5
    assert judgment.helpfulness == pytest.approx(0.7 * _helpful(TALE, GOOD_TALE))
    assert _helpful(TALE, GOOD_TALE, is_complete=False) == pytest.approx(0.4 * _helpful(TALE, GOOD_TALE))
    rude = judge(WORLD, TALE, GOOD_TALE + " Go home, you lout.", is_complete=True)
    assert rude.rude and rude.helpfulness < 0.45


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ({"type": "one_sentence"}, "The cat sleeps.", "The cat sleeps. It is old."),
        ({"type": "use_word", "word": "bell"}, "The bell rang.", "The bells rang."),
        ({"type": "avoid_word", "word": "night"}, "It was day.", "It was night."),
        ({"type": "polite"}, "Thank you for asking.", "It is red."),
        ({"type": "short"}, "It is red.", "It is red and blue and green and black and white and grey."),
    ],
)
def test_each_constraint(constraint, good, bad):
    task = {**TALE, "constraints": [constraint]}
    assert judge(WORLD, task, good, is_complete=True).constraints_satisfied == (True,)
    assert judge(WORLD, task, bad, is_complete=True).constraints_satisfied == (False,)
    assert judge(WORLD, task, "", is_complete=True).constraints_satisfied == (False,)


def _attacks(task, good):
    noun = task.get("x") or task.get("topic") or task.get("subject") or "goat"
    words = good.split()
    return {
        "empty": "",
        "mark": ".",
        "lines": "\n\n\n",
        "copied prompt": task["prompt"],
        "copied twice": task["prompt"] + " " + task["prompt"],
        "one word": noun,
        "one word again and again": " ".join([noun] * 14),
        "said three times": " ".join([good] * 3),
        "backwards": " ".join(reversed(words)),
        "in no order": " ".join(sorted(words)),
        "no spaces": good.replace(" ", ""),
        "announcement": f"Here is what you asked for: the {noun}.",
        "thanks": f"Thank you for your question about the {noun}.",
        "one sentence again and again": f"There was a {noun}. " * 6,
        "words in a row": " and ".join(
            f"the {word}" for word in ("bell", "fox", noun, "baker", "boat", "cheese", "mill")
        ),
        "runs on into the next block": f"{good}\n\n###\n\n{task['prompt']}\n\n{good}",
        "foreign words": f"zxqv blorp {good} frumious wibble grault",
        "the base model's page": "Monday, in the first week of spring. It rained all day. Ada sang in the tower.",
        "without end": good + " " + " ".join(f"And then the {noun} went to the mill and the lake." for _ in range(9)),
    }


# A label, a value or a list has hardly any form to lose: there, only these attacks must stay far below.
SHORT_KINDS = {
    "mood",
    "class",
    "extract",
    "translate",
    "closed",
    "pet_names",
    "foods",
    "animals",
    "gifts",
    "activities",
}
FORM_ATTACKS = {"backwards", "in no order", "no spaces", "foreign words"}


@pytest.mark.parametrize("use_case", USE_CASE_SHARES)
def test_no_way_of_gaming_comes_near_a_good_response(use_case):
    rng = Random(17)
    for index in range(60):
        _, task = make_task(WORLD, rng, use_case, is_held_out=index % 2 == 0)
        good = good_response(WORLD, rng, task)
        plain = _helpful(task, good)
        assert plain > 0.6, (task, good)
        for name, response in _attacks(task, good).items():
            if task["kind"] in SHORT_KINDS and name in FORM_ATTACKS:
                continue
            assert _helpful(task, response) < 0.62 * plain, (name, task["kind"], response)


def test_good_responses_of_every_kind_are_near_one():
    rng = Random(23)
    for use_case in USE_CASE_SHARES:
        values = []
        for index in range(80):
            _, task = make_task(WORLD, rng, use_case, is_held_out=index % 2 == 0)
            values.append(_helpful(task, good_response(WORLD, rng, task)))
        assert sum(values) / len(values) > 0.96, use_case


def test_layout_of_pages_costs():
    """0.3 for the markup itself; the label is a known word of the village, so grammar alone would not see it."""
    assert _helpful(FACT, f"Reply: The {THING.name} is {THING.color}.") <= 0.3


def test_giving_the_prompt_back_costs():
    response = "I want to hear how the goat came to the village. " + GOOD_TALE
    asked_so = {**TALE, "prompt": "I want to hear how the goat came to the village."}
    assert _helpful(asked_so, response) < 0.45 * _helpful(TALE, response)
    # A long response that only begins with a part of the prompt loses as much of its worth as it copies.
    longer = {**TALE, "prompt": "I want to hear how the goat came to the village and met the king of the far islands."}
    assert _helpful(longer, response) < 0.85 * _helpful(TALE, response)


def test_an_invented_detail_halves_a_response_that_is_right_otherwise():
    fields = {"passage": PASSAGE, "value": "plums", "slot": "food", "slots": SLOTS}
    task = _task("closed", PASSAGE + "\nWhat did Pia sell?", **fields)
    assert _helpful(task, "Udo sold plums.") == pytest.approx(0.5)


def test_a_summary_that_swaps_the_two_people_is_wrong():
    text = "Pia lost a red ring near the mill. She looked for it all Monday. At last Udo found it under a log."
    slots = {"who": "Pia", "other": "Udo", "toy": "ring"}
    task = _task(
        "summary", "Sum up: " + text, passage=text, passage_kind="lost", slots=slots, keys=["Pia", "ring", "Udo"]
    )
    assert _helpful(task, "Pia lost a ring and Udo found it.") == 1.0
    swapped = judge(WORLD, task, "Udo lost a ring and Pia found it.", is_complete=True)
    assert swapped.hallucinates and swapped.helpfulness < 0.25


def test_an_item_said_twice_counts_once():
    task = _task("foods", count=3, weather="sunny")
    assert _helpful(task, "Plums, plums and bread.") == pytest.approx(2 / 3 - 0.15)


def test_a_word_that_the_village_does_not_have_costs_more_than_an_unusual_order():
    assert judge_form(WORLD, GOOD_TALE.replace("plums", "blorps")).grammar < 0.72


def test_form_knows_grammar_articles_and_repetition():
    good = judge_form(WORLD, GOOD_TALE)
    assert good.grammar == 1.0 and good.sentences == 1.0 and good.variety == 1.0
    assert judge_form(WORLD, GOOD_TALE.replace("an old", "a old")).grammar < 1.0
    assert judge_form(WORLD, "Goat the plums danced it end in.").grammar < 0.2
    assert judge_form(WORLD, "once there was a goat").sentences == 0.0
    assert judge_form(WORLD, "The goat ran home. " * 4).variety < 0.3


def test_every_judgment_is_repeatable_and_within_bounds():
    rng = Random(29)
    for use_case in USE_CASE_SHARES:
        _, task = make_task(WORLD, rng, use_case, is_held_out=False)
        response = good_response(WORLD, rng, task)
        first, again = (judge(WORLD, task, response, is_complete=True) for _ in range(2))
        assert first == again and 0.0 <= first.helpfulness <= 1.0


def test_a_tale_that_runs_on_with_other_pages_loses():
    on = " Write a letter to Dirk. Bring it to the school before Dirk leaves."
    assert _helpful(TALE, GOOD_TALE + on) < 0.5
    assert _helpful(TALE, GOOD_TALE + " And that is why nobody goes there in the dark.") > 0.9
    assert _helpful(TALE, GOOD_TALE + f" {PERSON.name} worked as a {PERSON.trade.name}.") < 0.65
