"""A label turned back into what was submitted gives the same label again, for every kind of task."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from studio_world import task
from tutelage.labeling.forms import letters_of, pages_of
from tutelage.labeling.labels import Label, read_label
from tutelage.labeling.revision import submitted_of
from tutelage.labeling.tasks import Task


def _submitted(page, letters, is_ticked):
    entries = {}
    for field in page.fields:
        choices = {
            "scale": lambda f: str(f.highest),
            "flag": lambda _: "yes" if is_ticked else "",
            "choice": lambda f: next(iter(f.options)),
        }
        entries[field.name] = choices.get(field.kind, lambda _: "two\nlines")(field)
    if page.about == "ranking":
        entries |= {f"rank.{letter}": str(min(rank, 2)) for rank, letter in enumerate(letters, start=1)}
    return entries


@pytest.mark.parametrize(
    "given",
    [
        task("demonstrate"),
        task("evaluate", k=4),
        task("compare"),
        task("toxicity", k=3),
        Task(kind="prompt", prompt_kind="few-shot"),
    ],
    ids=lambda each: each.kind,
)
@pytest.mark.parametrize("is_ticked", [True, False], ids=["ticked", "unticked"])
def test_round_trip(given, is_ticked):
    order = tuple(reversed([completion.id for completion in given.completions]))
    pages = {page.name: _submitted(page, letters_of(given), is_ticked) for page in pages_of(given)}
    label = read_label(given, pages, order)
    assert label.fields or label.of_completions
    assert read_label(given, submitted_of(given, label, order), order) == label


def test_round_trip_of_a_refusal_and_of_a_label_without_ratings():
    given = task("evaluate", k=2)
    order = tuple(completion.id for completion in given.completions)
    pages = submitted_of(given, Label(cannot_rank="both empty"), order)
    assert pages["ranking"] == {"cannot_rank": "yes", "cannot_rank_reason": "both empty"}
    assert pages["A"] == {}
