"""A run that is killed, wherever, and resumed ends with the same bits as one that was never interrupted."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from random import Random

import pytest
import yaml

from processes import Command, die_while_saving, fill_disk_after, tutelage
from tiny import read_rows

LIMITS = {"max_prompt_tokens": 40, "max_response_tokens": 24}
COMMON = {"seed": 5, "checkpoint_every_num_steps": 3, "tokens_per_microbatch": 400}
NUM_STEPS = {"pretrain": 12, "sft": 12, "reward": 12, "ppo": 10, "dpo": 12}


def stage_config(tiny, stage):
    """Every part of a stage that has a state: dropout, selection by score, moving average, adaptive KL, the mix."""
    return (
        COMMON
        | {
            "pretrain": {
                "text": str(tiny.text),
                "num_steps": 12,
                "tokens_per_step": 300,
                "evaluate_every_num_steps": 4,
                "validation_share": 0.05,
                "new_model": {"vocab_size": 320, "width": 32, "num_layers": 2, "num_heads": 4, "context_tokens": 96},
            },
            "sft": {
                "model": str(tiny.policy),
                "demonstrations": str(tiny.demonstrations),
                "validation": str(tiny.demonstrations),
                "allow_prompt_overlap": True,
                "text": LIMITS,
                "num_epochs": 3,
                "demonstrations_per_step": 10,
                "residual_dropout": 0.2,
                "reward_model": str(tiny.reward_model),
                "validation_prompts": 6,
                "pretraining_text": str(tiny.text),
                "pretraining_share": 0.3,
                "optimizer": {"learning_rate": 3e-3},
            },
            "reward": {
                "model": str(tiny.policy),
                "rankings": str(tiny.rankings),
                "validation": str(tiny.rankings),
                "allow_prompt_overlap": True,
                "demonstrations": str(tiny.demonstrations),
                "text": LIMITS,
                "num_epochs": 3,
                "rankings_per_step": 10,
                "evaluate_every_num_steps": 2,
                "optimizer": {"learning_rate": 1e-3},
            },
            "dpo": {
                "policy": str(tiny.policy),
                "rankings": str(tiny.rankings),
                "validation": str(tiny.rankings),
                "allow_prompt_overlap": True,
                "text": LIMITS,
                "num_epochs": 3,
                "rankings_per_step": 10,
                "evaluate_every_num_steps": 2,
                "label_smoothing": 0.1,
                "lora": {"rank": 4},
                "optimizer": {"learning_rate": 1e-3},
            },
            "ppo": {
                "policy": str(tiny.policy),
                "reward_model": str(tiny.reward_model),
                "prompts": str(tiny.prompts),
                "text": {**LIMITS, "max_response_tokens": 8},
                "num_episodes": 80,
                "episodes_per_step": 8,
                "episodes_per_minibatch": 4,
                "num_epochs": 2,
                "ema_decay": 0.8,
                "ppo": {"kl_target": 0.5, "kl_horizon": 50},
                "ptx": {"coef": 1.0, "text": str(tiny.text), "sequences_per_episode": 2, "context_tokens": 48},
                "policy_optimizer": {"learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 4},
                "value_optimizer": {"learning_rate": 1e-3, "schedule": "linear"},
            },
        }[stage]
    )


@pytest.fixture
def configured(tiny, tmp_path):
    """The file of a stage's configuration."""

    def configured(stage, out, **others):
        path = tmp_path / f"{out}.yaml"
        path.write_text(yaml.safe_dump({**stage_config(tiny, stage), "out": str(tmp_path / out), **others}))
        return path

    return configured


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def bits_of(out: Path) -> dict[str, bytes]:
    """Every file that a run leaves for others: models, tokenizers, metrics, completions."""
    files = [*out.glob("*model/*"), out / "metrics.jsonl", out / "samples.jsonl"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.exists()}


def numbers_of(summary):
    return {key: value for key, value in summary.items() if key not in ("seconds", "config_hash", "versions")}


def assert_same_run(found: Path, expected: Path) -> None:
    assert read_rows(found / "metrics.jsonl") == read_rows(expected / "metrics.jsonl")
    found_bits, expected_bits = bits_of(found), bits_of(expected)
    assert found_bits.keys() == expected_bits.keys()
    assert [name for name in expected_bits if found_bits[name] != expected_bits[name]] == []
    summaries = [numbers_of(yaml.safe_load((out / "summary.json").read_text())) for out in (found, expected)]
    assert summaries[0] == summaries[1]
    leftovers = [path.name for folder in (found, found / "checkpoints") for path in folder.glob(".*")]
    assert leftovers == []


@pytest.mark.parametrize("stage", NUM_STEPS)
def test_killed_and_resumed_is_never_interrupted(stage, configured, tmp_path):
    """Killed before the first checkpoint, after it at a random moment, and in the middle of writing one."""
    streams, whole, killed = tmp_path / "streams", tmp_path / "whole", tmp_path / "killed"
    assert tutelage(stage, configured(stage, "whole"), folder=streams).status == 0
    config, metrics = configured(stage, "killed"), killed / "metrics.jsonl"

    outcome = Command([stage, config], streams).kill_when(lambda: num_lines(metrics) >= 1)
    assert (outcome.status, list((killed / "checkpoints").glob("step-*"))) == (-9, [])

    moment = Random(stage).randint(4, 6)
    outcome = Command([stage, config, "--resume"], streams).kill_when(lambda: num_lines(metrics) >= moment)
    assert outcome.status == -9
    assert [path.name for path in (killed / "checkpoints").glob("step-*")] == ["step-00000003"]

    resume = [stage, config, "--resume"]
    outcome = tutelage(*resume, folder=streams, prepare=die_while_saving, prepared_with=[2])
    assert outcome.status == -9
    names = sorted(path.name for path in (killed / "checkpoints").iterdir())
    assert names[1:] == ["step-00000003", "step-00000006"]
    assert names[0].startswith(".step-00000009.partial-")

    outcome = tutelage(*resume, folder=streams)
    assert outcome.status == 0, outcome.stderr
    assert_same_run(killed, whole)
    assert max(row["step"] for row in read_rows(metrics)) == NUM_STEPS[stage]


