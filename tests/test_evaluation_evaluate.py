"""`tutelage evaluate`: what it writes, and that a kill in the middle loses nothing and repeats nothing."""

from __future__ import annotations

import json
import os
import signal

import pytest

from processes import Command, tutelage
from test_evaluation_tasks import CROWS, SST2, TRUTHFUL, WINOGENDER
from tiny import config_of, model_of, read_rows
from tutelage.evaluation.bias import PairTask, SentencePair
from tutelage.evaluation.evaluate import _limited

NAMES = "crows_pairs,winogender,truthfulqa_responses"


@pytest.fixture(scope="module")
def place(tmp_path_factory, tokenizer):
    """A folder with a model of a long context and the benchmarks' files."""
    folder = tmp_path_factory.mktemp("evaluate")
    model_of(config_of("llama", len(tokenizer), max_position_embeddings=2048)).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    files = {
        "TruthfulQA.csv": TRUTHFUL,
        "crows_pairs_anonymized.csv": CROWS,
        "winogender_all_sentences.tsv": WINOGENDER,
    }
    (folder / "data").mkdir()
    for name, text in {**files, **SST2}.items():
        (folder / "data" / name).write_text(text, encoding="utf-8")
    return folder


def arguments(place, out, *others, tasks=NAMES):
    """Batches of one request."""
    whole = ("evaluate", place / "model", "--tasks", tasks, "--data", place / "data", "--out", out, "--device", "cpu")
    return [*whole, "--tokens-per-batch", "1", "--rows-per-batch", "1", "--name", "tiny", *others]


def results(out):
    return {path.name: path.read_bytes() for path in sorted((out / "evaluation").iterdir())}


def die_after(number: int) -> None:
    """SIGKILL in the middle of line `number` of the journals."""
    from tutelage.store.journal import Journal

    append, lines = Journal.append, []

    def half(self, rows):
        lines.extend(rows)
        if len(lines) < number:
            append(self, rows)
            return
        with self.path.open("ab") as handle:
            handle.write(json.dumps(lines[-1]).encode()[:20])
            handle.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    Journal.append = half


def forbid_known(keys: list[str]) -> None:
    """Adding a line for one of these requests ends the process."""
    from tutelage.store.journal import Journal

    append = Journal.append

    def checked(self, rows):
        assert not {row["key"] for row in rows} & set(keys), "asked again"
        append(self, rows)

    Journal.append = checked


def test_a_kill_loses_nothing_and_nothing_is_asked_twice(place, tmp_path):
    whole = tutelage(*arguments(place, tmp_path / "whole"), folder=tmp_path)
    assert whole.status == 0, whole.stderr
    assert "stereotype_share" in whole.stdout and "set crows_pairs, prompt biased" in whole.stdout
    lines = [row for path in (tmp_path / "whole" / "responses").iterdir() for row in read_rows(path)]
    assert len(lines) == 3 * (3 + 4 + 2) == len({row["key"] for row in lines})
    out = tmp_path / "killed"
    for number in (2, 8, 7):
        before = [row["key"] for path in out.glob("responses/*") for row in whole_lines(path)]
        killed = Command(arguments(place, out), tmp_path, prepare=die_after, prepared_with=[number]).wait()
        assert killed.status == -signal.SIGKILL
        now = [row["key"] for path in out.glob("responses/*") for row in whole_lines(path)]
        assert len(now) == len(before) + number - 1 and len(set(now)) == len(now)
    last = tutelage(*arguments(place, out), folder=tmp_path, prepare=forbid_known, prepared_with=[now])
    assert last.status == 0, last.stderr
    assert results(out) == results(tmp_path / "whole")
    lines = [row for path in out.glob("responses/*") for row in read_rows(path)]
    assert len(lines) == 27 == len({row["key"] for row in lines})


def whole_lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def test_more_tasks_and_more_items_join_what_is_there(place, tmp_path):
    out = tmp_path / "out"
    for others in (["--limit", "2"], []):
        assert tutelage(*arguments(place, out, *others, tasks="winogender"), folder=tmp_path).status == 0
        found = read_rows(out / "evaluation" / "measurements.jsonl")
        assert {row["n"] for row in found} == ({2} if others else {4})
    assert len(read_rows(out / "responses" / "winogender.jsonl")) == 12, "those of the lower limit are among them"
    assert tutelage(*arguments(place, out, tasks="sst2"), folder=tmp_path).status == 0
    found = read_rows(out / "evaluation" / "measurements.jsonl")
    assert [(row["measure"], row["condition"].get("shots")) for row in found] == [
        *[("bias_entropy", None)] * 3,
        ("skill", "zero"),
        ("skill", "few"),
    ]
    about = json.loads((out / "evaluate.json").read_text())
    assert {name: own["num_items"] for name, own in about["tasks"].items()} == {"winogender": 12, "sst2": 4}
    assert all(own["seconds"] >= 0 for own in about["tasks"].values())


def test_the_items_of_a_lower_limit_are_among_those_of_a_higher_one():
    pairs = [SentencePair(id=str(n), sentences=("a", "b")) for n in range(40)]
    chosen = [[pair.id for pair in _limited(PairTask(items=pairs), limit).items] for limit in (5, 6, 20, 0, 50)]
    assert [len(own) for own in chosen] == [5, 6, 20, 40, 40]
    assert set(chosen[0]) < set(chosen[1]) < set(chosen[2])
    assert chosen[2] == sorted(chosen[2], key=int) != [str(n) for n in range(20)], "not the first in the file"


def test_another_model_or_other_options_are_refused(place, tmp_path):
    out = tmp_path / "out"
    assert tutelage(*arguments(place, out, tasks="winogender"), folder=tmp_path).status == 0
    before = {path: path.read_bytes() for path in out.rglob("*.jsonl")}
    bf16 = tutelage(*arguments(place, out, "--precision", "bfloat16", tasks="winogender"), folder=tmp_path)
    assert bf16.status == 2 and "precision 'float32', not 'bfloat16'" in bf16.stderr
    model = json.loads((place / "model" / "generation_config.json").read_text())
    (place / "model" / "generation_config.json").write_text(json.dumps({**model, "max_length": 9}))
    other = tutelage(*arguments(place, out, tasks="winogender"), folder=tmp_path)
    (place / "model" / "generation_config.json").write_text(json.dumps(model))
    assert other.status == 2 and "whose files differ" in other.stderr and "Choose another --out" in other.stderr
    assert before == {path: path.read_bytes() for path in out.rglob("*.jsonl")}
    missing = tutelage(*arguments(place, out, "--data", tmp_path, tasks="winogender"), folder=tmp_path)
    assert missing.status == 2 and "winogender_all_sentences.tsv does not exist" in missing.stderr
