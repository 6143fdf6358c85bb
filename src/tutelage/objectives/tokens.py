"""Per-token quantities: log-probabilities, entropy, masked statistics, the end of a response."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Logits of one chunk: 2**25 float32 values are 128 MiB, small compared to any model whose vocabulary needs chunks.
LOGITS_PER_CHUNK = 2**25


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerm:
    """One component of an objective: `total` and each metric are scalar sums over `count` elements.

    `total` carries the gradient; the metrics carry none.
    """

    total: Tensor
    count: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> Tensor:
        return self.total / self.count.clamp_min(1)


def token_logprobs(logits: Tensor, tokens: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Log-probability of each token (nats): `logits` (..., V) and `tokens` (...) give (...), in float32 or wider."""
    logits = _float(logits) / temperature
    return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


def token_entropy(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Entropy in nats of each next-token distribution: (..., V) gives (...)."""
    logprobs = torch.log_softmax(_float(logits) / temperature, -1)
    return -(logprobs.exp() * logprobs).sum(-1)


def head_logprobs(
    hidden: Tensor,
    weight: Tensor,
    tokens: Tensor,
    *,
    bias: Tensor | None = None,
    temperature: float = 1.0,
    should_measure_entropy: bool = True,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N,) and entropies (N,) of `tokens` (N,) under a vocabulary head, never holding all N x V
    logits at once.

    `hidden` (N, D) are the states that predict `tokens`; `weight` (V, D). Beyond `LOGITS_PER_CHUNK` logits the head
    runs in chunks that are recomputed in the backward pass: memory is constant in N. Entropies carry no gradient; they
    cost a pass over the logits, and are empty if not measured.
    """
    num_rows = max(1, LOGITS_PER_CHUNK // weight.shape[0])
    if hidden.shape[0] <= num_rows:
        return _head_chunk(hidden, weight, bias, tokens, temperature, should_measure_entropy)
    chunks = [
        checkpoint(_head_chunk, h, weight, bias, t, temperature, should_measure_entropy, use_reentrant=False)
        for h, t in zip(hidden.split(num_rows), tokens.split(num_rows), strict=True)
    ]
    return torch.cat([logprobs for logprobs, _ in chunks]), torch.cat([entropy for _, entropy in chunks])


def _head_chunk(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    tokens: Tensor,
    temperature: float,
    should_measure_entropy: bool,
) -> tuple[Tensor, Tensor]:
    logits = _float(torch.nn.functional.linear(hidden, weight, bias))
    if temperature != 1.0:
        logits = logits / temperature
    # One fused kernel each way, a third of the time of logsumexp, gather and their gradients.
    logprobs = -torch.nn.functional.cross_entropy(logits, tokens, reduction="none")
    if not should_measure_entropy:
        return logprobs, logprobs.new_empty(0)
    with torch.no_grad():
        normalizer = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) - logprobs
        probabilities = torch.softmax(logits, -1)
        entropy = normalizer - (probabilities * logits).sum(-1)
    return logprobs, entropy


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of `values` where `mask` is True; values elsewhere, even NaN, do not matter."""
    return torch.where(mask, values, 0.0).sum()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is True; 0 if it is True nowhere."""
    return masked_sum(values, mask) / mask.sum().clamp_min(1)


def whiten(values: Tensor, mask: Tensor, *, should_shift_mean: bool = True) -> Tensor:
    """Scale to population variance 1 over the mask and, by default, shift to mean 0; 0 outside the mask.

    Source: lm-human-preferences `whiten` (population variance, 1e-8 inside the root).
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    if not should_shift_mean:
        whitened = whitened + mean
    return torch.where(mask, whitened, 0.0)


def response_lengths(tokens: Tensor, stop_token: int) -> tuple[Tensor, Tensor]:
    """Length of each response in `tokens` (B, R), including its first stop token, and whether it has one: both (B,)."""
    is_stop = tokens == stop_token
    ended = is_stop.any(1)
    first = is_stop.int().argmax(1) + 1
    return torch.where(ended, first, tokens.shape[1]), ended


def length_mask(lengths: Tensor, num_tokens: int) -> Tensor:
    """(B,) lengths to a (B, `num_tokens`) mask that is True on the first `lengths` positions."""
    return torch.arange(num_tokens, device=lengths.device) < lengths.unsqueeze(1)


def _float(values: Tensor) -> Tensor:
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
