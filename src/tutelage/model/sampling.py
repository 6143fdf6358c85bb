"""Sampling responses with a KV cache: prompts are prefilled once, finished rows are dropped, log-probs are kept.

The cache is one block per layer, written in place: nothing is copied from step to step. When a row finishes, the last
active row moves into its slot, so the active rows stay a contiguous prefix at the cost of at most one row copy per
finished response.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.attention import ATTENTION_NAME, SequenceLayout, attend_over_heads, heads_as_columns
from tutelage.model.forward import evaluating, last_states
from tutelage.model.packing import Group, pack
from tutelage.model.precision import head_precision, layer_precision
from tutelage.model.static_sampling import StaticShape, sampler_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """How responses are drawn. `temperature` 0 is greedy decoding; `top_p` 1 keeps the whole distribution."""

    max_response_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledResponse:
    """Token ids (including any stop token), log-probabilities as sampled (nats), whether it ended by itself."""

    tokens: list[int]
    logprobs: list[float]
    is_complete: bool


class _CachedLayout:
    """Attention against a cache (rows, H, S, width) per layer; prompts are right-aligned: all rows write one column."""

    def __init__(self, num_rows: int, num_prompt_columns: int, max_columns: int) -> None:
        self.num_rows, self.num_prompt_columns, self.max_columns = num_rows, num_prompt_columns, max_columns
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.prefill: SequenceLayout | None = None
        self.column = num_prompt_columns
        self.mask: Tensor | None = None  # (rows, 1, 1, S) if a prompt is shorter than the longest

    def start(self, prompt_lengths: list[int], row_of_prompt: Tensor, device: torch.device) -> None:
        """Allocate for the prompts' keys and values: each is computed once and copied to all rows that continue it."""
        self.prefill = SequenceLayout(prompt_lengths, device)
        self.row_of_prompt = row_of_prompt
        lengths = torch.tensor(prompt_lengths, device=device)
        columns = torch.arange(self.num_prompt_columns, device=device)
        # Right-aligned: column c of a prompt of length n holds its token c - (columns - n).
        source = columns - (self.num_prompt_columns - lengths).unsqueeze(1)
        starts = lengths.cumsum(0) - lengths
        self.source = (starts.unsqueeze(1) + source.clamp_min(0)).index_select(0, row_of_prompt)
        if min(prompt_lengths) < self.num_prompt_columns:
            is_prompt = (source >= 0).index_select(0, row_of_prompt)
            later = torch.ones(
                self.num_rows, self.max_columns - self.num_prompt_columns, dtype=torch.bool, device=device
            )
            self.mask = torch.cat((is_prompt, later), 1).view(self.num_rows, 1, 1, self.max_columns)

    def attend(self, layer_index: int, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        if self.prefill is not None:
            self._fill(self.keys, layer_index, keys)
            self._fill(self.values, layer_index, values)
            return self.prefill.attend(layer_index, queries, keys, values, scaling)
        rows, stop = queries.shape[0], self.column + 1
        cached_keys, cached_values = self.keys[layer_index], self.values[layer_index]
        cached_keys[:rows, :, self.column] = keys
        cached_values[:rows, :, self.column] = values
        mask = None if self.mask is None else self.mask[:rows, :, :, :stop]
        asked = heads_as_columns(queries, keys.shape[1]) if queries.is_cuda else queries.unsqueeze(2)
        mixed = attend_over_heads(
            asked, cached_keys[:rows, :, :stop], cached_values[:rows, :, :stop], mask=mask, scaling=scaling
        )
        return mixed.flatten(1, 2)

    def _fill(self, cache: dict[int, Tensor], layer_index: int, states: Tensor) -> None:
        block = states.new_empty(self.num_rows, states.shape[1], self.max_columns, states.shape[2])
        block[:, :, : self.num_prompt_columns] = states[self.source].transpose(1, 2)
        cache[layer_index] = block

    def move_rows(self, sources: Tensor, targets: Tensor) -> None:
        """Copy the cache of rows `sources` over that of the finished rows `targets`."""
        for cache in (self.keys, self.values):
            for block in cache.values():
                block[targets, :, : self.column] = block[sources, :, : self.column]
        if self.mask is not None:
            self.mask[targets] = self.mask[sources]


def sample_responses(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    settings: SamplingSettings,
    stop_tokens: Sequence[int],
    generator: torch.Generator | Tensor,
    num_responses: int = 1,
    rows_per_batch: int = 256,
    room: Sequence[int] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[list[SampledResponse]]:
    """Sample `num_responses` responses per prompt, each up to and including the first of its `stop_tokens`.

    `room`: the maximum response length per prompt, if less than the settings allow; a long prompt then shortens only
    its own responses.

    All uniform numbers are drawn first, one per (response, token): the draws for a prompt do not depend on which rows
    finish when, nor on `rows_per_batch`. The generator must be on the CPU; the numbers themselves can be given in its
    place: (prompts, responses, tokens). Prompts of similar length share a batch.
    """
    if isinstance(generator, Tensor):
        uniforms = generator
    else:
        uniforms = torch.rand(len(prompts), num_responses, settings.max_response_tokens, generator=generator)
    limits = [min(settings.max_response_tokens, own) for own in room or [settings.max_response_tokens] * len(prompts)]
    assert len(limits) == len(prompts) and min(limits, default=1) > 0, "every prompt needs room for a token"
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    prompts_per_batch = max(1, rows_per_batch // num_responses)
    found: list[list[SampledResponse]] = [[] for _ in prompts]
    # The precision context wraps the loop, so that the weights are converted once and not at every token.
    with evaluating(model), layer_precision(model):
        for start in range(0, len(order), prompts_per_batch):
            chosen = order[start : start + prompts_per_batch]
            batch = [prompts[i] for i in chosen]
            draws = uniforms[chosen].reshape(len(chosen) * num_responses, -1)
            own_limits = [limits[i] for i in chosen for _ in range(num_responses)]
            rows = _sample_rows(model, batch, num_responses, draws, own_limits, settings, stop_tokens)
            for place, i in enumerate(chosen):
                found[i] = rows[place * num_responses : (place + 1) * num_responses]
            if on_progress is not None:
                on_progress(len(rows))
    return found


def _sample_rows(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    num_responses: int,
    uniforms: Tensor,
    limits: Sequence[int],
    settings: SamplingSettings,
    stop_tokens: Sequence[int],
) -> list[SampledResponse]:
    """One batch of rows: prompt 0's responses, then prompt 1's ... `limits`: the maximum tokens per row."""
    device = next(model.parameters()).device
    if device.type == "cuda" and model.config._attn_implementation == ATTENTION_NAME:
        return sample_statically(model, prompts, num_responses, uniforms, limits, settings, stop_tokens)
    num_rows, max_tokens = len(prompts) * num_responses, max(limits)
    uniforms, lengths = uniforms.to(device), torch.tensor(limits, device=device)
    is_limited, stops = min(limits) < max_tokens, torch.tensor(stop_tokens, device=device)
    decoder = _PackedDecoder if model.config._attn_implementation == ATTENTION_NAME else _PaddedDecoder
    steps = decoder(model, prompts, num_responses, max_tokens, device)
    tokens = torch.zeros(num_rows, max_tokens, dtype=torch.long, device=device)
    logprobs = torch.zeros(num_rows, max_tokens, device=device)
    is_complete = torch.zeros(num_rows, dtype=torch.bool, device=device)
    rows = torch.arange(num_rows, device=device)  # which response is in each active row
    logits = steps.first_logits()
    for t in range(max_tokens):
        drawn, drawn_logprobs = draw_tokens(logits, uniforms[rows, t], settings)
        tokens[rows, t], logprobs[rows, t] = drawn, drawn_logprobs
        has_ended = torch.isin(drawn, stops)
        lengths[rows[has_ended]] = t + 1
        is_complete[rows[has_ended]] = True
        if is_limited:
            has_ended = lengths[rows] == t + 1  # by itself, or at its limit
        if t + 1 == max_tokens:
            break
        kept = _kept_places(has_ended)
        if kept is not None:
            if kept.numel() == 0:
                break
            steps.keep(kept)
            rows, drawn = rows[kept], drawn[kept]
        logits = steps.next_logits(drawn)
    return _responses(tokens, logprobs, lengths, is_complete)


def _responses(tokens: Tensor, logprobs: Tensor, lengths: Tensor, is_complete: Tensor) -> list[SampledResponse]:
    return [
        SampledResponse(tokens=token_row[:n], logprobs=logprob_row[:n], is_complete=complete)
        for token_row, logprob_row, n, complete in zip(
            tokens.tolist(), logprobs.tolist(), lengths.tolist(), is_complete.tolist(), strict=True
        )
    ]


def sample_statically(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    num_responses: int,
    uniforms: Tensor,
    limits: Sequence[int],
    settings: SamplingSettings,
    stop_tokens: Sequence[int],
) -> list[SampledResponse]:
    """As `_sample_rows`, with tensors that never move and, on a GPU, a graph a step."""
    device = next(model.parameters()).device
    shape = StaticShape(len(prompts) * num_responses, max(map(len, prompts)), settings.max_response_tokens)

    def draw(logits: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        return draw_tokens(logits, uniforms, settings)

    sampler = sampler_of(model, shape, draw, stop_tokens, settings)
    own_limits = torch.tensor(limits, device=device)
    return _responses(*sampler.sample(prompts, num_responses, uniforms.to(device), own_limits))


def _kept_places(has_ended: Tensor) -> Tensor | None:
    """The row that moves into each active slot: rows from the end fill the gaps. None if no row ended."""
    num_ended = int(has_ended.sum())
    if num_ended == 0:
        return None
    num_running = has_ended.numel() - num_ended
    kept = torch.arange(num_running, device=has_ended.device)
    gaps = has_ended[:num_running].nonzero().squeeze(1)
    kept[gaps] = (~has_ended[num_running:]).nonzero().squeeze(1) + num_running
    return kept


def draw_tokens(logits: Tensor, uniforms: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor]:
    """Token and log-probability at the sampling temperature, each (rows,): the distribution inverted at `uniforms`.

    The log-probability is that of the full distribution, before `top_p` truncates it. Ten times faster than
    `torch.multinomial` on a CPU.
    """
    logits = logits.float()
    if settings.temperature == 0:
        logprobs, tokens = torch.log_softmax(logits, -1).max(-1)
        return tokens, logprobs
    if settings.temperature != 1.0:
        logits = logits / settings.temperature
    probabilities = torch.softmax(logits, -1)
    kept = probabilities if settings.top_p >= 1.0 else _nucleus(probabilities, settings.top_p)
    tokens = (invert_by_chunks if kept.is_cuda else invert)(kept, uniforms)
    return tokens, probabilities.gather(1, tokens.unsqueeze(1)).squeeze(1).log()


def invert(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The token (rows,) at which the cumulative sum of each row's `probabilities` (rows, V) passes its uniform."""
    cumulative = probabilities.cumsum(-1)
    # Scaled by the floating-point sum: a draw can then fall neither past the last token nor on one of probability 0.
    threshold = uniforms.unsqueeze(1) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True).clamp_max(probabilities.shape[-1] - 1).squeeze(1)


TOKENS_PER_CHUNK = 512


def invert_by_chunks(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The same, in two steps: the chunk of tokens, then the token in it; sums in float64.

    A GPU adds in another order at every place: in float32 the sums would not ascend everywhere, and over the whole
    vocabulary, in float64, they take longer than a decode step's products.
    """
    rows, size = probabilities.shape
    num_chunks = -(-size // TOKENS_PER_CHUNK)
    padded = torch.nn.functional.pad(probabilities, (0, num_chunks * TOKENS_PER_CHUNK - size))
    chunks = padded.view(rows, num_chunks, TOKENS_PER_CHUNK)
    ends = chunks.sum(-1, dtype=torch.float64).cumsum(-1)
    threshold = uniforms.unsqueeze(1).double() * ends[:, -1:]
    chunk = torch.searchsorted(ends, threshold, right=True).clamp_max(num_chunks - 1)
    before = torch.nn.functional.pad(ends, (1, 0)).gather(1, chunk)
    own = chunks.gather(1, chunk.unsqueeze(2).expand(-1, -1, TOKENS_PER_CHUNK)).squeeze(1)
    place = torch.searchsorted(own.cumsum(-1, dtype=torch.float64), threshold - before, right=True)
    # The chunk's sum and its cumulative sum may differ in their last digit: then it is the last token that has any.
    places = torch.arange(TOKENS_PER_CHUNK, device=own.device)
    last = torch.where(own > 0, places, 0).amax(-1, keepdim=True)
    return (chunk * TOKENS_PER_CHUNK + torch.minimum(place, last)).squeeze(1)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """The smallest set of most likely tokens whose probabilities reach `top_p`; 0 elsewhere."""
    ordered, index = probabilities.sort(-1, descending=True)
    is_kept = ordered.cumsum(-1) - ordered < top_p
    return torch.zeros_like(probabilities).scatter(1, index, ordered * is_kept)


class _PackedDecoder:
    """One step = one packed forward of the running rows' newest tokens."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        num_responses: int,
        max_tokens: int,
        device: torch.device,
    ) -> None:
        self.model, self.head = model, model.get_output_embeddings()
        lengths = [len(prompt) for prompt in prompts]
        self.row_of_prompt = torch.arange(len(prompts), device=device).repeat_interleave(num_responses)
        self.positions = torch.tensor(lengths, device=device).index_select(0, self.row_of_prompt)
        self.batch = pack([Group(prompt=prompt, responses=[]) for prompt in prompts], device=device)
        self.cache = _CachedLayout(len(self.row_of_prompt), max(lengths), max(lengths) + max_tokens)
        self.cache.start(lengths, self.row_of_prompt, device)

    def _logits(self, tokens: Tensor, positions: Tensor, at: Tensor | None = None) -> Tensor:
        states = last_states(
            self.model, input_ids=tokens.unsqueeze(0), position_ids=positions.unsqueeze(0), layout=self.cache
        )[0]
        with head_precision(self.model):
            return self.head(states if at is None else states.index_select(0, at))

    def first_logits(self) -> Tensor:
        lengths = torch.tensor(self.batch.prompt_lengths, device=self.positions.device)
        logits = self._logits(self.batch.tokens, self.batch.positions, lengths.cumsum(0) - 1)
        self.cache.prefill = None
        return logits.index_select(0, self.row_of_prompt)

    def keep(self, kept: Tensor) -> None:
        places = torch.arange(kept.numel(), device=kept.device)
        moved = kept != places
        self.cache.move_rows(kept[moved], places[moved])
        self.positions = self.positions[kept]

    def next_logits(self, tokens: Tensor) -> Tensor:
        logits = self._logits(tokens, self.positions)
        self.positions = self.positions + 1
        self.cache.column += 1
        return logits


class _PaddedDecoder:
    """For architectures that packed attention does not support: the model's own cache and attention, left-padded."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        num_responses: int,
        max_tokens: int,
        device: torch.device,
    ) -> None:
        self.model = model
        rows = [torch.tensor(prompt, device=device) for prompt in prompts for _ in range(num_responses)]
        self.tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side="left")
        lengths = torch.tensor([len(row) for row in rows], device=device).unsqueeze(1)
        num_columns = self.tokens.shape[1]
        self.mask = (torch.arange(num_columns, device=device) >= num_columns - lengths).long()
        self.cache: object = None

    def _logits(self, tokens: Tensor) -> Tensor:
        positions = (self.mask.cumsum(1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        output = self.model(
            input_ids=tokens,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache = output.past_key_values
        return output.logits[:, -1]

    def first_logits(self) -> Tensor:
        return self._logits(self.tokens)

    def keep(self, kept: Tensor) -> None:
        self.mask = self.mask[kept]
        # Not `batch_select_indices`, which linear-attention layers lack; this indexes the rows just as well.
        self.cache.reorder_cache(kept)  # type: ignore[attr-defined]

    def next_logits(self, tokens: Tensor) -> Tensor:
        self.mask = torch.cat((self.mask, self.mask.new_ones(len(tokens), 1)), 1)
        return self._logits(tokens.unsqueeze(1))
