"""The reward model against labelers: the run's own, and five that each leave out a group of labelers (E.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tutelage.evaluation.preference import ranking_agreement, score_accuracy, score_outcomes
from tutelage.records import Ranking
from tutelage.reproduction.findings import Condition, Findings, measured
from tutelage.reproduction.models import scores_of_rankings
from tutelage.reproduction.run import Run
from tutelage.statistics.interval import bounded_mean
from tutelage.store.jsonl import read_records

VALID, HELDOUT = "rankings_valid.jsonl", "rankings_heldout.jsonl"


def measure_reward_model(run: Run) -> tuple[Findings, dict[str, float]]:
    """Accuracy on validation prompts by labeler group, beside how often two labelers of different groups agree."""
    training = list(read_records(run.data / VALID, Ranking))
    heldout = list(read_records(run.data / HELDOUT, Ranking))
    found, accuracies = Findings(rows={"reward_model": []}), {}
    for group, rankings in (("training", training), ("heldout", heldout)):
        scores = scores_of_rankings(run, rankings)
        accuracies[group] = score_accuracy(rankings, scores)
        add_accuracy(found, "reward_model", rankings, scores, {"labelers": group})
    agreement = {
        "all": (ranking_agreement(training + heldout), HELDOUT),
        "training": (ranking_agreement(training), VALID),
        "heldout": (ranking_agreement(heldout), HELDOUT),
    }
    for group, (interval, file) in agreement.items():
        found.measurements.append(measured("labeler_agreement", interval, {"labelers": group}, source=f"data/{file}"))
    return found, {
        "accuracy_training_labelers": accuracies["training"],
        "accuracy_heldout_labelers": accuracies["heldout"],
        "labeler_agreement": agreement["all"][0].mean,
        "labeler_agreement_training": agreement["training"][0].mean,
        "labeler_agreement_heldout": agreement["heldout"][0].mean,
        "mean_score_on_demonstrations": run.result("reward")["mean_score_on_demonstrations"],
    }


def add_accuracy(
    found: Findings,
    name: str,
    rankings: Sequence[Ranking],
    scores: Sequence[Sequence[float]],
    condition: Condition,
) -> None:
    """How often the chosen completion of a comparison scores higher, clustered by prompt; rows go to file `name`."""
    outcomes: list[dict[str, Any]] = score_outcomes(rankings, scores)
    interval = bounded_mean([row["outcome"] for row in outcomes], [row["prompt_id"] for row in outcomes])
    found.measurements.append(measured("reward_model_accuracy", interval, condition, source=f"evaluation/{name}.jsonl"))
    found.rows[name] += [
        {**condition, "prompt_id": row["prompt_id"], "labeler_id": row["labeler_id"], "value": row["outcome"]}
        for row in outcomes
    ]
