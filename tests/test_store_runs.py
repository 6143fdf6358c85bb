"""The run folder: whole writes, half lines after a kill, a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tutelage.errors import ConfigError, DataError, RecordError, StorageError
from tutelage.records import Prompt
from tutelage.store.jsonl import write_records
from tutelage.store.runs import RunFolder, atomic_directory, clean_partial, versions
from tutelage.store.trackers import open_trackers
from tutelage.store.versions import git_commit


def _run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    source = Path(__file__).parent.parent / "src"
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, timeout=60
    )


class _Number:
    """A scalar as numpy and torch have them."""

    ndim = 0

    def item(self):
        return 2.5


def test_metrics_and_samples_are_read_as_they_were_logged(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.log_metrics(1, {"ppo/kl_to_reference": 0.25, "ppo/num_rollouts": 64})
    run.log_metrics(2, {"ppo/kl_to_reference": _Number(), "loss": float("nan"), "high": float("inf")})
    run.log_samples([{"prompt": "p", "response": "é"}, {"prompt": "q", "response": ""}], step=2)
    assert run.read_metrics() == [
        {"step": 1, "ppo/kl_to_reference": 0.25, "ppo/num_rollouts": 64},
        {"step": 2, "ppo/kl_to_reference": 2.5, "loss": None, "high": None},
    ]
    assert run.read_samples() == [
        {"step": 2, "prompt": "p", "response": "é"},
        {"step": 2, "prompt": "q", "response": ""},
    ]
    assert b"NaN" not in run.metrics_path.read_bytes()


def test_config_and_summary(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert (run.read_config(), run.read_summary()) == ({}, {})
    run.write_config({"model": "é", "sizes": [1, 2], "learning_rate": 1e-5})
    run.write_summary({"win_rate": 0.7, "lost": float("nan"), "where": Path("a/b")})
    assert run.read_config() == {"model": "é", "sizes": [1, 2], "learning_rate": 1e-5}
    run.write_config("model: 'é'\n")
    assert run.read_config() == {"model": "é"}
    assert json.loads(run.summary_path.read_text()) == {"win_rate": 0.7, "lost": None, "where": "a/b"}
    assert sorted(path.name for path in run.path.iterdir()) == ["checkpoints", "config.yaml", "summary.json"]


def test_opening_to_read_changes_nothing(tmp_path):
    with pytest.raises(DataError, match="is not a run folder: it has neither"):
        RunFolder.open(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
    run = RunFolder(tmp_path / "run")
    run.metrics_path.write_bytes(b'{"step": 1}\n{"st')
    assert RunFolder.open(run.path).read_metrics() == [{"step": 1}]
    assert run.metrics_path.read_bytes().endswith(b'{"st')


def test_truncating_drops_what_comes_after_the_step(tmp_path):
    run = RunFolder(tmp_path / "run")
    for step in (1, 2, 3, 4):
        run.log_metrics(step, {"loss": 1.0 / step})
        run.log_samples([{"response": str(step)}], step=step)
    run.log_samples([{"response": "before training"}])
    before = run.metrics_path.read_bytes()
    run.truncate_to(2)
    assert run.metrics_path.read_bytes() == b"".join(before.splitlines(keepends=True)[:2])
    assert [sample["response"] for sample in run.read_samples()] == ["1", "2", "before training"]


@pytest.mark.parametrize("half", [b'{"step": 3, "lo', b"{", b'{"step": 3, "loss": 0.5}'])
def test_a_line_cut_off_by_a_kill_is_dropped_and_the_next_one_is_whole(tmp_path, half):
    run = RunFolder(tmp_path / "run")
    run.log_metrics(1, {"loss": 2.0})
    with run.metrics_path.open("ab") as handle:
        handle.write(half)
    assert [row["step"] for row in run.read_metrics()] == [1]
    run.truncate_to(5)
    again = RunFolder(run.path)
    again.log_metrics(2, {"loss": 1.0})
    assert again.read_metrics() == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]


@pytest.mark.parametrize("length", [10, 65_535, 65_536, 65_537, 200_000])
def test_a_half_line_of_any_length_is_cut_on_resume(tmp_path, length):
    run = RunFolder(tmp_path / "run")
    run.log_metrics(1, {"loss": 2.0})
    whole = run.metrics_path.read_bytes()
    run.metrics_path.write_bytes(whole + b"x" * length)
    RunFolder(run.path)
    assert run.metrics_path.read_bytes() == whole
    run.metrics_path.write_bytes(b"x" * length)
    RunFolder(run.path)
    assert run.metrics_path.read_bytes() == b""


def test_a_spoiled_line_in_the_middle_is_told(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.metrics_path.write_bytes(b'{"step": 1}\nbroken\n{"step": 2}\n')
    with pytest.raises(
        RecordError, match=r"metrics\.jsonl, line 2: field '\(line\)' is b'broken\\n'; it must be one JSON"
    ):
        run.read_metrics()


def test_a_run_killed_while_it_logs_leaves_whole_lines(tmp_path):
    done = _run_python(
        """
        import os, signal, sys
        from tutelage.store.runs import RunFolder, atomic_directory
        run = RunFolder(sys.argv[1])
        for step in range(1, 101):
            run.log_metrics(step, {"loss": step / 7})
        with atomic_directory(run.checkpoints / "step-100") as folder:
            (folder / "weights").write_bytes(bytes(1000))
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path / "run",
    )
    assert done.returncode == -9
    checkpoints = tmp_path / "run" / "checkpoints"
    assert [path.name.startswith(".step-100.partial-") for path in checkpoints.iterdir()] == [True]
    run = RunFolder(tmp_path / "run")
    assert list(checkpoints.iterdir()) == []
    assert [row["step"] for row in run.read_metrics()] == list(range(1, 101))


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    final = tmp_path / "checkpoints" / "step-1"
    with atomic_directory(final) as folder:
        (folder / "a").write_text("1")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_text("2")
        assert not final.exists()
    assert sorted(str(path.relative_to(final)) for path in final.rglob("*")) == ["a", "sub", "sub/b"]
    with (
        pytest.raises(StorageError, match="step-1 already exists, and saved files are never replaced"),
        atomic_directory(final),
    ):
        pass
    with pytest.raises(KeyError), atomic_directory(tmp_path / "checkpoints" / "step-2") as folder:
        raise KeyError("fault")
    assert [path.name for path in final.parent.iterdir()] == ["step-1"]
    assert (final / "a").read_text() == "1"


