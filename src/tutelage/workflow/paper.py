"""The paper as one function, for any model and any data. Read `train_policies` from top to bottom: it is Figure 2.

Every step is done once: if killed, the same call resumes, and whatever has changed is redone with everything that
depends on it. Who writes, ranks and judges is passed in: files, people, or a simulated world.
"""

from __future__ import annotations

from typing import Any

from tutelage.training.dpo import dpo
from tutelage.training.ppo import ppo
from tutelage.training.pretrain import pretrain
from tutelage.training.reward import train_reward
from tutelage.training.sft import sft
from tutelage.workflow.answers import choose_prefix, complete_test_prompts
from tutelage.workflow.collection import (
    collect_demonstrations,
    collect_prompts,
    collect_rankings,
    sample_for_rankings,
)
from tutelage.workflow.config import RunConfig
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.judging import RewardModelJudge, judge_arms
from tutelage.workflow.makers import make_world
from tutelage.workflow.measuring import join_measurements, measure_kl, measure_text_loss
from tutelage.workflow.sources import RunSources
from tutelage.workflow.steps import Steps
from tutelage.workflow.summary import write_summary


def run_paper(
    config: RunConfig, *, world: RunSources | None = None, redo: str | None = None, may_keep_other_code: bool = False
) -> dict[str, Any]:
    """Prompts → demonstrations → SFT → rankings → reward model → PPO-ptx → win rates. Returns summary.json's content.

    `world`: the sources of prompts and labels; None: as configured. `redo` names a step to redo with all that followed
    it; `may_keep_other_code` keeps results of another version of this program. Raises `Waiting` if people still have to
    label: call again when they have.
    """
    with Steps(config.out, redo=redo, may_keep_other_code=may_keep_other_code) as steps:
        run = Experiment(config, world or make_world(config), steps)
        steps.write_config(config)
        take_steps(run)
        return write_summary(run)


def take_steps(run: Experiment) -> None:
    """The paper's steps in order."""
    train_policies(run)
    evaluate(run)


def train_policies(run: Experiment) -> None:
    """Figure 2: prompts, and the three steps from demonstrations to a policy."""
    arms = run.arms

    # Prompts that users wrote [3.2], and a base model: GPT.
    collect_prompts(run)
    if run.config.base_model is None:
        run.train(pretrain, run.pretraining())

    # Step 1: collect demonstrations, and train a supervised policy; with some pretraining text it initializes PPO.
    collect_demonstrations(run)
    if run.config.select_sft_by == "validation_loss":
        run.train(sft, run.sft("sft"))
    elif run.owns_reward_model:
        run.train(sft, run.sft("sft_first", should_select_checkpoint=False))
    if run.has_reference:
        run.train(sft, run.sft("ppo_init"))

    # Step 2: collect rankings of completions, and train a reward model; it selects the epoch of the supervised policy.
    if run.owns_reward_model:
        if run.world.rankers.should_sample:
            sample_for_rankings(run)
        collect_rankings(run)
        if run.config.trains_reward_model:
            run.train(train_reward, run.reward())
    if run.config.select_sft_by == "score":
        run.train(sft, run.sft("sft", reward_model=run.model("reward")))

    # Step 3: optimize a policy against the reward model with PPO, without and with the pretraining mix.
    if "ppo" in arms:
        run.train(ppo, run.ppo("ppo"))
    if "ppo_ptx" in arms:
        run.train(ppo, run.ppo("ppo_ptx"))
    # Beyond the paper: directly on the rankings.
    if "dpo" in arms:
        run.train(dpo, run.dpo())


def evaluate(run: Experiment) -> None:
    """Section 4: who is preferred, how far each policy went from its start, and what it forgot."""
    respond(run)
    # Which policies are preferred to the supervised one [4.1]?
    judge = run.world.judge
    if run.has_judge_model:
        run.train(train_reward, run.judge_model())
        judge = RewardModelJudge(run.model("judge_model"), device=run.device, dtype=run.dtype)
    if judge is not None:
        judge_arms(run, judge)
    measure_distances(run)
    join_measurements(run)


def respond(run: Experiment) -> None:
    """Everybody responds to prompts that no training has seen [3.6]."""
    complete_test_prompts(run, choose_prefix(run) if "prompted" in run.arms else "")


def measure_distances(run: Experiment) -> None:
    """What needs no judge."""
    if run.has_reference:
        measure_kl(run)
    if run.config.pretraining_text is not None:
        measure_text_loss(run, run.config.pretraining_text)
