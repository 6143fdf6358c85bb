"""The readers on real files of data that nobody here wrote; skipped where they are not beside the checkout."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tutelage.errors import DataError
from tutelage.store.documents import load_text_documents
from tutelage.store.sources import load_demonstrations, load_prompts, load_rankings

DATA = Path(os.environ.get("TUTELAGE_SHARED", Path(__file__).parent.parent.parent / "shared")) / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the shared data, which is not at {DATA}")
# K: number of rankings, from a count of the raw rows.
OASST = {2: 57, 3: 116, 4: 27, 5: 3, 6: 6, 8: 1, 9: 1}


@pytest.mark.parametrize(
    ("name", "num_prompts", "sizes", "num_ties"),
    [
        ("finegrained_rlhf_dev", 500, {4: 500}, 12),
        ("oasst_100trees", 211, OASST, 0),
        ("llmfao_crowd", 2139, {2: 8931}, 3471),
        ("squality_humaneval", 100, {3: 300}, 0),
        ("alpaca_eval_gpt4_k9", 805, {9: 805}, 0),
    ],
)
def test_rankings(name, num_prompts, sizes, num_ties):
    path = DATA / "preferences" / f"{name}.jsonl.gz"
    skipped = []
    rankings = list(load_rankings(path, on_skip=skipped.append))
    assert (Counter(len(ranking.completions) for ranking in rankings), skipped) == (sizes, [])
    assert sum(not ranking.pairs() for ranking in rankings) == num_ties
    prompts = list(load_prompts(path))
    assert len(prompts) == num_prompts
    assert {ranking.prompt_id for ranking in rankings} == {prompt.id for prompt in prompts}
    kept = list(load_rankings(path, should_skip_ties=True, on_skip=skipped.append))
    assert (len(kept), len(skipped)) == (len(rankings) - num_ties, num_ties)


def test_labelers_of_the_crowd():
    rankings = load_rankings(DATA / "preferences/llmfao_crowd.jsonl.gz")
    seen = [(one.labeler_id, policy.policy, one.prompt_id) for one in rankings for policy in one.completions]
    labelers, policies, prompts = (len(set(column)) for column in zip(*seen, strict=True))
    assert (labelers, policies, prompts) == (124, 59, 13)


def test_passages_and_dialogues_are_part_of_the_prompt():
    first = next(load_rankings(DATA / "preferences/finegrained_rlhf_dev.jsonl.gz"))
    assert first.prompt.startswith("Bloom (Troye Sivan album)\n\nBloom is the second studio album")
    assert first.prompt.endswith("\n\nWhen does bloom by troye sivan come out?")
    for ranking in load_rankings(DATA / "preferences/oasst_100trees.jsonl.gz"):
        assert [message.role for message in ranking.messages][::2] == ["user"] * (len(ranking.messages) // 2 + 1)


def test_numbers_without_text_are_not_rankings():
    with pytest.raises(DataError, match="Keys seen: annotations, prompt_id, source, systems"):
        list(load_rankings(DATA / "preferences/hanna_ratings_notext.jsonl.gz"))


@pytest.mark.parametrize(
    ("name", "num_rows", "num_skipped"),
    [("t0_mixture", 55185, 1400), ("fairytale_qa", 10580, 0), ("sgd_dialogues", 17193, 0), ("seed_tasks", 175, 0)],
)
def test_demonstrations(name, num_rows, num_skipped):
    skipped = []
    num_loaded = 0
    for demonstration in load_demonstrations(
        DATA / "demonstrations" / f"{name}.jsonl.gz", turns="last", on_skip=skipped.append
    ):
        num_loaded += 1
        assert "<|endoftext|>" not in demonstration.response
        assert demonstration.response.strip()
    assert (num_loaded, len(skipped)) == (num_rows - num_skipped, num_skipped)


def test_prompts_of_evaluation_files():
    assert sum(1 for _ in load_prompts(DATA / "evaluation/user_oriented_instructions.jsonl")) == 252
    assert sum(1 for _ in load_prompts(DATA / "evaluation/ifeval_single_instruction.jsonl")) == 366


def test_books_are_streamed():
    books = list(islice(load_text_documents(DATA / "pretraining/gutenberg_simple.txt.xz"), 3))
    assert books[0].startswith("BEHIND A MASK OR A WOMAN’S POWER\n\nBy A.M. Barnard")
    assert all(len(book) > 10_000 and "<|endoftext|>" not in book for book in books)
