"""The lists of planted faults stay plantable; `make faults` plants them, which takes minutes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planted_faults import find_problem, parse_faults, read_faults

FAULTS = read_faults()
ROOMS = {"evaluation", "labeling", "model", "objectives", "reproduction", "statistics", "store", "text"}


def test_every_snippet_is_in_the_source_exactly_once():
    assert len(FAULTS) > 100
    assert [problem for problem in map(find_problem, FAULTS) if problem] == []


def test_the_lists_cover_what_trains_and_what_judges():
    assert {fault.file.partition("/")[0] for fault in FAULTS} >= ROOMS


def test_every_fault_changes_something_and_has_its_own_name():
    assert [fault.name for fault in FAULTS if fault.right == fault.wrong] == []
    names = [(fault.file, fault.name) for fault in FAULTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("snippet", ["no such line", "import"])
def test_a_missing_or_repeated_snippet_is_reported(snippet: str):
    assert "not once" in str(find_problem(replace(FAULTS[0], right=snippet)))


def test_a_block_names_its_file_its_fault_and_its_tests():
    (fault,) = parse_faults(
        "A comment.\n\n@ model/lora.py: merged twice | test_a.py test_b.py\n- one\n- two\n+ three\n"
    )
    assert (fault.file, fault.name, fault.tests) == ("model/lora.py", "merged twice", ("test_a.py", "test_b.py"))
    assert (fault.right, fault.wrong) == ("one\ntwo", "three")
    assert "no model/lora.py" in str(find_problem(fault))
