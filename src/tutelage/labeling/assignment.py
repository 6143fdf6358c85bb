"""Who may be assigned what. The claim in the database applies exactly these rules in one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from tutelage.labeling.tasks import Purpose

Group = Literal["training", "heldout"]
GROUPS: tuple[Group, ...] = get_args(Group)
GROUP_NAMES: dict[Group, str] = {"training": "training", "heldout": "held-out"}
# Training labelers also evaluate; held-out labelers never touch what a model is trained on (paper 3.4).
PURPOSES_OF: dict[Group, tuple[Purpose, ...]] = {
    "training": ("training", "evaluation"),
    "heldout": ("evaluation",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An item's relation to one labeler: its purpose, and how this labeler has been involved with it."""

    purpose: Purpose
    author_ids: Collection[str] = ()
    labeler_ids: Collection[str] = ()
    skipper_ids: Collection[str] = ()
    is_halted: bool = False


def may_take(standing: Standing, labeler_id: str, group: Group) -> bool:
    """Whether a labeler may get an item: not halted, open to the group, new to them, containing nothing of theirs."""
    touched = {*standing.author_ids, *standing.labeler_ids, *standing.skipper_ids}
    return not standing.is_halted and standing.purpose in PURPOSES_OF[group] and labeler_id not in touched


def has_quota_left(quota: int | None, num_labels: int) -> bool:
    """Whether a labeler may get more tasks; None is no quota."""
    return quota is None or num_labels < quota


def should_halt(num_skips: int, limit: int) -> bool:
    """Whether an item with so many skips goes to the lead instead of the next labeler; limit 0: never."""
    return limit > 0 and num_skips >= limit
