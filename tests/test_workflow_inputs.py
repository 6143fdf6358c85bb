"""What goes into `tutelage run`: its file, its prompts, and the halves of its rankings; nothing is trained here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch", reason="the run trains")

from tutelage.config import load_config
from tutelage.errors import ConfigError, DataError, ModelError
from tutelage.evaluation.records import EvaluatedComparison
from tutelage.records import Completion, Prompt, Ranking
from tutelage.store.jsonl import read_records
from tutelage.workflow.collection import part_by_prompt
from tutelage.workflow.config import RunConfig
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.judging import judge_arms
from tutelage.workflow.makers import make_world
from tutelage.workflow.paper import run_paper
from tutelage.workflow.sources import Comparison
from tutelage.workflow.steps import Steps


def test_prompts_keep_their_split_and_a_user_is_in_one(tmp_path: Path) -> None:
    prompts = [{"text": f"Name fruit {i}.", "user_id": f"u{i % 60}"} for i in range(300)]
    prompts += [{"text": "Name fruit 1.", "user_id": "u9"}, {"text": "A test.", "split": "test"}]
    prompts += [{"text": "A ranking.", "split": "train", "purpose": "reward"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    config = RunConfig.model_validate(
        {"out": tmp_path / "run", "base_model": "m", "prompts": str(tmp_path / "p.jsonl"), "demonstrations": "d",
         "rankings": "r", "arms": ["sft", "ppo"]}
    )  # fmt: skip
    make_world(config).prompts.collect(tmp_path / "out")
    found = list(read_records(tmp_path / "out/prompts.jsonl", Prompt))
    assert len(found) == 302
    by_text = {prompt.text: prompt for prompt in found}
    assert (by_text["A test."].split, by_text["A test."].purpose) == ("test", None)
    assert by_text["A ranking."].purpose == "reward"
    splits: dict[str, set[str]] = {}
    for prompt in found[:300]:
        splits.setdefault(prompt.user_id, set()).add(prompt.split)
    assert all(len(own) == 1 for own in splits.values())
    counts = {name: sum(prompt.split == name for prompt in found) for name in ("train", "valid", "test")}
    assert 200 <= counts["train"] <= 265 and counts["test"] >= 10 and counts["valid"] >= 10
    assert {prompt.purpose for prompt in found[:300] if prompt.split == "train"} == {"ppo"}


def test_test_prompts_that_were_trained_on_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    prompts = [{"text": f"Name fruit {i}.", "split": "test" if i < 10 else "train"} for i in range(20)]
    labels = [{"prompt": f"name  FRUIT {i}.", "response": "A pear."} for i in range(9, 30)]
    for name, rows in (("prompts", prompts), ("labels", labels)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = {name: str(tmp_path / f"{name}.jsonl") for name in ("prompts", "labels")}
    config = {"out": tmp_path / "run", "base_model": "none", "prompts": sources["prompts"], "arms": ["sft", "dpo"]}
    config |= {"demonstrations": sources["labels"], "rankings": "r.jsonl", "select_sft_by": "validation_loss"}
    with pytest.raises(DataError, match=r"1 of 10 test prompts .* \(10%\) are also prompts of the demonstrations"):
        run_paper(RunConfig.model_validate(config))
    with pytest.raises(ModelError):
        run_paper(RunConfig.model_validate(config | {"allow_prompt_overlap": True}))


def test_every_mistake_in_the_file_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    bad = {
        "out": "run",
        "prompts": "p.jsonl",
        "demonstrations": "d.jsonl",
        "rankings": "people",
        "rankings_validation": "v.jsonl",
        "arms": ["base", "prompted", "ppo_ptx"],
        "completions_per_prompt": [5, 4],
        "sft": {"num_epoch": 3, "model": "mine"},
        "ppo": {"num_episodes": 100, "episodes_per_step": 64},
    }
    path.write_text(yaml.safe_dump(bad))
    with pytest.raises(ConfigError) as error:
        load_config(RunConfig, path)
    for message in (
        "it must include sft",
        "two numbers from 2 to 9",
        "to train a base model",
        "by the arm ppo_ptx",
        "the arm prompted needs at least one",
        "rankings_validation is given",
        "sft.num_epoch: unknown name, value 3; did you mean 'num_epochs'?",
        "sft.model: is 'mine'; the run fills this in",
        "num_episodes 100 must be a multiple of episodes_per_step 64",
    ):
        assert message in str(error.value), message
    assert not (tmp_path / "run").exists()


def ranking(prompt: str, labeler: str) -> Ranking:
    completions = (Completion(id="a", text="A pear."), Completion(id="b", text="No."))
    return Ranking(prompt=prompt, completions=completions, ranking=(("a",), ("b",)), labeler_id=labeler)


def test_rankings_are_parted_by_prompt_whoever_ranked_and_however_it_is_written() -> None:
    rankings = [ranking(f"Name fruit {i}.", labeler) for i in range(200) for labeler in "xy"]
    rankings += [ranking(f"name  FRUIT {i}.", "z") for i in range(200)]
    first, second = part_by_prompt(rankings, 0)
    assert len(first) + len(second) == 600
    assert 0.4 < len(first) / 600 < 0.6
    halves = [{" ".join(each.prompt.lower().split()) for each in half} for half in (first, second)]
    assert not halves[0] & halves[1]
    assert part_by_prompt(rankings, 0) == (first, second)
    assert part_by_prompt(rankings, 1)[0] != first


@pytest.fixture
def run(tmp_path: Path) -> Any:
    config = RunConfig(
        out=tmp_path / "run", base_model="m", prompts="p.jsonl", demonstrations="d.jsonl", rankings="r.jsonl",
        arms=("sft", "ppo"), reward={"num_epochs": 2}, judge_model={"rankings_per_step": 8},
    )  # fmt: skip
    with Steps(config.out) as steps:
        yield Experiment(config, make_world(config), steps)


def test_the_judge_learns_from_one_half_and_is_held_out_on_the_other(run: Experiment) -> None:
    reward, judge = run.reward(), run.judge_model()
    assert (reward.rankings, judge.rankings) == (run.data("rankings"), run.data("rankings_judge"))
    assert judge.validation == run.data("rankings")
    assert (judge.num_epochs, judge.rankings_per_step, reward.rankings_per_step) == (2, 8, 64)
    assert judge.out != reward.out


class PrefersFirst:
    """A judge who always prefers the policy to the baseline."""

    needs: dict[str, Path | str] = {}
    settings: dict[str, Any] = {}

    def compare(self, pairs: Any) -> Any:
        for prompt, first, second in pairs:
            yield Comparison(prompt=prompt, first=first, second=second, labeler_id="l", labeler_group="g", outcome=1.0)

    def rate(self, completions: Any) -> Any:
        return ()


def test_an_arm_is_compared_with_sft_on_the_same_prompt_and_by_its_length(run: Experiment) -> None:
    prompts = [Prompt(id=f"p{i}", text=f"Prompt {i}", split="test") for i in range(3)]
    run.prompts_path.parent.mkdir()
    run.prompts_path.write_text("".join(prompt.model_dump_json() + "\n" for prompt in prompts))
    # PPO writes 10 tokens and one more each time, SFT 4; PPO had no room for a response to the last prompt.
    rows = [
        {"prompt_id": f"p{i}", "prompt": f"Prompt {i}", "arm": arm, "completion_id": f"{arm}{i}", "text": arm,
         "num_tokens": 4 if arm == "sft" else 10 + i}
        for arm, number in (("sft", 3), ("ppo", 2)) for i in range(number)
    ]  # fmt: skip
    run.evaluation("completions").parent.mkdir()
    run.evaluation("completions").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge_arms(run, PrefersFirst())
    found = list(read_records(run.evaluation("comparisons"), EvaluatedComparison))
    assert sorted((row.prompt_id, row.arm, row.baseline, row.model_extra["length_difference"]) for row in found) == [
        ("p0", "ppo", "sft", 6), ("p1", "ppo", "sft", 7)
    ]  # fmt: skip
    assert {(row.completion_id, row.baseline_id, row.outcome) for row in found} == {
        ("ppo0", "sft0", 1.0),
        ("ppo1", "sft1", 1.0),
    }
