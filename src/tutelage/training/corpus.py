"""Pretraining text as windows of token ids, in one flat array regardless of size."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tutelage.errors import DataError, RenderError
from tutelage.model.packing import Group
from tutelage.prompts.dedupe import visible
from tutelage.records import content_id
from tutelage.store.documents import load_text_documents
from tutelage.store.jsonl import Skipped
from tutelage.text.render import Renderer, documents_to_windows, naming
from tutelage.training.data import SkippedRecords

# For pretraining text used in a mix or the ptx term: what `pretrain` holds out stays held out.
VALIDATION_SHARE = 0.01


class Corpus:
    """Windows of at most `context_tokens` trained-on tokens; each window's first token is input only."""

    def __init__(
        self,
        documents: Iterable[str],
        renderer: Renderer,
        *,
        context_tokens: int,
        left_out: SkippedRecords | None = None,
    ) -> None:
        tokens = array("I")
        ends = array("Q", [0])
        for whole in _rendered(documents, renderer, left_out):
            for window in documents_to_windows(whole, context_tokens):
                tokens.extend(window)
                ends.append(len(tokens))
        self.tokens = np.frombuffer(tokens, dtype=np.uint32) if tokens else np.zeros(0, np.uint32)
        self.ends = np.frombuffer(ends, dtype=np.uint64).astype(np.int64)

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def num_tokens(self) -> int:
        """The number of trained-on tokens."""
        return len(self.tokens) - len(self)

    def group(self, index: int) -> Group:
        window = self.tokens[self.ends[index] : self.ends[index + 1]].tolist()
        return Group(prompt=window[:1], responses=[window[1:]])

    def groups(self, indices: Iterable[int]) -> list[Group]:
        return [self.group(index) for index in indices]


def _rendered(documents: Iterable[str], renderer: Renderer, left_out: SkippedRecords | None) -> Iterator[list[int]]:
    """The tokens of each document; one without any raises `RenderError`, or is skipped if allowed."""
    for document in documents:
        try:
            with naming(f"the document that begins with {document[:40]!r}"):
                tokens = renderer.document_tokens(document)
        except RenderError as error:
            if left_out is None or not left_out.skip_bad:
                raise
            left_out.messages.append(str(error))
        else:
            yield tokens


def place_in_split(document: str) -> float:
    """A number in [0, 1) that depends only on the content, so that every stage holds out the same documents.

    Invisible characters, Unicode composition and surrounding whitespace do not matter.
    """
    return int(content_id(visible(document).strip())[:8], 16) / 2**32


def is_validation_document(document: str, share: float) -> bool:
    """Whether a document is held out: about `share` of all are."""
    return place_in_split(document) < share


def load_corpora(
    path: Path,
    renderer: Renderer,
    *,
    context_tokens: int,
    validation_share: float,
    left_out: SkippedRecords | None = None,
) -> tuple[Corpus, Corpus]:
    """Training and validation windows of a text file; neither may be empty."""
    skip_bad = left_out is not None and left_out.skip_bad
    require_both_splits(path, validation_share, skip_bad=skip_bad)
    training = load_training_corpus(
        path, renderer, context_tokens=context_tokens, validation_share=validation_share, left_out=left_out
    )
    validation = load_validation_corpus(
        path, renderer, context_tokens=context_tokens, validation_share=validation_share, skip_bad=skip_bad
    )
    return training, validation


def load_validation_corpus(
    path: Path, renderer: Renderer, *, context_tokens: int, validation_share: float, skip_bad: bool = False
) -> Corpus:
    """Windows of the held-out documents: all that measuring a loss needs."""
    documents = load_text_documents(path, skip_bad=skip_bad, on_skip=_already_noted)
    held_out = (document for document in documents if is_validation_document(document, validation_share))
    return Corpus(held_out, renderer, context_tokens=context_tokens, left_out=SkippedRecords(skip_bad=skip_bad))


def load_training_corpus(
    path: Path,
    renderer: Renderer,
    *,
    context_tokens: int,
    validation_share: float,
    left_out: SkippedRecords | None = None,
) -> Corpus:
    """Windows of the training documents: all that a pretraining mix needs."""
    left_out = left_out or SkippedRecords(skip_bad=False)
    documents = load_text_documents(path, skip_bad=left_out.skip_bad, on_skip=left_out.note)
    chosen = (document for document in documents if not is_validation_document(document, validation_share))
    corpus = Corpus(chosen, renderer, context_tokens=context_tokens, left_out=left_out)
    if len(corpus) == 0:
        raise DataError(
            f"the training split of {path} is empty (validation_share {validation_share}); documents end with a line "
            "<|endoftext|>. Provide more text"
        )
    return corpus


def require_both_splits(path: Path, validation_share: float, *, skip_bad: bool = False) -> None:
    """Refuse text whose documents all fall into one split; checked before a tokenizer is trained."""
    documents = load_text_documents(path, skip_bad=skip_bad, on_skip=_already_noted)
    places = sorted(place_in_split(document) for document in documents)
    if len(places) < 2:
        raise DataError(
            f"{path} has {len(places)} documents; training and validation need one each. Documents end with a line "
            "<|endoftext|>: split the text into more"
        )
    if places[0] < validation_share <= places[-1]:
        return
    name, taken = ("validation", "none") if validation_share <= places[0] else ("training", "all")
    raise DataError(
        f"the {name} split of {path} is empty: a validation_share of {validation_share} holds out {taken} of its "
        f"{len(places)} documents (whole ones, chosen by their content). Set validation_share between "
        f"{places[0] + 0.001:.3f} and {places[-1]:.3f}, or split the text into more documents"
    )


def _already_noted(_: Skipped) -> None:
    """A malformed record is reported once, when the training windows are cut."""
