"""Where a step's time goes: every part is told, the parts fit into the step, the metrics stay free of seconds."""

from __future__ import annotations

import pytest
import torch

from test_training_ppo import configured, ptx  # noqa: F401
from tiny import read_rows
from tutelage.training import timing
from tutelage.training.ppo import ppo
from tutelage.training.timing import StepTimer

PARTS = {"sampling", "scores", "policy", "reference", "values", "policy_loss", "ptx_loss", "value_loss", "optimizer"}


def test_parts_by_a_clock_of_the_test(monkeypatch):
    now = 0.0
    monkeypatch.setattr(timing.time, "monotonic", lambda: now)
    timer = StepTimer(torch.device("cpu"))
    for seconds, tokens in ((2.0, 30), (3.0, 20)):
        with timer.part("scores", tokens):
            now += seconds
    now += 5.0
    with timer.part("sampling"):
        now += 4.0
    timer.add_tokens("sampling", 6)
    row = timer.take()
    assert row.pop("peak_memory_gib") > 0
    expected = {"seconds": 14.0, "seconds/scores": 5.0, "seconds/sampling": 4.0}
    assert row == {**expected, "tokens_per_second/scores": 10.0, "tokens_per_second/sampling": 1.5}
    now += 1.0
    assert timer.take()["seconds"] == 1.0


def test_every_part_of_ppo_is_told_and_fits_into_its_step(tiny, configured):  # noqa: F811
    ppo(config := configured(ptx=ptx(tiny)))
    rows = read_rows(config.out / "timings.jsonl")
    assert [row["step"] for row in rows] == [1, 2]
    for row in rows:
        parts = {name.partition("/")[2]: value for name, value in row.items() if name.startswith("seconds/")}
        assert parts.keys() == PARTS
        assert 0 < sum(parts.values()) <= row["seconds"] + 0.01
        counted = {name.partition("/")[2] for name in row if name.startswith("tokens_per_second/")}
        assert counted == PARTS - {"optimizer"}
    samples, metrics = read_rows(config.out / "samples.jsonl"), read_rows(config.out / "metrics.jsonl")
    assert samples and not any("seconds" in name for row in metrics for name in row)


@pytest.mark.parametrize("name", ["seconds", "tokens_per_second/sampling"])
def test_the_sampling_rate_counts_response_tokens(configured, name):  # noqa: F811
    """Tokens a second times seconds is the number of response tokens that the metrics tell."""
    ppo(config := configured())
    timings, metrics = read_rows(config.out / "timings.jsonl"), read_rows(config.out / "metrics.jsonl")
    for timed, measured in zip(timings, metrics, strict=True):
        assert name in timed
        tokens = timed["tokens_per_second/sampling"] * timed["seconds/sampling"]
        assert tokens == pytest.approx(8 * measured["ppo/response_tokens"], rel=0.05)
