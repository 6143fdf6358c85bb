"""A label as its pages were filled in, so that the labeler who made it can change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tutelage.labeling.fields import Entry
from tutelage.labeling.forms import letters_of, pages_of
from tutelage.labeling.labels import Label
from tutelage.labeling.ranking import CANNOT_RANK, RANK, REASON, dense_ranks
from tutelage.labeling.tasks import Task


def submitted_of(task: Task, label: Label, order: Sequence[str]) -> dict[str, dict[str, str]]:
    """What a browser would have submitted on each page for this label: the inverse of `labels.read_label`."""
    id_of = dict(zip(letters_of(task), order, strict=True))
    pages: dict[str, dict[str, str]] = {}
    for page in pages_of(task):
        if page.about == "ranking":
            pages[page.name] = _ranking_submitted(label, id_of)
        else:
            entries = label.of_completions.get(id_of[page.name], {}) if page.about == "completion" else label.fields
            names = {field.name for field in page.fields}
            pages[page.name] = {name: _text(value) for name, value in entries.items() if name in names}
    return pages


def _ranking_submitted(label: Label, id_of: Mapping[str, str]) -> dict[str, str]:
    if label.cannot_rank:
        return {CANNOT_RANK: "yes", REASON: label.cannot_rank}
    ranks = dense_ranks(label.ranking)
    return {RANK + letter: str(ranks[identity]) for letter, identity in id_of.items()}


def _text(value: Entry) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value)
