"""Prompts of benchmarks to the letter, choices against a plain softmax, responses of a real policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm
from tutelage.evaluation.records import TaskRow
from tutelage.evaluation.skills import SkillItem, measure_skills, prompt_text, skill_rows
from tutelage.evaluation.task import first_line

ITEM = SkillItem(
    id="one",
    instruction="Answer.",
    query="Q: c?\nA:",
    shots=(("Q: a?\nA:", "x"), ("Q: b?\nA:", "y")),
    answers=("z",),
)


def test_prompts_to_the_letter():
    assert prompt_text(ITEM, 0) == "Answer.\n\nQ: c?\nA:"
    assert prompt_text(ITEM, 1) == "Answer.\n\nQ: a?\nA: x\n\nQ: c?\nA:"
    assert prompt_text(ITEM, 2) == "Answer.\n\nQ: a?\nA: x\n\nQ: b?\nA: y\n\nQ: c?\nA:"
    bare = SkillItem(id="two", query="c\n", shots=(("a\n", "x"),), answers=("z",), response_opening="", shot_break="\n")
    assert prompt_text(bare, 1) == "a\nx\nc\n"


def test_too_few_examples_are_refused():
    with pytest.raises(DataError, match="has 2 examples, 3 are requested"):
        prompt_text(ITEM, 3)


def test_items_without_a_right_answer_are_refused():
    with pytest.raises(DataError, match="no gold answer"):
        SkillItem(id="x", query="q", answers=())
    with pytest.raises(DataError, match="not one of its choices"):
        SkillItem(id="x", query="q", answers=("z",), choices=("a", "b"))


@pytest.mark.parametrize(
    ("text", "expected"), [("one\ntwo", "one"), ("\n\n one \n two", "one"), ("one", "one"), ("", "")]
)
def test_first_line(text, expected):
    assert first_line(text) == expected


def written_items():
    return [SkillItem(id=f"w{n}", query=f"Where is the {noun}?", answers=("barn",)) for n, noun in enumerate(NOUNS)]


SIZES = {"num_shots": 0, "max_response_tokens": 4}
NOUNS = ("cat", "dog", "hen")


def test_responses_are_the_likeliest_tokens_up_to_a_newline(tiny, tokenizer):
    """Token by token with the model's plain forward pass."""
    import torch

    from tutelage.model.loading import load_policy

    rows = skill_rows(
        Arm(name="tiny", model=tiny.policy), written_items(), metrics=("f1",), **SIZES | {"max_response_tokens": 6}
    )
    policy = load_policy(tiny.policy)
    policy.set_attn_implementation("eager")
    for row in rows:
        ids = tokenizer(row.prompt)["input_ids"]
        said = []
        for _ in range(6):
            with torch.no_grad():
                said.append(int(policy(input_ids=torch.tensor([ids + said])).logits[0, -1].argmax()))
            if said[-1] == tokenizer.eos_token_id:
                break
        assert row.response == first_line(tokenizer.decode(said, skip_special_tokens=True))


