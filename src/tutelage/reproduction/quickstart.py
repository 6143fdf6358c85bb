"""The paper as one function. Read `take_steps` from top to bottom: it is Figure 2, then Section 4, on the miniature.

Every step writes its files whole or not at all and is noted when it is done: started again after an interruption, the
run goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tutelage.config import load_config
from tutelage.evaluation.records import MEASUREMENTS, Measurement
from tutelage.recipes import recipe_path
from tutelage.reproduction.findings import summed_up
from tutelage.reproduction.full import full
from tutelage.reproduction.judging import choose_prefix, complete_test_prompts, judge_arms, measure_arms
from tutelage.reproduction.labels import (
    collect_prompts,
    sample_for_rankings,
    write_demonstrations,
    write_rankings,
    write_world,
)
from tutelage.reproduction.rewards import reward_model_summed_up
from tutelage.reproduction.run import QuickstartConfig, Run
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_records
from tutelage.store.runs import versions
from tutelage.training.config import PretrainConfig
from tutelage.training.ppo import ppo
from tutelage.training.pretrain import pretrain
from tutelage.training.reward import train_reward
from tutelage.training.sft import sft

Size = Literal["quick", "full"]


def quickstart(
    out: Path, *, size: Size = "quick", seed: int = 0, overrides: Sequence[str] = (), redo: str | None = None
) -> dict[str, Any]:
    """Prompts → demonstrations → SFT → rankings → reward model → PPO-ptx → win rate. Returns summary.json's content.

    `redo` names a step that is done again, with all after it. The full size is a function of its own: `full.full`.
    """
    if size == "full":
        return full(out, seed=seed, overrides=overrides, redo=redo)
    with Run(out, load_config(QuickstartConfig, recipe_path("quickstart"), overrides), seed, redo=redo) as run:
        take_steps(run)
        return summarize(run)


def take_steps(run: Run) -> None:
    """The paper's steps in their order."""
    # The world, its text, and the prompts of its users.
    run.step("world", write_world)
    run.step("prompts", collect_prompts)
    # A base model: GPT.
    run.step("pretrain", lambda r: pretrain(r.stage(PretrainConfig, "pretrain", text=r.text), resume=True))
    # Step 1: demonstrations, supervised fine-tuning.
    run.step("demonstrations", write_demonstrations)
    run.step("sft_first", lambda r: sft(r.sft("sft_first", should_select_checkpoint=False), resume=True))
    run.step("ppo_init", lambda r: sft(r.ppo_init(), resume=True))
    # Step 2: rankings of K completions, the reward model; then the SFT checkpoint that it likes best.
    run.step("completions", sample_for_rankings)
    run.step("rankings", write_rankings)
    run.step("reward", lambda r: train_reward(r.reward(), resume=True))
    run.step("sft", lambda r: sft(r.sft("sft", reward_model=r.model("reward")), resume=True))
    # Step 3: PPO against the reward model, without and with the pretraining mix.
    run.step("ppo", lambda r: ppo(r.ppo("ppo", ptx_coef=0.0), resume=True))
    run.step("ppo_ptx", lambda r: ppo(r.ppo("ppo_ptx"), resume=True))
    # Section 4: everybody answers the test prompts, held-out labelers judge.
    run.step("prompted", choose_prefix)
    run.step("answers", complete_test_prompts)
    run.step("judgements", judge_arms)
    run.step("measurements", measure_arms)


def summarize(run: Run) -> dict[str, Any]:
    """summary.json: what the run found, in one file."""
    measurements = list(read_records(run.out / MEASUREMENTS, Measurement))
    seconds = dict(run.progress["seconds"])
    summary = {
        "size": "quick",
        "seed": run.seed,
        "simulated_labelers": True,
        "wall_seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
        "peak_memory_gib": run.progress["peak_memory_gib"],
        "versions": versions(),
        "code": run.code,
        **summed_up(measurements, size=run.size),
        "reward_model": reward_model_summed_up(run, measurements),
        "num_prompts": run.result("prompts"),
        "prompt_prefix": run.result("prompted"),
        "ended_share": run.result("answers"),
    }
    with atomic_file(run.out / "summary.json") as handle:
        handle.write(json.dumps(summary, indent=2, ensure_ascii=False).encode())
    return summary
