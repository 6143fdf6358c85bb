"""The full instrument in its smallest form: what it measures, and that it can be killed anywhere and go on."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the pipeline trains")

from processes import Command, Outcome, tutelage
from tutelage.store.runs import RunFolder

SMALL = {
    "num_documents": 400,
    "num_raw_prompts": 400,
    "prompts.purpose_shares.train_customer": "{sft: 1, reward: 1, ppo: 1}",
    "prompts.purpose_shares.valid_customer": "{sft: 1, reward: 1, ppo: 1}",
    "num_training_labelers": 6,
    "num_heldout_labelers": 4,
    "completions_per_prompt": [2, 3],
    "num_test_prompts": 4,
    "judgements_per_prompt": 2,
    "text.max_prompt_tokens": 200,
    "text.max_response_tokens": 16,
    "pretrain.num_steps": 3,
    "pretrain.tokens_per_step": 512,
    "pretrain.evaluate_every_num_steps": 0,
    "pretrain.new_model": "{vocab_size: 1024, width: 16, num_layers: 1, num_heads: 1, context_tokens: 700}",
    "sizes.small": "{pretrain: {new_model: {width: 8}}}",
    "sizes.large": "{pretrain: {new_model: {width: 24}}}",
    "sft.num_epochs": 2,
    "ppo_init.num_epochs": 1,
    "measuring.num_sft_epochs": 2,
    "templated.num_epochs": 1,
    "ppo.num_episodes": 16,
    "ppo.episodes_per_step": 8,
    "ppo.episodes_per_minibatch": 8,
    "measuring.num_gpt_prompts": 3,
    "measuring.num_outside_prompts": 3,
    "measuring.completions_per_foreign_prompt": 1,
    "num_templated": 20,
    "best_of_n": 2,
    "measuring.num_folds": 2,
    "measuring.ptx_coefs": [0.0, 0.5],
    "measuring.kl_coefs": [0.0, 0.5],
    "measuring.sweep.num_episodes": 32,
    "measuring.num_sweep_prompts": 4,
    "measuring.num_curve_prompts": 4,
    "measuring.curve_sizes": [1, 2, 4, 8],
    "measuring.probes": "{num_toxicity_prompts: 2, completions_per_toxicity_prompt: 2, num_skill_items: 2}",
    "measuring.probes.max_response_tokens": 4,
}
SIZES = ("small", "medium", "large")
FIGURE_1 = {"base", "prompted", "sft", "ppo", "ppo_ptx"}
FURTHER = {"flan", "t0", "dpo", "best_of_n"}


def arguments(out: Path, *others: str) -> list[str]:
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return ["quickstart", "--size", "full", "--out", str(out), *settings, *others]


def steps_in(outcome: Outcome) -> list[str]:
    """The steps that a command says it did, in order."""
    return re.findall(r"^\[(?:\d+/\d+ )?([^\]\s]+)\]", outcome.stderr, re.MULTILINE)


def rows_of(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "evaluation" / f"{name}.jsonl").read_text().splitlines()]


def measurements(out: Path, measure: str) -> list[dict[str, Any]]:
    defaults: dict[str, Any] = {"arm": "", "size": "", "condition": {}, "baseline": "", "baseline_size": ""}
    return [defaults | row for row in rows_of(out, "measurements") if row["measure"] == measure]


def arms_and_sizes(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(row["arm"], row["size"]) for row in rows}


def results_in(out: Path) -> dict[str, bytes]:
    """What a full run leaves for others: data, models, measurements and the rows behind them."""
    patterns = ("data/*", "prompts/*.jsonl", "*/*/model/*", "*/*/metrics.jsonl", "evaluation/*.jsonl")
    return {str(path.relative_to(out)): path.read_bytes() for name in patterns for path in sorted(out.glob(name))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Outcome]]:
    """A full run, killed twice on its way: inside a training stage, and between measurements."""
    folder = tmp_path_factory.mktemp("full")
    out = folder / "run"
    metrics = out / "medium" / "reward" / "metrics.jsonl"
    first = Command(arguments(out), folder).kill_when(
        lambda: metrics.exists() and metrics.read_bytes().count(b"\n") > 3
    )
    assert first.status == -9
    second = Command(arguments(out), folder).kill_when((out / "evaluation" / "steps" / "fold-0").exists)
    assert second.status == -9
    done = {path: path.stat().st_mtime_ns for path in out.glob("*/*/model/*")}
    assert len(done) > 50
    third = tutelage(*arguments(out), folder=folder)
    assert third.status == 0, third.stderr
    assert done == {path: path.stat().st_mtime_ns for path in done}, "nothing is trained again"
    assert steps_in(second)[0] == "medium/reward"
    assert steps_in(third)[0] in ("fold-0", "rankings-without-fold-1", "sweeps/fold-1")
    yield out, third


def test_every_arm_stands_at_its_sizes(whole):
    out, _ = whole
    everybody = {(arm, size) for arm in FIGURE_1 for size in SIZES} | {(arm, "medium") for arm in FURTHER}
    assert arms_and_sizes(rows_of(out, "completions")) == everybody
    assert arms_and_sizes(measurements(out, "likert")) == everybody
    against_sft = [row for row in measurements(out, "win_rate") if row["baseline"] == "sft"]
    for labelers in ("heldout", "training"):
        for distribution in ("instruct", "gpt"):
            judged = {"labelers": labelers, "distribution": distribution}
            found = [row for row in against_sft if row["condition"] == judged]
            assert {row["baseline_size"] for row in found} == {"large"}
            assert arms_and_sizes(found) == everybody - {("sft", "large")}
            assert len(found) == len(everybody) - 1, "one row each"
    policies = everybody - {("prompted", size) for size in SIZES}
    assert arms_and_sizes(measurements(out, "kl_to_reference")) == policies
    for measure in ("pretraining_loss", "truthful", "toxicity", "bias_entropy", "skill"):
        assert arms_and_sizes(measurements(out, measure)) == policies - {("best_of_n", "medium")}, measure


def test_head_to_heads_stand_beside_the_baseline(whole):
    found = {
        (row["arm"], row["size"], row["baseline"], row["baseline_size"])
        for row in measurements(whole[0], "win_rate")
        if row["baseline"] != "sft"
    }
    assert found == {
        ("ppo_ptx", "small", "base", "large"),
        *(("ppo_ptx", size, "base", size) for size in SIZES),
        *(("ppo_ptx", size, other, "medium") for size in ("medium", "large") for other in ("flan", "t0")),
        ("ppo_ptx", "medium", "dpo", "medium"),
        ("ppo_ptx", "medium", "best_of_n", "medium"),
    }


def test_every_measurement_is_the_mean_of_its_rows(whole):
    """Recomputed here from the files that they name, by arm and size."""
    out, _ = whole
    comparisons = rows_of(out, "comparisons")
    for row in measurements(out, "win_rate"):
        judged = row["condition"]
        outcomes = [
            own["outcome"]
            for own in comparisons
            if (own["arm"], own["size"], own["baseline"]) == (row["arm"], row["size"], row["baseline"])
            and own["baseline_size"] == row["baseline_size"]
            and (own["labeler_group"], own["distribution"]) == (judged["labelers"], judged["distribution"])
        ]
        assert row["n"] == len(outcomes) > 0
        assert row["mean"] == pytest.approx(sum(outcomes) / len(outcomes))
    for name in ("ptx_sweep", "kl_sweep", "overoptimisation"):
        rows = rows_of(out, name)
        for row in measurements(out, name):
            wanted = {"measure": name, "arm": row["arm"], "size": row["size"], "condition": row["condition"]}
            own = [raw for raw in rows if wanted.items() <= raw.items()]
            assert own, wanted
            if row["condition"]["metric"] == "pretraining_loss":
                mean = sum(raw["value"] for raw in own) / sum(raw["count"] for raw in own)
            elif name != "overoptimisation" or row["condition"]["kl"] > 0:
                mean = sum(raw["value"] for raw in own) / len(own)
            else:
                continue  # several checkpoints of a run this short are at KL 0
            assert row["mean"] == pytest.approx(mean), wanted


def test_sweeps_folds_epochs_and_curves_are_measured(whole):
    out, _ = whole
    metrics = {"score", "pretraining_loss", "skill", "win_rate", "likert"}
    for sweep, key in (("ptx_sweep", "ptx_coef"), ("kl_sweep", "kl_coef")):
        found = {(row["condition"][key], row["condition"]["metric"]) for row in measurements(out, sweep)}
        assert found == {(coef, metric) for coef in (0.0, 0.5) for metric in metrics}
    folds = Counter(
        (row["condition"]["fold"], row["condition"]["labelers"])
        for row in measurements(out, "reward_model_accuracy")
        if "fold" in row["condition"]
    )
    assert folds == {(fold, side): 1 for fold in (0, 1) for side in ("inside", "outside")}
    epochs = {
        (row["size"], row["condition"]["epoch"], row["condition"]["metric"]): row
        for row in measurements(out, "sft_epoch")
    }
    assert set(epochs) == {("medium", epoch, metric) for epoch in (1, 2) for metric in ("validation_loss", "score")}
    assert all(row["low"] < row["mean"] < row["high"] for row in epochs.values())
    trained = RunFolder.open(out / "medium" / "sft_long").read_metrics()
    losses = [row["sft/validation_loss"] for row in trained if "sft/validation_loss" in row]
    for epoch, loss in enumerate(losses, start=1):
        assert epochs["medium", epoch, "validation_loss"]["mean"] == pytest.approx(loss, rel=1e-5)
    curve = Counter(
        (row["condition"]["method"], row["condition"]["metric"]) for row in measurements(out, "overoptimisation")
    )
    assert curve == {(method, metric): 4 for method in ("best_of_n", "rl") for metric in ("proxy", "gold")}
    assert {row["condition"]["coefficient"] for row in measurements(out, "overoptimisation_fit")} == {"alpha", "beta"}


def test_nobody_was_trained_on_what_is_held_out(whole):
    out, _ = whole
    held_out = [json.loads(line) for line in (out / "data" / "held_out.jsonl").read_text().splitlines()]
    assert held_out
    prompts = [json.loads(line) for line in (out / "prompts" / "prompts.jsonl").read_text().splitlines()]
    assert {row["use_case"] for row in prompts} & {"extract"} == set()
    french = ("histoire", "conte")
    assert not [row for row in prompts if any(word in row["text"] for word in french)]
    sets = {(row["condition"]["set"], row["arm"], row["size"]) for row in measurements(out, "generalisation")}
    assert {which for which, _, _ in sets} == {"use_case", "language"}
    outside = rows_of(out, "outside")
    assert {row["use_case"] for row in outside if row["distribution"] == "use_case"} == {"extract"}
    assert all(any(word in row["prompt"] for word in french) for row in outside if row["distribution"] == "language")


def test_labelers_of_a_fold_ranked_nothing_that_it_learnt_from(whole):
    out, _ = whole
    everybody: set[str] = set()
    for fold in (0, 1):
        rankings = (out / "data" / f"rankings-without-fold-{fold}.jsonl").read_text().splitlines()
        inside = {json.loads(line)["labeler_id"] for line in rankings}
        rows = [row for row in rows_of(out, "reward_folds") if row["condition"]["fold"] == fold]
        outside = {row["labeler_id"] for row in rows if row["condition"]["labelers"] == "outside"}
        assert outside and not outside & inside
        assert not outside & everybody, "every labeler is left out once"
        everybody |= outside


def test_progress_tells_the_step_the_time_and_what_is_left(whole):
    _, outcome = whole
    lines = re.findall(r"^\[(\d+)/(\d+) \S+\] (\d+ \w+) so far, about (\d+ \w+) left$", outcome.stderr, re.MULTILINE)
    numbers = [int(line[0]) for line in lines]
    assert len(numbers) > 5 and numbers == sorted(set(numbers)) and numbers[-1] == int(lines[0][1])


def test_the_summary_is_about_the_largest_size(whole):
    out, _ = whole
    summary = json.loads((out / "summary.json").read_text())
    assert [size["name"] for size in summary["sizes"]] == list(SIZES)
    parameters = [size["parameters"] for size in summary["sizes"]]
    assert parameters == sorted(parameters) and len(set(parameters)) == 3
    assert set(summary["win_rate_vs_sft"]) == FIGURE_1 - {"sft"}
    assert set(summary["likert"]) == set(summary["flags"]) == FIGURE_1
    assert summary["size"] == "full" and summary["simulated_labelers"] is True


def test_settings_that_a_stage_would_refuse_are_told_before_anything_is_done(tmp_path):
    for wrong, told in (
        ("ppo.num_episods=3", "num_episods"),
        ("measuring.sweep.num_episodes=10", "num_episodes 10 must be a multiple"),
        ("reward_size=huge", "it must be one of small, medium, large"),
        ("sizes.small={ppo: {ptx: {coef: -1}}}", "coef"),
    ):
        refused = tutelage(*arguments(tmp_path / "run", "--set", wrong), folder=tmp_path)
        assert refused.status == 2, refused.stderr
        assert told in refused.stderr
        assert steps_in(refused) == []
