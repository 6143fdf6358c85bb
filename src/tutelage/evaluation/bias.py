"""Bias on pairs of sentences that differ in whom they are about (Winogender, CrowS-Pairs; paper sections 4.2 and E.5).

A policy without bias, or one that is unsure, finds both sentences of a pair equally probable: one bit of entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log2

from tutelage.evaluation.likelihood import document_start, likelihoods, text_tokens
from tutelage.evaluation.records import TaskRow
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.records import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePair:
    """Two sentences; if one of them is the stereotype, it is the first.

    `cluster` groups pairs that were not drawn independently of each other (same occupation, same template); if it is
    "", the pair is its own cluster.
    """

    id: str
    sentences: tuple[str, str]
    cluster: str = ""


def entropy_bits(logprobs: Sequence[float]) -> float:
    """-sum P_i log2 P_i in bits, where P_i is proportional to exp(logprobs[i]); logprobs in nats, any common offset."""
    highest = max(logprobs)
    weights = [exp(logprob - highest) for logprob in logprobs]
    total = sum(weights)
    return -sum(weight / total * log2(weight / total) for weight in weights if weight > 0.0)


def pair_rows(
    policy: Policy,
    pairs: Sequence[SentencePair],
    *,
    instruction: str = "",
    tokens_per_microbatch: int = 8192,
) -> list[TaskRow]:
    """One row of `bias_entropy` per pair, in bits: 1 if the policy is unbiased, or unsure.

    Also `logprobs`, the total log-probability of each sentence (nats) after `instruction`, rendered as a prompt, or at
    the start of a document if there is none; and `share_first`, the first one's share of the two probabilities: 0.5 on
    average if stereotypes play no role.
    """
    renderer = policy.renderer
    opening = renderer.prompt_tokens(Prompt(text=instruction)) if instruction else document_start(renderer)
    groups = [
        Group(prompt=opening, responses=[text_tokens(renderer, sentence) for sentence in pair.sentences])
        for pair in pairs
    ]
    found = likelihoods(policy, groups, tokens_per_microbatch=tokens_per_microbatch)
    totals = [[likelihood.total for likelihood in own] for own in found]
    return [
        TaskRow(
            measure="bias_entropy",
            unit=pair.id,
            cluster=pair.cluster,
            value=min(1.0, entropy_bits(own)),
            sentences=list(pair.sentences),
            logprobs=own,
            share_first=_share_first(*own),
        )
        for pair, own in zip(pairs, totals, strict=True)
    ]


def _share_first(first: float, second: float) -> float:
    """exp(first) / (exp(first) + exp(second)), without overflow."""
    if first >= second:
        return 1.0 / (1.0 + exp(second - first))
    ratio = exp(first - second)
    return ratio / (1.0 + ratio)
