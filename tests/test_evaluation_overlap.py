"""Exact match, F1, ROUGE-L and BLEU by hand and by what must not change them."""

from __future__ import annotations

import sys
from itertools import combinations
from random import Random

import pytest

from tutelage.errors import DataError, UserError
from tutelage.evaluation.overlap import best_over, bleu, exact_match, rouge_l, squad_words, token_f1


def test_squad_normalisation():
    """Lower case, marks, then articles; "the" inside a word stays."""
    assert squad_words("The  Cat's an other-worldly theory, a bit.") == ["cats", "otherworldly", "theory", "bit"]


def test_f1_by_hand():
    """ "she sold warm bread" against "she sold bread and bread": shared she, sold, bread (once): 2 * 3 / (4 + 5)."""
    assert token_f1("She sold the warm bread.", "she sold bread and bread") == pytest.approx(6 / 9)
    assert token_f1("bread bread bread", "bread") == pytest.approx(2 / 4)
    assert token_f1("bread bread", "bread bread plums") == pytest.approx(4 / 5)
    assert token_f1("", "the") == 1.0
    assert token_f1("", "bread") == token_f1("plums", "bread") == 0.0


def test_f1_knows_no_order_but_exact_match_does():
    assert token_f1("bread sold she", "she sold bread") == 1.0
    assert exact_match("bread sold she", "she sold bread") == 0.0
    assert exact_match("  The mill!", "mill") == 1.0


def common_by_trying(first, second):
    """The longest list of words that can be crossed out of both, by trying all."""
    for size in range(len(first), 0, -1):
        for kept in combinations(range(len(first)), size):
            rest = iter(second)
            if all(first[place] in rest for place in kept):
                return size
    return 0


def test_rouge_l_by_hand():
    """the red cat sat | the cat sat down here: the, cat, sat: 2 * 3 / (4 + 5)."""
    assert rouge_l("The red cat sat.", "the cat sat down here") == pytest.approx(6 / 9)
    assert rouge_l("", "cat") == rouge_l("cat", "") == 0.0


def test_rouge_l_against_trying_all():
    rng = Random(0)
    for _ in range(60):
        first, second = ([rng.choice("abc") for _ in range(rng.randint(1, 7))] for _ in range(2))
        expected = 2.0 * common_by_trying(first, second) / (len(first) + len(second))
        assert rouge_l(" ".join(first), " ".join(second)) == pytest.approx(expected), (first, second)
        assert rouge_l(" ".join(second), " ".join(first)) == pytest.approx(expected)


def test_rouge_l_is_that_of_rouge_score_in_english():
    """Google's package, without its stemmer; 300 pairs with marks, digits and repeated words."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer, rng = RougeScorer(["rougeL"], use_stemmer=False), Random(1)
    words = ["The", "cat", "cat", "sat.", "on", "mat", "don't", "a-b", "x1", "3.5", "snake_case", "(ROUGE)"]
    for _ in range(300):
        response, answer = (" ".join(rng.choice(words) for _ in range(rng.randint(0, 9))) for _ in range(2))
        expected = scorer.score(answer, response)["rougeL"].fmeasure
        assert rouge_l(response, answer) == pytest.approx(expected, abs=1e-12), (response, answer)


def test_rouge_l_knows_letters_that_rouge_score_drops():
    """ "un café noir" against "un cafe noir" shares two of three words; to rouge-score "café" is the word "caf"."""
    from rouge_score.rouge_scorer import RougeScorer

    assert rouge_l("мельница", "мельница") == 1.0 and rouge_l("un café noir", "un cafe noir") == pytest.approx(2 / 3)
    assert rouge_l("café", "caf") == 0.0
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    assert scorer.score("мельница", "мельница")["rougeL"].fmeasure == 0.0
    assert scorer.score("café", "caf")["rougeL"].fmeasure == 1.0


def test_the_best_answer_counts():
    assert best_over(("plums", "red plums"), token_f1, "red plums") == 1.0
    with pytest.raises(DataError, match="no gold answer"):
        best_over((), token_f1, "plums")


def test_bleu_by_hand():
    """One sentence, tokens "a b c d e" against "a b c d f": 4/5, 3/4, 2/3, 1/2 of the n-grams; no brevity penalty;
    (0.8 * 0.75 * 0.6667 * 0.5) ** 0.25 = 0.2 ** 0.25 = 0.668740.
    """
    pytest.importorskip("sacrebleu", reason="the extra `eval` is not installed")
    found = bleu(["a b c d e"], [["a b c d f"]])
    assert found.mean == pytest.approx(0.668740, abs=1e-6)
    assert (found.low, found.high, found.n) == pytest.approx((found.mean, found.mean, 1))


def test_bleu_is_that_of_all_sentences_together():
    """As sacrebleu has it for the corpus, brevity too, which is no mean over sentences; the interval encloses it."""
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra `eval` is not installed")
    responses = ["the cat sat on the mat", "a dog ran to the mill", "plums"]
    answers = ["the cat sat on a mat", "a dog ran to the old mill", "pears"]
    found = bleu(responses, [[answer] for answer in answers])
    expected = sacrebleu.corpus_bleu(responses, [answers]).score / 100.0
    assert found.mean == pytest.approx(expected, abs=1e-9)
    assert found.low < found.mean < found.high
    assert bleu(responses, [[answer] for answer in answers]) == found


def test_the_interval_of_bleu_is_that_of_95_in_100_draws_of_items():
    """Of three items two are perfect and one has no word right: a draw has none but the latter once in 27 times.

    That is more than the 2.5 % below the interval, and less than the 5 % below one of 90 %. Without it: 8 in 27 times.
    """
    pytest.importorskip("sacrebleu", reason="the extra `eval` is not installed")
    answers = ["a b c d e", "f g h i j", "k l m n o"]
    found = bleu([*answers[:2], "p q r s t"], [[answer] for answer in answers])
    assert (found.low, found.high, found.n) == pytest.approx((0.0, 1.0, 3))
    assert 0.0 < found.mean < 1.0


def test_without_sacrebleu_the_error_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"pip install 'tutelage\[eval\]'"):
        bleu(["a"], [["a"]])