def test_a_directory_that_appeared_meanwhile_is_not_replaced(tmp_path):
    final = tmp_path / "step-1"
    with pytest.raises(StorageError, match="already exists"), atomic_directory(final):
        final.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_only_what_the_dead_left_behind_is_removed(tmp_path):
    dead = _run_python("import os; print(os.getpid())").stdout.strip()
    left_by_dead = tmp_path / f".step-1.partial-{dead}-0123abcd-0"
    left_by_namesake = tmp_path / f".step-2.partial-{os.getpid()}-0123abcd-0"
    of_the_living = tmp_path / f".step-3.partial-{os.getppid()}-0123abcd-0"
    unrelated = tmp_path / ".notes.partial-draft"
    for path in (left_by_dead, left_by_namesake, of_the_living):
        path.mkdir()
        (path / "weights").write_text("x")
    unrelated.write_text("mine")
    with atomic_directory(tmp_path / "step-4") as writing:
        assert clean_partial(tmp_path) == [left_by_dead, left_by_namesake]
        assert writing.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([of_the_living.name, unrelated.name, "step-4"])


LIMITED = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
from tutelage.errors import StorageError
from tutelage.records import Prompt
from tutelage.store.jsonl import write_records
from tutelage.store.runs import RunFolder, atomic_directory
root = Path(sys.argv[1])
try:
    {action}
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            'write_records(root / "p.jsonl", (Prompt(text=str(i) * 50) for i in range(5000)))',
            "cannot write {root}/p.jsonl: File too large. The previous p.jsonl is intact. "
            "Free some space or choose another location.",
        ),
        (
            'write_records(root / "new.jsonl", (Prompt(text=str(i) * 50) for i in range(5000)))',
            "cannot write {root}/new.jsonl: File too large. Nothing was written. "
            "Free some space or choose another location.",
        ),
        (
            'write_records(root / "p.parquet", [Prompt(text=str(i * 7919) * 50) for i in range(5000)])',
            "cannot write {root}/p.parquet: File too large. Nothing was written. "
            "Free some space or choose another location.",
        ),
        (
            'RunFolder(root / "run").log_metrics(2, {"text": "x" * 60_000})',
            "cannot write {root}/run/metrics.jsonl: File too large. What was logged before is intact. "
            "Free some space or choose another location.",
        ),
        (
            'context = atomic_directory(root / "step-2", survives="Step 1 is intact."); folder = context.__enter__()\n'
            "    try: (folder / 'weights').write_bytes(bytes(60_000))\n"
            "    except OSError as error: context.__exit__(type(error), error, None)",
            "cannot write {root}/step-2: File too large. Step 1 is intact. Free some space or choose another location.",
        ),
    ],
)
def test_a_full_disk_is_told_and_nothing_saved_is_lost(tmp_path, action, message):
    write_records(tmp_path / "p.jsonl", [Prompt(text="precious")])
    run = RunFolder(tmp_path / "run")
    run.log_metrics(1, {"loss": 1.0})
    before = (tmp_path / "p.jsonl").read_bytes()
    names = sorted(path.name for path in tmp_path.iterdir())
    done = _run_python(LIMITED.format(action=action), tmp_path)
    assert (done.stdout.strip(), done.stderr) == (message.format(root=tmp_path), "")
    assert (tmp_path / "p.jsonl").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert RunFolder(run.path).read_metrics() == [{"step": 1, "loss": 1.0}]


