"""What a stage says before it starts."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("torch")

from tutelage.training import stage


@pytest.mark.parametrize(("slowdown", "is_warned"), [(0.5, False), (1.5, False), (40.0, True)])
def test_bfloat16_is_warned_of_where_it_is_slow(
    slowdown: float, is_warned: bool, tmp_path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_seconds_of_product", lambda dtype: slowdown if str(dtype).endswith("bfloat16") else 1)
    with caplog.at_level(logging.WARNING):
        stage.Stage("sft", stage.StageConfig(out=tmp_path / "run", device="cpu", dtype="bfloat16"), resume=False)
        assert ("40 times as long" in caplog.text) is is_warned
        caplog.clear()
        stage.Stage("sft", stage.StageConfig(out=tmp_path / "other", device="cpu"), resume=False)
    assert not caplog.text
