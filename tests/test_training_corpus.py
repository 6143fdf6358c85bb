"""Which documents are held out, and what is said where none or all of them are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tutelage.errors import DataError
from tutelage.training.corpus import is_validation_document, require_both_splits


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


def test_one_document_cannot_be_parted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 1 documents; training and validation need one each"):
        require_both_splits(_written(tmp_path / "text.txt", ["all of it"]), 0.5)
