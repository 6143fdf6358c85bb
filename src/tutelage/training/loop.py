"""The one training loop: gradients over micro-batches, global counts, the optimizer, the log. Methods supply terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.model.inference import num_tokens
from tutelage.model.packing import Group, PackedBatch, pack, split_by_tokens
from tutelage.objectives.tokens import LossTerm
from tutelage.training.optim import Optimizer, require_finite
from tutelage.training.processes import Processes
from tutelage.training.stage import TrainingRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of an objective over one batch: the mean of a loss, and its coefficient.

    `name`: the mean's name in the metrics. `compute` gives the `LossTerm` of some of the `groups`, by their indices and
    packed; its sums are divided by `count`, the total over all groups of the batch (tokens, rankings). `coef`
    multiplies the mean. `records` names the batch's contents, for error messages.
    """

    name: str
    groups: Sequence[Group]
    compute: Callable[[Sequence[int], PackedBatch], LossTerm]
    count: int
    records: str
    coef: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One step of one optimizer on the sum of its `terms`; `prefix` is for the optimizer's metrics."""

    optimizer: Optimizer
    terms: Sequence[Term]
    prefix: str = ""


def train(
    stage: TrainingRun,
    *,
    num_steps: int,
    take_step: Callable[[int], dict[str, float]],
    describe: Callable[[dict[str, float]], str],
    should_stop: Callable[[dict[str, float]], bool] = lambda metrics: False,
) -> None:
    """Run every remaining step: take it, log its metrics, show them with the progress; `stage` saves and resumes.

    A step for whose metrics `should_stop` is true is the last one.
    """
    for step in stage.steps(num_steps):
        stage.timer.take()  # time between steps belongs to none: checkpoints, progress
        metrics = take_step(step)
        stage.note = describe(metrics)
        stage.log(step, metrics)
        stage.log_timings(step)
        if should_stop(metrics):
            stage.num_steps_done = step + 1
            break


def update(stage: TrainingRun, step: int, *updates: Update) -> dict[str, float]:
    """Accumulate the gradients of all terms, then step every optimizer; returns all means.

    Raises on non-finite losses and gradients before anything is updated.
    """
    metrics: dict[str, float] = {}
    for one in updates:
        for term in one.terms:
            with stage.timer.part(term.name, num_tokens(term.groups)):
                means = accumulate_gradients(
                    term,
                    tokens_per_microbatch=stage.config.tokens_per_microbatch,
                    device=stage.device,
                    processes=stage.processes,
                )
            require_finite(means[term.name], stage=stage.name, step=step, batch=term.records)
            metrics |= means
    for one in updates:
        with stage.timer.part("optimizer"):
            taken = one.optimizer.step(step, batch=one.terms[0].records)
        metrics |= {f"{one.prefix}{name}": value for name, value in taken.items()}
    return metrics


def accumulate_gradients(
    term: Term, *, tokens_per_microbatch: int, device: torch.device, processes: Processes
) -> dict[str, float]:
    """Accumulate the gradient of a term's weighted mean; returns the unweighted mean and its metrics' means.

    The only place where a sum is divided: by the count of the whole batch, so that neither micro-batches nor processes
    can change the objective. The host synchronizes with the device once.
    """
    count = processes.sum(term.count)
    sums: dict[str, Tensor] = {}
    for indices in split_by_tokens(term.groups, tokens_per_microbatch):
        part = term.compute(indices, pack([term.groups[i] for i in indices], device=device))
        (term.coef * part.total / count).backward()
        for name, total in {term.name: part.total.detach(), "count": part.count, **part.metrics}.items():
            sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64, device=device)) + total.double()
    totals = dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True))
    counted = totals.pop("count")
    assert counted == term.count, f"{term.name}: {counted:g} were summed and {term.count} divided by"
    return {name: total / count for name, total in totals.items()}
