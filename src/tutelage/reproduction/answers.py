"""Every arm of a full run at one size: its prompts, and its completions of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tutelage.evaluation.best_of_n import complete_best_of_n
from tutelage.evaluation.completions import Arm, is_complete
from tutelage.evaluation.records import GPT, INSTRUCT, SizedArm
from tutelage.model.loading import load_tokenizer
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Completion, Prompt
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.held_out import SETS, outside_prompts
from tutelage.reproduction.judging import BLOCK_END, STAGE_OF_ARM, arms, completion_rows, mean, test_prompts
from tutelage.reproduction.models import complete_prompts
from tutelage.reproduction.sizes import FullRun
from tutelage.reproduction.village import few_shot_prefixes, probes
from tutelage.seeds import derived_seed
from tutelage.text.render import make_renderer

# Arms that are trained beside those of Figure 1, at the size of the reward model.
FURTHER = ("flan", "t0", "dpo")
BEST_OF_N = "best_of_n"


def stage_of_arm(view: FullRun) -> dict[str, str]:
    """Every policy of a size and the stage that trained it."""
    further = {name: name for name in FURTHER} if view.size == view.reward_size else {}
    return STAGE_OF_ARM | further


def all_arms(view: FullRun) -> list[Arm]:
    """Those of Figure 1, and the further ones where this size has them; best-of-n is not a policy of its own."""
    further = [name for name in stage_of_arm(view) if name not in STAGE_OF_ARM]
    return [*arms(view), *(Arm(name=name, model=view.model(name)) for name in further)]


def prompts_of(view: FullRun, distribution: str) -> list[Prompt]:
    """Test prompts: those of the users, or prompts written for GPT. The same at every size."""
    if distribution == INSTRUCT:
        return _fitting(view, test_prompts(view))
    seed = derived_seed(view.seed, "gpt prompts")
    return _fitting(view, probes.gpt_prompts(view.world, num_prompts=view.full.num_gpt_prompts, seed=seed))


def _fitting(view: FullRun, prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts that leave room for a response, even behind the longest few-shot prefix: all arms get the same."""
    context = min(view.view(size).config.pretrain["new_model"]["context_tokens"] for size in view.sizes)
    # The base model, and those that were trained from it, which may be prompted in another way.
    renderers = [make_renderer(load_tokenizer(view.model(stage))) for stage in ("pretrain", "ppo_init")]
    room = context - view.config.text.max_response_tokens
    prefix = max(few_shot_prefixes(view.world).values(), key=len)
    longest = [Prompt(text=prefix + prompt.flat) for prompt in prompts]
    return [
        prompt
        for prompt, long in zip(prompts, longest, strict=True)
        if max(len(renderer.prompt_tokens(long)) for renderer in renderers) <= room
    ]


def complete_everything(view: FullRun) -> dict[str, float]:
    """Completions of every arm of a size to the test prompts of both distributions, and to those outside fine-tuning.

    Returns the share that ended by itself, by arm, on the users' prompts.
    """
    found = Findings(rows={"completions": [], "outside": []})
    shares: dict[str, float] = {}
    for distribution in (INSTRUCT, GPT):
        prompts = prompts_of(view, distribution)
        for name, completions in _completions(view, distribution, prompts):
            if distribution == INSTRUCT:
                shares[name] = mean(float(is_complete(own)) for own in completions)
            rows = completion_rows(prompts, SizedArm(name, view.size), completions, distribution)
            found.rows["completions"].extend(rows)
    for which in SETS:
        prompts = outside_prompts(view, which)
        for arm in arms(view):
            completions = [own[0] for own in complete_prompts(view, arm, prompts, 1)]
            rows = completion_rows(prompts, SizedArm(arm.name, view.size), completions, which)
            found.rows["outside"].extend(rows)
    found.write(view.steps / "answers")
    return shares


def _completions(
    view: FullRun, distribution: str, prompts: Sequence[Prompt]
) -> Iterable[tuple[str, Sequence[Completion]]]:
    """Each arm's one completion a prompt; what goes on after a few-shot prompt written for GPT is cut off there."""
    for arm in all_arms(view):
        own = replace(arm, stop_text=BLOCK_END) if distribution == GPT else arm
        yield arm.name, [several[0] for several in complete_prompts(view, own, prompts, 1)]
    if view.size == view.reward_size:
        yield BEST_OF_N, [several[0] for several in _best_of_n(view, distribution, prompts)]


def _best_of_n(view: FullRun, distribution: str, prompts: Sequence[Prompt]) -> Any:
    """From where PPO starts: the same policy, with the same reward model, without training."""
    return complete_best_of_n(
        Arm(name="ppo_init", model=view.model("ppo_init"), stop_text=BLOCK_END if distribution == GPT else ""),
        prompts,
        n=view.full.best_of_n,
        reward_model=view.model("reward"),
        settings=SamplingSettings(max_response_tokens=view.config.text.max_response_tokens),
        seed=view.seed,
        name=BEST_OF_N,
    )
