"""Explicit constraints of a prompt, and whether a response satisfies them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tutelage.reproduction.village.lexicon import KIND_WORDS

MAX_SHORT_WORDS = 10
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case, without marks and numbers."""
    return _WORD.findall(text.lower())


def num_sentences(text: str) -> int:
    """Pieces that end in a full stop, question or exclamation mark; a rest without one counts as a piece."""
    pieces = [piece for piece in _SENTENCE_END.split(text) if piece.strip()]
    return len(pieces)


def is_satisfied(constraint: Mapping[str, str], response: str) -> bool:
    """Whether a response satisfies one constraint; a response without words satisfies none.

    Raises `KeyError` for a constraint type that does not exist.
    """
    words = words_of(response)
    if not words:
        return False
    word = constraint.get("word", "")
    return {
        "one_sentence": num_sentences(response) == 1,
        "use_word": word in words,
        "avoid_word": word not in words and word + "s" not in words,
        "polite": bool(KIND_WORDS & set(words)),
        "short": len(words) <= MAX_SHORT_WORDS,
    }[constraint["type"]]


def share_satisfied(constraints: Sequence[Mapping[str, str]], response: str) -> float:
    """The share of `constraints` that the response satisfies; 1.0 where there are none."""
    if not constraints:
        return 1.0
    return sum(is_satisfied(constraint, response) for constraint in constraints) / len(constraints)
