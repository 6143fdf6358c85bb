"""A run resumes with what it began with, and one process at a time is in its folder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stage_world import STAGES, TEXT, unfinish
from tutelage.errors import CheckpointError, DataError, StorageError
from tutelage.store.fingerprints import fingerprint, is_same
from tutelage.store.lock import LOCK_NAME, FolderLock
from tutelage.training.config import DPOConfig, PPOConfig, PretrainConfig, RewardConfig, SFTConfig
from tutelage.training.opening import inputs_of

INPUTS = {
    "pretrain": ("text.txt",),
    "sft": ("demonstrations.jsonl", "policy"),
    "reward": ("rankings.jsonl", "policy"),
    "dpo": ("rankings.jsonl", "policy"),
    "ppo": ("prompts.jsonl", "policy", "reward_model"),
}


def change(path: Path) -> None:
    """Other content under the same name: a record less, or other weights."""
    if path.is_dir():
        config = path / "generation_config.json"
        config.write_text(config.read_text() + "\n") if config.exists() else config.write_text("{}")
    else:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage in STAGES for name in INPUTS[stage]])
def test_an_input_that_changed_is_named_and_refused(stages, project, tmp_path, stage, name):
    """A data file, a policy or a reward model; resumed all the same where the settings say so, and noted then."""
    out = tmp_path / "run"
    stages(stage, out)
    unfinish(out)
    change(project / name)
    with pytest.raises(CheckpointError, match=rf"have changed since it started: .*{name}.*allow_changed_inputs: true"):
        stages(stage, out, resume=True)
    summary = stages(stage, out, resume=True, allow_changed_inputs=True)
    assert summary["changed_inputs"]


def test_a_file_that_moved_is_the_same(stages, project, tmp_path):
    out = tmp_path / "run"
    first = stages("sft", out)
    unfinish(out)
    moved = tmp_path / "elsewhere.jsonl"
    (project / "demonstrations.jsonl").rename(moved)
    shutil.move(project / "policy", tmp_path / "base")
    places = {"demonstrations": moved, "validation": moved, "model": tmp_path / "base"}
    again = stages("sft", out, resume=True, **places)
    assert {**again, "seconds": 0, "config_hash": 0} == {**first, "seconds": 0, "config_hash": 0}


def test_every_input_of_every_stage_is_known(tmp_path):
    def keys(kind, /, **settings):
        return [key for key, _ in inputs_of(kind.model_validate({"out": tmp_path, **settings}))]

    ptx = {"coef": 1, "text": "t"}
    assert keys(PretrainConfig, text="t", model="m", num_steps=1) == ["text", "model"]
    assert keys(RewardConfig, model="m", rankings="r", validation="v", demonstrations="d") == [
        "model",
        "rankings",
        "validation",
        "demonstrations",
    ]
    assert keys(PPOConfig, policy="p", reward_model="r", prompts="p", ptx=ptx) == [
        "policy",
        "reward_model",
        "prompts",
        "ptx.text",
    ]
    sft_inputs = {"model": "m", "demonstrations": "d", "reward_model": "r", "pretraining_text": "t"}
    assert set(keys(SFTConfig, **sft_inputs, pretraining_share=0.1)) == set(sft_inputs)
    assert keys(DPOConfig, policy="p", rankings="r") == ["policy", "rankings"]


def test_fingerprints_are_of_content_alone(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "a.txt").write_text("a")
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    (tmp_path / "two" / "inner" / "a.txt").rename(tmp_path / "two" / "inner" / "b.txt")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")
    assert fingerprint(tmp_path / "one" / "inner" / "a.txt") == fingerprint(tmp_path / "two" / "inner" / "b.txt")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert fingerprint("org/model") == "hub:?"
    reference = tmp_path / "hub" / "models--org--model" / "refs" / "main"
    reference.parent.mkdir(parents=True)
    reference.write_text("abc\n")
    assert fingerprint("org/model") == "hub:abc"
    assert is_same("hub:?", "hub:abc") and not is_same("hub:abd", "hub:abc") and not is_same("hub:?", "sha256:abc")


def test_one_process_at_a_time(stages, tmp_path):
    """Who holds the folder and since when; a lock left by a killed process holds nobody up."""
    out = tmp_path / "run"
    script = (
        "import sys, time; from pathlib import Path; from tutelage.store.lock import FolderLock\n"
        f"sys.argv = ['x', 'sft', 'a.yaml']; lock = FolderLock(Path({str(out)!r}))\n"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        expected = rf"in use by process {holder.pid} on .* since 20.*\(tutelage sft a\.yaml\)"
        with pytest.raises(StorageError, match=expected):
            stages("sft", out)
        assert [path.name for path in out.iterdir()] == [LOCK_NAME]
        holder.send_signal(signal.SIGKILL)
    assert (out / LOCK_NAME).exists()
    stages("sft", out)
    assert not (out / LOCK_NAME).exists()


def test_the_lock_is_given_back_when_a_run_fails(stages, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(DataError):
        stages("sft", out, text={**TEXT, "max_response_tokens": 1})
    lock = FolderLock(out)
    with pytest.raises(StorageError, match="in use"):
        FolderLock(out)
    lock.release()
    FolderLock(out).release()
