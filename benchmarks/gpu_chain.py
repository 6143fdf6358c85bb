"""The whole chain through the command line, on tiny models that it makes itself."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from gpu_data import NUM_PROMPTS, write_project
from gpu_world import Report, World

TEXT = {"max_prompt_tokens": 64, "max_response_tokens": 16}


def chain(world: World, report: Report, _: str) -> None:
    """`pretrain`, `sft`, `reward`, `ppo`, then `sample` and `score`: each must end well and have learned something."""
    project = write_project(world.scratch / "project")
    common = {"device": str(world.device), "dtype": world.dtype}
    base, supervised, reward = (world.scratch / name / "model" for name in ("pretrain", "sft", "reward"))
    stages: dict[str, dict[str, Any]] = {
        "pretrain": {
            "text": project.path("text.txt"),
            "num_steps": 20,
            "tokens_per_step": 2048,
            "validation_share": 0.1,
            "new_model": {"vocab_size": 320, "width": 64, "num_layers": 2, "num_heads": 4, "context_tokens": 128},
            "optimizer": {"learning_rate": 3e-3, "warmup_steps": 2},
        },
        "sft": {
            "model": base,
            "demonstrations": project.path("demonstrations.jsonl"),
            "text": TEXT,
            "num_epochs": 2,
            "demonstrations_per_step": 16,
            "optimizer": {"learning_rate": 1e-3},
        },
        "reward": {
            "model": supervised,
            "rankings": project.path("rankings.jsonl"),
            "text": TEXT,
            "num_epochs": 2,
            "rankings_per_step": 16,
            "optimizer": {"learning_rate": 1e-3},
        },
        "ppo": {
            "policy": supervised,
            "reward_model": reward,
            "prompts": project.path("prompts.jsonl"),
            "allow_prompt_overlap": True,
            "text": TEXT,
            "num_episodes": 64,
            "episodes_per_step": 16,
            "episodes_per_minibatch": 8,
            "ptx": {"text": project.path("text.txt"), "context_tokens": 64, "sequences_per_episode": 1},
            "policy_optimizer": {"learning_rate": 1e-4, "schedule": "constant"},
            "value_optimizer": {"learning_rate": 1e-4, "schedule": "constant"},
        },
    }
    for stage, settings in stages.items():
        out = world.scratch / stage
        _run(stage, _configured(world.scratch / f"{stage}.yaml", {**common, **settings, "out": out}))
        _check_stage(report, stage, out)
    completions = world.scratch / "completions.jsonl"
    policy, device = world.scratch / "ppo" / "model", ("--device", str(world.device))
    prompts, limit = project.path("prompts.jsonl"), ("-k", "2", "--max-response-tokens", "16")
    _run("sample", policy, "--prompts", prompts, "--out", completions, *limit, *device)
    _run("score", reward, "--input", completions, "--out", world.scratch / "scored.jsonl", *device)
    scored = [json.loads(line) for line in (world.scratch / "scored.jsonl").read_text().splitlines()]
    report.check("chain: prompts without scored completions", float(NUM_PROMPTS - len(scored)), limit=0.0)


def _configured(path: Path, settings: dict[str, Any]) -> Path:
    plain = json.loads(json.dumps(settings, default=str))
    path.write_text(yaml.safe_dump(plain))
    return path


def _run(*arguments: str | Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tutelage", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        # The last words of a command that failed are what is wanted of this section.
        sys.exit(f"tutelage {arguments[0]} ended with {done.returncode}:\n{done.stdout[-800:]}\n{done.stderr[-3000:]}")


def _check_stage(report: Report, stage: str, out: Path) -> None:
    """Every metric is a number, and the loss ended below where it began."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    values = [value for row in rows for value in row.values() if isinstance(value, float)]
    report.check(f"chain, {stage}: metrics that are no numbers", sum(not math.isfinite(x) for x in values), limit=0.0)
    if stage != "ppo":
        losses = [row[f"{stage}/loss"] for row in rows if f"{stage}/loss" in row]
        report.check(f"chain, {stage}: last loss / first loss", losses[-1] / losses[0], limit=0.98)
