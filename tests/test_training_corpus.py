"""Which documents are held out, and what is said where none or all of them are."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tutelage.errors import DataError
from tutelage.text.render import Renderer
from tutelage.training.corpus import is_validation_document, load_corpora, place_in_split, require_both_splits


def _written(path: Path, documents: list[str]) -> Path:
    path.write_text("".join(f"{document}\n<|endoftext|>\n" for document in documents))
    return path


def test_the_message_names_a_share_that_works(tmp_path: Path) -> None:
    documents = [f"document {number}" for number in range(5)]
    path = _written(tmp_path / "text.txt", documents)
    for share, name in ((1e-6, "validation"), (0.999999, "training")):
        with pytest.raises(DataError, match=f"the {name} split of .* 5 documents") as refused:
            require_both_splits(path, share)
        low, high = map(float, re.findall(r"between ([0-9.]+) and ([0-9.]+)", str(refused.value))[0])
        for good in (low, high - 0.001):
            require_both_splits(path, good)
            held_out = [document for document in documents if is_validation_document(document, good)]
            assert 0 < len(held_out) < 5


def test_a_document_is_held_out_whatever_nobody_sees_in_it() -> None:
    document = "Café über alles"
    repeats = ["\ufeff" + document, document + "\n", "Cafe\u0301 über\u200b alles"]
    assert {place_in_split(repeat) for repeat in repeats} == {place_in_split(document)}
    # sha256 of "plain text" begins with 40b6b93b... computed apart: what was held out before still is.
    assert place_in_split("plain text") == int(hashlib.sha256(b"plain text").hexdigest()[:8], 16) / 2**32


def test_one_document_cannot_be_parted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 1 documents; training and validation need one each"):
        require_both_splits(_written(tmp_path / "text.txt", ["all of it"]), 0.5)


def test_what_is_held_out_is_not_learned_and_windows_give_the_text_back(tmp_path: Path, tokenizer: Any) -> None:
    """Each document is in one split; its windows follow one another: the first token of each is the last of the one
    before, read again but learned once.
    """
    documents = [f"document {number}:" + " the cat sleeps at the mill." * (number % 7) for number in range(60)]
    path = _written(tmp_path / "text.txt", documents)
    renderer = Renderer(tokenizer=tokenizer)
    parts = load_corpora(path, renderer, context_tokens=20, validation_share=0.3)
    for corpus, is_held_out in zip(parts, (False, True), strict=True):
        chosen = [d for d in documents if is_validation_document(d, 0.3) is is_held_out]
        assert 10 < len(chosen) < 50
        expected = [token for document in chosen for token in renderer.document_tokens(document)[1:]]
        learned = [token for group in corpus.groups(range(len(corpus))) for token in group.responses[0]]
        assert learned == expected
        assert corpus.num_tokens == len(expected)
        groups = corpus.groups(range(len(corpus)))
        for group, following in pairwise(groups):
            assert following.prompt[0] in (group.responses[0][-1], tokenizer.eos_token_id)
