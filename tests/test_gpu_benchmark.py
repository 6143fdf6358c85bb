"""The GPU script on the CPU: its checks hold and see faults; what fails or hangs leaves the other sections' figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import gpu  # noqa: E402
import gpu_correctness  # noqa: E402
import gpu_data  # noqa: E402
import gpu_speed  # noqa: E402
import gpu_table  # noqa: E402
from gpu_world import SHAPES, Report, make_world  # noqa: E402

from tutelage.model import attention, sampling  # noqa: E402


@pytest.fixture
def world(tmp_path):
    return make_world("cpu", tmp_path, is_quick=True)


@pytest.fixture
def report(tmp_path):
    return Report(tmp_path / "rows.jsonl")


def rows_of(report):
    return [json.loads(line) for line in report.path.read_text().splitlines()]


def failed(report):
    return [row["check"] for row in rows_of(report) if not row["is_ok"]]


def test_the_packed_numbers_are_those_of_plain_transformers(world, report):
    project = gpu_data.write_project(world.scratch / "project")
    gpu_correctness._packed_against_plain(world, report, project)
    gpu_correctness._sampled_against_recomputed(world, report, project)
    assert len(rows_of(report)) == 16
    assert failed(report) == []


def test_attention_to_what_comes_later_is_seen(world, report, monkeypatch):
    original = attention.attend_over_heads
    monkeypatch.setattr(attention, "attend_over_heads", lambda *a, **k: original(*a, **{**k, "is_causal": False}))
    project = gpu_data.write_project(world.scratch / "project")
    monkeypatch.setattr("tutelage.model.trials.reads_packed_tokens", lambda model: True)
    monkeypatch.setattr("tutelage.model.trials._reads_packed", {})
    gpu_correctness._packed_against_plain(world, report, project)
    assert "log-probabilities, one response: packed - plain, largest" in failed(report)
    assert "gradient of the value model, several responses: packed - plain, largest" in failed(report)


def test_a_sampler_that_reads_its_cache_wrongly_is_seen(world, report, monkeypatch):
    original = sampling._CachedLayout.move_rows
    monkeypatch.setattr(sampling._CachedLayout, "move_rows", lambda self, a, b: original(self, b, a))
    monkeypatch.setattr("tutelage.model.trials.reads_packed_tokens", lambda model: True)
    monkeypatch.setattr("tutelage.model.trials._reads_packed", {})
    project = gpu_data.write_project(world.scratch / "project")
    gpu_correctness._sampled_against_recomputed(world, report, project)
    assert any("float32" in name for name in failed(report))


def test_a_number_that_is_none_never_holds(report):
    report.check("nan", float("nan"), limit=1.0)
    assert failed(report) == ["nan"]


def test_the_shapes_have_the_weights_that_their_names_say():
    """Without norms: SmolLM2-135M has 134.5 M parameters, Llama 3.2 1B 1,235.8 M."""
    millions = {name: (shape.layer_weights + shape.head_weights) / 1e6 for name, shape in SHAPES.items()}
    assert millions["135M"] == pytest.approx(134.5, abs=0.1)
    assert millions["1.2B"] == pytest.approx(1235.8, abs=0.1)


def test_work_by_hand():
    """135M: 106.2 M weights in layers. 10 tokens that see 5 each: 2 x 10 x weights, 4 x 30 x 576 x 5 x 10 in attention,
    and 3 tokens through a head of 49,152 x 576. A step of sampling reads all weights and 2 x 30 x 192 numbers a column.
    """
    shape = SHAPES["135M"]
    layers = 30 * (2 * 576 * (576 + 192) + 3 * 576 * 1536)
    assert shape.forward_flop(10, 5, 3) == 2 * 10 * layers + 4 * 30 * 576 * 5 * 10 + 2 * 3 * 49_152 * 576
    assert shape.decoding_bytes(4, 100) == 2 * (layers + 49_152 * 576) + 4 * 100 * 2 * 2 * 30 * 192


def test_a_group_is_counted_with_its_prompt_once():
    """Prompt 4, responses 2 and 6: mean contexts 2, 5 and 7; only responses go through the head."""
    shape = SHAPES["135M"]
    (group,) = gpu_speed.random_groups(shape, 1, 4, 2)
    group = gpu_speed.Group(prompt=group.prompt, responses=[[2, 0], [2, 2, 2, 2, 2, 0]])
    parts = shape.forward_flop(4, 2), shape.forward_flop(2, 5, 2), shape.forward_flop(6, 7, 6)
    assert gpu_speed._forward_flop(shape, group, has_head=True) == sum(parts)


def test_the_table_says_shares_ratios_and_failures():
    card = {"what": "card", "name": "a card", "product_rate": 100.0, "copy_rate": 50.0}
    ours = {"model": "m", "what": "sampling", "value": 30.0, "unit": "tok/s", "bytes_per_second": 10.0}
    peer = {"model": "m", "what": "generate", "value": 10.0, "unit": "tok/s", "peer_of": ["m", "sampling"]}
    check = {"check": "a check", "found": 2.0, "limit": 1.0, "is_ok": False}
    done = {"status": "done", "seconds": 1, "last_lines": []}
    hung = {"status": "killed at its limit", "seconds": 9, "rows": [], "last_lines": ["where it stood"]}
    text = gpu_table.table({"sections": {"one": done | {"rows": [card, ours, peer, check]}, "two": hung}})
    for wanted in ("# a card", "20.0% copy", " 3.00 ", "FAILED", "two: killed at its limit", "    where it stood"):
        assert wanted in text


def test_a_section_that_hangs_or_fails_leaves_the_others(tmp_path, monkeypatch, capsys):
    """The first writes a row and hangs, the second ends with an error, the third is well; then the time is over."""
    worker = tmp_path / "gpu_worker.py"
    worker.write_text(
        "import json, pathlib, sys, time\n"
        "name, rows = sys.argv[1], pathlib.Path(sys.argv[3])\n"
        "assert sys.stdin.readline()\n"
        "rows.write_text(json.dumps({'check': name, 'found': 0.0, 'limit': 1.0, 'is_ok': True}) + '\\n')\n"
        "if name == 'hangs': time.sleep(60)\n"
        "if name == 'fails': sys.exit('why it failed')\n"
    )
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    sections = (gpu.Section("hangs", 2), gpu.Section("fails", 20), gpu.Section("well", 20), gpu.Section("late", 20))
    monkeypatch.setattr(gpu, "SECTIONS", sections)
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), "--section", "hangs", "fails", "well"])
    assert gpu.main() == 1
    found = json.loads((out / "gpu.json").read_text())["sections"]
    assert found["hangs"]["status"] == "killed at its limit" and len(found["hangs"]["rows"]) == 1
    assert found["fails"]["status"] == "exit status 1" and found["fails"]["last_lines"] == ["why it failed"]
    assert found["well"]["status"] == "done"
    assert {path.name for path in out.iterdir()} == {"gpu.json", "gpu.md", "gpu.log"}
    assert "why it failed" in (out / "gpu.md").read_text()
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), "--section", "late", "--seconds", "0"])
    assert gpu.main() == 1
    assert json.loads((out / "gpu.json").read_text())["sections"]["late"]["status"] == "not begun: out of time"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), "--section", "well"])
    assert gpu.main() == 0
