"""The old tongue of the village over the hill: short sentences and their translation."""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.lexicon import OLD_TONGUE
from tutelage.reproduction.village.phrases import chance, pick

_NOUNS = ("goat", "cat", "dog", "hen", "fox", "owl", "child", "baker", "boat", "bell", "moon")
_QUALITIES = ("red", "blue", "white", "black", "old", "small")
_VERBS = ("sleeps", "sings", "runs", "falls")
_FOODS = ("bread", "fish")


def sentence(rng: Random) -> str:
    """A sentence of three to six words that the old tongue can say, in lower case without a full stop."""
    quality = pick(rng, _QUALITIES) + " " if chance(rng, 0.6) else ""
    subject = f"the {quality}{pick(rng, _NOUNS)}"
    if chance(rng, 0.3):
        return f"{subject} eats {pick(rng, _FOODS)}"
    return f"{subject} {pick(rng, _VERBS)}"


def translate(text: str) -> str:
    """`text` in the old tongue, word for word, but a quality follows its noun."""
    words = text.split()
    ordered: list[str] = []
    index = 0
    while index < len(words):
        if words[index] in _QUALITIES and index + 1 < len(words):
            ordered += [words[index + 1], words[index]]
            index += 2
        else:
            ordered.append(words[index])
            index += 1
    return " ".join(OLD_TONGUE[word] for word in ordered)
