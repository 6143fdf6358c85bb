"""The paper's Tables 1, 6, 8, 9 and 10 for any prompts: use cases, counts, prompts per customer, lengths."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from tutelage.prompts.allot import writer_of
from tutelage.records import Prompt

Length = Callable[[str], int]
Value = TypeVar("Value")
UNKNOWN = "(none)"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class LengthSummary(_Frozen):
    """Lengths of some prompts, in the columns of Table 9: `std` of the sample (n - 1), quartiles interpolated."""

    count: int
    mean: float
    std: float
    min: int
    quartile_1: float
    median: float
    quartile_3: float
    max: int


class PromptStatistics(_Frozen):
    """Sets are named "split purpose", as "train sft"; the test set, which has no purpose, is "test"."""

    num_prompts: int
    num_users: int
    length_unit: str
    use_cases: dict[str, dict[str, int]]  # Table 1: purpose, or "all" -> use case -> prompts, most frequent first
    counts: dict[str, dict[str, int]]  # Table 6: set -> "labeler" or "customer" -> prompts
    prompts_per_customer: dict[str, float]  # Table 8: set -> prompts of customers / customers
    lengths: dict[str, LengthSummary]  # Table 9: by set
    lengths_by_use_case: dict[str, LengthSummary]  # Table 10
    languages: dict[str, int]


def num_words(text: str) -> int:
    """Words separated by whitespace; for languages written without spaces, count tokens instead."""
    return len(text.split())


def set_name(split: str | None, purpose: str | None) -> str:
    """The name of the set of prompts with this split and purpose."""
    return " ".join(part for part in (split, purpose) if part) or "unsplit"


def summarise_lengths(lengths: array[int]) -> LengthSummary:
    """Count, mean, spread and quartiles of at least one length."""
    values = np.frombuffer(lengths, dtype=np.uint32)
    low, middle, high = np.percentile(values, [25, 50, 75])
    return LengthSummary(
        count=len(values),
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        min=int(values.min()),
        quartile_1=float(low),
        median=float(middle),
        quartile_3=float(high),
        max=int(values.max()),
    )


class _Tally:
    """Totals of one pass over the prompts; 4 bytes per prompt for its length, one number per user."""

    def __init__(self) -> None:
        self.use_cases: dict[str, Counter[str]] = defaultdict(Counter)
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.customers: dict[str, set[int]] = defaultdict(set)
        self.customers_prompts: Counter[str] = Counter()
        self.lengths: dict[str, array[int]] = defaultdict(lambda: array("I"))
        self.lengths_by_use_case: dict[str, array[int]] = defaultdict(lambda: array("I"))
        self.languages: Counter[str] = Counter()
        self.users: set[int] = set()

    def add(self, prompt: Prompt, length: int) -> None:
        name = set_name(prompt.split, prompt.purpose)
        use_case = prompt.use_case or UNKNOWN
        writer = writer_of(prompt.source)
        self.counts[name][writer] += 1
        for group in ("all", *filter(None, [prompt.purpose])):
            self.use_cases[group][use_case] += 1
        user = _number_of(prompt.user_id or f"prompt:{prompt.id}")
        self.users.add(user)
        if writer == "customer":
            self.customers[name].add(user)
            self.customers_prompts[name] += 1
        self.lengths[name].append(length)
        self.lengths_by_use_case[use_case].append(length)
        self.languages[prompt.language or UNKNOWN] += 1


def _number_of(user: str) -> int:
    # 64 bits: among a million users, the probability that two share a number is 3 in 100 million.
    return int.from_bytes(hashlib.blake2b(user.encode(), digest_size=8).digest(), "big")


def prompt_statistics(
    prompts: Iterable[Prompt], length: Length = num_words, *, length_unit: str = "words"
) -> PromptStatistics:
    """Everything that the tables need, in one pass; `length` measures a prompt's text in `length_unit`."""
    tally = _Tally()
    for prompt in prompts:
        tally.add(prompt, length(prompt.flat))
    return PromptStatistics(
        num_prompts=sum(tally.languages.values()),
        num_users=len(tally.users),
        length_unit=length_unit,
        use_cases={group: dict(_by_count(counter)) for group, counter in sorted(tally.use_cases.items())},
        counts={name: dict(sorted(counter.items())) for name, counter in in_order(tally.counts)},
        prompts_per_customer={
            name: tally.customers_prompts[name] / len(users) for name, users in in_order(tally.customers)
        },
        lengths={name: summarise_lengths(lengths) for name, lengths in in_order(tally.lengths)},
        lengths_by_use_case={
            use_case: summarise_lengths(tally.lengths_by_use_case[use_case])
            for use_case, _ in _by_count(tally.use_cases["all"])
        },
        languages=dict(_by_count(tally.languages)),
    )


def _by_count(counter: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


_ORDER = [
    set_name(split, purpose) for purpose in ("sft", "reward", "ppo", None) for split in ("train", "valid", "test", None)
]


def in_order(sets: dict[str, Value]) -> list[tuple[str, Value]]:
    """Sets in the order of Table 9: by purpose, train before valid, the test set last."""
    return sorted(sets.items(), key=lambda item: _ORDER.index(item[0]))