@pytest.mark.parametrize("stage", NUM_STEPS)
def test_killed_at_random_moments(stage, configured, tmp_path):
    """Three times, wherever that is: while it loads, in a step, in a save, at its end. Another moment in every run."""
    streams, whole, killed = tmp_path / "streams", tmp_path / "whole", tmp_path / "killed"
    start = time.monotonic()
    assert tutelage(stage, configured(stage, "whole"), folder=streams).status == 0
    duration = time.monotonic() - start
    resume, seed = [stage, configured(stage, "killed"), "--resume"], secrets.randbits(32)
    moments = [Random(seed + number).uniform(0.0, duration) for number in range(3)]
    for moment in moments:
        end = time.monotonic() + moment
        outcome = Command(resume, streams).kill_when(lambda end=end: time.monotonic() > end)
        assert outcome.status in (-9, 0), (moments, outcome.stderr)
    outcome = tutelage(*resume, folder=streams)
    assert outcome.status == 0, (moments, outcome.stderr)
    try:
        assert_same_run(killed, whole)
    except AssertionError as error:
        raise AssertionError(f"killed after {moments} seconds") from error


def test_the_bits_would_show_a_difference(configured, tmp_path):
    """Another seed, and a checkpoint whose optimizer was lost, do end elsewhere: the comparison above can fail."""
    streams = tmp_path / "streams"
    for name, others in (("one", {}), ("two", {"seed": 6})):
        assert tutelage("sft", configured("sft", name, **others), folder=streams).status == 0
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "two", tmp_path / "one")


def test_full_disk_in_a_checkpoint(configured, tmp_path):
    """Exit status 2, one message, what was saved before is intact, and the run can go on."""
    streams, whole, full = tmp_path / "streams", tmp_path / "whole", tmp_path / "full"
    assert tutelage("reward", configured("reward", "whole"), folder=streams).status == 0
    size = max(path.stat().st_size for path in (whole / "checkpoints").rglob("state.pt"))
    config, metrics = configured("reward", "full"), full / "metrics.jsonl"
    outcome = Command(["reward", config], streams).kill_when(lambda: num_lines(metrics) >= 5)
    assert outcome.status == -9

    limited = {"prepare": fill_disk_after, "prepared_with": [size // 2]}
    outcome = tutelage("reward", config, "--resume", folder=streams, **limited)
    assert outcome.status == 2, outcome.stderr
    assert "Traceback" not in outcome.stderr
    message = outcome.stderr[outcome.stderr.index("error: ") :]
    assert "cannot write" in message
    assert "step-00000006" in message
    assert "The previous checkpoint, step-00000003, is intact." in message
    assert "Free some space" in message
    assert [path.name for path in (full / "checkpoints").iterdir()] == ["step-00000003"]

    assert tutelage("reward", config, "--resume", folder=streams).status == 0
    assert_same_run(full, whole)


def test_resuming_asks_for_the_same_configuration(configured, tmp_path):
    streams, out = tmp_path / "streams", tmp_path / "run"
    config = configured("sft", "run")
    Command(["sft", config], streams).kill_when(lambda: num_lines(out / "metrics.jsonl") >= 4)
    outcome = tutelage("sft", config, folder=streams)
    assert outcome.status == 2
    assert "already holds a run" in outcome.stderr
    assert "--resume" in outcome.stderr
    outcome = tutelage("sft", config, "--resume", "--set", "seed=9", "--set", "num_epochs=4", folder=streams)
    assert outcome.status == 2
    assert "num_epochs was 3, now 4" in outcome.stderr
    assert "seed was 5, now 9" in outcome.stderr
    # How often to save changes no number.
    free = ["--set", "checkpoint_every_num_steps=5", "--set", "keep_checkpoints=1"]
    outcome = tutelage("sft", config, "--resume", *free, folder=streams)
    assert outcome.status == 0, outcome.stderr
    # A finished run says what it found, and changes nothing.
    before = bits_of(out)
    assert tutelage("sft", config, "--resume", *free, folder=streams).status == 0
    assert bits_of(out) == before


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "another model"])
def test_broken_checkpoints_are_told(damage, configured, tmp_path):
    import torch

    streams, out = tmp_path / "streams", tmp_path / "run"
    config = configured("sft", "run")
    Command(["sft", config], streams).kill_when(lambda: num_lines(out / "metrics.jsonl") >= 4)
    (state,) = (out / "checkpoints").rglob("state.pt")
    whole = state.read_bytes()
    if damage == "another model":
        saved = torch.load(state, weights_only=True)
        saved["state"]["policy"] = {"model.embed_tokens.weight": torch.zeros(2, 2)}
        torch.save(saved, state)
    else:
        state.write_bytes({"cut": whole[: len(whole) // 2], "garbage": b"no checkpoint", "empty": b""}[damage])
    outcome = tutelage("sft", config, "--resume", folder=streams)
    assert outcome.status == 2, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "step-00000003" in outcome.stderr
    assert "Delete it to resume from the previous one" in outcome.stderr
    assert "weights_only" not in outcome.stderr
