"""The policies that a run compares: their order on the page, their names, colours and marks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BASELINE = "sft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """`label` for figures and tables, `long` for sentences, `role`: its colour on the page, `mark`: matplotlib's."""

    key: str
    label: str
    long: str
    role: str
    mark: str


_KNOWN = {
    arm.key: arm
    for arm in (
        Arm(key="gpt", label="GPT", long="the base model", role="gpt", mark="o"),
        Arm(key="gpt_prompted", label="GPT (prompted)", long="the prompted base model", role="prompted", mark="s"),
        Arm(key="sft", label="SFT", long="the SFT policy", role="sft", mark="D"),
        Arm(key="ppo", label="PPO", long="the PPO policy", role="ppo", mark="^"),
        Arm(key="ppo_ptx", label="PPO-ptx", long="the PPO-ptx policy", role="ppo-ptx", mark="v"),
    )
}


def arm_of(key: str) -> Arm:
    """The arm of that key; one that we do not know keeps its key as its name."""
    return _KNOWN.get(key) or Arm(key=key, label=key, long=f"the policy {key}", role="other", mark="P")


def in_order(keys: Iterable[str]) -> list[str]:
    """The paper's order (GPT, prompted, SFT, PPO, PPO-ptx), each once; unknown ones follow as they came."""
    present = list(dict.fromkeys(keys))
    return [key for key in _KNOWN if key in present] + [key for key in present if key not in _KNOWN]
