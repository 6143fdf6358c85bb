"""What a synthetic full run measured beside its policies: the reward model, the sweeps, the epochs, the KL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.statistics import Interval

Row = dict[str, Any]


class Writer:
    """Gathers measurements and writes them with their raw rows."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, []

    def raw(self, name: str, rows: list[Row]) -> str:
        write_lines(self.path / "evaluation" / f"{name}.jsonl", rows)
        return f"evaluation/{name}.jsonl"

    def add(
        self,
        measure: str,
        found: Interval,
        source: str,
        *,
        arm: str = "",
        size: str = "",
        baseline: tuple[str, str] = ("", ""),
        **condition: Any,
    ) -> None:
        own = {"measure": measure, "arm": arm, "size": size, "condition": condition}
        own |= {"baseline": baseline[0], "baseline_size": baseline[1]}
        self.rows.append(own | asdict(found) | {"source": source})


def write_reward_model(writer: Writer, generator: np.random.Generator, truth: Mapping[str, Any]) -> None:
    source = "reward/cross_validation.jsonl"
    for fold in range(5):
        for side, accuracy in truth["reward_model"].items():
            mean = accuracy + 0.006 * generator.normal()
            found = Interval(mean=mean, low=mean - 0.02, high=mean + 0.02, n=2000)
            writer.add("reward_model_accuracy", found, source, fold=fold, labelers=side)
    for labelers, mean in (("training", 0.721), ("heldout", 0.698)):
        found = Interval(mean=mean, low=mean - 0.01, high=mean + 0.01, n=4000)
        writer.add("reward_model_accuracy", found, source, labelers=labelers)
    for labelers, mean in (("training", 0.726), ("heldout", 0.773)):
        found = Interval(mean=mean, low=mean - 0.015, high=mean + 0.015, n=900)
        writer.add("labeler_agreement", found, source, labelers=labelers)


def write_sweeps(writer: Writer) -> None:
    def around(mean: float, half: float, n: int = 300) -> Interval:
        return Interval(mean=mean, low=mean - half, high=mean + half, n=n)

    for coefficient in (0.0, 0.5, 2.0, 8.0, 27.8):
        pull = coefficient / (coefficient + 4)
        swept = {"score": 1.6 - 0.5 * pull, "skill": 0.42 + 0.17 * pull, "pretraining_loss": 2.7 - 0.3 * pull}
        for metric, mean in swept.items():
            found = around(mean, 0.025)
            writer.add("ptx_sweep", found, "sweeps/ptx.jsonl", size="small", ptx_coef=coefficient, metric=metric)
    for coefficient, score, skill, rating in (
        (0.0, 2.6, 0.02, 2.1),
        (0.005, 2.2, 0.3, 3.4),
        (0.02, 1.6, 0.42, 4.1),
        (0.1, 0.9, 0.47, 3.9),
        (0.5, 0.3, 0.5, 3.6),
    ):
        for metric, mean, half in (("score", score, 0.05), ("skill", skill, 0.025), ("likert", rating, 0.15)):
            found = around(mean, half)
            writer.add("kl_sweep", found, "sweeps/kl.jsonl", size="small", kl_coef=coefficient, metric=metric)
    for epoch in range(1, 9):
        loss, score = 1.4 + 0.035 * (epoch - 2) ** 2, -1.0 + 0.8 * (1 - np.exp(-epoch / 3))
        for metric, mean, half in (("validation_loss", loss, 0.02), ("score", float(score), 0.06)):
            writer.add(
                "sft_epoch", around(mean, half), "large/sft/metrics.jsonl", size="large", epoch=epoch, metric=metric
            )
    _write_overoptimisation(writer, around)
    for kind, mean in (("use_case", 0.61), ("language", 0.52)):
        found = around(mean, 0.05, 120)
        condition = {"set": kind, "labelers": "heldout"}
        writer.add("generalisation", found, "evaluation/generalisation.jsonl", arm="ppo_ptx", size="large", **condition)
        lower = around(mean - 0.3, 0.05, 120)
        writer.add("generalisation", lower, "evaluation/generalisation.jsonl", arm="base", size="large", **condition)
    for arm, mean in (("base", 2.31), ("sft", 2.47), ("ppo", 2.66), ("ppo_ptx", 2.37)):
        writer.add("pretraining_loss", around(mean, 0.02), "evaluation/pretraining.jsonl", arm=arm, size="large")


def _write_overoptimisation(writer: Writer, around: Callable[[float, float], Interval]) -> None:
    coefficients = {"rl": (0.9, 0.28), "best_of_n": (0.8, 0.18)}
    for method, (alpha, beta) in coefficients.items():
        for kl in (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0) if method == "rl" else (0.1, 0.5, 1.0, 2.0, 3.2):
            distance = kl**0.5
            gold = distance * (alpha - beta * (np.log(distance) if method == "rl" else distance))
            proxy = distance * (alpha + 0.05)
            for metric, mean in (("proxy", proxy), ("gold", float(gold))):
                condition = {"kl": kl, "metric": metric, "method": method}
                writer.add("overoptimisation", around(mean, 0.08), "sweeps/overoptimisation.jsonl", **condition)
        for name, value in (("alpha", alpha), ("beta", beta)):
            condition = {"method": method, "coefficient": name}
            writer.add("overoptimisation_fit", around(value, 0.05), "sweeps/overoptimisation.jsonl", **condition)


def write_lines(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
