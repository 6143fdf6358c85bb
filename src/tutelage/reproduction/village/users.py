"""The users of the miniature and what they send: the raw prompts, as untidy as those of a real service.

A few users send most of the prompts; prompts come back nearly unchanged; some carry an address, a telephone number or
an e-mail; some are in another tongue. Users of the validation and test split ask with wordings, names and facts of
their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from tutelage.records import Prompt, Split
from tutelage.reproduction.village.lexicon import HE_STRANGERS, SHE_STRANGERS
from tutelage.reproduction.village.phrases import chance, expand, pick
from tutelage.reproduction.village.tasks import USE_CASE_SHARES, make_task
from tutelage.reproduction.village.world import World

PROMPTS_PER_USER, FEWEST_USERS = 9, 60
SHARE_NEAR_DUPLICATE, SHARE_DUPLICATE, SHARE_PERSONAL = 0.05, 0.015, 0.03
SHARE_LABELER = 0.18
# The split of a user by rank of activity, so that every split has busy and quiet users: 14 of 20 train, 3 valid, 3
# test.
_SPLIT_OF_RANK: tuple[Split, ...] = (
    ("train",) * 5
    + ("valid", "test")
    + ("train",) * 4
    + ("test", "valid")
    + ("train",) * 4
    + (
        "valid",
        "test",
        "train",
    )
)
_TAILS = (
    " Thank you.",
    " Thank you very much.",
    " It is for my mother.",
    " It is for the school.",
    " I need it today.",
)
_PERSONAL = (
    "[My address is {number} {street} Street.|I live at {number} {street} Lane.]",
    "[Call me at 555-01{two}.|My telephone is (555) 555-01{two}.]",
    "[Write to me at {lower}@village.example.|My e-mail is {lower}{number}@post.example.]",
)
_STREETS = ("Mill", "Bridge", "Church", "Garden", "Harbour")


@dataclass(frozen=True)
class User:
    """Someone who sends prompts; `weight` is how often, relative to others."""

    id: str
    split: Split
    weight: float
    is_labeler: bool


def users(num_users: int) -> tuple[User, ...]:
    """`num_users` users, busiest first: the weight falls with the rank, so that a few send most prompts."""
    found = []
    for rank in range(num_users):
        is_labeler = rank % 7 == 2
        name = f"labeler-{rank:04d}" if is_labeler else f"user-{rank:04d}"
        found.append(User(name, _SPLIT_OF_RANK[rank % len(_SPLIT_OF_RANK)], 1.0 / (rank + 1.5), is_labeler))
    return tuple(found)


def _source(rng: Random, user: User) -> str:
    if not user.is_labeler:
        return "api"
    return pick(rng, ("labeler-plain", "labeler-plain", "labeler-user-based"))


def _with_personal_data(rng: Random, text: str) -> str:
    slots = {
        "number": str(rng.randrange(2, 99)),
        "two": f"{rng.randrange(100):02d}",
        "street": pick(rng, _STREETS),
        "lower": pick(rng, SHE_STRANGERS + HE_STRANGERS).lower(),
    }
    return text + " " + expand(rng, pick(rng, _PERSONAL), slots)


def _record(text: str, task: dict[str, Any], user: User, source: str) -> Prompt:
    extra: dict[str, Any] = {"task": task, "split_hint": user.split}
    return Prompt(text=text, user_id=user.id, source=source, use_case=task["use_case"], **extra)


def raw_prompts(world: World, *, num_prompts: int, seed: int) -> list[Prompt]:
    """`num_prompts` prompts in the order in which they came in, before any deduplication or filter.

    Extra keys: `task` (what `judge` needs, JSON-able) and `split_hint` (the split whose wordings and facts the user
    draws on). `language`, `split` and `purpose` are left to the prompt pipeline.
    """
    rng = Random(f"prompts-{world.seed}-{seed}")
    everyone = users(max(FEWEST_USERS, num_prompts // PROMPTS_PER_USER))
    senders = rng.choices(everyone, [user.weight for user in everyone], k=num_prompts)
    use_cases = rng.choices(tuple(USE_CASE_SHARES), tuple(USE_CASE_SHARES.values()), k=num_prompts)
    last: dict[str, tuple[str, dict[str, Any]]] = {}
    prompts = []
    for user, use_case in zip(senders, use_cases, strict=True):
        draw = rng.random()
        if user.id in last and draw < SHARE_DUPLICATE:
            text, task = last[user.id]
        elif user.id in last and draw < SHARE_DUPLICATE + SHARE_NEAR_DUPLICATE:
            text, task = last[user.id]
            text += pick(rng, _TAILS)
        else:
            text, task = make_task(world, rng, use_case, is_held_out=user.split != "train")
            last[user.id] = (text, task)
            if chance(rng, SHARE_PERSONAL):
                text = _with_personal_data(rng, text)
        prompts.append(_record(text, task, user, _source(rng, user)))
    return prompts
