"""Files of records: what is written is read again, and what is wrong is told with its place."""

from __future__ import annotations

import gzip
import json
import logging
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutelage.errors import DataError, RecordError
from tutelage.records import Demonstration, Message, Prompt, Ranking, Rating
from tutelage.store.jsonl import Skipped, read_records, read_rows, record_line, write_records, write_rows

PROMPTS = [
    Prompt(text="Explain tides to a child.", user_id="u1", source="api", split="train", purpose="sft"),
    Prompt(messages=({"role": "user", "content": "¿Qué hora es? 時間"},), language="es", batch=3),
]
RANKING = Ranking(
    prompt="p",
    completions=({"id": "a", "text": "x", "policy": "sft"}, {"id": "b", "text": ""}, {"id": "c", "text": "z"}),
    ranking=(("b",), ("a", "c")),
    labeler_id="l1",
    display_order=("c", "b", "a"),
)
JUDGED = Ranking(
    messages=({"role": "user", "content": "u"},),
    completions=({"id": "a", "text": "x"}, {"id": "b", "text": "y"}),
    comparisons=(),
)
SUFFIXES = [".jsonl", ".jsonl.gz", ".jsonl.xz", ".parquet"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_records_are_read_as_they_were_written(tmp_path, suffix):
    path = tmp_path / f"records{suffix}"
    assert write_records(path, PROMPTS) == 2
    assert list(read_records(path, Prompt)) == PROMPTS
    assert write_records(path, [RANKING, JUDGED]) == 2
    assert list(read_records(path, Ranking)) == [RANKING, JUDGED]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.xz"])
def test_rows_are_read_as_they_were_written(tmp_path, suffix):
    """Also where a text holds what other readers take for the end of a line."""
    rows = [{"text": "one\u2028two\u2029three\u0085four\x0bfive\nsix"}, {"é": [1, None, 0.5, True]}, {}]
    path = tmp_path / f"rows{suffix}"
    assert write_rows(path, iter(rows)) == 3
    assert list(read_rows(path)) == list(enumerate(rows, start=1))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_rows_that_cannot_be_written_leave_the_file_as_it_was(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"é": "\u2028"}])
    assert path.read_bytes() == '{"é": "\u2028"}\n'.encode()
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        write_rows(path, [{"a": 1}, {"a": set()}])
    assert list(read_rows(path)) == [(1, {"é": "\u2028"})]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_without_a_log_the_first_bad_row_is_an_error(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n[2]\n{"a": 3}\n')
    with pytest.raises(RecordError, match=r"line 2: .* it must be one JSON object"):
        list(read_rows(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_records_is_read_as_none(tmp_path, suffix):
    path = tmp_path / f"none{suffix}"
    assert write_records(path, []) == 0
    assert list(read_records(path, Prompt)) == []


def test_ratings_with_different_flags_survive_parquet(tmp_path):
    ratings = [
        Rating(prompt_id="p", completion_id="c", labeler_id="l", overall=7, flags={"hallucination": True}),
        Rating(prompt_id="p", completion_id="d", labeler_id="l", overall=1, flags={}, note="n"),
    ]
    write_records(tmp_path / "r.parquet", ratings)
    assert list(read_records(tmp_path / "r.parquet", Rating)) == ratings


def test_parquet_refuses_a_key_of_several_types(tmp_path):
    mixed = [Prompt(text="a", extra=1), Prompt(text="b", extra="one")]
    with pytest.raises(DataError, match=r"one key has values of several types .* Write \.jsonl instead\."):
        write_records(tmp_path / "mixed.parquet", mixed)
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_compact_json_in_utf8():
    assert (
        record_line(Demonstration(prompt="é", response="r", mark=None))
        == '{"prompt": "é", "response": "r", "mark": null}'
    )
    identity = Prompt(text="a").id
    assert record_line(Prompt(text="a")) == f'{{"id": "{identity}", "text": "a"}}'


def test_the_same_records_give_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    write_records(first, PROMPTS)
    monkeypatch.setattr("time.time", lambda: 1e9)
    write_records(second, PROMPTS)
    assert first.read_bytes() == second.read_bytes()


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT, st.lists, max_leaves=4
)
EXTRA = st.dictionaries(st.sampled_from(["mark", "x y", "é", "id2"]), JSON, max_size=3)
MESSAGES = st.lists(
    st.builds(Message, role=st.sampled_from(["user", "assistant"]), content=TEXT), min_size=1, max_size=3
)


@st.composite
def prompts(draw):
    extra = draw(EXTRA)
    if draw(st.booleans()):
        return Prompt(messages=tuple(draw(MESSAGES)), language=draw(st.none() | TEXT), **extra)
    return Prompt(text="t" + draw(TEXT), user_id=draw(st.none() | TEXT), **extra)


@st.composite
def rankings(draw):
    ids = draw(st.lists(TEXT.filter(bool), min_size=2, max_size=5, unique=True))
    order = draw(st.permutations(ids))
    cuts = sorted(draw(st.sets(st.integers(1, len(ids) - 1))))
    groups = tuple(tuple(order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(ids)], strict=True))
    completions = tuple({"id": identity, "text": draw(TEXT)} for identity in ids)
    return Ranking(prompt="p" + draw(TEXT), completions=completions, ranking=groups, **draw(EXTRA))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(prompts() | rankings(), max_size=4), suffix=st.sampled_from([".jsonl", ".jsonl.gz"]))
