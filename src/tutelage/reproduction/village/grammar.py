"""Whether a text is this village's English: judged by its word trigrams, with names, things and colors as classes.

A trigram that never occurs in the village's own text or in good responses is not grammatical here. Classes make "the
blue lantern of Ada" count if "the red boat of Finn" occurs. Built once per world from seeded text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from random import Random

from tutelage.reproduction.village import lexicon
from tutelage.reproduction.village.constraints import split_sentences, split_tokens
from tutelage.reproduction.village.corpus import pretraining_documents
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.tasks import USE_CASE_SHARES, make_task
from tutelage.reproduction.village.world import World

_WRONG_ARTICLE = re.compile(r"\b[Aa] (?=[aeiou])|\b[Aa]n (?=[^\Waeiou])")
NUM_DOCUMENTS, NUM_RESPONSES = 12_000, 8_000
UNKNOWN_WORD_COST = 1.0
START, END = "<s>", "</s>"
_BREAKS = frozenset((START, ".", "!", "?", ":", "\n"))


def _classes() -> dict[str, str]:
    """Word -> class. Members of a class are interchangeable, except for the article before them."""
    groups: dict[str, tuple[str, ...]] = {
        "NAME": lexicon.SHE_NAMES + lexicon.HE_NAMES + lexicon.STRANGERS,
        "DAY": lexicon.DAYS,
        "PETNAME": lexicon.PET_NAMES,
        "NUMBER": lexicon.NUMBERS,
        "COLOR": lexicon.COLORS,
        "PLACE": lexicon.PLACE_NAMES,
        "NOUN": lexicon.THINGS
        + lexicon.TOYS
        + lexicon.ANIMALS
        + lexicon.SHELTERS
        + lexicon.GARMENTS
        + lexicon.PASSAGE_PETS,
        "TRADE": lexicon.TRADE_NAMES,
        "FOODS": lexicon.FOODS_PLURAL,
        "FOOD": lexicon.FOODS_MASS,
        "ADJECTIVE": lexicon.ADJECTIVES + lexicon.THING_ADJECTIVES,
        "INSULT": lexicon.INSULTS,
        "ANIMALS": tuple(lexicon.ANIMAL_PLURALS.values()),
    }
    classes: dict[str, str] = {}
    for name, members in groups.items():
        for word in members:
            classes.setdefault(word.lower(), name)
    return classes


CLASSES = _classes()


@dataclass(frozen=True)
class GrammarForm:
    """The form of one text. All shares are in [0, 1]; 1 is best.

    `grammar`: trigrams that the village uses. `sentences`: pieces with a capital letter at the start and punctuation at
    the end. `variety`: 1 if nothing is repeated. `num_words`: words without punctuation.
    """

    grammar: float
    sentences: float
    variety: float
    num_words: int


@dataclass(frozen=True)
class Grammar:
    """What occurs in the village's text: class bigrams and trigrams, the words, and those that begin a sentence."""

    pairs: frozenset[tuple[str, str]]
    starters: frozenset[str]
    vocabulary: frozenset[str]
    triples: frozenset[tuple[str, str, str]]


def _class_of(token: str) -> str:
    return CLASSES.get(token.lower(), token.lower())


def _marked(text: str) -> list[str]:
    return [START, *(_class_of(token) for token in split_tokens(text)), END]


@lru_cache(maxsize=8)
def learn_grammar(world: World) -> Grammar:
    """The grammar of a world; some seconds on the first call for each world."""
    rng = Random(f"grammar-{world.seed}")
    texts = list(pretraining_documents(world, num_documents=NUM_DOCUMENTS, seed=world.seed + 1_000_003))
    use_cases, shares = tuple(USE_CASE_SHARES), tuple(USE_CASE_SHARES.values())
    for use_case in rng.choices(use_cases, shares, k=NUM_RESPONSES):
        _, task = make_task(world, rng, use_case, is_held_out=rng.random() < 0.5)
        texts.append(good_response(world, rng, task))
    pairs: set[tuple[str, str]] = set()
    triples: set[tuple[str, str, str]] = set()
    for text in texts:
        marked = _marked(text)
        pairs.update(pairwise(marked))
        triples.update(zip(marked, marked[1:], marked[2:], strict=False))
    starters = {second for first, second in pairs if first in _BREAKS}
    vocabulary = {word for pair in pairs for word in pair}
    return Grammar(frozenset(pairs), frozenset(starters), frozenset(vocabulary), frozenset(triples))


def _grammar_share(grammar: Grammar, marked: list[str], num_wrong_articles: int) -> float:
    """1 minus the cost of unseen n-grams per word: an unseen bigram costs 1, an unseen trigram of seen bigrams 0.3, a
    wrong article 1, an unknown word 1 more; tripled, floor 0."""
    cost = num_wrong_articles + UNKNOWN_WORD_COST * sum(token not in grammar.vocabulary for token in marked)
    for first, second in pairwise(marked):
        if first in _BREAKS:
            cost += second not in grammar.starters and second != END
        else:
            cost += (first, second) not in grammar.pairs
    for first, second, third in zip(marked, marked[1:], marked[2:], strict=False):
        if first in _BREAKS or second in _BREAKS or third == END:
            continue
        is_seen = (first, second) in grammar.pairs and (second, third) in grammar.pairs
        cost += 0.3 * (is_seen and (first, second, third) not in grammar.triples)
    return max(0.0, 1.0 - 3.0 * cost / max(8, len(marked) - 2))


def _sentence_share(text: str) -> float:
    pieces = [piece for piece in split_sentences(text.strip()) if piece.strip()]
    if not pieces:
        return 0.0
    is_block = "\n" in text
    good = 0
    for piece in pieces:
        is_line = is_block and (piece.startswith("- ") or piece.endswith(",") or len(piece.split()) == 1)
        starts = piece[0].isupper() or piece.startswith("- ")
        good += starts and (is_line or piece[-1] in ".!?")
    return good / len(pieces)


def _variety(words: list[str]) -> float:
    """1 at best; less if trigrams repeat, or if the text consists of few distinct words."""
    if len(words) < 2:
        return float(len(words))
    runs = list(zip(words, words[1:], words[2:], strict=False))
    # One trigram may repeat: "the bell is red, the bell is ...".
    repeated = max(0, len(runs) - len(set(runs)) - 1) / len(runs) if runs else 0.0
    distinct = len(set(words)) / len(words)
    return max(0.0, 1.0 - 2.5 * repeated - max(0.0, 0.5 - distinct) * 2.0)


def judge_form(world: World, text: str) -> GrammarForm:
    """The form of `text`, judged by the grammar of `world`."""
    marked = _marked(text.strip())
    words = [token.lower() for token in split_tokens(text) if token[0].isalpha()]
    if not words:
        return GrammarForm(0.0, 0.0, 0.0, 0)
    grammar = _grammar_share(learn_grammar(world), marked, len(_WRONG_ARTICLE.findall(text)))
    doubled = sum(first == second for first, second in pairwise(marked)) / len(words)
    return GrammarForm(grammar, _sentence_share(text), max(0.0, _variety(words) - 2.0 * doubled), len(words))
