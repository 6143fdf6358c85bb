"""Pretraining text as windows of token ids, held in one flat array however large the text is."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tutelage.errors import DataError
from tutelage.model.packing import Group
from tutelage.records import content_id
from tutelage.store.documents import load_text_documents
from tutelage.text.render import Renderer, documents_to_windows


class Corpus:
    """Windows of at most `context_tokens` learnt tokens; each window's first token is read but not learnt."""

    def __init__(self, documents: Iterable[str], renderer: Renderer, *, context_tokens: int) -> None:
        tokens = array("I")
        ends = array("Q", [0])
        for document in documents:
            for window in documents_to_windows(renderer.document_tokens(document), context_tokens):
                tokens.extend(window)
                ends.append(len(tokens))
        self.tokens = np.frombuffer(tokens, dtype=np.uint32) if tokens else np.zeros(0, np.uint32)
        self.ends = np.frombuffer(ends, dtype=np.uint64).astype(np.int64)

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def num_tokens(self) -> int:
        """Learnt tokens."""
        return len(self.tokens) - len(self)

    def group(self, index: int) -> Group:
        window = self.tokens[self.ends[index] : self.ends[index + 1]].tolist()
        return Group(prompt=window[:1], responses=[window[1:]])

    def groups(self, indices: Iterable[int]) -> list[Group]:
        return [self.group(index) for index in indices]


def is_validation_document(document: str, share: float) -> bool:
    """Whether a document is held out: by its content, so that every stage and every run holds out the same ones."""
    return int(content_id(document)[:8], 16) < share * 2**32


def load_corpora(
    path: Path, renderer: Renderer, *, context_tokens: int, validation_share: float
) -> tuple[Corpus, Corpus]:
    """Training and validation windows of a text file; neither may be empty."""

    def part(is_validation: bool) -> Iterable[str]:
        return (d for d in load_text_documents(path) if is_validation_document(d, validation_share) == is_validation)

    training = Corpus(part(False), renderer, context_tokens=context_tokens)
    validation = Corpus(part(True), renderer, context_tokens=context_tokens)
    for name, corpus in (("training", training), ("validation", validation)):
        if len(corpus) == 0:
            raise DataError(
                f"the {name} split of {path} is empty (validation_share {validation_share}); documents end with a line "
                "<|endoftext|>. Give more documents, or another validation_share"
            )
    return training, validation
