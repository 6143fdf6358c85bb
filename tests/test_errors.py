"""Every error of the package crosses from one process to another unchanged."""

from __future__ import annotations

import copy
import importlib
import pickle
import re
from pathlib import Path

import pytest

from tutelage.errors import RecordError, StorageError, TutelageError
from tutelage.labeling.labels import LabelError
from tutelage.web.guards import NotSignedIn
from tutelage.workflow.sources import Waiting

PACKAGE = Path(__file__).parent.parent / "src" / "tutelage"
CLASS = re.compile(r"^class (\w+)\(\w*(?:Error|Exception)\b", re.MULTILINE)
# Those that are made of more than a message.
MADE = {
    RecordError: lambda: RecordError(
        path="a.jsonl", line=3, field="prompt", value=[1], rule="text", remedy="Write text."
    ),
    LabelError: lambda: LabelError({"ranking": {"a": "rank it"}}),
    StorageError: lambda: StorageError(28, "no space left"),
    Waiting: lambda: Waiting("4 rankings", "tutelage label serve"),
    NotSignedIn: lambda: NotSignedIn({"text": "what they had written"}),
}


def error_classes() -> list[type[Exception]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in CLASS.findall(path.read_text(encoding="utf-8")):
            module = ".".join(("tutelage", *path.relative_to(PACKAGE).with_suffix("").parts))
            found.append(getattr(importlib.import_module(module), name))
    return found


def test_the_list_knows_the_errors():
    found = error_classes()
    assert {TutelageError, *MADE} <= set(found) and len(found) > 12


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("through", [lambda error: pickle.loads(pickle.dumps(error)), copy.deepcopy])
def test_an_error_arrives_as_it_was_sent(kind, through):
    error = MADE.get(kind, lambda: kind("what is wrong"))()
    error.add_note("seen in a worker")
    found = through(error)
    assert (type(found), str(found), found.args) == (kind, str(error), error.args)
    assert vars(found) == vars(error)


def test_a_record_error_keeps_its_fields():
    found = pickle.loads(pickle.dumps(MADE[RecordError]()))
    assert (found.path, found.line, found.field, found.value) == ("a.jsonl", 3, "prompt", [1])
