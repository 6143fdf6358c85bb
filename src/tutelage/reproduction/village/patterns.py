"""A small grammar: patterns with choices and slots, and tidying them into English.

`[a|b|c]` picks one of its alternatives (they nest, and may be empty), `{slot}` inserts a value. Then "a" becomes "an"
before a vowel and sentences are capitalized.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import TypeVar

Item = TypeVar("Item")
# A parsed pattern: literal text, ("slot", name), or ("choice", alternatives) where each alternative is a parsed
# pattern.
Node = str | tuple[str, object]

_TOKEN = re.compile(r"\{\w+\}|[\[\]|]|[^\[\]|{}]+")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_SENTENCE_START = re.compile(r"((?:^|[.!?] |\n|\"|: (?=i ))[-*]? ?)([a-z])")
_SPACES = re.compile(r" {2,}")


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """One of `items`, uniformly; one random draw whatever their number."""
    return items[int(rng.random() * len(items))]


def chance(rng: Random, probability: float) -> bool:
    return rng.random() < probability


def _parse_until(tokens: list[str], position: int, inside: bool) -> tuple[list[list[Node]], int]:
    alternatives: list[list[Node]] = [[]]
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token == "]" and inside:
            return alternatives, position
        if token == "|" and inside:
            alternatives.append([])
        elif token == "[":
            choices, position = _parse_until(tokens, position, True)
            alternatives[-1].append(("choice", choices))
        elif token.startswith("{"):
            alternatives[-1].append(("slot", token[1:-1]))
        else:
            alternatives[-1].append(token)
    assert not inside, "a pattern has '[' without ']'"
    return alternatives, position


@cache
def _parse(pattern: str) -> list[Node]:
    return _parse_until(_TOKEN.findall(pattern), 0, False)[0][0]


def _write(nodes: list[Node], rng: Random, slots: Mapping[str, str], out: list[str]) -> None:
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        elif node[0] == "slot":
            out.append(slots[str(node[1])])
        else:
            choices: list[list[Node]] = node[1]  # type: ignore[assignment]
            _write(pick(rng, choices), rng, slots, out)


def tidy(text: str) -> str:
    """`text` with single spaces, the right article before a vowel, and a capital at the start of each sentence and
    line.
    """
    text = _SPACES.sub(" ", text).strip()
    text = _ARTICLE.sub(r"\1n ", text)
    return _SENTENCE_START.sub(lambda match: match.group(1) + match.group(2).upper(), text)


def expand(rng: Random, pattern: str, slots: Mapping[str, str] | None = None) -> str:
    """One random expansion of `pattern`, not yet tidied, for use inside a larger text."""
    out: list[str] = []
    _write(_parse(pattern), rng, slots or {}, out)
    return "".join(out)


def fill(rng: Random, pattern: str, slots: Mapping[str, str] | None = None) -> str:
    """One random expansion of `pattern` as tidy English."""
    return tidy(expand(rng, pattern, slots))


def join_and(items: Sequence[str]) -> str:
    """ "plums, cheese and bread"."""
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