def test_any_record_is_read_as_it_was_written(tmp_path, some, suffix):
    for model in (Prompt, Ranking):
        written = [record for record in some if isinstance(record, model)]
        write_records(tmp_path / f"r{suffix}", written)
        assert list(read_records(tmp_path / f"r{suffix}", model)) == written


def _write(path, *lines):
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return path


GOOD = '{"text": "good"}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"txt": "a"}', "field '(record)' is {'txt': 'a'}; give exactly one of 'text' and 'messages'."),
        ('{"text": "  "}', "field '(record)' is {'text': '  '}; 'text' must not be blank."),
        ('{"text": 3}', "field 'text' is 3; Input should be a valid string."),
        (
            '{"text": 3, "split": "x"}',
            "field 'text' is 3; Input should be a valid string; "
            "field 'split': Input should be 'train', 'valid' or 'test'.",
        ),
        (
            '{"messages": [{"role": "bot", "content": "a"}]}',
            "field 'messages.0.role' is 'bot'; Input should be 'system', 'user', 'assistant' or 'tool'.",
        ),
        ("[1]", "field '(line)' is [1]; it must be one JSON object, that is, {...}."),
        (
            '{"text": "a"',
            "field '(line)' is '{\"text\": \"a\"'; it must be one JSON object "
            "(Expecting ',' delimiter: line 1 column 13 (char 12)).",
        ),
        (b'{"text": "\xff"}', "field '(line)' is b'{\"text\": \"\\xff\"}'; it must be UTF-8."),
        (
            '{"text": "a", "mark": "\\ud800"}',
            'field \'(line)\' is \'{"text": "a", "mark": "\\\\ud800"}\'; '
            "it must not have half of a surrogate pair (\\ud800 to \\udfff).",
        ),
    ],
)
def test_a_bad_record_is_told_with_its_place_or_skipped(tmp_path, line, message):
    path = _write(tmp_path / "prompts.jsonl", GOOD, "", line, GOOD)
    expected = f"{path}, line 3: {message} Correct it, or choose to skip bad records."
    with pytest.raises(RecordError) as caught:
        list(read_records(path, Prompt))
    assert str(caught.value) == expected
    assert caught.value.line == 3
    skipped = []
    records = list(read_records(path, Prompt, skip_bad=True, on_skip=skipped.append))
    assert [record.text for record in records] == ["good", "good"]
    assert skipped == [Skipped(path=str(path), line=3, message=expected)]


