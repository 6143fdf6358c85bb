"""The folder of a reproduction: one run of the paper for each model size, the village as their world."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tutelage.errors import ConfigError
from tutelage.evaluation.completions import Arm
from tutelage.evaluation.records import GPT, HELDOUT, INSTRUCT, TRAINING, SizedArm
from tutelage.prompts.config import PromptsConfig
from tutelage.records import Prompt
from tutelage.reproduction import village
from tutelage.reproduction.config import STAGES, MeasuringConfig, VillageConfig
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.simulated import VILLAGE_DATA, VillageJudges, VillageLabelers
from tutelage.reproduction.village import probes
from tutelage.reproduction.village.labelers import SimulatedLabeler
from tutelage.seeds import derived_seed
from tutelage.training.config import PPOConfig, SFTConfig
from tutelage.workflow.config import RunConfig, merged
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.makers import make_world
from tutelage.workflow.sources import RunSources
from tutelage.workflow.steps import Steps

# Few-shot blocks of the village end so; a base model continues with the next block instead of stopping.
BLOCK_END = "\n\n###"
CONTEXT_TOKENS = 128  # of a window of held-out text
FIGURE_1 = ("base", "prompted", "sft", "ppo", "ppo_ptx")


class Reproduction(Experiment):
    """The experiment at one model size, or whole.

    Models are in a folder of their size; the world, what its people wrote, and the reward model are those of all
    sizes. `size` is "" for the whole run, and where there is one size.
    """

    def __init__(self, recipe: VillageConfig, out: Path, steps: Steps, *, seed: int) -> None:
        """Raises `ConfigError` for settings that a stage would refuse later."""
        self.recipe, self.reward_size = recipe, recipe.reward_size
        self.village = village.build_world(derived_seed(seed, "world"))
        self.people = _people(recipe, seed)
        configs = {size: _run_config(recipe, self.village, out, seed=seed, size=size) for size in recipe.sizes}
        middle = configs[self.reward_size]
        super().__init__(middle, self._sources(middle, seed), steps)
        self.whole = self
        has_one_size = configs.keys() == {""}
        self._views = [self] if has_one_size else [self._at(size, config) for size, config in configs.items()]

    def _at(self, size: str, config: RunConfig) -> Reproduction:
        view = copy(self)
        view.size, view.config, view._views = size, config, [view]
        return view

    def _sources(self, config: RunConfig, seed: int) -> RunSources:
        labelers = VillageLabelers(self.village, self.people[TRAINING], seed=seed)
        number = self.recipe.judgements_per_prompt
        judges = VillageJudges(self.village, self.people, number=number, seed=seed)
        prompts = make_world(config).prompts
        return RunSources(prompts=prompts, demonstrators=labelers, rankers=labelers, judge=judges, is_simulated=True)

    # -- sizes

    @property
    def views(self) -> Sequence[Reproduction]:
        return self._views

    @property
    def smallest(self) -> Reproduction:
        return self.whole.views[0]

    @property
    def middle(self) -> Reproduction:
        """The size of the reward model, and of the arms that the paper has at one size or not at all."""
        return next(view for view in self.whole.views if view.owns_reward_model)

    @property
    def largest(self) -> Reproduction:
        return self.whole.views[-1]

    @property
    def training_order(self) -> list[Reproduction]:
        """The size of the reward model first: it trains what all others share."""
        return sorted(self.views, key=lambda view: not view.owns_reward_model)

    @property
    def owns_reward_model(self) -> bool:
        return self.size == self.reward_size

    @property
    def measuring(self) -> MeasuringConfig:
        """What is measured beyond win rates. Only where the recipe has it."""
        assert self.recipe.measuring is not None, "the recipe measures nothing more"
        return self.recipe.measuring

    # -- what is part of it

    @property
    def arms(self) -> tuple[str, ...]:
        return (*FIGURE_1, *(self.recipe.further_arms if self.owns_reward_model else ()))

    @property
    def policies_to_probe(self) -> list[str]:
        """The arms that are policies of their own."""
        return [arm for arm in self.arms if arm not in ("prompted", "best_of_n")]

    @property
    def test_sets(self) -> tuple[str, ...]:
        return (INSTRUCT,) if self.recipe.measuring is None else (INSTRUCT, GPT)

    def test_prompts(self, name: str) -> list[Prompt]:
        if name == INSTRUCT:
            return super().test_prompts(name)
        seed = derived_seed(self.seed, "gpt prompts")
        return probes.gpt_prompts(self.village, num_prompts=self.measuring.num_gpt_prompts, seed=seed)

    @property
    def baseline(self) -> SizedArm:
        """SFT of the largest size, with which everybody is compared [4.1]."""
        return SizedArm("sft", self.largest.size)

    @property
    def contests(self) -> list[tuple[SizedArm, SizedArm]]:
        """Everybody with the baseline; the head-to-heads of section 4.1; and the arms that the paper does not have."""
        arms = [SizedArm(arm, view.size) for view in self.views for arm in view.arms]
        found = [(arm, self.baseline) for arm in arms if arm != self.baseline]
        if len(self.views) == 1:
            return found
        small, middle, large = self.smallest.size, self.reward_size, self.largest.size
        found.append((SizedArm("ppo_ptx", small), SizedArm("base", large)))
        found += [(SizedArm("ppo_ptx", view.size), SizedArm("base", view.size)) for view in self.views]
        for style in self.recipe.templated_styles:
            found += [(SizedArm("ppo_ptx", size), SizedArm(style, middle)) for size in dict.fromkeys((middle, large))]
        others = [arm for arm in self.recipe.further_arms if arm not in self.recipe.templated_styles]
        found += [(SizedArm("ppo_ptx", middle), SizedArm(arm, middle)) for arm in others]
        return list(dict.fromkeys(found))

    def arm(self, name: str, *, prefix: str = "", test_set: str = "") -> Arm:
        """What goes on after a few-shot prompt written for GPT is cut off at its block's end."""
        own = super().arm(name, prefix=prefix, test_set=test_set)
        return replace(own, stop_text=BLOCK_END) if test_set == GPT else own

    @property
    def prefix(self) -> str:
        """The few-shot prefix that was chosen for the prompted base model."""
        return str(self.result("prompted")["prefix"])

    def judges(self, purpose: str, *groups: str) -> VillageJudges:
        """Labelers of some groups with draws of their own for a purpose."""
        people = {group: self.people[group] for group in groups}
        number = self.recipe.judgements_per_prompt
        return VillageJudges(self.village, people, number=number, seed=derived_seed(self.seed, purpose))

    # -- where things stand

    @property
    def text(self) -> Path:
        """The village's pages, which base models read."""
        return self.out / "world" / "pretraining.txt"

    @property
    def raw_prompts(self) -> Path:
        return self.data("raw_prompts")

    @property
    def held_out(self) -> Path:
        """What users sent and fine-tuning must not see; only where the recipe holds something out."""
        return self.data("held_out")

    @property
    def first_sft(self) -> str:
        return "sft_first"

    def folder(self, stage: str) -> Path:
        size = self.reward_size if stage == "reward" else self.size
        return self.out / size / stage

    def evaluation(self, name: str) -> Path:
        """Where steps keep what they measured until it is joined: a folder a size."""
        return self.out / "evaluation" / "steps" / self.size / f"{name}.jsonl"

    # -- steps

    def step(self, name: str) -> str:
        shared = ("prompts", "demonstrations", "completions", "rankings")
        return f"{self.size}/{name}" if self.size and name not in shared else name

    def templated(self, style: str) -> SFTConfig:
        """FLAN or T0: the base model on templated skills; reward score on validation prompts chooses the checkpoint."""
        found = self.sft("sft", **self.recipe.templated, reward_model=self.model("reward"))
        return found.model_copy(update={"out": self.folder(style), "demonstrations": self.data(style)})

    def sft_long(self) -> SFTConfig:
        """SFT for more epochs than the arms have: long enough for its validation loss to turn up. Each epoch leaves a
        checkpoint, the last one the model.
        """
        found = self.sft("sft_long", should_select_checkpoint=False)
        number = self.steps.progress[f"{self.size}/sft"]["result"]["num_demonstrations"]
        kept = {
            "checkpoint_every_num_steps": math.ceil(number / found.demonstrations_per_step),
            "keep_checkpoints": self.measuring.num_sft_epochs,
        }
        return found.model_copy(update={"num_epochs": self.measuring.num_sft_epochs, **kept})

    @property
    def sweeps(self) -> dict[str, dict[str, Any]]:
        """Runs of PPO along one coefficient: the name of each and what it overrides."""
        found: dict[str, dict[str, Any]] = {}
        for coef in self.measuring.ptx_coefs:
            found[f"ptx-{coef:g}"] = {"ptx": {"coef": coef}}
        for coef in self.measuring.kl_coefs:
            found[f"kl-{coef:g}"] = {"ppo": {"kl_coef": coef}, "ptx": {"coef": 0.0}}
        # On its way the freest of them goes furthest: its checkpoints are points of reward against KL.
        found[self.freest] |= {
            "checkpoint_every_num_steps": self.measuring.curve_every_num_steps,
            "keep_checkpoints": 1000,
        }
        return found

    @property
    def freest(self) -> str:
        """The sweep's run of the lowest KL coefficient."""
        return f"kl-{min(self.measuring.kl_coefs):g}"

    def swept(self, name: str) -> PPOConfig:
        """One run of a sweep, at this size, in the folder `sweeps/name`."""
        settings = merged(merged(self.config.section("ppo_ptx"), self.measuring.sweep), self.sweeps[name])
        found = self.ppo("ppo_ptx").model_dump(mode="json", exclude_unset=True)
        return PPOConfig.model_validate({**found, **settings, "out": self.out / "sweeps" / name})

    def require_valid(self) -> None:
        """Raise `ConfigError` now for what a stage would refuse after an hour."""
        for style in self.recipe.templated_styles:
            _built("templated", partial(self.middle.templated, style))
        if self.recipe.measuring is not None:
            for name in self.sweeps:
                _built(f"sweep {name}", partial(self.smallest.swept, name))

    def measure(
        self,
        name: str,
        work: Callable[[Reproduction], Findings],
        *,
        needs: Mapping[str, Path | str],
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """A step that measures: what it found is in a folder of its own."""
        folder = self.evaluation(name).with_suffix("")
        function = work.func if isinstance(work, partial) else work
        arguments = work.keywords if isinstance(work, partial) else {}
        self.do(
            name,
            lambda _: work(self).write(folder),
            needs={**needs, "village": VILLAGE_DATA},
            more={**arguments, **(settings or {})},
            leaves=(folder,),
            modules=(function.__module__,),
        )


def _people(config: VillageConfig, seed: int) -> dict[str, list[SimulatedLabeler]]:
    """Labelers by group; held-out ones, who made no training data, first, since they decide."""
    people = village.labelers(
        derived_seed(seed, "labelers"),
        num_training=config.num_training_labelers,
        num_heldout=config.num_heldout_labelers,
        noise=config.labeler_noise,
    )
    return {name: [each for each in people if each.group == name] for name in (HELDOUT, TRAINING)}


def _run_config(config: VillageConfig, world: village.World, out: Path, *, seed: int, size: str) -> RunConfig:
    """The recipe of one size as the file of a run of the paper on any data."""
    is_middle = size == config.reward_size
    arms = [arm for arm in config.further_arms if arm not in config.templated_styles] if is_middle else []
    return _built(
        size or "recipe",
        lambda: RunConfig(
            out=out,
            seed=seed,
            prompts=out / "data" / "raw_prompts.jsonl",
            curation=PromptsConfig.model_validate(config.prompts),
            demonstrations="simulated",
            rankings="simulated",
            pretraining_text=out / "world" / "pretraining.txt",
            arms=(*FIGURE_1, *arms),
            judge="nobody",
            text_window_tokens=CONTEXT_TOKENS,
            num_test_prompts=config.num_test_prompts,
            completions_per_prompt=config.completions_per_prompt,
            best_of_n=config.best_of_n,
            prefixes=village.few_shot_prefixes(world),
            prefix_stop=BLOCK_END,
            text=config.text,
            **{stage: config.section(stage, size) for stage in STAGES},
        ),
    )


def _built(name: str, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or '(all)'}: is {fault['input']!r}; {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigError(f"the settings of {name} cannot be used: {faults}") from None
