"""How raw prompts become the three prompt sets. Paper sections in brackets; what it leaves open has a stated reason."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tutelage.prompts.privacy import PII_TYPES, PiiType
from tutelage.records import Split


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class SplitShares(_Strict):
    """Weights of the splits; only their proportion counts. Defaults: prompts per split in Tables 6 and 9."""

    train: float = Field(default=77_076, ge=0)
    valid: float = Field(default=35_725, ge=0)
    test: float = Field(default=3_196, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.train + self.valid + self.test <= 0:
            raise ValueError("at least one split must have a share above 0")
        return self


class LabelerShares(_Strict):
    """Weights of the purposes of prompts that labelers wrote. PPO uses only customers' prompts [Table 6]."""

    sft: float = Field(ge=0)
    reward: float = Field(ge=0)


class CustomerShares(LabelerShares):
    """Weights of the purposes of prompts that customers sent."""

    ppo: float = Field(ge=0)


class PurposeShares(_Strict):
    """Weights by split and by writer of the prompt, as in Table 6. All 0 leaves such prompts without a purpose."""

    train_labeler: LabelerShares = LabelerShares(sft=11_295, reward=6_623)
    train_customer: CustomerShares = CustomerShares(sft=1_430, reward=26_584, ppo=31_144)
    valid_labeler: LabelerShares = LabelerShares(sft=1_550, reward=3_488)
    valid_customer: CustomerShares = CustomerShares(sft=103, reward=14_399, ppo=16_185)


class PromptsConfig(_Strict):
    """Every setting of `tutelage prompts build`."""

    seed: int = 0  # determines splits and purposes, together with only the user and the text
    # Twice the 2,048 tokens of context [App. C] at the usual 4 characters per token: anything longer fits nowhere. The
    # exact limit is in tokens and is applied by the training stages, which know the tokenizer.
    max_characters: int = Field(default=16_384, gt=0)
    # "Long common prefix" [3.2], length not given. 200 characters are about 50 tokens, near the median prompt [Table
    # 9]: one-line prompts with a similar beginning ("Write a short story about a ...") never reach it.
    min_common_prefix: int = Field(default=200, gt=0)
    # And at least this share of the shorter prompt. A template with a different passage shares its instruction, well
    # under half; the same few-shot context with a different last line, or a prompt edited at its end, shares over three
    # quarters. 0: only the length decides.
    min_prefix_share: float = Field(default=0.75, ge=0, le=1)
    # A prefix this long (about the 1,000 tokens that prompts may have in training [App. C]) counts whatever its share;
    # it also limits what is compared.
    max_common_prefix: int = Field(default=4_000, gt=0)
    max_prompts_per_user: int = Field(default=200, gt=0)  # [3.2]
    # Cap and prefix rule are stated for prompts sent to the API [3.2]. About 40 labelers wrote 17,918 training prompts
    # [Table 6], far over 200 each, and variants of a few-shot template are wanted [A.1]. Exact repeats are always
    # dropped.
    exempt_labelers: bool = True
    # The paper filters the training split. Labelers read the other two as well, so all three are scrubbed here;
    # ("train",) is the paper's choice.
    scrub_splits: tuple[Split, ...] = ("train", "valid", "test")
    pii: tuple[PiiType, ...] = PII_TYPES
    languages: tuple[str, ...] | None = (
        None  # None keeps all and only labels them, as the paper does [3.3]; include "und" if listed
    )
    # Below this probability the language is "und": "hello" gets 0.10, "Write a poem about a frog" 0.87.
    min_language_confidence: float = Field(default=0.5, ge=0, le=1)
    # Taken from the start of each prompt. Of 3,000 prompts of public tasks, 99.97 % got the same label as with 2,000
    # characters; the time grows with the characters and is the largest part of a build.
    language_characters: int = Field(default=200, gt=0)
    split_shares: SplitShares = SplitShares()
    purpose_shares: PurposeShares = PurposeShares()
    write_rejected: bool = True  # rejected.jsonl: id and reason, never the text

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_common_prefix < self.min_common_prefix:
            raise ValueError(
                f"max_common_prefix is {self.max_common_prefix}; it must not be below min_common_prefix "
                f"({self.min_common_prefix})"
            )
        return self
