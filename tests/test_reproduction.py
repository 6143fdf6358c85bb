"""The whole loop in its smallest form: what it leaves behind, and that it can be killed anywhere and go on."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch", reason="the pipeline trains")

from processes import Command, Outcome, tutelage

SMALL = {
    "num_documents": 400,
    "num_raw_prompts": 300,
    "prompts.purpose_shares.train_customer": "{sft: 1, reward: 1, ppo: 1}",
    "prompts.purpose_shares.valid_customer": "{sft: 1, reward: 1, ppo: 1}",
    "num_training_labelers": 6,
    "num_heldout_labelers": 4,
    "completions_per_prompt": [2, 3],
    "num_test_prompts": 8,
    "judgements_per_prompt": 2,
    "text.max_prompt_tokens": 200,
    "text.max_response_tokens": 64,
    "pretrain.num_steps": 6,
    "pretrain.tokens_per_step": 512,
    "pretrain.evaluate_every_num_steps": 0,
    "pretrain.new_model": "{vocab_size: 1024, width: 32, num_layers: 1, num_heads: 2, context_tokens: 512}",
    "sft.num_epochs": 1,
    "ppo_init.num_epochs": 1,
    "reward.checkpoint_every_num_steps": 4,
    "ppo.num_episodes": 32,
    "ppo.episodes_per_step": 16,
    "ppo.episodes_per_minibatch": 16,
}
STEPS = [
    *("world", "prompts", "pretrain", "demonstrations", "sft_first", "ppo_init", "completions", "rankings", "reward"),
    *("sft", "ppo", "ppo_ptx", "prompted", "answers", "judgements", "rankings_heldout", "reward_model"),
    *("divergence", "text_loss", "measurements"),
]
ARMS = {"base", "prompted", "sft", "ppo", "ppo_ptx"}
TRAINED = {"base", "sft", "ppo", "ppo_ptx"}


def arguments(out: Path, *others: str) -> list[str]:
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return ["quickstart", "--out", str(out), *settings, *others]


def steps_in(outcome: Outcome) -> list[str]:
    """The steps that a command says it did, in order."""
    return re.findall(r"^\[(\w+)\]$", outcome.stderr, re.MULTILINE)


def files_in(out: Path, *names: str) -> dict[str, bytes]:
    """What a quickstart leaves for others: its data, models and judgements."""
    patterns = names or ("world/*", "data/*", "prompts/*.jsonl", "*/model/*", "*/metrics.jsonl", "evaluation/*.jsonl")
    return {str(path.relative_to(out)): path.read_bytes() for name in patterns for path in sorted(out.glob(name))}


def modified(out: Path, *names: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for name in names for path in out.glob(name)}


def figures_in(out: Path) -> dict[str, Any]:
    """The summary without what the clock and the machine say."""
    summary = json.loads((out / "summary.json").read_text())
    return {key: value for key, value in summary.items() if key not in ("wall_seconds", "peak_memory_gib", "versions")}


def done_in(progress: Path) -> dict[str, float]:
    """The seconds of the steps that are done."""
    steps = json.loads(progress.read_text())["steps"]
    return {name: entry["seconds"] for name, entry in steps.items() if "result" in entry}


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A quickstart that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return folder / "run", tutelage(*arguments(folder / "run"), folder=folder)


def test_the_loop_runs_from_prompts_to_win_rates(whole):
    out, outcome = whole
    assert outcome.status == 0, outcome.stderr
    assert steps_in(outcome) == STEPS
    assert "win rate" in outcome.stdout
    assert str(out / "report.html") in outcome.stdout
    completions = [json.loads(line) for line in (out / "evaluation" / "completions.jsonl").read_text().splitlines()]
    assert {row["arm"] for row in completions} == ARMS
    assert len(completions) == 8 * len(ARMS)


def test_the_summary_has_every_figure(whole):
    out, _ = whole
    summary = json.loads((out / "summary.json").read_text())
    seconds = summary["wall_seconds"]
    assert set(seconds) == {*STEPS, "total"}
    assert all(value >= 0 for value in seconds.values())
    assert seconds["total"] == pytest.approx(sum(seconds[step] for step in STEPS), abs=0.01)
    assert 0.1 < summary["peak_memory_gib"] < 3
    assert summary["seed"] == 0
    assert {"python", "torch", "transformers"} <= set(summary["versions"])
    assert summary["simulated_labelers"] is True

    assert set(summary["win_rate_vs_sft"]) == ARMS - {"sft"}
    for arm, found in summary["win_rate_vs_sft"].items():
        assert set(found) == {"mean", "low", "high", "n"}
        assert 0 <= found["low"] < found["high"] <= 1, arm
        assert found["low"] <= found["mean"] <= found["high"], arm
        assert found["n"] == 8 * 2, "eight prompts, two held-out labelers each"
    assert set(summary["likert"]) == ARMS
    assert all(1 <= value <= 7 for value in summary["likert"].values())

    reward_model = summary["reward_model"]
    for key in ("accuracy_training_labelers", "accuracy_heldout_labelers", "labeler_agreement"):
        assert 0 < reward_model[key] < 1, key
    assert reward_model["mean_score_on_demonstrations"] == pytest.approx(0.0, abs=0.01)
    assert set(summary["kl_to_reference"]) == set(summary["pretraining_loss"]) == TRAINED
    # PPO starts at its reference and has made two small updates; the base model never was there.
    kl = {arm: abs(nats) for arm, nats in summary["kl_to_reference"].items()}
    assert 0 < kl["ppo"] < 0.1 < kl["base"]
    assert 0 < kl["ppo_ptx"] < 0.1
    assert all(2 < value < math.log(1024) for value in summary["pretraining_loss"].values())


def test_the_report_needs_nothing_but_itself(whole):
    page = (whole[0] / "report.html").read_text()
    assert "<svg" in page
    assert not re.search(r"<(link|img|iframe|object|embed|base)\b|\bsrc=|@import|url\((?!#)|https?://", page)
    found = re.findall(r'href="([^"]*)"', page)
    assert all(target.startswith("#") for target in found)


def test_killed_twice_it_goes_on_and_ends_with_the_same_bits(whole, tmp_path):
    """Killed in the middle of the reward model's training, and again once the test prompts are completed."""
    expected, out = whole[0], tmp_path / "run"
    metrics, progress = out / "reward" / "metrics.jsonl", out / "progress.json"
    first = Command(arguments(out), tmp_path).kill_when(lambda: num_lines(metrics) >= 6)
    assert first.status == -9
    assert steps_in(first) == STEPS[: STEPS.index("reward") + 1]
    finished = ("world/*", "data/*", "prompts/*", "*/model/*", "reward/checkpoints/step-00000004/*")
    done = modified(out, *finished)
    assert len(done) > 20
    seconds = done_in(progress)
    assert list(seconds) == STEPS[: STEPS.index("reward")]

    is_answered = (out / "evaluation" / "steps" / "completions.jsonl").exists
    second = Command(arguments(out), tmp_path).kill_when(is_answered)
    assert second.status == -9
    assert steps_in(second)[0] == "reward"
    assert steps_in(second)[-1] in ("answers", "judgements")
    models = ("*/model/*", "*/value_model/*", "*/metrics.jsonl")
    trained = modified(out, *models)

    third = tutelage(*arguments(out), folder=tmp_path)
    assert third.status == 0, third.stderr
    assert set(steps_in(third)) <= set(STEPS[STEPS.index("answers") :])
    assert done.items() <= modified(out, *finished).items(), "done once; the reward model from its checkpoint"
    assert trained == modified(out, *models), "nothing is trained again"
    assert seconds.items() <= done_in(progress).items()

    assert figures_in(out) == figures_in(expected)
    found_files, expected_files = files_in(out), files_in(expected)
    assert found_files.keys() == expected_files.keys()
    assert [name for name in expected_files if found_files[name] != expected_files[name]] == []
    assert len(expected_files) > 40
    assert list(out.rglob(".*partial*")) == []


def test_what_changes_is_done_again_with_what_rests_on_it(whole, tmp_path):
    """More test prompts change no policy; a setting of PPO-ptx changes no PPO."""
    out = tmp_path / "run"
    shutil.copytree(whole[0], out)
    assert steps_in(tutelage(*arguments(out), folder=tmp_path)) == []
    trained = modified(out, "*/model/*")
    more = tutelage(*arguments(out, "--set", "num_test_prompts=9"), folder=tmp_path)
    assert more.status == 0, more.stderr
    assert "[answers] again: num_test_prompts changed" in more.stderr
    assert trained == modified(out, "*/model/*")
    rows = [json.loads(line) for line in (out / "evaluation/completions.jsonl").read_text().splitlines()]
    assert len(rows) == 9 * len(ARMS)
    assert yaml.safe_load((out / "config.yaml").read_text())["num_test_prompts"] == 9


def test_unknown_keys_of_the_recipe_are_told_before_anything_is_written(tmp_path):
    refused = tutelage("quickstart", "--out", tmp_path / "run", "--set", "num_promts=3", folder=tmp_path)
    assert refused.status == 2
    assert "num_promts: unknown name" in refused.stderr
    assert not (tmp_path / "run").exists()
