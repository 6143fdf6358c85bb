"""The full instrument as one function. Read `take_steps` from top to bottom: it is the paper in its order.

Every step writes its files whole or not at all and is noted when it is done: started again after an interruption, the
run goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from math import nan
from pathlib import Path
from typing import Any, Literal

from tutelage.config import load_config
from tutelage.evaluation.measuring import measured
from tutelage.evaluation.records import COMPLETIONS, INSTRUCT, MEASUREMENTS, EvaluatedCompletion, Measurement, SizedArm
from tutelage.recipes import recipe_path
from tutelage.reproduction.answers import BEST_OF_N, all_arms, complete_everything, stage_of_arm
from tutelage.reproduction.contests import judge_everybody, judge_outside
from tutelage.reproduction.curves import measure_curve
from tutelage.reproduction.distances import measure_distances
from tutelage.reproduction.epochs import measure_sft_epochs
from tutelage.reproduction.findings import Findings, join, summed_up
from tutelage.reproduction.held_out import write_world_without_held_out
from tutelage.reproduction.judging import choose_prefix, completions_by_arm
from tutelage.reproduction.labels import collect_prompts, sample_for_rankings, write_demonstrations, write_rankings
from tutelage.reproduction.probes import ProbeSizes, probe_arm
from tutelage.reproduction.rewards import measure_reward_model, reward_model_summed_up
from tutelage.reproduction.sizes import FullConfig, FullRun
from tutelage.reproduction.sweeps import measure_sweep, train_fold
from tutelage.reproduction.village import probes
from tutelage.seeds import derived_seed
from tutelage.statistics.best_of_n import best_of_n_kl
from tutelage.statistics.interval import Interval
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_records, write_records
from tutelage.store.runs import versions
from tutelage.training.config import PretrainConfig
from tutelage.training.dpo import dpo
from tutelage.training.ppo import ppo
from tutelage.training.pretrain import pretrain
from tutelage.training.reward import train_reward
from tutelage.training.sft import sft


def full(out: Path, *, seed: int = 0, overrides: Sequence[str] = (), redo: str | None = None) -> dict[str, Any]:
    """Everything that section 4 of the paper measures, at several model sizes. Returns summary.json's content.

    Raises `ConfigError` at once for settings that a stage would refuse later.
    """
    with FullRun(out, load_config(FullConfig, recipe_path("full"), overrides), seed, redo=redo) as run:
        run.require_valid()
        run.plan = run.planned(take_steps)
        take_steps(run)
        return summarize(run)


def take_steps(run: FullRun) -> None:
    """The steps of a full run, in the paper's order. What is shared stands once, the rest for each model size."""
    views = [run.view(size) for size in run.sizes]
    middle = run.middle
    # The world, its text, and the prompts of its users, without a use case and a language.
    run.step("world", write_world_without_held_out)
    run.step("prompts", collect_prompts)
    # Base models: GPT.
    for view in views:
        view.step("pretrain", lambda r: pretrain(r.stage(PretrainConfig, "pretrain", text=r.text), resume=True))
    # Step 1: demonstrations, supervised fine-tuning, and where PPO starts.
    run.step("demonstrations", write_demonstrations)
    middle.step("sft_first", lambda r: sft(r.sft("sft_first", should_select_checkpoint=False), resume=True))
    for view in views:
        view.step("ppo_init", lambda r: sft(r.ppo_init(), resume=True))
    # Step 2: rankings of K completions of one size, its reward model; then the SFT checkpoints that it likes best.
    middle.step("completions", sample_for_rankings)
    run.step("rankings", write_rankings)
    middle.step("reward", lambda r: train_reward(r.reward(), resume=True))
    for view in views:
        view.step("sft", lambda r: sft(r.sft("sft", reward_model=r.model("reward")), resume=True))
    # Step 3: PPO against the reward model, without and with the pretraining mix.
    for view in views:
        view.step("ppo", lambda r: ppo(r.ppo("ppo", ptx_coef=0.0), resume=True))
        view.step("ppo_ptx", lambda r: ppo(r.ppo("ppo_ptx"), resume=True))
    # Baselines of section 4: fine-tuned on public tasks; and, beyond the paper, straight on the rankings.
    run.step("templated", write_templated)
    for style in ("flan", "t0"):
        middle.step(style, partial(train_templated, style=style))
    middle.step("dpo", lambda r: dpo(r.dpo(), resume=True))
    # Section 4.1: everybody responds, labelers judge.
    for view in views:
        view.step("prompted", choose_prefix)
        view.step("answers", complete_everything)
    run.step("judgements", judge_everybody)
    middle.step("reward_model", measure_rewards)
    for fold in range(run.full.num_folds):
        run.step(f"fold-{fold}", partial(train_fold, fold=fold))
    # Section 4.2: truthfulness, toxicity, bias, and what alignment costs.
    for view in views:
        view.step("distances", measure_size)
        for name in stage_of_arm(view):
            view.step(f"probe-{name}", partial(probe, name=name))
    # Section 4.3: outside of what fine-tuning has seen.
    run.step("generalisation", judge_outside)
    # Section 3.5 and appendix E: epochs of SFT, coefficients of PPO, reward against KL.
    middle.step("sft_long", lambda r: sft(r.sft_long(), resume=True))
    middle.step("sft_epochs", measure_sft_epochs)
    for name in run.sweeps:
        run.step(f"sweep-{name}", partial(train_swept, name=name))
        run.step(f"measure-{name}", partial(measure_sweep, name=name))
    run.step("curve", measure_curve)
    run.step("measurements", join_measurements)


