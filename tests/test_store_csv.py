"""Tables for spreadsheets: nothing in them is a formula, and what they hold can be read back."""

from __future__ import annotations

import csv
import io

import pytest

from tutelage.store.csv_table import cell_of, write_csv

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "＝1", "＠x", "'=1")


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_could_be_a_formula_is_text(text: str) -> None:
    assert cell_of(text) == f"'{text}"


def test_numbers_and_other_text_stay_as_they_are() -> None:
    cells = [cell_of(value) for value in (-1, 2.5, True, None, "a = b", "x-1", ["=1", {"b": 2}])]
    assert cells == ["-1", "2.5", "true", "", "a = b", "x-1", '["=1", {"b": 2}]']


def test_a_table_is_read_back_cell_by_cell() -> None:
    rows = [{"a": 'say "hi", =1;\r\n=2', "b": -3}, {"b": None, "c": '",=1'}, {"=key": "ü 🐱"}]
    stream = io.BytesIO()
    write_csv(stream, rows, ["a", "b", "c", "=key"])
    assert stream.getvalue().startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(io.StringIO(stream.getvalue().decode("utf-8-sig"), newline="")))
    assert read == [
        ["a", "b", "c", "'=key"],
        ['say "hi", =1;\r\n=2', "-3", "", ""],
        ["", "", '",=1', ""],
        ["", "", "", "ü 🐱"],
    ]
