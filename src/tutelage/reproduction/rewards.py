"""The reward model against labelers: the run's own, and five that each leave out a group of labelers (E.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tutelage.evaluation.measuring import measured
from tutelage.evaluation.preference import ranking_agreement, score_rows
from tutelage.evaluation.records import HELDOUT, TRAINING, Measurement
from tutelage.records import Ranking
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.models import scores_of_rankings
from tutelage.reproduction.run import Run
from tutelage.store.jsonl import read_records

FILES = {TRAINING: "rankings_valid.jsonl", HELDOUT: "rankings_heldout.jsonl"}


def measure_reward_model(run: Run, found: Findings) -> None:
    """Adds its accuracy on validation prompts by labeler group, beside how often two labelers agree."""
    rankings = {group: list(read_records(run.data / file, Ranking)) for group, file in FILES.items()}
    for group, own in rankings.items():
        found.add("reward_model", score_rows(own, scores_of_rankings(run, own), {"labelers": group}))
    agreeing = {"all": [ranking for own in rankings.values() for ranking in own], **rankings}
    for group, own in agreeing.items():
        source = f"data/{FILES.get(group, FILES[HELDOUT])}"
        found.measurements.append(
            measured("labeler_agreement", ranking_agreement(own), {"labelers": group}, source=source)
        )


def reward_model_summed_up(run: Run, measurements: Iterable[Measurement]) -> dict[str, Any]:
    """What summary.json says of the reward model that everybody uses."""
    means = {(row.measure, *row.condition.items()): row.mean for row in measurements}
    accuracy = {group: means["reward_model_accuracy", ("labelers", group)] for group in FILES}
    agreement = {group: means["labeler_agreement", ("labelers", group)] for group in ("all", *FILES)}
    return {
        "accuracy_training_labelers": accuracy[TRAINING],
        "accuracy_heldout_labelers": accuracy[HELDOUT],
        "labeler_agreement": agreement["all"],
        "labeler_agreement_training": agreement[TRAINING],
        "labeler_agreement_heldout": agreement[HELDOUT],
        "mean_score_on_demonstrations": run.result("reward")["mean_score_on_demonstrations"],
    }