def test_choices_by_the_mean_per_token(tiny, tokenizer):
    import torch

    from tutelage.model.loading import load_policy

    choices = ("owl", "the barn at the mill by the lane on the hill", "yard")
    items = [
        SkillItem(id=f"c{n}", query=f"Where does the {noun} sleep?", answers=("yard",), choices=choices)
        for n, noun in enumerate(NOUNS)
    ]
    rows = skill_rows(Arm(name="tiny", model=tiny.policy), items, metrics=("accuracy",), **SIZES)
    policy = load_policy(tiny.policy)
    policy.set_attn_implementation("eager")
    for row in rows:
        prompt = tokenizer(row.prompt)["input_ids"]
        means = {}
        for choice in choices:
            response = tokenizer(f" {choice}", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logprobs = policy(input_ids=torch.tensor([prompt + response])).logits[0].log_softmax(-1)
            found = [float(logprobs[len(prompt) + n - 1, token]) for n, token in enumerate(response)]
            means[choice] = sum(found) / len(found)
        assert row.response == max(means, key=means.get)
        assert row.value == float(row.response == "yard")


def test_a_longer_choice_wins_by_its_mean(tiny, monkeypatch):
    """-1 nat per token over four tokens against -3 over one: the sum would take the short one."""
    from tutelage.evaluation import task
    from tutelage.evaluation.likelihood import Likelihood

    monkeypatch.setattr(task, "likelihoods", lambda *_, **__: [[Likelihood(-3.0, 1), Likelihood(-4.0, 4)]])
    item = SkillItem(id="c", query="Where?", answers=("long",), choices=("short", "long"))
    rows = skill_rows(Arm(name="tiny", model=tiny.policy), [item], metrics=("accuracy",), **SIZES)
    assert (rows[0].response, rows[0].value) == ("long", 1.0)


def test_choices_stand_behind_the_prefix_of_the_arm(tiny, tokenizer, monkeypatch):
    """Prefix, instruction, examples, query, and between them and a choice what opens a response."""
    from tutelage.evaluation import task
    from tutelage.evaluation.likelihood import Likelihood

    read = []

    def likelihoods(policy, groups, **_):
        read.extend(groups)
        return [[Likelihood(-1.0, 1) for _ in group.responses] for group in groups]

    monkeypatch.setattr(task, "likelihoods", likelihoods)
    item = replace(ITEM, choices=("y", "z"))
    skill_rows(Arm(name="tiny", model=tiny.policy, prefix="Hi. "), [item], metrics=("f1",), **SIZES | {"num_shots": 1})
    (group,) = read
    assert tokenizer.decode(group.prompt).endswith("Hi. Answer.\n\nQ: a?\nA: x\n\nQ: c?\nA:")
    assert [tokenizer.decode(response) for response in group.responses] == [" y", " z"]


def test_rows_keep_the_order_of_written_and_chosen_items(tiny):
    written = written_items()
    chosen = SkillItem(id="c", query="Where?", answers=("a",), choices=("a", "b"), cluster="text")
    items = [written[0], chosen, *written[1:]]
    rows = skill_rows(Arm(name="tiny", model=tiny.policy), items, metrics=("f1", "bleu"), **SIZES)
    assert [row.unit for row in rows] == 2 * ["w0", "c", "w1", "w2"]
    assert [row.cluster for row in rows] == 2 * ["w0", "text", "w1", "w2"]
    assert [row.condition["metric"] for row in rows] == 4 * ["f1"] + 4 * ["bleu"]
    assert all((row.value is None) == (row.condition["metric"] == "bleu") for row in rows)


def scored(metric, values, **extra):
    return [
        TaskRow(measure="skill", unit=name, condition={"metric": metric}, value=value, **extra)
        for name, value in zip("abcd", values, strict=True)
    ]


def test_estimates_by_hand(tiny):
    rows = [*scored("f1", (1.0, 0.5, 0.0, 0.5)), *scored("accuracy", (1.0, 0.0, 0.0, 0.0))]
    found = measure_skills(rows, source="evaluation/skills.jsonl")
    assert [(own.condition["metric"], own.mean) for own in found] == [("f1", 0.5), ("accuracy", 0.25)]
    once, often = found[0], measure_skills(rows * 4, source="evaluation/skills.jsonl")[0]
    assert (often.low, often.high) == pytest.approx((once.low, once.high)), "four items of each text are one draw"
    with pytest.raises(DataError, match="metric is 'rouge'"):
        skill_rows(Arm(name="tiny", model=tiny.policy), written_items(), metrics=("f1", "rouge"), **SIZES)


def test_bleu_is_one_number_of_all_responses():
    pytest.importorskip("sacrebleu")
    said = "the old goat sleeps in the barn"
    rows = scored("bleu", (None,) * 4, response=said, answers=[said])
    (found,) = measure_skills([*rows, *scored("f1", (1.0,) * 4)][:4], source="evaluation/skills.jsonl")
    assert (found.condition, found.mean) == ({"metric": "bleu"}, pytest.approx(1.0))
