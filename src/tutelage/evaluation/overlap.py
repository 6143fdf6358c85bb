"""Overlap of a response with gold answers: exact match and F1 (SQuAD), ROUGE-L, BLEU.

Sources
- Exact match and F1 with their normalization: Rajpurkar et al. (2016), section 6.1 and the official `evaluate-v1.1.py`;
  an empty gold answer ("not in the text") as in `evaluate-v2.0.py`.
- ROUGE-L: Lin (2004), section 3, F with equal weight on precision and recall, words in lowercase, no stemming.
  Ours, because rouge-score drops every letter beyond a to z (French, Russian) and brings nltk; it is the tests' oracle.
- BLEU: Papineni et al. (2002) through sacrebleu (Post 2018); the interval by the bootstrap over items of Koehn (2004).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tutelage.errors import DataError, UserError
from tutelage.statistics.interval import CONFIDENCE, Interval

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MARKS = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"[^\W_]+")
NUM_RESAMPLES = 1000  # Koehn (2004) draws as many


def squad_words(text: str) -> list[str]:
    """Lowercase, without punctuation and the articles a, an, the; split at whitespace."""
    return _ARTICLES.sub(" ", text.lower().translate(_MARKS)).split()


def exact_match(response: str, answer: str) -> float:
    """1 if both have the same normalized words in the same order, else 0."""
    return float(squad_words(response) == squad_words(answer))


def token_f1(response: str, answer: str) -> float:
    """Harmonic mean of precision and recall of the normalized words, counting repeated words as often as they occur."""
    said, wanted = squad_words(response), squad_words(answer)
    if not said or not wanted:
        return float(said == wanted)
    shared = (Counter(said) & Counter(wanted)).total()
    return 2.0 * shared / (len(said) + len(wanted))


def rouge_l(response: str, answer: str) -> float:
    """F of the longest common subsequence of words."""
    said, wanted = _WORD.findall(response.lower()), _WORD.findall(answer.lower())
    if not said or not wanted:
        return 0.0
    return 2.0 * _longest_common(said, wanted) / (len(said) + len(wanted))


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, other in enumerate(second, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def best_over(answers: Sequence[str], measure: Callable[[str, str], float], response: str) -> float:
    """The best value over several gold answers. Raises `DataError` if there is none."""
    if not answers:
        raise DataError("an item has no gold answer; give at least one")
    return max(measure(response, answer) for answer in answers)


def bleu(responses: Sequence[str], answers: Sequence[Sequence[str]], *, seed: int = 0) -> Interval:
    """Corpus BLEU in [0, 1] (a hundredth of the usual number) with a bootstrap interval over items.

    Raises `UserError` if sacrebleu is not installed, `DataError` if there are no responses.
    """
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise UserError(
            "BLEU needs sacrebleu, which is not installed; pip install 'tutelage[eval]', or use rouge_l"
        ) from error
    if not responses:
        raise DataError("there are no responses to compute BLEU on; give at least one")
    metric = BLEU(effective_order=True)
    found = [metric.sentence_score(own, list(gold)) for own, gold in zip(responses, answers, strict=True)]
    counts = np.array([[*score.counts, *score.totals, score.sys_len, score.ref_len] for score in found])

    def of(items: np.ndarray) -> float:
        total = counts[items].sum(0)
        order = (len(total) - 2) // 2
        score = BLEU.compute_bleu(
            total[:order].tolist(), total[order:-2].tolist(), sys_len=int(total[-2]), ref_len=int(total[-1])
        )
        return float(score.score) / 100.0

    rng = np.random.default_rng(seed)
    draws = [of(rng.integers(len(found), size=len(found))) for _ in range(NUM_RESAMPLES)]
    low, high = np.quantile(draws, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return Interval(mean=of(np.arange(len(found))), low=float(low), high=float(high), n=len(found))
