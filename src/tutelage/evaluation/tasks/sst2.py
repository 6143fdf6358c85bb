"""SST-2 (Socher et al. 2013), with the paper's prompt, zero-shot and with 15 examples (section D.2)."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from tutelage.errors import RecordError
from tutelage.evaluation.skills import SkillItem, SkillTask
from tutelage.evaluation.task import EvaluationTask
from tutelage.evaluation.tasks.files import published_file
from tutelage.store.benchmark_tables import read_table

INSTRUCTION = "For each snippet of text, label the sentiment of the text as positive or negative."
LABELS = {"0": "negative", "1": "positive"}
NUM_SHOTS = 15
_SOURCE = "https://github.com/clairett/pytorch-sentiment-classification, data/SST2, as sst2_train.tsv and sst2_dev.tsv"


def sst2(folder: Path) -> list[EvaluationTask[Any]]:
    """The development set; the examples are drawn once from the training set and are the same for every item."""
    train, own = (
        [(_query(text), label) for text, label in _read(folder, name)] for name in ("sst2_train.tsv", "sst2_dev.tsv")
    )
    shots = tuple(Random(0).sample(train, min(NUM_SHOTS, len(train))))
    items = [
        SkillItem(
            id=f"sst2-{number}",
            instruction=INSTRUCTION,
            query=query,
            answers=(label,),
            shots=shots,
            choices=tuple(LABELS.values()),
        )
        for number, (query, label) in enumerate(own)
    ]
    return [
        SkillTask(
            items=items,
            metrics=("accuracy",),
            num_shots=number,
            condition={"skill": "sst2", "shots": shots_kind},
            name="sst2",
        )
        for shots_kind, number in (("zero", 0), ("few", len(shots)))
    ]


def _query(text: str) -> str:
    return f"Text: {text}\nLabel:"


def _read(folder: Path, name: str) -> list[tuple[str, str]]:
    path = published_file(folder, name, what="a file of sentences and labels 0 or 1, tab-separated", source=_SOURCE)
    found = []
    for line, row in read_table(path, ("sentence", "label"), has_header=False):
        if row["label"] not in LABELS:
            raise RecordError(
                path=path,
                line=line,
                field="label",
                value=row["label"],
                rule="it must be 0 (negative) or 1 (positive)",
                remedy="Use the file as it was published.",
            )
        found.append((row["sentence"].strip(), LABELS[row["label"]]))
    return found
