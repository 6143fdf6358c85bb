"""A run's folder: no file of others is replaced, and nothing that lies in it is believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from stage_world import STAGES, unfinish
from tiny import read_rows, write_rows
from tutelage.errors import CheckpointError, DataError, StorageError
from tutelage.training.config import SFTConfig


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is lost.


@pytest.mark.parametrize(
    ("stage", "key"), [("sft", "model"), ("reward", "model"), ("ppo", "policy"), ("dpo", "policy")]
)
def test_a_model_inside_the_output_folder_is_refused(stages, project, tmp_path, stage, key):
    """It ended with status 0, the new model in the place of the user's, and the user's config.yaml gone."""
    home = tmp_path / "X"
    shutil.copytree(project / "policy", home / "model")
    (home / "config.yaml").write_text("mine: 1\n")
    before = listing(home)
    with pytest.raises(StorageError, match=rf"{key} is .*inside the output folder"):
        stages(stage, home, **{key: home / "model"}, allow_other_files=True)
    assert listing(home) == before


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_with_files_of_others_is_refused_unless_told_otherwise(stages, tmp_path, stage):
    out = tmp_path / "X"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"files that no run wrote: notes\.txt.*allow_other_files: true"):
        stages(stage, out)
    (out / "summary.json").write_text('{"hello": 1}')
    with pytest.raises(StorageError, match=r"no run wrote: summary\.json"):
        stages(stage, out, allow_other_files=True)
    assert listing(out) == {"notes.txt": b"mine", "summary.json": b'{"hello": 1}'}
    (out / "summary.json").unlink()
    assert stages(stage, out, allow_other_files=True)["stage"] == stage
    assert (out / "notes.txt").read_text() == "mine"


def test_the_home_folder_is_written_with_a_tilde(project, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = SFTConfig(out="~/run", model="~/m", demonstrations="~/d.jsonl", validation="org/~name")
    assert (config.out, str(config.model), str(config.demonstrations)) == (
        tmp_path / "run",
        str(tmp_path / "m"),
        str(tmp_path / "d.jsonl"),
    )
    assert config.validation == "org/~name"


@pytest.mark.parametrize("stage", STAGES)
def test_a_model_that_cannot_be_saved_is_known_before_the_first_step(stages, tmp_path, monkeypatch, stage):
    from tutelage.model import policy as module

    def fail(*arguments):
        raise RecursionError("as the merging of some adapters did")

    monkeypatch.setattr(module, "save_model", fail)
    with pytest.raises(RecursionError):
        stages(stage, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    assert not list((tmp_path / "run").glob(".*"))


# What a run folder holds is not believed.

SETTINGS = "another configuration|already holds a run"


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("summary.json", b'{"hello": 1}', "not the summary that this run wrote"),
        ("summary.json", b"", "not the summary that this run wrote"),
        ("summary.json", b"\xff\x00", "not the summary that this run wrote"),
        ("run.json", b"", "corrupted"),
        ("run.json", b'{"run_id": "x"}', "corrupted"),
        ("run.json", b"garbage", "corrupted"),
        ("run.json", None, "without run.json"),
        ("model/config.json", b"{}", "has changed since the run saved it"),
        ("model/model.safetensors", None, "has changed since the run saved it"),
        ("model", None, "is missing"),
    ],
)
def test_a_finished_run_with_a_damaged_file_is_refused(stages, tmp_path, file, content, expected):
    out = tmp_path / "run"
    stages("sft", out)
    damage(out / file, content)
    with pytest.raises(CheckpointError, match=expected):
        stages("sft", out, resume=True)


def damage(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize("content", [None, b"", b"{garbage: [", b"learning_rate: 7\n"])
def test_the_configuration_that_counts_is_not_the_one_in_reach(stages, tmp_path, content):
    """config.yaml is a copy to read: deleted, emptied or changed, the run still knows what it was started with."""
    out = tmp_path / "run"
    stages("sft", out)
    unfinish(out)
    damage(out / "config.yaml", content)
    with pytest.raises(CheckpointError, match=r"optimizer\.learning_rate was .*, now 0\.5"):
        stages("sft", out, resume=True, optimizer={"learning_rate": 0.5})
    stages("sft", out, resume=True)
    assert yaml.safe_load((out / "config.yaml").read_text())["num_epochs"] == 1


def test_a_summary_that_is_left_is_not_the_result_of_other_settings(stages, tmp_path):
    """Metrics and checkpoints removed to start over: the old result was returned, beside the new settings."""
    out = tmp_path / "run"
    stages("sft", out)
    (out / "metrics.jsonl").unlink()
    shutil.rmtree(out / "checkpoints")
    with pytest.raises(DataError, match="already holds a run"):
        stages("sft", out, num_epochs=2)
    with pytest.raises(CheckpointError, match="num_epochs was 1, now 2"):
        stages("sft", out, resume=True, num_epochs=2)


def test_another_stage_in_the_folder_is_named(stages, tmp_path):
    out = tmp_path / "run"
    stages("sft", out)
    with pytest.raises(CheckpointError, match="holds a run of sft, not of reward"):
        stages("reward", out, resume=True)


def test_a_checkpoint_of_another_run_is_refused_and_lost_metrics_are_told(stages, tmp_path, caplog):
    for name in ("one", "two"):
        stages("sft", tmp_path / name, checkpoint_every_num_steps=1, keep_checkpoints=9)
        unfinish(tmp_path / name)
    checkpoint = Path("checkpoints") / "step-00000001"
    shutil.rmtree(tmp_path / "two" / checkpoint)
    shutil.copytree(tmp_path / "one" / checkpoint, tmp_path / "two" / checkpoint)
    with pytest.raises(CheckpointError, match="it belongs to another run"):
        stages("sft", tmp_path / "two", resume=True)
    (tmp_path / "one" / "metrics.jsonl").unlink()
    stages("sft", tmp_path / "one", resume=True)
    assert "ends at step 0, but the run resumes after step 1" in caplog.text


def test_what_cannot_be_written_is_told(stages, tmp_path):
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="Nothing was written"):
            stages("sft", tmp_path / "file" / "run")
        return
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Nothing was written"):
        stages("sft", tmp_path / "run")


def test_a_run_that_never_began_may_begin_again(stages, project, tmp_path):
    """A mistake in the data is found after the folder was made: the same command works once it is corrected."""
    out, path = tmp_path / "run", project / "demonstrations.jsonl"
    rows = read_rows(path)
    path.write_text("not JSON\n")
    with pytest.raises(DataError.__mro__[1]):
        stages("sft", out)
    write_rows(path, rows)
    assert stages("sft", out)["stage"] == "sft"
    assert json.loads((out / "run.json").read_text())["stage"] == "sft"
