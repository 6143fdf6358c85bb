"""`tutelage run` on files: the village's records replayed give its policies bit for bit; killed anywhere it goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch", reason="the run trains")


from processes import Command, tutelage
from test_reproduction import SMALL, arguments
from tutelage.config import load_config
from tutelage.recipes import recipe_path
from tutelage.reproduction.config import VillageConfig
from tutelage.reproduction.experiment import Reproduction
from tutelage.reproduction.inputs import write_world
from tutelage.workflow.config import RunConfig
from tutelage.workflow.paper import run_paper
from tutelage.workflow.steps import Steps

POLICIES = ("pretrain", "sft_first", "ppo_init", "sft", "ppo", "ppo_ptx")
ARMS = {"base", "prompted", "sft", "ppo", "ppo_ptx"}


class Village:
    """The world of a tiny quickstart, and its recipe as that of a run on any data."""

    def __init__(self, folder: Path) -> None:
        quick = load_config(
            VillageConfig, recipe_path("quickstart"), [f"{key}={value}" for key, value in SMALL.items()]
        )
        with Steps(folder / "inputs") as steps:
            made = Reproduction(quick, folder / "inputs", steps, seed=0)
            write_world(made)
        self.config, self.world = made.config.model_copy(update={"out": folder / "run"}), made.world


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Village, RunConfig, dict[str, Any]]:
    """A run with the village handed in, and what it found."""
    made = Village(tmp_path_factory.mktemp("village"))
    return made, made.config, run_paper(made.config, world=made.world)


@pytest.fixture(scope="module")
def replayed(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The village's records as files, and a recipe that reads them; nobody judges."""
    config, folder = simulated[1], tmp_path_factory.mktemp("replayed")
    for name in ("demonstrations", "demonstrations_valid", "rankings", "rankings_valid"):
        (folder / f"{name}.jsonl").write_bytes((config.out / "data" / f"{name}.jsonl").read_bytes())
    (folder / "prompts.jsonl").write_bytes((config.out / "prompts/prompts.jsonl").read_bytes())
    (folder / "text.txt").write_bytes(config.pretraining_text.read_bytes())
    recipe = config.model_dump(mode="json", exclude_unset=True)
    del recipe["curation"]
    recipe |= {name: str(folder / f"{name}.jsonl") for name in ("prompts", "demonstrations", "rankings")}
    recipe |= {f"{name}_validation": str(folder / f"{name}_valid.jsonl") for name in ("demonstrations", "rankings")}
    recipe |= {"pretraining_text": str(folder / "text.txt"), "out": str(folder / "run")}
    recipe["reward"]["checkpoint_every_num_steps"] = 2
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path, folder / "run"


def files_of(out: Path, *patterns: str) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for pattern in patterns for p in sorted(out.glob(pattern))}


def steps_in(stderr: str) -> list[str]:
    return re.findall(r"^\[(\w+)\]", stderr, re.MULTILINE)


def test_the_village_handed_in_gives_every_number(simulated: Any) -> None:
    _, config, summary = simulated
    assert set(summary["win_rate_vs_sft"]) == ARMS - {"sft"}
    assert all(found["n"] == 8 * 2 for found in summary["win_rate_vs_sft"].values())
    assert set(summary["win_rate_vs_sft_length_controlled"]) == ARMS - {"sft"}
    assert set(summary["response_tokens"]) == ARMS
    assert set(summary["pretraining_loss"]) == ARMS - {"prompted"}
    assert set(summary["kl_to_reference"]) == ARMS - {"prompted"}
    assert summary["judged_by"] == "heldout" and summary["simulated_labelers"] is True
    assert json.loads((config.out / "summary.json").read_text()) == summary
    lengths = {row["arm"]: [] for row in rows(config.out, "completions")}
    for row in rows(config.out, "completions"):
        lengths[row["arm"]].append(row["num_tokens"])
    for arm, own in lengths.items():
        assert summary["response_tokens"][arm]["mean"] == pytest.approx(sum(own) / 8)
    tokens = {(row["arm"], row["prompt_id"]): row["num_tokens"] for row in rows(config.out, "completions")}
    for row in rows(config.out, "comparisons"):
        name = row["prompt_id"]
        assert row["length_difference"] == tokens[row["arm"], name] - tokens["sft", name]


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"evaluation/{name}.jsonl").read_text().splitlines()]


def test_the_quickstart_is_this_run_bit_for_bit(simulated: Any, tmp_path: Path) -> None:
    """Every policy, what its labelers wrote, how they judged, and what was measured."""
    _, config, summary = simulated
    outcome = tutelage(*arguments(tmp_path / "run"), folder=tmp_path)
    assert outcome.status == 0, outcome.stderr
    data = ("demonstrations", "demonstrations_valid", "completions_train", "completions_valid", "rankings")
    patterns = [f"data/{name}.jsonl" for name in (*data, "rankings_valid")]
    patterns += ["prompts/prompts.jsonl", *(f"{stage}/model/*" for stage in (*POLICIES, "reward"))]
    expected, found = files_of(tmp_path / "run", *patterns), files_of(config.out, *patterns)
    assert len(expected) > 40
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    quick = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["win_rate_vs_sft"] == quick["win_rate_vs_sft"]
    for key in ("kl_to_reference", "pretraining_loss"):
        assert {arm: own["mean"] for arm, own in summary[key].items()} == quick[key]


