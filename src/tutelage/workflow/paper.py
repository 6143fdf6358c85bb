"""The paper as one function, for any model and any data. Read `take_steps` from top to bottom: it is Figure 2.

Every step is done once: killed, the same call goes on where it was, and what has changed is done again with what
rests on it. Who writes, ranks and judges is handed in: files, people, or a simulated world.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
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
from tutelage.workflow.measuring import join_measurements, measure_kl, measure_text
from tutelage.workflow.sources import World
from tutelage.workflow.steps import Steps
from tutelage.workflow.summary import write_summary


def run_paper(config: RunConfig, *, world: World | None = None, redo: str | None = None) -> dict[str, Any]:
    """Prompts → demonstrations → SFT → rankings → reward model → PPO-ptx → win rates. Returns summary.json's content.

    `world`: who the prompts and labels come from; None: what the file says. `redo` names a step that is done again
    with all that were done after it. Raises `Waiting` where people have yet to label: call again when they have.
    """
    with Steps(config.out, redo=redo) as steps:
        run = Experiment(config, world or make_world(config), steps)
        take_steps(run)
        return write_summary(run)


def take_steps(run: Experiment) -> None:
    """The paper's steps in their order."""
    arms, world = run.config.arms, run.world

    # The prompts that users wrote [3.2].
    prompts = {"prompts": run.prompts_path}
    run.do("prompts", collect_prompts, asks=world.prompts, leaves=(run.prompts_path.parent,))

    # A base model: GPT.
    if run.config.base_model is None:
        run.train(pretrain, run.pretraining())

    # Step 1: collect demonstrations, and train a supervised policy.
    files = tuple(map(run.data, ("demonstrations", "demonstrations_valid")))
    run.do("demonstrations", collect_demonstrations, asks=world.demonstrators, needs=prompts, leaves=files)
    if run.first_sft != "sft":
        run.train(sft, run.sft(run.first_sft, should_select_checkpoint=False))
    if run.has_reference:
        run.train(sft, run.sft("ppo_init"))

    # Step 2: collect rankings of K completions, and train a reward model; it chooses the SFT checkpoint.
    sampled: dict[str, Any] = {}
    if run.first_sft == "sft":
        run.train(sft, run.sft("sft"))
    if world.rankers.should_sample:
        files = tuple(map(run.data, ("completions_train", "completions_valid")))
        run.do(
            "completions",
            sample_for_rankings,
            needs={**prompts, "sft": run.model(run.first_sft), "ppo_init": run.model("ppo_init")},
            settings=("completions_per_prompt", "text"),
            leaves=files,
        )
        sampled = {path.stem: path for path in files}
    files = tuple(map(run.data, ("rankings", "rankings_valid", "rankings_judge")))
    run.do("rankings", collect_rankings, asks=world.rankers, needs=sampled, settings=("judge",), leaves=files)
    if run.config.trains_reward_model:
        run.train(train_reward, run.reward())
    if run.first_sft != "sft":
        run.train(sft, run.sft("sft", reward_model=run.model("reward")))

    # Step 3: optimize a policy against the reward model with PPO, without and with the pretraining mix.
    for name in ("ppo", "ppo_ptx"):
        if name in arms:
            run.train(ppo, run.ppo(name))
    # Beyond the paper: straight on the rankings.
    if "dpo" in arms:
        run.train(dpo, run.dpo())

    # Section 3.6: everybody responds to prompts that no training has seen.
    policies: dict[str, Path | str] = {arm: run.policy_of(arm) for arm in arms}
    scorer = {"reward": run.model("reward")} if run.config.trains_reward_model else {}
    prefix = ""
    if "prompted" in arms:
        needs = {**prompts, "base": run.base_model, **scorer}
        prefix = run.do("prompted", choose_prefix, needs=needs, settings=("prefixes", "prefix_stop", "text"))["prefix"]
    run.do(
        "answers",
        partial(complete_test_prompts, prefix=prefix),
        needs={**prompts, **policies, **scorer},
        settings=("arms", "num_test_prompts", "best_of_n", "prefixes", "prefix_stop", "text"),
        leaves=(run.evaluation("completions"),),
    )

    tests = ("arms", "num_test_prompts")
    # Section 4: judges compare each with the SFT policy, and what needs no judge is measured.
    answers = {**prompts, "completions": run.evaluation("completions")}
    judge = world.judge
    if run.has_judge_model:
        run.train(train_reward, run.judge_model())
        judge = RewardModelJudge(run.model("judge_model"), device=run.device)
    if judge is not None:
        files = tuple(map(run.evaluation, ("comparisons", "ratings")))
        run.do("judgements", partial(judge_arms, judge=judge), asks=judge, needs=answers, settings=tests, leaves=files)
    if run.has_reference:
        needs = {**answers, **policies, "ppo_init": run.model("ppo_init")}
        run.do("divergence", measure_kl, needs=needs, settings=tests, leaves=(run.evaluation("kl_to_reference"),))
    if run.config.pretraining_text is not None:
        needs = {"text": run.config.pretraining_text, **policies}
        run.do("text_loss", measure_text, needs=needs, settings=("arms",), leaves=(run.evaluation("pretraining_loss"),))
    rows = {path.stem: path for path in map(run.evaluation, run.measured) if path.exists()}
    run.do("measurements", join_measurements, needs=rows, settings=("arms",), leaves=(run.evaluation("measurements"),))
