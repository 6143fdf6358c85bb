"""A model as one object: packed tokens in, one kind of number out, plus its prompting; all stored in one folder.

Everything that runs a model calls its one `forward`: an engine that shards or compiles modules wraps that call, as
`torch.distributed.fsdp.fully_shard` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.adapters import adapters_merged, add_lora
from tutelage.model.context import context_limit
from tutelage.model.forward import response_logprobs_and_entropy, response_scores, response_values, score_bias
from tutelage.model.loading import load_policy, load_scalar_model, load_tokenizer, save_model
from tutelage.model.packing import PackedBatch
from tutelage.model.precision import set_precision
from tutelage.text.render import Renderer, make_renderer


class PackedModel(torch.nn.Module):
    """Common base of the policy, the score model and the value model.

    `renderer` defines how the model is prompted and holds its tokenizer; both are saved in and loaded from the model's
    folder. `dtype` is what the layers compute in, wherever the model is used; weights stay float32.
    """

    def __init__(self, model: PreTrainedModel, renderer: Renderer, *, dtype: str = "float32") -> None:
        super().__init__()
        self.model, self.renderer = set_precision(model, dtype), renderer
        self.train(model.training)

    @property
    def tokenizer(self) -> Any:
        return self.renderer.tokenizer

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def context_limit(self) -> int:
        """Longest sequence, prompt and response together."""
        return context_limit(self.model)

    @property
    def family(self) -> str:
        return str(self.model.config.model_type)

    def add_adapters(self, *, rank: int, alpha: float, seed: int) -> None:
        """Freeze the weights and train low-rank adapters; see `adapters.add_lora`. A rank of 0 adds none."""
        if rank:
            add_lora(self.model, rank=rank, alpha=alpha, seed=seed)

    def save(self, folder: Path) -> None:
        """A `save_pretrained` folder with tokenizer and prompt format, adapters merged; plain transformers loads it."""
        with adapters_merged(self.model) as merged:
            save_model(merged, self.tokenizer, folder)


class TokenLogprobs(NamedTuple):
    """Log-probabilities (N,) of response tokens and, if measured, the entropies (N,) of their distributions; nats.

    The entropies carry no gradient and are empty if they were not measured.
    """

    logprobs: Tensor
    entropy: Tensor


class Policy(PackedModel):
    """A causal language model that responds to prompts."""

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        renderer: Renderer | None = None,
        device: torch.device | str = "cpu",
        dtype: str = "float32",
    ) -> Self:
        """The policy of a folder or hub id, prompted as it was trained unless a `renderer` says otherwise."""
        renderer = renderer or make_renderer(load_tokenizer(path))
        return cls(load_policy(path, device=device), renderer, dtype=dtype)

    def forward(
        self, batch: PackedBatch, *, temperature: float = 1.0, should_measure_entropy: bool = False
    ) -> TokenLogprobs:
        """Log-probabilities of every response token at a temperature."""
        return TokenLogprobs(
            *response_logprobs_and_entropy(
                self.model, batch, temperature=temperature, should_measure_entropy=should_measure_entropy
            )
        )


class _ScalarModel(PackedModel):
    """A transformer with one scalar head."""

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        renderer: Renderer | None = None,
        head_seed: int | None = None,
        device: torch.device | str = "cpu",
        dtype: str = "float32",
    ) -> Self:
        """Load from a reward model's folder; with a `head_seed`, also from a policy's folder, with a fresh head."""
        renderer = renderer or make_renderer(load_tokenizer(path))
        return cls(load_scalar_model(path, head_seed=head_seed, device=device), renderer, dtype=dtype)

    @property
    def bias(self) -> float:
        """Subtracted from every score, so that demonstrations have mean score 0."""
        return score_bias(self.model)

    @bias.setter
    def bias(self, bias: float) -> None:
        self.model.config.score_bias = bias


class ScoreModel(_ScalarModel):
    """The reward model: one number per response."""

    def forward(self, batch: PackedBatch) -> Tensor:
        """(M,): the score of each response, read at its last token. In float32."""
        return response_scores(self.model, batch)


class ValueModel(_ScalarModel):
    """Predicts returns; initialized from the reward model."""

    def forward(self, batch: PackedBatch) -> Tensor:
        """(N,): the value of the state before each response token. In float32."""
        return response_values(self.model, batch)