def test_a_finished_run_does_nothing(simulated: Any, capsys: pytest.CaptureFixture) -> None:
    made, config, summary = simulated
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*") if path.name != "summary.json"}
    again = run_paper(config, world=made.world)
    assert steps_in(capsys.readouterr().err) == []
    assert {
        path: path.stat().st_mtime_ns for path in before if path.exists() and path.is_file()
    }.items() <= before.items()
    assert {key: again[key] for key in again if key != "peak_memory_gib"} == {
        key: summary[key] for key in summary if key != "peak_memory_gib"
    }


def test_its_records_replayed_from_files_give_the_same_policies_bit_for_bit(simulated: Any, replayed: Any) -> None:
    """Killed in the reward model's training, and again at its end, as well."""
    path, out = replayed
    metrics, answers = out / "reward/metrics.jsonl", out / "evaluation/completions.jsonl"
    first = Command(["run", path], path.parent).kill_when(
        lambda: metrics.exists() and metrics.read_bytes().count(b"\n") > 2
    )
    assert first.status == -9
    second = Command(["run", path], path.parent).kill_when(answers.exists)
    assert second.status == -9
    assert steps_in(second.stderr)[0] == "reward"
    third = tutelage("run", path, folder=path.parent)
    assert third.status == 0, third.stderr
    assert set(steps_in(third.stderr)) <= {"answers", "divergence", "text_loss", "measurements"}

    expected, found = simulated[1].out, out
    for stage in (*POLICIES, "reward"):
        own = files_of(expected, f"{stage}/model/*", f"{stage}/metrics.jsonl")
        assert len(own) > 4
        assert files_of(found, f"{stage}/model/*", f"{stage}/metrics.jsonl") == own, stage
    same = files_of(expected, "evaluation/completions.jsonl", "evaluation/kl_to_reference.jsonl")
    assert files_of(found, "evaluation/completions.jsonl", "evaluation/kl_to_reference.jsonl") == same
    assert list(out.rglob(".*partial*")) == []


def test_a_reward_model_judges_on_rankings_that_ppo_has_not_seen(replayed: Any) -> None:
    """The half of PPO's reward model is another one than without a judge, and trained again; the base model is not."""
    path, out = replayed
    outcome = tutelage("run", path, "--set", "judge=reward_model", folder=path.parent)
    assert outcome.status == 0, outcome.stderr
    done = steps_in(outcome.stderr)
    assert not {"prompts", "pretrain", "demonstrations", "sft_first", "ppo_init"} & set(done)
    assert {"rankings", "reward", "judge_model", "ppo", "judgements"} <= set(done)
    halves = [
        {json.loads(line)["prompt"] for line in (out / f"data/{name}.jsonl").read_text().splitlines()}
        for name in ("rankings", "rankings_judge")
    ]
    assert not halves[0] & halves[1]
    assert min(map(len, halves)) > 0.3 * len(halves[0] | halves[1])
    judge = json.loads((out / "summary.json").read_text())["judge"]
    stage = json.loads((out / "judge_model/summary.json").read_text())
    unseen = [json.loads(line)["ranking"] for line in (out / "data/rankings.jsonl").read_text().splitlines()]
    assert judge["num_held_out"] == stage["num_validation"] == sum(len(groups) > 1 for groups in unseen)
    assert 0 <= judge["accuracy"]["low"] < judge["accuracy"]["mean"] < judge["accuracy"]["high"] <= 1
    assert f"it agrees with the labelers on {100 * judge['accuracy']['mean']:.1f}" in " ".join(outcome.stdout.split())
    page = (out / "report.html").read_text()
    assert "At equal lengths" in page
    assert tutelage("report", out, folder=path.parent).status == 0
    assert (out / "report.html").read_text() == page


def test_one_changed_setting_does_what_rests_on_it(replayed: Any) -> None:
    path, out = replayed
    command = ("run", path, "--set", "judge=reward_model", "--set", "ppo_ptx.ptx.coef=0.5")
    outcome = tutelage(*command, folder=path.parent)
    assert outcome.status == 0, outcome.stderr
    assert "[ppo_ptx] again: ptx.coef changed" in outcome.stderr
    done = steps_in(outcome.stderr)
    # What it says changes too little to show in eight completions, and then nobody judges again.
    assert done[:2] == ["ppo_ptx", "answers"] and {"divergence", "text_loss"} <= set(done)
    assert set(done) <= {"ppo_ptx", "answers", "judgements", "divergence", "text_loss", "measurements"}
    redone = tutelage(*command, "--redo", "divergence", folder=path.parent)
    assert steps_in(redone.stderr) == ["divergence", "text_loss", "measurements"]
    unjudged = tutelage("run", path, "--set", "judge=nobody", folder=path.parent)
    assert "Judged by: nobody." in unjudged.stdout
    assert not (out / "evaluation/comparisons.jsonl").exists(), "no report shows them as this run's"
    assert json.loads((out / "summary.json").read_text())["win_rate_vs_sft"] == {}