@pytest.mark.parametrize(
    "words",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534",
        "PytorchStreamWriter failed writing file data/0: file write failed",
    ],
)
def test_a_full_disk_is_known_from_the_words_of_other_libraries(tmp_path, words):
    with pytest.raises(StorageError, match=r"\. Nothing was written\. Free"), atomic_directory(tmp_path / "step"):
        raise RuntimeError(words)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="shape mismatch"), atomic_directory(tmp_path / "step"):
        raise RuntimeError("shape mismatch")


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"cannot write .*file/p\.jsonl: .* Choose a writable location\."):
        write_records(tmp_path / "file" / "p.jsonl", [Prompt(text="a")])
    with pytest.raises(StorageError, match="Choose a writable location"):
        RunFolder(tmp_path / "file")


def test_versions_name_python_and_the_packages():
    facts = versions()
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"platform", "cpus", "numpy"} <= set(facts)
    assert all(isinstance(value, str) for value in facts.values())


def test_the_commit_is_that_of_tracked_files_only(tmp_path):
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x"]
    if subprocess.run([*git, "init", "-q"], check=False).returncode:
        pytest.skip("git is not installed")
    (tmp_path / "a.py").write_text("1")
    assert git_commit(tmp_path) is None
    subprocess.run([*git, "add", "a.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert git_commit(tmp_path) == head
    (tmp_path / "a.py").write_text("2")
    assert git_commit(tmp_path) == f"{head}+changes"
    (tmp_path / "inside").mkdir()
    assert git_commit(tmp_path / "inside") is None


class _Recorder:
    def __init__(self):
        self.logged, self.is_closed = [], False

    def log(self, step, metrics):
        self.logged.append((step, dict(metrics)))

    def close(self):
        self.is_closed = True


def test_metrics_go_to_the_trackers_too(tmp_path):
    tracker = _Recorder()
    run = RunFolder(tmp_path / "run", trackers=[tracker])
    run.log_metrics(3, {"loss": 0.5})
    run.close()
    assert (tracker.logged, tracker.is_closed) == ([(3, {"loss": 0.5})], True)


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_says_what_to_install(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"tracker '{name}' needs a package .* pip install 'tutelage\[track\]'"):
        open_trackers([name], tmp_path, {})


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="tracker 'mlflow' is unknown; it must be 'tensorboard' or 'wandb'"):
        open_trackers(["mlflow"], tmp_path, {})


def test_tensorboard_reads_what_the_tracker_wrote(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = RunFolder(tmp_path / "run", trackers=open_trackers(["tensorboard"], tmp_path / "run", {}))
    run.log_metrics(7, {"ppo/kl_to_reference": 1.5, "note": "text is not a scalar"})
    run.close()
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("ppo/kl_to_reference")] == [(7, 1.5)]
    assert events.Tags()["scalars"] == ["ppo/kl_to_reference"]


def test_wandb_keeps_what_the_tracker_wrote(tmp_path, monkeypatch):
    """Offline: nothing is asked of a network, and the run's file holds the metric by its name."""
    pytest.importorskip("wandb", reason="the extra `track` is not installed")
    for name, value in {"MODE": "offline", "SILENT": "true", "DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = RunFolder(tmp_path / "run", trackers=open_trackers(["wandb"], tmp_path / "run", {"seed": 3}))
    run.log_metrics(7, {"ppo/kl_to_reference": 1.5, "note": "text is not a scalar"})
    run.close()
    (written,) = (path.read_bytes() for path in (tmp_path / "run").rglob("run-*.wandb"))
    assert b"ppo/kl_to_reference" in written and b"text is not a scalar" not in written
