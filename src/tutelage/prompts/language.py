"""Which language a prompt is in [3.3 used langid.py; this is its maintained successor py3langid]."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

UNDETERMINED = "und"
# Related languages and creoles that short texts of a large language are mistaken for (English for Nigerian Pidgin,
# Chinese for Wu and Cantonese); langid.py, which the paper used, does not know them either.
CONFUSED: frozenset[str] = frozenset(
    (
        "ace",
        "ary",
        "arz",
        "bcl",
        "ext",
        "gcf",
        "gcr",
        "grc",
        "gug",
        "hbo",
        "lij",
        "ltg",
        "pcm",
        "uzs",
        "vec",
        "wuu",
        "yue",
    )
)
_NOT_LANGUAGE = "zxx"  # the model's label for text without language: numbers, symbols
_MEMORY = 4096  # cached texts: repeats come in runs


@cache
def _identifier() -> Any:
    # Loading takes most of a second and 100 MB: only on first use.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([label for label in identifier.labels if label not in CONFUSED])
    # Stored in 16 bits, which are converted for every text: with 32 bits, a text takes half the time.
    identifier.nb_ptc = identifier.nb_ptc.astype("float32")
    return identifier


@lru_cache(maxsize=_MEMORY)
def _classified(text: str) -> tuple[str, float]:
    label, confidence = _identifier().classify(text)
    return label, confidence


def language_of(text: str, *, min_confidence: float, characters: int) -> str:
    """The ISO 639 code of the language, or "und" if the first `characters` are too few or too mixed to tell."""
    start = text[:characters]
    if not any(character.isalpha() for character in start):
        return UNDETERMINED
    label, confidence = _classified(start)
    return label if confidence >= min_confidence and label != _NOT_LANGUAGE else UNDETERMINED
