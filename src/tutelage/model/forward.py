"""The one way into a model: packed tokens in, hidden states, log-probabilities or scores out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from tutelage.errors import ModelError
from tutelage.model.attention import ATTENTION_NAME, gather_distinct, layout_of
from tutelage.model.packing import PackedBatch
from tutelage.model.precision import head_precision, layer_precision
from tutelage.objectives.tokens import head_logprobs


def backbone(model: PreTrainedModel) -> torch.nn.Module:
    """The transformer below the head."""
    for name in (model.base_model_prefix, "model"):
        if isinstance(found := getattr(model, name, None), torch.nn.Module):
            return found
    raise ModelError(
        f"unsupported architecture {model.config.model_type!r}: cannot locate its transformer layers; use another one"
    )


def last_states(model: PreTrainedModel, **inputs: Any) -> Tensor:
    """The layers' output for their `inputs`, after the final norm: computed in its precision, of its weights' dtype."""
    with layer_precision(model):
        states: Tensor = backbone(model)(use_cache=False, **inputs).last_hidden_state
    return states.to(next(model.parameters()).dtype)


def hidden_states(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    """Last hidden states (T, D) of the packed tokens, after the final norm."""
    if model.config._attn_implementation != ATTENTION_NAME:
        return _padded_hidden_states(model, batch)
    layout = layout_of(batch)
    tokens, positions = batch.tokens, batch.positions
    if layout.packed_place is not None:
        tokens, positions = tokens[layout.packed_place], positions[layout.packed_place]
    states = last_states(model, input_ids=tokens.unsqueeze(0), position_ids=positions.unsqueeze(0), layout=layout)[0]
    return states if layout.place is None else gather_distinct(states, layout.place)


def response_logprobs(model: PreTrainedModel, batch: PackedBatch, *, temperature: float = 1.0) -> Tensor:
    """Log-probability (nats) of every response token, (N,): only these go through the vocabulary head."""
    return response_logprobs_and_entropy(model, batch, temperature=temperature, should_measure_entropy=False)[0]


def response_logprobs_and_entropy(
    model: PreTrainedModel, batch: PackedBatch, *, temperature: float = 1.0, should_measure_entropy: bool = True
) -> tuple[Tensor, Tensor]:
    """The same, and the entropy (nats, no gradient) of each token's distribution, or empty."""
    states = hidden_states(model, batch).index_select(0, batch.predicting)
    head = model.get_output_embeddings()
    with head_precision(model):
        return head_logprobs(
            states,
            head.weight,
            batch.response_tokens,
            bias=getattr(head, "bias", None),
            temperature=temperature,
            should_measure_entropy=should_measure_entropy,
        )


def response_scores(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    """The score (M,) of each response, read at its last token: the stop token, if there is one. In float32."""
    return _scalars(model, hidden_states(model, batch).index_select(0, batch.last))


def response_values(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    """The value (N,) of the state before each response token. In float32."""
    return _scalars(model, hidden_states(model, batch).index_select(0, batch.predicting))


def _scalars(model: PreTrainedModel, states: Tensor) -> Tensor:
    with head_precision(model):
        return model.score(states).squeeze(-1).float() - score_bias(model)  # type: ignore[operator]


def score_bias(model: PreTrainedModel) -> float:
    """The constant with which `tutelage reward` set the mean score of demonstrations to 0; stored in the config."""
    return float(getattr(model.config, "score_bias", 0.0))


@contextmanager
def evaluating(*models: torch.nn.Module) -> Iterator[None]:
    """Without dropout and without gradients; each model's mode is restored afterward."""
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)


def _padded_hidden_states(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    """The same (T, D) through the model's own attention: one right-padded row per response, its prompt repeated.

    A group without a response gets a row of its prompt alone.
    """
    tokens = list(batch.tokens.split(_segments(batch)))
    rows, places = _rows(batch)
    sequences = [torch.cat([tokens[segment] for segment in row]) for row in rows]
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=batch.tokens.device)
    padded = pad_sequence(sequences, batch_first=True)
    mask = torch.arange(padded.shape[1], device=padded.device) < lengths.unsqueeze(1)
    states = last_states(model, input_ids=padded, attention_mask=mask.long())
    pieces: list[Tensor] = []
    for row, start, stop in places:
        pieces.append(states[row, start:stop])
    return torch.cat(pieces)


def _segments(batch: PackedBatch) -> list[int]:
    """Lengths of prompts and responses in packed order."""
    lengths: list[int] = []
    response = 0
    for group, num_prompt in enumerate(batch.prompt_lengths):
        lengths.append(num_prompt)
        while response < batch.num_responses and batch.group_of_response[response] == group:
            lengths.append(batch.response_lengths[response])
            response += 1
    return lengths


def _rows(batch: PackedBatch) -> tuple[list[list[int]], list[tuple[int, int, int]]]:
    """Each padded row as segment numbers; for each segment, in packed order, (row, start, stop) of its states."""
    rows: list[list[int]] = []
    places: list[tuple[int, int, int]] = []
    segment = response = 0
    for group, num_prompt in enumerate(batch.prompt_lengths):
        prompt_segment = segment
        places.append((len(rows), 0, num_prompt))
        segment += 1
        own = 0
        while response < batch.num_responses and batch.group_of_response[response] == group:
            rows.append([prompt_segment, segment])
            places.append((len(rows) - 1, num_prompt, num_prompt + batch.response_lengths[response]))
            segment, response, own = segment + 1, response + 1, own + 1
        if own == 0:
            rows.append([prompt_segment])
    return rows, places
