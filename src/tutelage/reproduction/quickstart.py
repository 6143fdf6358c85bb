"""The paper on the miniature as one function: the run of `workflow.paper` at every size, in the village.

Read `take_steps` from top to bottom: it is the paper in its order. What a recipe leaves out is not done: the quick size
has one model and its win rates, the full size everything that section 4 measures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tutelage.config import load_config
from tutelage.evaluation.records import FOLDER, MEASUREMENTS, Measurement
from tutelage.recipes import recipe_path
from tutelage.reproduction.config import VillageConfig
from tutelage.reproduction.curves import measure_curve
from tutelage.reproduction.epochs import measure_sft_epochs
from tutelage.reproduction.experiment import Reproduction
from tutelage.reproduction.findings import Findings, join_rows, read_findings, summed_up
from tutelage.reproduction.inputs import collect_heldout_rankings, write_templated, write_world
from tutelage.reproduction.outside import measure_outside
from tutelage.reproduction.probes import ProbeSizes, probe_arm
from tutelage.reproduction.rewards import measure_reward_model, reward_model_summed_up, train_folds
from tutelage.reproduction.sweeps import train_sweeps
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_records, write_records
from tutelage.store.runs import versions
from tutelage.training.sft import sft
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.judging import judge_arms, measure_judgements
from tutelage.workflow.measuring import measure_responses
from tutelage.workflow.paper import measure_distances, respond, train_policies
from tutelage.workflow.steps import Steps

Size = Literal["quick", "full"]
RECIPES = {"quick": "quickstart", "full": "full"}


def quickstart(
    out: Path,
    *,
    size: Size = "quick",
    seed: int = 0,
    overrides: Sequence[str] = (),
    redo: str | None = None,
    may_keep_other_code: bool = False,
) -> dict[str, Any]:
    """Prompts → demonstrations → SFT → rankings → reward model → PPO-ptx → win rate. Returns summary.json's content.

    `redo`, `may_keep_other_code`: see `Steps`. Raises `ConfigError` at once for settings that a stage would refuse.
    """
    recipe = load_config(VillageConfig, recipe_path(RECIPES[size]), overrides)
    times = recipe.expected_seconds
    with Steps(Path(out), redo=redo, may_keep_other_code=may_keep_other_code, expected_seconds=times) as steps:
        run = Reproduction(recipe, Path(out), steps, seed=seed)
        run.require_valid()
        steps.write_config(recipe)
        take_steps(run)
        return summarize(run, size)


def take_steps(run: Reproduction) -> None:
    """The paper's steps in their order. What is shared is done once, the rest for each model size."""
    # The village's pages, and what its users sent.
    write_world(run)
    # Figure 2: demonstrations, SFT, rankings, the reward model, PPO and PPO-ptx.
    for view in run.training_order:
        train_policies(view)
    # Baselines of section 4: fine-tuned on public tasks.
    if run.recipe.templated_styles:
        write_templated(run)
        for style in run.recipe.templated_styles:
            run.middle.train(sft, run.middle.templated(style))
    # Section 4.1: everybody responds, labelers judge.
    for view in run.views:
        respond(view)
    if run.world.judge is not None:
        judge_arms(run, run.world.judge)
    collect_heldout_rankings(run)
    measure_reward_model(run)
    for view in run.views:
        measure_distances(view)
    if run.recipe.measuring is not None:
        measure_the_rest(run)
    join_measurements(run)


def measure_the_rest(run: Reproduction) -> None:
    """What the full size measures beyond win rates."""
    # Section 4.2: truthfulness, toxicity, bias, and what alignment costs.
    for view in run.views:
        for arm in view.policies_to_probe:
            settings = {"probes": run.measuring.probes}
            view.measure(f"probe-{arm}", partial(probe, arm=arm), needs={arm: view.policy_of(arm)}, settings=settings)
    # Section 4.3: outside of what fine-tuning has seen.
    measure_outside(run)
    # Section 3.5 and appendix E: groups of labelers, epochs of SFT, coefficients of PPO, reward against KL.
    train_folds(run)
    measure_sft_epochs(run)
    train_sweeps(run)
    measure_curve(run)


def probe(view: Reproduction, arm: str) -> Findings:
    """Truthfulness, toxicity, bias and skills of one policy."""
    sizes = ProbeSizes(**view.measuring.probes)
    return probe_arm(view.village, view.arm(arm), seed=view.seed, sizes=sizes, size=view.size)


def join_measurements(run: Reproduction) -> None:
    """Every number with its interval in evaluation/measurements.jsonl, the rows behind them beside it."""
    run.do(
        "measurements",
        _join_measurements,
        needs={"steps": run.out / FOLDER / "steps"},
        leaves=(run.out / MEASUREMENTS,),
        modules=(__name__,),
    )


def _join_measurements(run: Experiment) -> dict[str, int]:
    assert isinstance(run, Reproduction)
    counts = join_rows(_folders(run), run.out / FOLDER)
    found = [*measure_judgements(run), *(row for view in run.views for row in measure_responses(view))]
    found += [row for folder in _folders(run) for row in read_findings(folder)]
    return {**counts, "measurements": write_records(run.out / MEASUREMENTS, found)}


def _folders(run: Reproduction) -> list[Path]:
    """Where the steps keep what they measured: of the sizes from small to large, then of the whole run."""
    return list(dict.fromkeys(own.evaluation("-").parent for own in (*run.views, run)))


def summarize(run: Reproduction, size: Size) -> dict[str, Any]:
    """summary.json: what the largest size showed; the rest is in the measurements."""
    measurements = list(read_records(run.out / MEASUREMENTS, Measurement))
    seconds, largest = run.steps.seconds, run.largest
    sizes = [{"name": view.size, "parameters": view.result("pretrain")["num_parameters"]} for view in run.views]
    summary = {
        "size": size,
        "seed": run.seed,
        "simulated_labelers": True,
        **({"sizes": sizes} if len(sizes) > 1 else {}),
        "wall_seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
        "peak_memory_gib": run.steps.peak_memory_gib,
        "versions": versions(),
        **summed_up(measurements, size=largest.size),
        "reward_model": reward_model_summed_up(run, measurements),
        "num_prompts": run.result("prompts"),
        "prompt_prefix": largest.result("prompted"),
        "ended_share": largest.result("answers"),
    }
    with atomic_file(run.out / "summary.json") as handle:
        handle.write(json.dumps(summary, indent=2, ensure_ascii=False).encode())
    return summary
