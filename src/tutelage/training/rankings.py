"""Shared by the reward model and DPO: rankings with their comparisons, and the accuracy of whatever scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tutelage.records import Ranking
from tutelage.statistics.interval import bounded_mean
from tutelage.store.sources import load_rankings
from tutelage.text.render import Renderer
from tutelage.training.data import (
    LengthLimits,
    SkippedRecords,
    TokenizedExample,
    encode_rankings,
    flat_prompt,
    require_some,
    training_and_validation,
    warn_of_few,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedData:
    """Rankings with at least one comparison, of both splits; `num_all_ties` rankings of the training split had none."""

    training: list[TokenizedExample[Ranking]]
    validation: list[TokenizedExample[Ranking]]
    num_all_ties: int
    left_out: SkippedRecords

    def summary(self) -> dict[str, Any]:
        return {
            "num_rankings": len(self.training),
            "num_all_ties": self.num_all_ties,
            "num_validation": len(self.validation),
            "num_completions": sum(len(item.group.responses) for item in (*self.training, *self.validation)),
            "num_cut_completions": self.left_out.num_cut_completions,
            "num_validation_prompts_in_training": self.left_out.num_overlapping_prompts,
            **self.left_out.summary(),
        }


def load_ranked(
    rankings: Path | str,
    validation: Path | str | None,
    renderer: Renderer,
    limits: LengthLimits,
    *,
    is_overlap_allowed: bool,
) -> RankedData:
    """Both splits of `rankings`, tokenized; validation comes from its own file or is held out. Neither may be empty."""
    training, held_out = training_and_validation(
        load_rankings, rankings, validation, "rankings", limits.left_out, is_overlap_allowed=is_overlap_allowed
    )
    with_pairs = [record for record in training if record.pairs()]
    encoded = encode_rankings(with_pairs, renderer, limits)
    encoded_validation = encode_rankings([record for record in held_out if record.pairs()], renderer, limits)
    num_all_ties = len(training) - len(with_pairs)
    remedy = f"Rankings in which everything is tied give no training signal ({num_all_ties} here); provide others."
    require_some(encoded, "the training split of rankings", remedy)
    require_some(encoded_validation, "the validation split of rankings", remedy)
    warn_of_few(len({flat_prompt(item.record) for item in encoded_validation}), "the validation accuracy")
    return RankedData(
        training=encoded, validation=encoded_validation, num_all_ties=num_all_ties, left_out=limits.left_out
    )


def pair_indices(records: Sequence[Ranking], *, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Comparisons of `records` as (P, 2) indices into all completions, and (P,) the index of each one's record."""
    pairs: list[tuple[int, int]] = []
    owner: list[int] = []
    first = 0
    for number, record in enumerate(records):
        own = record.pairs()
        pairs += [(first + chosen, first + rejected) for chosen, rejected in own]
        owner += [number] * len(own)
        first += len(record.completions)
    return torch.tensor(pairs, device=device).view(-1, 2), torch.tensor(owner, device=device, dtype=torch.long)


def accuracy_interval(scores: Tensor, rankings: Sequence[TokenizedExample[Ranking]]) -> dict[str, float]:
    """The 95 % interval of the validation accuracy, clustered by prompt, and the number of comparisons behind it.

    The validation accuracy is the mean over rankings, like the loss; `validation_comparison_accuracy` is the share of
    all comparisons, in which a ranking of nine weighs six times as much as one of four: the number that a run's
    evaluation calls `reward_model_accuracy`. `scores` (C,) as for `validation_metrics`. A validation set is often
    small, and then two accuracies may differ only by chance.
    """
    pairs, owner = pair_indices([item.record for item in rankings])
    margins = scores.cpu()[pairs[:, 0]] - scores.cpu()[pairs[:, 1]]
    correct = (margins > 0).double() + 0.5 * (margins == 0).double()
    accuracies = torch.bincount(owner, weights=correct) / torch.bincount(owner)
    interval = bounded_mean(accuracies.tolist(), [flat_prompt(item.record) for item in rankings])
    return {
        "validation_accuracy_low": interval.low,
        "validation_accuracy_high": interval.high,
        "validation_comparison_accuracy": float(correct.mean()),
        "num_validation_comparisons": len(pairs),
    }


def describe_accuracy(metrics: Mapping[str, float]) -> str:
    """The progress note of a run on rankings."""
    return f"loss {metrics['loss']:.3f}, accuracy {metrics['accuracy']:.2f}"
