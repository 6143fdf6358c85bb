"""The time of a matrix product, by a clock whose hands we move."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from tutelage.model import speed


def test_the_shortest_of_three_products_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0.0, 5.0, 6.0, 8.0, 10.0, 13.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(readings))
    assert speed.seconds_of_product(torch.float32, width=4) == 2.0
    assert next(readings, None) is None
