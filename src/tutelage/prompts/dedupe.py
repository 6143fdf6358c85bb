"""Which prompts repeat others: exactly, by a long common prefix [3.2], or beyond the cap per user.

Every rule reads prompts in sorted order, one at a time, and yields those to drop: memory does not grow with their
number, and their original order does not matter.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tutelage.prompts.config import PromptsConfig
from tutelage.records import Message, flat_text

_DOTTED_I = re.compile("i\u0307+")  # the lowercase of the Turkish capital I with a dot


def normalised(text: str) -> str:
    """Text as compared for repeats: composed characters, lowercase, whitespace as single spaces, nothing invisible.

    Lowercase is that of `str.lower`: case folding would turn ß into ss, but "Maßen" is not "Massen". Two of its results
    depend on context and are corrected: a final sigma is a sigma, and the Turkish capital İ is an i.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    lowered = _DOTTED_I.sub("i", visible(text).lower()).replace("ς", "σ")
    return " ".join(unicodedata.normalize("NFC", lowered).split())


def visible(text: str) -> str:
    """The text in composed characters, without invisible ones.

    These are of category Cf: byte order marks, zero-width spaces and joiners, soft hyphens.
    """
    if text.isascii():
        return text
    shown = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFC", shown)


def normalised_prompt(text: str | None, messages: tuple[Message, ...] | None) -> str:
    """A prompt as compared for repeats: the same for text and a dialogue of one user turn."""
    if messages is not None and len(messages) == 1 and messages[0].role == "user":
        text, messages = messages[0].content, None
    return normalised(flat_text(text, messages))


def text_key(normal: str) -> str:
    """The digest of a normalized text, 32 hexadecimal digits: equal only for exact repeats."""
    return hashlib.sha256(normal.encode()).hexdigest()[:32]


def repeats(ordered: Iterable[tuple[int, str]]) -> Iterator[int]:
    """Given (number, key) sorted by key, the numbers after the first of each key."""
    previous: str | None = None
    for number, key in ordered:
        if key == previous:
            yield number
        previous = key


def beyond_cap(ordered: Iterable[tuple[int, str]], max_prompts_per_user: int) -> Iterator[int]:
    """Given (number, user) sorted by user, then text key, the numbers beyond the cap of each user."""
    current, count = "", 0
    for number, user in ordered:
        count = count + 1 if user == current else 1
        current = user
        if count > max_prompts_per_user:
            yield number


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The beginning of a prompt: the first `max_common_prefix` characters of its normalized text, and its length."""

    number: int
    key: str
    start: str
    length: int

    @property
    def rank(self) -> tuple[int, str]:
        """Of two prompts that share a prefix, the higher-ranked one is kept: the longer, then the greater digest."""
        return (self.length, self.key)


def long_prefix(length: int, config: PromptsConfig) -> int:
    """How many characters a prompt of `length` must share with a longer one to count as its repeat."""
    share = math.ceil(config.min_prefix_share * length)
    return min(max(config.min_common_prefix, share), config.max_common_prefix)


def common_prefix(first: str, second: str) -> int:
    """The number of leading characters in common."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def overshadowed(ordered: Iterable[Opening], config: PromptsConfig) -> Iterator[int]:
    """Given openings sorted by `start`, those that share a long prefix with an EARLIER one of higher rank.

    Run it on the ascending and on the descending order, and the union is every prompt p for which some higher-ranked q
    starts with the first `long_prefix(p)` characters of p. `long_prefix` never decreases with length, so this relation
    is transitive: each dropped prompt has one that is kept, and the result does not depend on the input order.
    """
    # (shared, rank): an earlier prompt of that rank shares that many characters with the current one. Along the list
    # `shared` grows and the rank falls: an entry that another one beats in both can never matter.
    seen: list[tuple[int, tuple[int, str]]] = []
    previous = ""
    for opening in ordered:
        _shorten(seen, common_prefix(previous, opening.start), config.min_common_prefix)
        needed = long_prefix(opening.length, config)
        if any(shared >= needed and rank > opening.rank for shared, rank in seen):
            yield opening.number
        _note(seen, len(opening.start), opening.rank)
        previous = opening.start


def _note(seen: list[tuple[int, tuple[int, str]]], shared: int, rank: tuple[int, str]) -> None:
    while seen and seen[-1][1] <= rank:
        seen.pop()
    seen.append((shared, rank))


def _shorten(seen: list[tuple[int, tuple[int, str]]], shared: int, least: int) -> None:
    """Reduce all entries to at most `shared` common characters; below `least` they never count."""
    best: tuple[int, str] | None = None
    while seen and seen[-1][0] >= shared:
        best = max(best or (0, ""), seen.pop()[1])
    if best is not None and shared >= least:
        _note(seen, shared, best)