def test_deep_nesting_and_endless_numbers_are_bad_records_not_crashes(tmp_path):
    path = _write(tmp_path / "p.jsonl", '{"text": ' + "[" * 200_000, '{"text": "a", "n": ' + "9" * 5000 + "}", GOOD)
    skipped = []
    assert len(list(read_records(path, Prompt, skip_bad=True, on_skip=skipped.append))) == 1
    assert [one.line for one in skipped] == [1, 2]


def test_skipped_records_that_nobody_collects_end_in_one_warning(tmp_path, caplog):
    path = _write(tmp_path / "p.jsonl", "{}", GOOD, "[]")
    with caplog.at_level(logging.WARNING):
        assert len(list(read_records(path, Prompt, skip_bad=True))) == 1
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith(f"{path}: 2 records left out; the first: {path}, line 1:")


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.xz"])
def test_a_compressed_file_that_was_cut_off_gives_what_it_has(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    many = [Prompt(text=f"prompt {i} {i * 7919 % 104729}") for i in range(20_000)]
    write_records(path, many)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(
        RecordError, match=r"the file is corrupted or truncated here\. Download or write the file again\."
    ):
        list(read_records(path, Prompt))
    skipped = []
    read = list(read_records(path, Prompt, skip_bad=True, on_skip=skipped.append))
    assert 0 < len(read) < len(many)
    assert read == many[: len(read)]
    assert len(skipped) == 1
    assert "truncated" in skipped[0].message


def test_a_file_that_is_not_gzip_at_all(tmp_path):
    path = _write(tmp_path / "p.jsonl.gz", GOOD)
    with pytest.raises(RecordError, match=r"line 1: field '\(compressed file\)' is 'Not a gzipped file"):
        list(read_records(path, Prompt))


def test_json_files_may_be_an_array_or_lines_and_begin_with_a_mark(tmp_path):
    array = _write(tmp_path / "array.json", b"\xef\xbb\xbf" + json.dumps([{"text": "a"}, 3, {"text": "b"}]).encode())
    with pytest.raises(RecordError, match=r"line 2: field '\(line\)' is 3; it must be one JSON object"):
        list(read_records(array, Prompt))
    assert [p.text for p in read_records(array, Prompt, skip_bad=True, on_skip=lambda _: None)] == ["a", "b"]
    lines = _write(tmp_path / "lines.json", b"\xef\xbb\xbf" + GOOD.encode() + b"\r", GOOD)
    assert len(list(read_records(lines, Prompt))) == 2
    broken = _write(tmp_path / "broken.json", '[{"text": "a"}')
    with pytest.raises(RecordError, match="the file must be one JSON array"):
        list(read_records(broken, Prompt))


def test_unknown_keys_are_kept(tmp_path):
    path = _write(tmp_path / "p.jsonl", '{"text": "a", "from_app": {"version": 2}}')
    assert next(read_records(path, Prompt)).model_extra == {"from_app": {"version": 2}}


def test_files_of_another_kind_or_missing_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl does not exist"):
        list(read_records(tmp_path / "none.jsonl", Prompt))
    with pytest.raises(DataError, match=r"a\.doc is not a file of records: its name must end in \.jsonl, \.json"):
        list(read_records(tmp_path / "a.doc", Prompt))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        list(read_records(tmp_path / "folder.jsonl", Prompt))
    with pytest.raises(DataError, match="its name must end in"):
        write_records(tmp_path / "a.csv", PROMPTS)
    broken = _write(tmp_path / "broken.parquet", "not parquet")
    with pytest.raises(DataError, match=r"broken\.parquet cannot be read as parquet after row 0: "):
        list(read_records(broken, Prompt))


def test_without_pyarrow_parquet_says_what_to_install(tmp_path, monkeypatch):
    path = _write(tmp_path / "p.parquet", "")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"parquet files need pyarrow, .* pip install 'tutelage\[data\]'"):
        list(read_records(path, Prompt))


def test_reading_is_a_stream(tmp_path):
    path = tmp_path / "p.jsonl.gz"
    with gzip.open(path, "wb") as handle:
        handle.write(GOOD.encode() + b"\n" + b"not json\n")
    assert next(read_records(path, Prompt)).text == "good"
