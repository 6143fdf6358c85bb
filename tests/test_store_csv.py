"""Tables for spreadsheets: nothing in them is a formula, and what they hold can be read back."""

from __future__ import annotations

import csv
import gzip
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.errors import DataError, RecordError
from tutelage.records import Demonstration
from tutelage.store.csv_table import cell_of, write_csv
from tutelage.store.jsonl import read_records, read_rows
from tutelage.store.sources import load_demonstrations, load_rankings

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


# --- reading ---


def _write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_cells_are_typed_by_their_column_and_text_stays_text(tmp_path):
    names = "prompt,completion,label,score_chosen,ranking,messages,margin,note"
    cells = '"7","[1] true, ""so""\n",False,4.50,"[[""a""],[""b""]]","[{""role"": ""user""}]",,1e5'
    path = _write(tmp_path / "t.csv", f"\ufeff{names}\n{cells}\n")
    row = {"prompt": "7", "completion": '[1] true, "so"\n', "label": False, "score_chosen": 4.5}
    assert list(read_rows(path)) == [
        (2, row | {"ranking": [["a"], ["b"]], "messages": [{"role": "user"}], "note": "1e5"})
    ]


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t"), (".csv.gz", ","), (".tsv.zst", "\t")])
def test_pairs_and_demonstrations_of_tables(tmp_path, suffix, mark):
    lines = [["prompt", "chosen", "rejected", "score_chosen", "score_rejected"], ["q", "a", "b", "4", "4.0"]]
    text = "".join(mark.join(line) + "\r\n" for line in [*lines, ["q", '"c\r\nd"', "e", "4", "3"]])
    path = tmp_path / f"pairs{suffix}"
    path.write_bytes(_compressed(suffix, text.encode()))
    tie, ranking = load_rankings(path)
    assert (tie.pairs(), ranking.pairs(), ranking.completions[0].text) == ([], [(0, 1)], "c\r\nd")


def _compressed(suffix, content):
    if suffix.endswith(".gz"):
        return gzip.compress(content)
    if suffix.endswith(".zst"):
        zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        return zstd.compress(content)
    return content


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, r"has no column names\. Its first line must have them"),
        ("a,b,a\n1,2,3\n", DataError, r"has the column 'a' more than once\. Give every column a unique name"),
        ("a,b\n1,2\n\n3\n", RecordError, r"line 4: .* is '3'; it has 1 cells, and the first line names 2 columns"),
        ('a,b\n1,"x\n', RecordError, r"line 2: .*; its cells must be separated and quoted as in CSV"),
        ('a,b\n1,"x"y\n', RecordError, r"line 2: .*; its cells must be separated and quoted as in CSV"),
        ("a,b\n1,\udcff\n", RecordError, r"; it must be UTF-8\. Correct it"),
    ],
)
def test_tables_that_cannot_be_read_say_why(tmp_path, text, error, message):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(error, match=message):
        list(read_rows(path))


def test_bad_rows_of_a_table_are_skipped_one_by_one(tmp_path):
    path = _write(tmp_path / "t.csv", 'prompt,completion\n1\n"q\n2",r\n3,4,5\n')
    skipped = []
    (one,) = load_demonstrations(path, skip_bad=True, on_skip=skipped.append)
    assert (one.prompt, [each.line for each in skipped]) == ("q\n2", [2, 5])


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.text(min_size=1)), max_size=4))
def test_what_is_written_as_a_table_is_read_again(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    texts = [(one, other) for one, other in texts if one.strip() and other.isprintable()]
    with path.open("wb") as handle:
        write_csv(handle, [{"prompt": one, "response": other} for one, other in texts], ["prompt", "response"])
    read = list(read_records(path, Demonstration))
    assert [(one.prompt, one.response) for one in read] == texts


@pytest.mark.parametrize("suffix", [".jsonl.zst", ".json.zst", ".csv.zst"])
def test_a_zst_file_that_was_cut_off_or_is_none_is_told(tmp_path, suffix):
    rows = "".join(f'{{"prompt": "q{n}", "response": "r{n * n}"}}\n' for n in range(5000))
    if suffix == ".csv.zst":
        rows = "prompt,response\n" + "".join(f"q{n},r{n * n}\n" for n in range(5000))
    whole = _compressed(suffix, rows.encode())
    path = tmp_path / f"d{suffix}"
    path.write_bytes(whole)
    assert len(list(read_records(path, Demonstration))) == 5000
    for broken in (whole[: len(whole) // 2], b"no zst"):
        path.write_bytes(broken)
        with pytest.raises(
            RecordError, match=r"the file is corrupted or truncated here\. Download or write the file again"
        ):
            list(read_records(path, Demonstration))
