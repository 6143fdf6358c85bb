"""The folder of a full run: several model sizes in one, what each overrides, where the run stands and what is left."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from tutelage.config import Config
from tutelage.errors import ConfigError
from tutelage.reproduction.run import QuickstartConfig, Run
from tutelage.training.config import DPOConfig, PPOConfig, PretrainConfig, SFTConfig
from tutelage.workflow.config import merged


class SizeConfig(Config):
    """What one model size overrides of the stages' settings, nested keys one by one."""

    pretrain: dict[str, Any] = Field(default_factory=dict)
    sft: dict[str, Any] = Field(default_factory=dict)
    ppo_init: dict[str, Any] = Field(default_factory=dict)
    reward: dict[str, Any] = Field(default_factory=dict)
    ppo: dict[str, Any] = Field(default_factory=dict)


class FullConfig(QuickstartConfig):
    """The full instrument: the stages' settings of all sizes, what each size overrides, further arms and sweeps."""

    sizes: dict[str, SizeConfig] = Field(min_length=1)
    reward_size: str
    held_out_use_case: str
    held_out_language: str
    num_gpt_prompts: int = Field(gt=0)
    num_outside_prompts: int = Field(gt=0)
    completions_per_foreign_prompt: int = Field(gt=0)
    num_templated: int = Field(gt=0)
    templated: dict[str, Any]
    dpo: dict[str, Any]
    best_of_n: int = Field(gt=1)
    num_sft_epochs: int = Field(gt=1)
    num_folds: int = Field(gt=1)
    ptx_coefs: tuple[float, ...] = Field(min_length=1)
    kl_coefs: tuple[float, ...] = Field(min_length=1)
    sweep: dict[str, Any]
    num_sweep_prompts: int = Field(gt=0)
    num_curve_prompts: int = Field(gt=0)
    curve_every_num_steps: int = Field(gt=0)
    curve_sizes: tuple[int, ...] = Field(min_length=3)
    probes: dict[str, int]
    expected_seconds: dict[str, float]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.reward_size not in self.sizes:
            raise ValueError(f"reward_size is {self.reward_size!r}; it must be one of {', '.join(self.sizes)}")
        if self.num_folds > self.num_training_labelers:
            raise ValueError(f"num_folds {self.num_folds} is more than the {self.num_training_labelers} labelers")
        return self

    def of_size(self, size: str) -> QuickstartConfig:
        """The settings of one size."""
        shared = {name: getattr(self, name) for name in QuickstartConfig.model_fields}
        for stage, settings in self.sizes[size].model_dump().items():
            shared[stage] = merged(shared[stage], settings)
        return QuickstartConfig.model_validate(shared)


