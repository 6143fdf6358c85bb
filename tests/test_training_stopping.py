"""Ctrl-C and SIGTERM: the step that runs is finished and saved, and the message says what was kept."""

from __future__ import annotations

import os
import signal
import time

import pytest
import yaml

from processes import Command, tutelage
from tiny import read_rows
from tutelage.errors import Stopped
from tutelage.training import loop as loop_module
from tutelage.training.allocation import FreedMemory
from tutelage.training.config import SFTConfig
from tutelage.training.sft import sft

TEXT = {"max_prompt_tokens": 40, "max_response_tokens": 8}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_its_step_and_ends_with_the_same_bits(tiny, tmp_path, number, status):
    """Before the first checkpoint was due, a stop lost everything and said that the run could be resumed."""
    streams = tmp_path / "streams"
    settings = {
        "device": "cpu",
        "text": TEXT,
        "model": str(tiny.policy),
        "rankings": str(tiny.rankings),
        "validation": str(tiny.rankings),
        "allow_prompt_overlap": True,
        "num_epochs": 4,
        "rankings_per_step": 4,
        "evaluate_every_num_steps": 0,
    }
    configs = {}
    for name in ("whole", "stopped"):
        configs[name] = tmp_path / f"{name}.yaml"
        configs[name].write_text(yaml.safe_dump({**settings, "out": str(tmp_path / name)}))
    out = tmp_path / "stopped"
    command = Command(["reward", configs["stopped"]], streams)
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(command.process.pid, number)
    outcome = command.wait()
    assert outcome.status == status, outcome.stderr
    done = len(read_rows(out / "metrics.jsonl"))
    assert f"stopped after step {done} of 40, which is saved; --resume continues from there" in outcome.stderr
    assert [path.name for path in (out / "checkpoints").iterdir()] == [f"step-{done:08d}"]
    assert tutelage("reward", configs["stopped"], "--resume", folder=streams).status == 0
    assert tutelage("reward", configs["whole"], folder=streams).status == 0
    weights = [tmp_path / name / "model" / "model.safetensors" for name in ("whole", "stopped")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_signal_after_the_saving_was_decided_stops_the_next_step(tiny, tmp_path, monkeypatch):
    """It was said that the step was saved, which had been decided before the signal came."""
    steps = []
    whole = FreedMemory.give_back

    def give_back(self):
        steps.append(1)
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        whole(self)

    monkeypatch.setattr(FreedMemory, "give_back", give_back)
    files = {"demonstrations": tiny.demonstrations, "validation": tiny.demonstrations, "allow_prompt_overlap": True}
    config = SFTConfig(out=tmp_path / "run", model=tiny.policy, text=TEXT, demonstrations_per_step=20, **files)
    with pytest.raises(Stopped, match=r"stopped after step 3 of \d+, which is saved"):
        sft(config)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000003"]


def test_stopped_at_once_it_says_what_is_lost(tiny, tmp_path, monkeypatch):
    """A second Ctrl-C: what was not saved is counted, and nothing is promised that was not checked."""
    calls = []
    whole = loop_module.require_finite

    def stop_in_the_second_step(*arguments, **others):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*arguments, **others)

    def run(out):
        files = {"demonstrations": tiny.demonstrations, "validation": tiny.demonstrations, "allow_prompt_overlap": True}
        sft(SFTConfig(out=tmp_path / out, model=tiny.policy, text=TEXT, demonstrations_per_step=20, **files))

    monkeypatch.setattr(loop_module, "require_finite", stop_in_the_second_step)
    with pytest.raises(Stopped, match=r"nothing was saved of 1 finished steps; --resume starts from the first"):
        run("run")
    calls[:] = [1]
    with pytest.raises(Stopped, match="before the first step was finished; nothing was saved"):
        run("other")
