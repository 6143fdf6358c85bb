"""What a stage says before it starts."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("torch")

import torch

from tutelage.config import config_hash, load_config
from tutelage.errors import StorageError
from tutelage.training import stage
from tutelage.training.config import SFTConfig


@pytest.mark.parametrize(("slowdown", "is_warned"), [(0.5, False), (1.5, False), (40.0, True)])
def test_bfloat16_is_warned_of_where_it_is_slow(
    slowdown: float, is_warned: bool, tmp_path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "seconds_of_product", lambda dtype: slowdown if str(dtype).endswith("bfloat16") else 1)
    with caplog.at_level(logging.WARNING):
        stage.TrainingRun(
            "sft", stage.TrainingConfig(out=tmp_path / "run", device="cpu", dtype="bfloat16"), resume=False
        )
        assert ("40 times as long" in caplog.text) is is_warned
        caplog.clear()
        stage.TrainingRun("sft", stage.TrainingConfig(out=tmp_path / "other", device="cpu"), resume=False)
    assert not caplog.text


def test_the_configuration_in_the_run_folder_is_the_one_that_ran(tmp_path) -> None:
    """Also where text looks like a number: it could be loaded again and start the same run."""
    settings = {"out": tmp_path / "run", "model": "1e5", "demonstrations": "2E-3", "device": "cpu"}
    config = SFTConfig.model_validate({**settings, "optimizer": {"learning_rate": 1e-7}})
    written = stage.TrainingRun("sft", config, resume=False).folder.config_path
    assert config_hash(load_config(SFTConfig, written)) == config_hash(config)


def test_a_full_disk_names_the_checkpoint_that_is_left(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stage.TrainingRun("sft", stage.TrainingConfig(out=tmp_path / "run", device="cpu"), resume=False)
    save = torch.save

    def full(state, path):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match=r"step-00000005: .* There is no checkpoint yet\. Free some space"):
        run.save_checkpoint(5)
    monkeypatch.setattr(torch, "save", save)
    run.save_checkpoint(5)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match=r"step-00000010: .* The previous checkpoint, step-00000005, is intact\."):
        run.save_checkpoint(10)
    assert [path.name for path in run.folder.checkpoints.iterdir()] == ["step-00000005"]
