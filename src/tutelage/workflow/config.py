"""The configuration of `tutelage run`: one strict file with the data, overrides of each stage's defaults, the judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from tutelage.config import Config, check_values
from tutelage.prompts.config import CustomerShares, PromptsConfig, SplitShares
from tutelage.training.config import DPOConfig, PPOConfig, PretrainConfig, RewardConfig, SFTConfig, TextConfig

PEOPLE = "people"
ArmName = Literal["base", "prompted", "sft", "ppo", "ppo_ptx", "dpo", "best_of_n"]
ARMS: tuple[ArmName, ...] = get_args(ArmName)
BASELINE = "sft"

# The stage of each section, and the keys that the run fills in.
SECTIONS: dict[str, tuple[type[Config], tuple[str, ...]]] = {
    "pretrain": (PretrainConfig, ("out", "seed", "text")),
    "sft": (SFTConfig, ("out", "seed", "text", "model", "demonstrations", "validation", "reward_model")),
    "ppo_init": (SFTConfig, ("out", "seed", "text", "model", "demonstrations", "validation", "reward_model")),
    "reward": (RewardConfig, ("out", "seed", "text", "model", "rankings", "validation", "demonstrations")),
    "judge_model": (RewardConfig, ("out", "seed", "text", "model", "rankings", "validation", "demonstrations")),
    "ppo": (PPOConfig, ("out", "seed", "text", "policy", "reward_model", "prompts")),
    "ppo_ptx": (PPOConfig, ("out", "seed", "text", "policy", "reward_model", "prompts")),
    "dpo": (DPOConfig, ("out", "seed", "text", "policy", "rankings", "validation")),
}
# A section may extend another: keys it does not set come from the other.
STANDS_OVER = {"ppo_init": "sft", "judge_model": "reward", "ppo_ptx": "ppo"}


class RunConfig(Config):
    """`tutelage run`: the paper on your model and data. Paths, hub ids, or `people`; see recipes/own-data.yaml."""

    out: Path
    seed: int = 0
    base_model: Path | str | None = None  # None: `pretrain` trains one on the pretraining text
    prompts: Path | str
    curation: PromptsConfig | None = None  # as in `tutelage prompts build` [3.2]; None uses prompts unchanged
    # For prompts without a split: each user is in one split, as in the paper [3.2]; the shares are ours.
    split_shares: SplitShares = SplitShares(train=0.8, valid=0.1, test=0.1)
    # For prompts without a purpose: existing labels need no prompts, and the rest is split evenly.
    purpose_shares: CustomerShares | None = None
    demonstrations: Path | str  # `people` write them in the studio
    demonstrations_validation: Path | str | None = None
    rankings: Path | str  # `people` rank completions in the studio
    rankings_validation: Path | str | None = None
    pretraining_text: Path | None = None
    studio: Path | None = None  # where people label; None: the folder `studio` of the run
    studio_address: str = "http://127.0.0.1:8000"
    labels_per_task: int = Field(1, gt=0)  # by different people; a ranking is one person's in the paper [3.4]
    arms: tuple[ArmName, ...] = ("base", "sft", "ppo", "ppo_ptx")
    judge: Literal["people", "reward_model", "nobody"] = "reward_model"
    text_window_tokens: int = Field(512, gt=0)  # of held-out text, per window; less if the context is shorter
    num_test_prompts: int = Field(200, gt=1)  # completed by every arm; an interval of about +-7 points
    completions_per_prompt: tuple[int, int] = (4, 9)  # K of a ranking [3.5]
    best_of_n: int = Field(16, gt=1)
    prefixes: dict[str, str] = Field(default_factory=dict)  # few-shot prefixes of the arm `prompted` [C.5]
    prefix_stop: str = ""  # an additional stop string for the arm `prompted`
    select_sft_by: Literal["score", "validation_loss"] = "score"  # the paper's choice [3.5]; the other trains SFT once
    allow_prompt_overlap: bool = False  # over a twentieth of the prompts on one side of a split may be on the other too
    text: TextConfig = TextConfig()
    all_stages: dict[str, Any] = Field(default_factory=dict)  # keys that every stage has: device, dtype, ...
    pretrain: dict[str, Any] = Field(default_factory=dict)
    sft: dict[str, Any] = Field(default_factory=dict)
    ppo_init: dict[str, Any] = Field(default_factory=dict)
    reward: dict[str, Any] = Field(default_factory=dict)
    judge_model: dict[str, Any] = Field(default_factory=dict)
    ppo: dict[str, Any] = Field(default_factory=dict)
    ppo_ptx: dict[str, Any] = Field(default_factory=dict)
    dpo: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [*self._contradictions(), *self._faults_of_sections()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _contradictions(self) -> Iterator[str]:
        if BASELINE not in self.arms:
            yield f"arms is {list(self.arms)}; it must include {BASELINE}, the baseline of all others"
        fewest, most = self.completions_per_prompt
        if not 2 <= fewest <= most <= 9:
            yield f"completions_per_prompt is [{fewest}, {most}]; it must be two numbers from 2 to 9, smallest first"
        for name in ("base_model", "ppo_ptx"):
            if self.pretraining_text is None and (
                self.base_model is None if name == "base_model" else name in self.arms
            ):
                yield f"pretraining_text is missing; it is needed {_NEEDS_TEXT[name]}"
        if self.curation is not None and {"split_shares", "purpose_shares"} & self.model_fields_set:
            yield "split_shares and purpose_shares are for prompts that are not curated; set them inside curation"
        if "prompted" in self.arms and not self.prefixes:
            yield "prefixes is empty; the arm prompted needs at least one, as `name: text`"
        if self.prefixes and "prompted" not in self.arms:
            yield "prefixes are given, but arms has no `prompted`; add it, or omit them"
        if len(self.prefixes) > 1 and not self.trains_reward_model:
            yield "several prefixes are compared by the reward model's score, but no arm needs one; give only one"
        for kind in ("demonstrations", "rankings"):
            if is_by_people(getattr(self, kind)) and getattr(self, f"{kind}_validation") is not None:
                yield f"{kind}_validation is given, but people also label the prompts of split valid; omit it"

    @property
    def trains_reward_model(self) -> bool:
        """Whether an arm, or the choice of the SFT checkpoint, needs the reward model."""
        return self.select_sft_by == "score" or bool({"ppo", "ppo_ptx", "best_of_n"} & set(self.arms))

    def _faults_of_sections(self) -> Iterator[str]:
        for name, (model, filled_in) in SECTIONS.items():
            own = getattr(self, name)
            for key in (key for key in filled_in if key in own):
                yield f"{name}.{key}: is {own[key]!r}; the run fills this in; omit it"
            values = self.section(name)
            known = {key: value for key, value in values.items() if key not in filled_in}
            if name == "ppo_ptx" and self.pretraining_text is None:
                known["ptx"] = {**known["ptx"], "text": "-"}  # its absence is reported once
            required = {key: "-" for key in filled_in if model.model_fields[key].is_required()}
            if name != "pretrain" or self.base_model is None:
                yield from (f"{name}.{fault}" for fault in check_values(model, {**known, **required})[1])

    def section(self, name: str) -> dict[str, Any]:
        """The settings of one stage: keys of all stages, of the section that it extends, and its own."""
        below = getattr(self, STANDS_OVER[name]) if name in STANDS_OVER else {}
        shared = dict(self.all_stages)
        if self.allow_prompt_overlap and "allow_prompt_overlap" in SECTIONS[name][0].model_fields:
            shared["allow_prompt_overlap"] = True
        found = merged({**shared, **below}, getattr(self, name))
        if name == "ppo_init":
            # Two epochs with a tenth of pretraining text [C.3], and the last one is used.
            given = getattr(self, name)
            share = {"pretraining_share": 0.1} if self.pretraining_text is not None else {}
            mix = {} if self.pretraining_text is None else {"pretraining_text": str(self.pretraining_text)}
            found |= {"num_epochs": given.get("num_epochs", 2), **share, **given, **mix}
            found["should_select_checkpoint"] = False
        if name in ("ppo", "ppo_ptx"):
            text = None if self.pretraining_text is None else str(self.pretraining_text)
            found["ptx"] = {**found.get("ptx", {}), "text": text}
            if name == "ppo":
                found["ptx"]["coef"] = 0.0
        return found


def is_by_people(source: Path | str) -> bool:
    """Whether people still have to make the labels, in the studio."""
    return str(source) == PEOPLE


_NEEDS_TEXT = {"base_model": "to train a base model, since base_model is null", "ppo_ptx": "by the arm ppo_ptx"}


def merged(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with `overrides` on top; mappings inside are merged key by key."""
    found = dict(settings)
    for key, value in overrides.items():
        inner = found.get(key)
        found[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return found
