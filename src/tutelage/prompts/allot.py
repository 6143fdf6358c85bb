"""The purpose of a prompt: demonstrations, rankings or rollouts [3.2, Table 6]. Test prompts have none."""

from __future__ import annotations

from typing import Literal

from tutelage.prompts.chance import drawn
from tutelage.prompts.config import PurposeShares
from tutelage.records import Purpose, Split

Writer = Literal["labeler", "customer"]


def writer_of(source: str | None) -> Writer:
    """Who wrote prompts of this source: "labeler-plain" and the like are labelers', all others customers'."""
    return "labeler" if (source or "").startswith("labeler") else "customer"


def purpose_of(key: str, split: Split, writer: Writer, shares: PurposeShares, seed: int) -> Purpose | None:
    """The purpose of the prompt whose normalized text has the digest `key`, by hash, so that it never changes."""
    if split == "test":
        return None
    weights: dict[Purpose, float] = getattr(shares, f"{split}_{writer}").model_dump()
    return drawn(weights, "purpose", seed, key) if sum(weights.values()) > 0 else None