def write_templated(run: FullRun) -> dict[str, int]:
    """Demonstrations of templated skills, for the FLAN-like and the T0-like arm."""
    counts: dict[str, int] = {}
    styles: tuple[Literal["flan", "t0"], ...] = ("flan", "t0")
    for style in styles:
        records = probes.templated_demonstrations(
            run.world,
            style,
            num_demonstrations=run.full.num_templated,
            seed=derived_seed(run.seed, "templated"),
        )
        counts[style] = write_records(run.data / f"{style}.jsonl", records)
    return counts


def train_templated(view: FullRun, style: str) -> dict[str, Any]:
    """The FLAN-like or the T0-like arm."""
    return sft(view.templated(style), resume=True)


def train_swept(run: FullRun, name: str) -> dict[str, Any]:
    """One run of a sweep, at the smallest size."""
    return ppo(run.smallest.swept(name), resume=True)


def measure_rewards(view: FullRun) -> dict[str, int]:
    """The reward model that everybody uses, against both groups of labelers."""
    found = Findings()
    measure_reward_model(view, found)
    return found.write(view.steps / "reward_model")


def measure_size(view: FullRun) -> dict[str, int]:
    """KL to the reference and loss on held-out text of every policy of a size; of best-of-n its KL by the formula."""
    rows = read_records(view.steps / "answers" / "completions.jsonl", EvaluatedCompletion)
    prompts, completions = completions_by_arm(row for row in rows if row.distribution == INSTRUCT)
    found = Findings()
    measure_distances(view, found, stage_of_arm(view), prompts, completions)
    if view.size == view.reward_size:
        bound = Interval(mean=best_of_n_kl(view.full.best_of_n), low=nan, high=nan, n=len(prompts))
        arm = SizedArm(BEST_OF_N, view.size)
        found.measurements.append(measured("kl_to_reference", bound, {}, arm=arm, source=COMPLETIONS))
    return found.write(view.steps / "distances")


def probe(view: FullRun, name: str) -> dict[str, int]:
    """Truthfulness, toxicity, bias and skills of one policy."""
    arm = next(arm for arm in all_arms(view) if arm.name == name)
    found = probe_arm(view.world, arm, seed=view.seed, sizes=ProbeSizes(**view.full.probes), size=view.size)
    return found.write(view.steps / f"probe-{name}")


def join_measurements(run: FullRun) -> dict[str, int]:
    """What every step measured, in one file a kind: the sizes from small to large, then what is about all of them."""
    sizes = [run.view(size).steps for size in run.sizes]
    own = [folder for folder in sorted(run.steps.iterdir()) if folder not in sizes]
    return join([*(folder for size in sizes for folder in sorted(size.iterdir())), *own], run.out / "evaluation")


def summarize(run: FullRun) -> dict[str, Any]:
    """summary.json: the sizes, and what the largest showed, as in a quickstart; the rest is in the measurements."""
    measurements = list(read_records(run.out / MEASUREMENTS, Measurement))
    seconds = dict(run.progress["seconds"])
    summary = {
        "size": "full",
        "seed": run.seed,
        "simulated_labelers": True,
        "sizes": [
            {"name": size, "parameters": run.view(size).result("pretrain")["num_parameters"]} for size in run.sizes
        ],
        "wall_seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
        "peak_memory_gib": run.progress["peak_memory_gib"],
        "versions": versions(),
        "code": run.code,
        **summed_up(measurements, size=run.largest.size),
        "reward_model": reward_model_summed_up(run.middle, measurements),
        "num_prompts": run.result("prompts"),
        "prompt_prefix": run.largest.result("prompted"),
        "ended_share": run.largest.result("answers"),
    }
    with atomic_file(run.out / "summary.json") as handle:
        handle.write(json.dumps(summary, indent=2, ensure_ascii=False).encode())
    return summary
