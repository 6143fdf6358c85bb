"""The list of planted faults stays plantable; `python tests/planted_faults.py` plants them, which takes minutes."""

from __future__ import annotations

import pytest

from planted_faults import Fault, misplaced, read_faults

FAULTS = read_faults()


def test_every_snippet_is_in_the_source_exactly_once():
    assert len(FAULTS) > 100
    assert [problem for problem in map(misplaced, FAULTS) if problem] == []


def test_every_fault_changes_something_and_has_its_own_name():
    assert [fault.name for fault in FAULTS if fault.right == fault.wrong] == []
    names = [(fault.file, fault.name) for fault in FAULTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("snippet", ["no such line", "import"])
def test_a_missing_or_repeated_snippet_is_reported(snippet: str):
    assert "not once" in str(misplaced(Fault("tokens.py", "test", snippet, "")))
