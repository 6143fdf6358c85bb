"""The next-token loss over groups, shared by pretraining, SFT and the ptx term."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tutelage.model.inference import num_response_tokens
from tutelage.model.packing import Group, PackedBatch
from tutelage.model.policy import Policy
from tutelage.objectives.language import language_loss
from tutelage.objectives.tokens import LossTerm
from tutelage.training.loop import Term


def language_term(policy: Policy, groups: Sequence[Group], *, name: str, records: str, coef: float = 1.0) -> Term:
    """`coef` times the mean loss per response token of `groups`, in nats."""

    def compute(_: Sequence[int], batch: PackedBatch) -> LossTerm:
        logprobs = policy(batch).logprobs
        return language_loss(logprobs, torch.ones_like(logprobs, dtype=torch.bool))

    return Term(
        name=name, groups=groups, compute=compute, count=num_response_tokens(groups), records=records, coef=coef
    )