class FullRun(Run):
    """The whole folder; `view` gives one size of it."""

    # What a step that the recipe does not time is taken to need.
    SECONDS_OF_A_SHORT_STEP = 3.0

    def __init__(self, out: Path, config: FullConfig, seed: int, *, redo: str | None = None) -> None:
        super().__init__(out, config, seed, redo=redo)
        self.full = config
        self.reward_size = config.reward_size
        self.plan: tuple[str, ...] = ()
        self._planning: list[str] | None = None

    def planned(self, take_steps: Callable[[Self], None]) -> tuple[str, ...]:
        """The names of the steps that `take_steps` would take, in their order, without taking one."""
        names: list[str] = []
        listing = copy.copy(self)
        listing._planning = names
        take_steps(listing)
        return tuple(names)

    def step(self, name: str, work: Callable[[Self], Any]) -> None:
        """As `Run.step`; while planning, the name is noted and nothing is done."""
        if self._planning is None:
            super().step(name, work)
        else:
            self._planning.append(self.key(name))

    @property
    def sizes(self) -> tuple[str, ...]:
        """From small to large."""
        return tuple(self.full.sizes)

    @property
    def smallest(self) -> Self:
        return self.view(self.sizes[0])

    @property
    def largest(self) -> Self:
        return self.view(self.sizes[-1])

    @property
    def middle(self) -> Self:
        """The size of the reward model, and of the arms that the paper has at one size or not at all."""
        return self.view(self.reward_size)

    @property
    def steps(self) -> Path:
        """Where steps keep what they measured until it is joined; a folder for each."""
        return self.out / "evaluation" / "steps" / self.size

    def view(self, size: str) -> Self:
        """One size: its own settings, folders and step names; everything else is shared."""
        view = copy.copy(self)
        view.size, view.config = size, self.full.of_size(size)
        return view

    def require_valid(self) -> None:
        """Raise `ConfigError` now for what a stage would refuse after an hour."""
        for size in self.sizes:
            view = self.view(size)
            for stage, build in {
                "pretrain": lambda view=view: view.stage(PretrainConfig, "pretrain", text=view.text),
                "sft": lambda view=view: view.sft("sft"),
                "ppo_init": lambda view=view: view.ppo_init(),
                "reward": lambda view=view: view.reward(),
                "ppo": lambda view=view: view.ppo("ppo"),
            }.items():
                _built(f"{size}, {stage}", build)
        _built("templated", lambda: self.middle.templated("flan"))
        _built("dpo", lambda: self.middle.dpo())
        for name in self.sweeps:
            _built(f"sweep {name}", lambda name=name: self.smallest.swept(name))

    @property
    def sweeps(self) -> dict[str, dict[str, Any]]:
        """Runs of PPO along one coefficient: the name of each and what it overrides."""
        found: dict[str, dict[str, Any]] = {}
        for coef in self.full.ptx_coefs:
            found[f"ptx-{coef:g}"] = {"ptx": {"coef": coef}}
        for coef in self.full.kl_coefs:
            found[f"kl-{coef:g}"] = {"ppo": {"kl_coef": coef}, "ptx": {"coef": 0.0}}
        # On its way the freest of them goes furthest: its checkpoints are points of reward against KL.
        kept = {"checkpoint_every_num_steps": self.full.curve_every_num_steps, "keep_checkpoints": 1000}
        found[self.freest] |= kept
        return found

    @property
    def freest(self) -> str:
        """The sweep's run of the lowest KL coefficient."""
        return f"kl-{min(self.full.kl_coefs):g}"

    def swept(self, name: str) -> PPOConfig:
        """One run of a sweep, at this size, in the folder `sweeps/name`."""
        settings = merged(merged(self.config.ppo, self.full.sweep), self.sweeps[name])
        config = self.config.model_copy(update={"ppo": settings})
        view = copy.copy(self)
        view.config = config
        return view.ppo(name).model_copy(update={"out": self.out / "sweeps" / name})

    def templated(self, style: str) -> SFTConfig:
        """FLAN or T0: the base model on templated skills; reward score on validation prompts chooses the checkpoint."""
        found = self.sft(style, **self.full.templated, reward_model=self.model("reward"))
        return found.model_copy(update={"demonstrations": self.data / f"{style}.jsonl"})

    def sft_long(self) -> SFTConfig:
        """SFT for more epochs than the arms have: long enough for its validation loss to turn up. Each epoch leaves a
        checkpoint, the last one the model.
        """
        found = self.sft("sft_long", should_select_checkpoint=False)
        steps_per_epoch = math.ceil(self.result("sft")["num_demonstrations"] / found.demonstrations_per_step)
        kept = {"checkpoint_every_num_steps": steps_per_epoch, "keep_checkpoints": self.full.num_sft_epochs}
        return found.model_copy(update={"num_epochs": self.full.num_sft_epochs, **kept})

    def dpo(self) -> DPOConfig:
        """From where PPO starts, on the rankings that the reward model learnt from."""
        return DPOConfig.model_validate(
            {
                "text": self.config.text,
                "policy": self.model("ppo_init"),
                "rankings": self.data / "rankings.jsonl",
                "validation": self.data / "rankings_valid.jsonl",
                **self.full.dpo,
                "out": self.folder("dpo"),
                "seed": self.seed,
            }
        )

    def announcement(self, name: str) -> str:
        """The step, its number, the time so far, and how long the rest should take at the pace so far."""
        if name not in self.plan:
            return f"[{name}]"
        seconds = self.progress["seconds"]
        done = [step for step in self.plan if step in self.progress["results"]]
        left = sum(self._expected(step) for step in self.plan if step not in done)
        expected, spent = sum(map(self._expected, done)), sum(seconds.get(step, 0.0) for step in done)
        # Short steps say little about the machine: until a minute's work is done, the recipe's own times count.
        pace = spent / expected if expected >= 60 else 1.0
        so_far = sum(seconds.values())
        return (
            f"[{self.plan.index(name) + 1}/{len(self.plan)} {name}] {_minutes(so_far)} so far, "
            f"about {_minutes(left * pace)} left"
        )

    def _expected(self, step: str) -> float:
        """Seconds on two cores, from the recipe: of the step itself, or of its name at any size."""
        expected = self.full.expected_seconds
        return expected.get(step, expected.get(step.rpartition("/")[2], self.SECONDS_OF_A_SHORT_STEP))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _built(name: str, build: Any) -> BaseModel:
    try:
        found: BaseModel = build()
    except ValidationError as error:
        raise ConfigError(f"the settings of {name} cannot be used: {_faults(error.errors())}") from None
    return found


def _faults(errors: Iterable[Any]) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or '(all)'}: is {fault['input']!r}; {fault['msg']}" for fault in errors
    )
