"""Splits by user: all prompts of a user are in one split [3.2]."""

from __future__ import annotations

from typing import get_args

from tutelage.prompts.chance import drawn
from tutelage.prompts.config import SplitShares
from tutelage.prompts.dedupe import normalised_prompt
from tutelage.records import Prompt, Split, content_id

SPLITS: tuple[Split, ...] = get_args(Split)


def user_key(prompt: Prompt) -> str:
    """The user as counted by splits and the cap; a prompt without `user_id`, with its repeats, is its own user."""
    if prompt.user_id:
        return f"user:{prompt.user_id}"
    return f"prompt:{content_id(normalised_prompt(prompt.text, prompt.messages))}"


def split_of(user: str, shares: SplitShares, seed: int) -> Split:
    """The split of a user, by hash, so that it does not change when data is added."""
    return drawn({split: getattr(shares, split) for split in SPLITS}, "split", seed, user)
