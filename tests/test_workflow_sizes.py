"""A run at several model sizes: who said what, who is compared with whom, and whose numbers a measurement is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="the workflow trains")

from tutelage.config import load_config
from tutelage.evaluation.measuring import win_rates
from tutelage.evaluation.records import EvaluatedComparison, EvaluatedRating, SizedArm
from tutelage.recipes import recipe_path
from tutelage.records import Completion, Prompt, Rating
from tutelage.reproduction.config import VillageConfig
from tutelage.reproduction.experiment import Reproduction
from tutelage.store.jsonl import read_records, write_records
from tutelage.workflow.answers import answers_of, completion_rows, read_answers
from tutelage.workflow.judging import _judge_arms
from tutelage.workflow.sources import Comparison

PROMPTS = {"instruct": [Prompt(id="p", text="P"), Prompt(id="q", text="Q")], "gpt": [Prompt(id="p", text="P")]}
ARMS, SIZES = ("sft", "ppo"), ("small", "large")


class Judge:
    """Prefers the longer text, and rates it by its length."""

    def compare(self, pairs: Sequence[tuple[Prompt, Completion, Completion]]) -> Iterator[Comparison]:
        for prompt, first, second in pairs:
            outcome = 0.5 + 0.5 * ((len(first.text) > len(second.text)) - (len(first.text) < len(second.text)))
            yield Comparison(
                prompt=prompt, first=first, second=second, labeler_id="x", labeler_group="heldout", outcome=outcome
            )

    def rate(self, completions: Sequence[tuple[Prompt, Completion]]) -> Iterator[tuple[Completion, Rating]]:
        for prompt, own in completions:
            yield own, Rating(prompt_id=prompt.id, completion_id=own.id, labeler_id="x", overall=len(own.text))


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Two sizes of two arms. The ids of completions are those of their texts, the same at both sizes."""

    def evaluation(size: str) -> Any:
        return lambda name: tmp_path / size / f"{name}.jsonl"

    views = [SimpleNamespace(size=size, evaluation=evaluation(size)) for size in SIZES]
    for view in views:
        rows = []
        for test_set, prompts in PROMPTS.items():
            for arm in ARMS:
                length = {"sft": 2, "ppo": 1 if view.size == "small" else 3}[arm]
                text = "x" * length
                own = [[Completion(id=f"{arm}-{text}", text=text, policy=arm, num_tokens=length)] for _ in prompts]
                own[-1:] = [[]] if (arm, view.size, test_set) == ("ppo", "large", "gpt") else own[-1:]
                rows += completion_rows(prompts, SizedArm(arm, view.size), own, test_set)
        write_records(view.evaluation("completions"), rows)
    baseline = SizedArm("sft", "large")
    arms = [SizedArm(arm, size) for size in SIZES for arm in ARMS]
    return SimpleNamespace(
        views=views,
        test_sets=tuple(PROMPTS),
        test_prompts=PROMPTS.__getitem__,
        evaluation=evaluation(""),
        contests=[(arm, baseline) for arm in arms if arm != baseline],
    )


def test_answers_are_told_apart_by_size_and_set(run: Any) -> None:
    answers = read_answers(run)
    assert [(own.test_set, own.prompt.id) for own in answers] == [("instruct", "p"), ("instruct", "q"), ("gpt", "p")]
    assert {arm: own.text for arm, own in answers[0].by_arm.items()} == {
        ("sft", "small"): "xx",
        ("ppo", "small"): "x",
        ("sft", "large"): "xx",
        ("ppo", "large"): "xxx",
    }
    assert SizedArm("ppo", "large") not in answers[2].by_arm, "it had no room for a response"
    prompts, completions = answers_of(answers, SizedArm("ppo", "large"))
    assert [prompt.id for prompt in prompts] == ["p", "q"] and [own.text for own in completions] == ["xxx"] * 2


def test_judgements_name_both_sizes(run: Any) -> None:
    counts = _judge_arms(run, Judge())
    rows = list(read_records(run.evaluation("comparisons"), EvaluatedComparison))
    # Two prompts of three contests, and one prompt of two.
    assert counts == {"comparisons": len(rows), "ratings": 11} and len(rows) == 8
    found = {(row.arm, row.size, row.baseline, row.baseline_size): row.mean for row in win_rates(rows)}
    assert found == {
        ("sft", "small", "sft", "large"): 0.5,
        ("ppo", "small", "sft", "large"): 0.0,
        ("ppo", "large", "sft", "large"): 1.0,
    }
    assert {row.distribution for row in rows if row.size == "small"} == {"instruct", "gpt"}
    ratings = read_records(run.evaluation("ratings"), EvaluatedRating)
    assert {(row.arm, row.size): row.overall for row in ratings} == {
        ("sft", "small"): 2,
        ("ppo", "small"): 1,
        ("sft", "large"): 2,
        ("ppo", "large"): 3,
    }


def test_the_sizes_of_a_reproduction_share_one_reward_model(tmp_path: Path) -> None:
    steps: Any = SimpleNamespace(progress={}, out=tmp_path)
    run = Reproduction(load_config(VillageConfig, recipe_path("full")), tmp_path, steps, seed=0)
    small, middle, large = run.views
    assert [view.size for view in run.training_order] == ["medium", "small", "large"]
    assert (small.owns_reward_model, middle.owns_reward_model, large.owns_reward_model) == (False, True, False)
    assert {view.model("reward") for view in run.views} == {tmp_path / "medium" / "reward" / "model"}
    assert small.ppo("ppo").reward_model == tmp_path / "medium" / "reward" / "model"
    assert small.ppo("ppo").policy == tmp_path / "small" / "ppo_init" / "model"
    widths = [view.pretraining().new_model.width for view in run.views]  # type: ignore[union-attr]
    assert widths == [64, 128, 192]
    assert {"flan", "t0", "dpo", "best_of_n"} & set(small.arms) == set()
    assert {"flan", "t0", "dpo", "best_of_n"} <= set(middle.arms)
    assert run.baseline == SizedArm("sft", "large")
    assert len(set(run.contests)) == len(run.contests)
    assert (SizedArm("ppo_ptx", "small"), SizedArm("base", "large")) in run.contests
