"""The inputs of a build, what it dropped and why. It has no date: the same sources give the same bytes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tutelage.prompts.config import PromptsConfig


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class PromptFile(_Frozen):
    """One source as given. `sha256` only if it is a file."""

    path: str
    sha256: str | None
    num_prompts: int
    num_left_out: int  # malformed, or without a usable prompt


class RejectedRecord(_Frozen):
    """A record that could not be used, scrubbed like a prompt; only the first ones; all are in rejected.jsonl."""

    path: str
    line: int
    message: str


class Manifest(_Frozen):
    """Everything that went into a build and came out of it, except the prompts."""

    tutelage: str  # version
    config: PromptsConfig
    sources: tuple[PromptFile, ...]
    left_out: tuple[RejectedRecord, ...]
    left_out_by_reason: tuple[str, ...]  # each reason with its first record and the number of others
    num_read: int
    num_kept: int
    num_users: int
    rejected: dict[str, int]  # by reason
    placeholders: dict[str, int]  # personal data and secrets that were replaced, by type
    num_scrubbed: int  # prompts with at least one placeholder
    languages: dict[str, int]
    counts: dict[str, dict[str, int]]  # "train sft" and so on -> "labeler" or "customer" -> prompts, as in Table 6
    num_hints_ignored: int  # users only some of whose prompts had a split_hint
