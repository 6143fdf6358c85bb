"""One run of the paper: its file locations, and the settings of each of its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from tutelage.evaluation.completions import Arm
from tutelage.evaluation.records import SizedArm
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Prompt, Purpose, Split
from tutelage.seeds import derived_seed
from tutelage.store.jsonl import read_records
from tutelage.text.render import Renderer, make_renderer
from tutelage.training.config import DPOConfig, PPOConfig, PretrainConfig, RewardConfig, SFTConfig, TrainingConfig
from tutelage.training.opening import FREE_KEYS, inputs_of
from tutelage.workflow.config import BASELINE, RunConfig
from tutelage.workflow.sources import RunSources, Source
from tutelage.workflow.steps import Step, Steps

S = TypeVar("S", bound=TrainingConfig)
Train = Callable[..., dict[str, Any]]


class Experiment:
    """A run's folder and settings, as used by the functions of its steps."""

    size = ""  # of the model, where the run has several

    def __init__(self, config: RunConfig, world: RunSources, steps: Steps) -> None:
        self.config, self.world, self.steps = config, world, steps
        self.out, self.seed = config.out, config.seed

    # -- parts of the run

    @property
    def views(self) -> Sequence[Experiment]:
        """The run at each of its model sizes, small to large."""
        return (self,)

    @property
    def arms(self) -> tuple[str, ...]:
        """The policies that are compared."""
        return self.config.arms

    @property
    def owns_reward_model(self) -> bool:
        """Whether rankings are collected for this model size; False where it takes the reward model of another."""
        return True

    @property
    def contests(self) -> list[tuple[SizedArm, SizedArm]]:
        """Who is compared with whom: every arm with the baseline."""
        baseline = SizedArm(BASELINE, self.size)
        return [(SizedArm(arm, self.size), baseline) for arm in self.arms if arm != BASELINE]

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The names of the sets of test prompts; the first is what the result is about."""
        return ("",)

    def test_prompts(self, name: str) -> list[Prompt]:
        """A set of prompts that every arm responds to."""
        prompts = self.prompts("test")
        self.rng("test prompts").shuffle(prompts)
        return prompts[: self.config.num_test_prompts]

    @property
    def has_reference(self) -> bool:
        """Whether a PPO initialization is trained, from which every policy's divergence is measured."""
        return self.world.rankers.should_sample or bool({"ppo", "ppo_ptx", "dpo", "best_of_n"} & set(self.config.arms))

    @property
    def has_judge_model(self) -> bool:
        """Whether a separate reward model judges."""
        return self.world.judge is None and self.config.judge == "reward_model"

    @property
    def is_judged(self) -> bool:
        return self.world.judge is not None or self.has_judge_model

    @property
    def measured(self) -> tuple[str, ...]:
        """The files of raw rows from which numbers are computed."""
        parts = {"completions": True, "comparisons": self.is_judged, "ratings": self.is_judged}
        parts |= {"kl_to_reference": self.has_reference, "pretraining_loss": self.config.pretraining_text is not None}
        return tuple(name for name, is_part in parts.items() if is_part)

    # -- file locations

    @property
    def base_model(self) -> Path | str:
        return self.config.base_model if self.config.base_model is not None else self.model("pretrain")

    @property
    def first_sft(self) -> str:
        """The SFT policy that is ranked and initializes the reward model: before a checkpoint is selected."""
        return "sft_first" if self.config.select_sft_by == "score" else "sft"

    @property
    def prompts_path(self) -> Path:
        return self.out / "prompts" / "prompts.jsonl"

    def data(self, name: str) -> Path:
        return self.out / "data" / f"{name}.jsonl"

    def data_if_any(self, name: str) -> Path | None:
        return self.data(name) if self.data(name).exists() else None

    def evaluation(self, name: str) -> Path:
        return self.out / "evaluation" / f"{name}.jsonl"

    def folder(self, stage: str) -> Path:
        return self.out / stage

    def model(self, stage: str) -> Path:
        return self.folder(stage) / "model"

    def policy_of(self, arm: str) -> Path | str:
        """The model of an arm; for best-of-n, the one that it samples from."""
        if arm in ("base", "prompted"):
            return self.base_model
        return self.model("ppo_init" if arm == "best_of_n" else arm)

    def arm(self, name: str, *, prefix: str = "", test_set: str = "") -> Arm:
        """An arm as it responds to a set of test prompts; `prefix` names the few-shot prefix of the prompted one."""
        if name == "best_of_n":
            return Arm(name="ppo_init", model=self.policy_of(name))
        if name != "prompted":
            return Arm(name=name, model=self.policy_of(name))
        return Arm(
            name=name, model=self.base_model, prefix=self.config.prefixes[prefix], stop_text=self.config.prefix_stop
        )

    @property
    def policies(self) -> dict[str, Path | str]:
        """The models of the arms, by name: the inputs of their responses and measurements."""
        return {arm: self.policy_of(arm) for arm in self.arms}

    @property
    def answers(self) -> dict[str, Path | str]:
        """The arms' responses and their prompts."""
        completions = {f"{view.step('answers')} completions": view.evaluation("completions") for view in self.views}
        return {"prompts": self.prompts_path, **completions}

    def prompts(self, split: Split, purpose: Purpose | None = None) -> list[Prompt]:
        records = read_records(self.prompts_path, Prompt)
        return [p for p in records if p.split == split and (purpose is None or p.purpose == purpose)]

    # -- draws and settings

    def rng(self, *purpose: str) -> Random:
        return Random(derived_seed(self.seed, *purpose))

    @property
    def sampling(self) -> SamplingSettings:
        """At temperature 1, like the rankings' completions and PPO's."""
        return SamplingSettings(max_response_tokens=self.config.text.max_response_tokens)

    @property
    def device(self) -> str:
        return str(self.config.all_stages.get("device", "auto"))

    @property
    def dtype(self) -> str:
        """In which precision policies respond and reward models judge, as in training; what is measured is float32."""
        return str(self.config.all_stages.get("dtype", "float32"))

    def render_as_asked(self, tokenizer: object) -> Renderer:
        """The renderer of an arm: a base model, which does not say, is prompted as the trained ones are."""
        text = self.config.text
        return make_renderer(
            tokenizer, prompt_format=text.prompt_format, separator=text.separator, system_prompt=text.system_prompt
        )

    def pretraining(self) -> PretrainConfig:
        return self._stage(PretrainConfig, "pretrain", text=self.config.pretraining_text)

    def sft(self, name: str, **others: Any) -> SFTConfig:
        """Supervised fine-tuning of the base model, in the folder `name`."""
        section = "ppo_init" if name == "ppo_init" else "sft"
        return self._stage(
            SFTConfig,
            section,
            out=self.folder(name),
            text=self.config.text,
            model=self.base_model,
            demonstrations=self.data("demonstrations"),
            validation=self.data_if_any("demonstrations_valid"),
            **others,
        )

    def reward(self) -> RewardConfig:
        return self._reward("reward", self.data("rankings"), self.data_if_any("rankings_valid"))

    def judge_model(self) -> RewardConfig:
        """The reward model that judges: trained on rankings that PPO's has not seen, validated on those that it has."""
        return self._reward("judge_model", self.data("rankings_judge"), self.data("rankings"))

    def _reward(self, section: str, rankings: Path, validation: Path | None) -> RewardConfig:
        return self._stage(
            RewardConfig,
            section,
            text=self.config.text,
            model=self.model(self.first_sft),
            rankings=rankings,
            validation=validation,
            demonstrations=self.data("demonstrations"),
        )

    def ppo(self, name: str) -> PPOConfig:
        return self._stage(
            PPOConfig,
            name,
            text=self.config.text,
            policy=self.model("ppo_init"),
            reward_model=self.model("reward"),
            prompts=self.prompts_path,
        )

    def dpo(self) -> DPOConfig:
        """From PPO's initialization, on the rankings that the reward model is trained on."""
        return self._stage(
            DPOConfig,
            "dpo",
            text=self.config.text,
            policy=self.model("ppo_init"),
            rankings=self.data("rankings"),
            validation=self.data_if_any("rankings_valid"),
        )

    def _stage(self, model: type[S], section: str, /, **filled_in: Any) -> S:
        return model.model_validate(
            {**self.config.section(section), "out": self.folder(section), "seed": self.seed, **filled_in}
        )

    # -- steps

    def step(self, name: str) -> str:
        """What a step is called among those of the whole run."""
        return name

    def result(self, step: str) -> Any:
        """What a step that is done returned."""
        return self.steps.progress[self.step(step)]["result"]

    def train(self, train: Train, config: TrainingConfig) -> dict[str, Any]:
        """A stage as a step; if killed, it resumes from its checkpoint."""
        needs = dict(inputs_of(config))
        name = config.out.relative_to(self.out).as_posix()
        kept = ("model", "summary.json", "metrics.jsonl")
        result: dict[str, Any] = self.steps.take(
            Step(
                name=name,
                work=lambda: train(config, resume=True),
                needs=needs,
                settings=_without(config.model_dump(mode="json"), (*needs, *FREE_KEYS)),
                leaves=tuple(f"{name}/{file}" for file in kept),
                owns=(name,),
                modules=(train.__module__,),
            )
        )
        return result

    def do(
        self,
        name: str,
        work: Callable[[Experiment], Any],
        *,
        needs: Mapping[str, Path | str] | None = None,
        asks: Source | None = None,
        settings: tuple[str, ...] = (),
        more: Mapping[str, Any] | None = None,
        leaves: tuple[Path, ...] = (),
        modules: tuple[str, ...] = (),
    ) -> Any:
        """A step of our own, `work`: the files that it `needs`, whom it `asks`, the `settings` of the file by name.

        `more`: settings that are not of the file; `modules`: whose code it runs beside that of its function.
        """
        asked: dict[str, Any] = {}
        if asks is not None:
            asked = {"asks": type(asks).__name__, **asks.settings}
        if isinstance(work, partial):
            asked |= {name: value for name, value in work.keywords.items() if isinstance(value, str)}
        dumped = self.config.model_dump(mode="json", include=set(settings) | {"seed"})
        function = work.func if isinstance(work, partial) else work
        own = (function.__module__, *(() if asks is None else (type(asks).__module__,)), *modules)
        return self.steps.take(
            Step(
                name=self.step(name),
                work=lambda: work(self),
                needs={**(needs or {}), **({} if asks is None else asks.needs)},
                settings={**dumped, **asked, **(more or {})},
                leaves=tuple(path.relative_to(self.out).as_posix() for path in leaves),
                modules=own,
            )
        )


def _without(settings: dict[str, Any], names: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    return {
        key: _without(value, names, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in settings.items()
        if f"{prefix}{key}" not in names
    }
