"""The folder of a quickstart: the configuration that ran stands in it, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the pipeline trains")

from tutelage.config import config_hash, load_config
from tutelage.errors import CheckpointError, Stopped, StorageError
from tutelage.recipes import recipe_path
from tutelage.reproduction import run as run_module
from tutelage.reproduction.run import QuickstartConfig, Run


def recipe(*overrides: str) -> QuickstartConfig:
    return load_config(QuickstartConfig, recipe_path("quickstart"), overrides)


def test_the_resolved_configuration_stands_in_the_folder(tmp_path: Path) -> None:
    config = recipe("num_test_prompts=9", "ppo.num_episodes=64")
    run = Run(tmp_path / "run", config, 0)
    path = run.out / "config.yaml"
    assert config_hash(load_config(QuickstartConfig, path)) == config_hash(config) != config_hash(recipe())
    assert sorted(file.name for file in run.out.iterdir()) == ["config.yaml", "progress.json", "run.lock"]


def test_it_is_written_once_and_never_by_a_run_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with Run(tmp_path, recipe("num_test_prompts=9"), 0):
        pass
    # Nothing was done in the folder yet: another recipe may still take it.
    with Run(tmp_path, recipe(), 0) as run:
        run.step("nothing", lambda run: 1)
    before = path.stat()
    assert config_hash(load_config(QuickstartConfig, path)) == config_hash(recipe())
    with Run(tmp_path, recipe(), 0):
        pass
    with pytest.raises(CheckpointError, match="another recipe"):
        Run(tmp_path, recipe("num_test_prompts=9"), 0)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def write(name: str, text: str) -> Any:
    """A step that leaves one file."""

    def work(run: Run) -> int:
        path = run.out / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return len(text)

    return work


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """The folder of a run with two steps done."""
    with Run(tmp_path / "run", recipe(), 0) as run:
        run.step("first", write("a.txt", "a"))
        run.step("second", write("b.txt", "b"))
    return tmp_path / "run"


@pytest.mark.parametrize("change", ["another content", "gone"])
def test_a_step_is_not_skipped_by_its_name_alone(done: Path, change: str) -> None:
    path = done / "data" / "a.txt"
    if change == "gone":
        path.unlink()
    else:
        path.write_text("other")
    with pytest.raises(CheckpointError, match=r"data/a\.txt changed after step 'first'.*--redo first"):
        Run(done, recipe(), 0)
    with Run(done, recipe(), 0, redo="first") as run:
        assert list(run.progress["results"]) == [], "what was done after it rests on it"
        assert not (done / "data").exists()
        run.step("first", write("a.txt", "new"))
        assert (run.result("first"), path.read_text()) == (3, "new")
    with pytest.raises(CheckpointError, match=r"--redo third: no such step .* Done are: first"):
        Run(done, recipe(), 0, redo="third")


def test_a_file_that_a_later_step_wrote_again_is_the_later_one_s(done: Path) -> None:
    with Run(done, recipe(), 0) as run:
        run.step("third", write("a.txt", "again"))
    with Run(done, recipe(), 0) as run:
        assert [sorted(files) for files in run.progress["outputs"].values()] == [[], ["data/b.txt"], ["data/a.txt"]]


def test_what_an_interrupted_attempt_left_belongs_to_its_step(done: Path) -> None:
    def fail(run: Run) -> None:
        write("c.txt", "half")(run)
        raise KeyboardInterrupt

    with Run(done, recipe(), 0) as run, pytest.raises(Stopped, match="stopped in step third; the same command starts"):
        run.step("third", fail)
    with Run(done, recipe(), 0) as run:
        run.step("third", write("d.txt", "whole"))
        assert sorted(run.progress["outputs"]["third"]) == ["data/c.txt", "data/d.txt"]


def test_other_code_is_told(done: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "code_digest", lambda: "0" * 16)
    with Run(done, recipe(), 0) as run:
        run.step("third", write("c.txt", "c"))
        assert len(run.code) == 2
    assert "first, second was done by another version" in caplog.text
    caplog.clear()
    monkeypatch.undo()
    with Run(done, recipe(), 0):
        assert "third was done by another version" in caplog.text


def test_a_folder_of_others_is_refused_and_two_runs_do_not_share_one(tmp_path: Path, done: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.yaml").write_text("mine: 1")
    with pytest.raises(StorageError, match=r"no run wrote: config\.yaml"):
        Run(theirs, recipe(), 0)
    assert (theirs / "config.yaml").read_text() == "mine: 1"
    with Run(done, recipe(), 0), pytest.raises(StorageError, match="in use by process"):
        Run(done, recipe(), 0)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"results": 1}', b"\xff"])
def test_a_damaged_progress_file_is_told(done: Path, content: bytes) -> None:
    (done / "progress.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"progress\.json is corrupted"):
        Run(done, recipe(), 0)
