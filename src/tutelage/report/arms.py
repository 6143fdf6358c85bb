"""The policies that a run compares: their order on the page, their names, colors and marks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BASELINE = "sft"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmStyle:
    """`label` for figures and tables, `long` for sentences, `role`: its color on the page.

    `mark` is matplotlib's, `glyph` the same mark as a letter.
    """

    key: str
    label: str
    long: str
    role: str
    mark: str
    glyph: str


_KNOWN = {
    arm.key: arm
    for arm in (
        ArmStyle(key="base", label="Base", long="the base model", role="base", mark="o", glyph="●"),
        ArmStyle(
            key="prompted",
            label="Base (prompted)",
            long="the prompted base model",
            role="prompted",
            mark="s",
            glyph="■",
        ),
        ArmStyle(key="flan", label="FLAN", long="the FLAN-like policy", role="flan", mark="p", glyph="⬟"),
        ArmStyle(key="t0", label="T0", long="the T0-like policy", role="t0", mark="h", glyph="⬢"),
        ArmStyle(key="sft", label="SFT", long="the SFT policy", role="sft", mark="D", glyph="◆"),
        ArmStyle(key="dpo", label="DPO", long="the DPO policy", role="dpo", mark="<", glyph="◀"),
        ArmStyle(key="best_of_n", label="Best of n", long="best-of-n sampling", role="best-of-n", mark=">", glyph="▶"),
        ArmStyle(key="ppo", label="PPO", long="the PPO policy", role="ppo", mark="^", glyph="▲"),
        ArmStyle(key="ppo_ptx", label="PPO-ptx", long="the PPO-ptx policy", role="ppo-ptx", mark="v", glyph="▼"),
    )
}


def arm_of(key: str) -> ArmStyle:
    """The arm with that key; an unknown one uses its key as its name."""
    return _KNOWN.get(key) or ArmStyle(key=key, label=key, long=f"the policy {key}", role="other", mark="P", glyph="✚")


def in_order(keys: Iterable[str]) -> list[str]:
    """The paper's order (base, prompted, FLAN, T0, SFT, ..., PPO, PPO-ptx), each once; then unknown ones."""
    present = list(dict.fromkeys(keys))
    return [key for key in _KNOWN if key in present] + [key for key in present if key not in _KNOWN]
