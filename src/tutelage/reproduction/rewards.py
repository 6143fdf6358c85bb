"""The reward model against labelers: the run's own, and those that each leave out a group of labelers (E.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.evaluation.completions import score_completions
from tutelage.evaluation.measuring import measured
from tutelage.evaluation.preference import ranking_agreement, score_rows
from tutelage.evaluation.records import HELDOUT, TRAINING, Measurement
from tutelage.model.policy import ScoreModel
from tutelage.records import Prompt, Ranking
from tutelage.reproduction.experiment import Reproduction
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.inputs import valid_rankings
from tutelage.store.jsonl import read_records, write_records
from tutelage.training.reward import train_reward
from tutelage.workflow.experiment import Experiment


def measure_reward_model(run: Reproduction) -> None:
    """Its accuracy on validation prompts by labeler group, beside how often two labelers agree."""
    needs = {"reward": run.middle.model("reward"), **valid_rankings(run)}
    run.measure("reward_model", _accuracy, needs=needs)


def _accuracy(run: Reproduction) -> Findings:
    files, found = valid_rankings(run), Findings()
    model = ScoreModel.load(run.middle.model("reward"))
    rankings = {group: list(read_records(path, Ranking)) for group, path in files.items()}
    for group, own in rankings.items():
        found.add("reward_model", score_rows(own, score_rankings(model, own), {"labelers": group}))
    agreeing = {"all": [ranking for own in rankings.values() for ranking in own], **rankings}
    for group, own in agreeing.items():
        source = Path(files.get(group, files[HELDOUT])).relative_to(run.out).as_posix()
        found.measurements.append(
            measured("labeler_agreement", ranking_agreement(own), {"labelers": group}, source=source)
        )
    return found


def score_rankings(reward_model: ScoreModel, rankings: Sequence[Ranking]) -> list[list[float]]:
    """The score of each ranking's completions."""
    prompts = [Prompt(id=r.prompt_id or "", text=r.prompt, messages=r.messages) for r in rankings]
    return score_completions(reward_model, prompts, [r.completions for r in rankings])


def train_folds(run: Reproduction) -> None:
    """Reward models without the rankings of one group of labelers; accuracy inside and outside of the others."""
    for fold in range(run.measuring.num_folds):
        name = f"fold-{fold}"
        rankings = run.data(f"rankings-without-{name}")
        run.do(
            f"rankings-without-{name}",
            partial(_leave_out, fold=fold),
            needs={"rankings": run.data("rankings")},
            more={"outside": sorted(labeler_folds(run)[fold])},
            leaves=(rankings,),
        )
        config = run.middle.reward().model_copy(update={"rankings": rankings, "out": run.out / "sweeps" / name})
        run.train(train_reward, config)
        needs = {"model": config.out / "model", "rankings": valid_rankings(run)[TRAINING]}
        run.measure(name, partial(_measure_fold, fold=fold), needs=needs)


def labeler_folds(run: Reproduction) -> list[set[str]]:
    """The training labelers in groups of like size, drawn once."""
    labelers = [labeler.id for labeler in run.people[TRAINING]]
    run.rng("folds").shuffle(labelers)
    number = run.measuring.num_folds
    return [set(labelers[fold::number]) for fold in range(number)]


def _leave_out(run: Experiment, fold: int) -> int:
    assert isinstance(run, Reproduction)
    outside = labeler_folds(run)[fold]
    kept = [own for own in read_records(run.data("rankings"), Ranking) if own.labeler_id not in outside]
    return write_records(run.data(f"rankings-without-fold-{fold}"), kept)


def _measure_fold(run: Reproduction, fold: int) -> Findings:
    outside, found = labeler_folds(run)[fold], Findings()
    model = ScoreModel.load(run.out / "sweeps" / f"fold-{fold}" / "model")
    valid = list(read_records(Path(valid_rankings(run)[TRAINING]), Ranking))
    for name, is_outside in (("inside", False), ("outside", True)):
        own = [ranking for ranking in valid if (ranking.labeler_id in outside) == is_outside]
        found.add("reward_folds", score_rows(own, score_rankings(model, own), {"fold": fold, "labelers": name}))
    return found


def reward_model_summed_up(run: Reproduction, measurements: Iterable[Measurement]) -> dict[str, Any]:
    """The part of summary.json about the shared reward model."""
    means = {(row.measure, *row.condition.items()): row.mean for row in measurements}
    accuracy = {group: means["reward_model_accuracy", ("labelers", group)] for group in (TRAINING, HELDOUT)}
    agreement = {group: means["labeler_agreement", ("labelers", group)] for group in ("all", TRAINING, HELDOUT)}
    return {
        "accuracy_training_labelers": accuracy[TRAINING],
        "accuracy_heldout_labelers": accuracy[HELDOUT],
        "labeler_agreement": agreement["all"],
        "labeler_agreement_training": agreement[TRAINING],
        "labeler_agreement_heldout": agreement[HELDOUT],
        "mean_score_on_demonstrations": run.middle.result("reward")["mean_score_on_demonstrations"],
    }
