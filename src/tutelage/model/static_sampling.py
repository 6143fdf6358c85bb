"""Sampling on a GPU: every tensor of a decode step keeps its address, so that the step is captured once and replayed.

Launched kernel by kernel, a step takes a GPU tens of milliseconds of waiting for Python; as one CUDA graph it takes
what its memory traffic takes. Rows that have finished keep decoding, unread, until the next look of the host, when the
running rows move together and a graph of fewer rows takes over. Everything works without graphs, too, on any device.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.errors import ModelError
from tutelage.model.attention import SequenceLayout, attend_over_heads, heads_as_columns
from tutelage.model.forward import backbone
from tutelage.model.packing import Group, pack
from tutelage.model.precision import layer_dtype

STEPS_PER_LOOK = 16  # decode steps between two looks of the host at which rows have finished
COLUMNS_PER_BUCKET = 128  # a graph attends to a multiple of so many columns
NUM_SHAPES = 2  # of batches, kept for each model: the full batch of a rollout, and its last one
SWITCH = "TUTELAGE_CUDA_GRAPHS"

Draw = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class StaticShape:
    """What the tensors of a sampler are allocated for."""

    num_rows: int
    num_prompt_columns: int
    max_tokens: int

    @property
    def num_columns(self) -> int:
        return _rounded_up(self.num_prompt_columns + self.max_tokens)

    def holds(self, other: StaticShape) -> bool:
        return (
            self.num_rows == other.num_rows
            and self.num_prompt_columns >= other.num_prompt_columns
            and self.max_tokens == other.max_tokens
        )


class StaticCache:
    """Attention against a cache (rows, H, columns, width) per layer whose tensors never move.

    Prompts are right-aligned: all rows write the same column, whose number is a tensor. `bias` (rows, 1, 1, columns) is
    0 where a row may look, else -inf. While `prefill` is set, whole prompts are attended to and stored.
    """

    def __init__(self, shape: StaticShape, device: torch.device, dtype: torch.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.bias = torch.zeros(shape.num_rows, 1, 1, shape.num_columns, device=device, dtype=dtype)
        self.column = torch.zeros(1, dtype=torch.long, device=device)
        self.rows, self.columns = shape.num_rows, shape.num_columns
        self.prefill: SequenceLayout | None = None
        self.source: Tensor | None = None

    def start(self, prompt_lengths: list[int], row_of_prompt: Tensor) -> None:
        """Prepare to store prompts, each computed once and copied to all rows that continue it."""
        device, width = self.bias.device, self.shape.num_prompt_columns
        self.prefill = SequenceLayout(prompt_lengths, device)
        lengths = torch.tensor(prompt_lengths, device=device)
        # Right-aligned: column c of a prompt of length n holds its token c - (width - n).
        source = torch.arange(width, device=device) - (width - lengths).unsqueeze(1)
        starts = lengths.cumsum(0) - lengths
        self.source = (starts.unsqueeze(1) + source.clamp_min(0)).index_select(0, row_of_prompt)
        is_prompt = (source >= 0).index_select(0, row_of_prompt)
        self.bias.fill_(-torch.inf)
        self.bias[:, 0, 0, :width].masked_fill_(is_prompt, 0.0)
        self.column.fill_(width)

    def attend(self, layer_index: int, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        if self.prefill is not None:
            self._store(self.keys, layer_index, keys)
            self._store(self.values, layer_index, values)
            return self.prefill.attend(layer_index, queries, keys, values, scaling)
        cached_keys, cached_values = self.keys[layer_index][: self.rows], self.values[layer_index][: self.rows]
        cached_keys.index_copy_(2, self.column, keys.unsqueeze(2).to(self.dtype))
        cached_values.index_copy_(2, self.column, values.unsqueeze(2).to(self.dtype))
        asked = heads_as_columns(queries.to(self.dtype), keys.shape[1])
        bias = self.bias[: self.rows, :, :, : self.columns]
        mixed = attend_over_heads(
            asked,
            cached_keys[:, :, : self.columns],
            cached_values[:, :, : self.columns],
            mask=bias.expand(-1, asked.shape[1], asked.shape[2], -1),
            scaling=scaling,
        )
        return mixed.flatten(1, 2)

    def _store(self, cache: dict[int, Tensor], layer_index: int, states: Tensor) -> None:
        assert self.source is not None
        if layer_index not in cache:
            shape = (self.shape.num_rows, states.shape[1], self.shape.num_columns, states.shape[2])
            # Not left as it is: what is hidden by the bias must be a number all the same.
            cache[layer_index] = states.new_zeros(shape, dtype=self.dtype)
        stored = states.index_select(0, self.source.flatten()).unflatten(0, self.source.shape).transpose(1, 2)
        cache[layer_index][:, :, : self.shape.num_prompt_columns] = stored.to(self.dtype)

    def move_rows(self, sources: Tensor, targets: Tensor) -> None:
        """Copy rows `sources` over rows `targets`."""
        for block in (*self.keys.values(), *self.values.values(), self.bias):
            block[targets] = block[sources]


class StaticSampler:
    """The tensors and graphs with which one model samples batches of one shape."""

    def __init__(self, weights: _Weights, shape: StaticShape, draw: Draw, stop_tokens: Sequence[int]) -> None:
        device = weights.head.device
        self.weights, self.shape, self.draw, self.device = weights, shape, draw, device
        self.cache = StaticCache(shape, device, weights.dtype)
        self.stops = torch.tensor(list(stop_tokens), device=device)
        rows, tokens = shape.num_rows, shape.max_tokens
        self.uniforms = torch.zeros(rows, tokens, device=device)
        self.limits = torch.zeros(rows, dtype=torch.long, device=device)
        self.newest = torch.zeros(rows, dtype=torch.long, device=device)
        self.positions = torch.zeros(rows, dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, tokens, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(rows, tokens, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.is_complete = torch.zeros(rows, dtype=torch.bool, device=device)
        self.has_ended = torch.zeros(rows, dtype=torch.bool, device=device)
        self.time = torch.zeros(1, dtype=torch.long, device=device)
        self.graphs: dict[tuple[int, int], Any] = {}
        self.pool: Any = None
        self.should_capture = device.type == "cuda" and os.environ.get(SWITCH, "1") != "0"

    @property
    def _by_row(self) -> tuple[Tensor, ...]:
        return (
            self.uniforms,
            self.limits,
            self.newest,
            self.positions,
            self.tokens,
            self.logprobs,
            self.lengths,
            self.is_complete,
            self.has_ended,
        )

    def sample(
        self, prompts: Sequence[Sequence[int]], num_responses: int, uniforms: Tensor, limits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens and log-probabilities (rows, max_tokens), lengths and completeness (rows,) of all rows.

        `uniforms` (rows, max_tokens) are the draws, `limits` (rows,) the maximum lengths.
        """
        self._prefill(prompts, num_responses, uniforms, limits)
        found = tuple(torch.zeros_like(own) for own in (self.tokens, self.logprobs, self.lengths, self.is_complete))
        order = torch.arange(self.shape.num_rows, device=self.device)
        rows, num_steps, done = self.shape.num_rows, int(limits.max()), 1
        while True:
            running = rows - int(self.has_ended[:rows].sum())
            if running == 0 or done == num_steps:
                break
            fewer = self._bucket_of(running)
            if fewer < rows:
                self._write(found, order, rows)
                order = self._compact(order, rows, fewer)
                rows = fewer
            steps = min(STEPS_PER_LOOK, num_steps - done)
            columns = min(_rounded_up(self.shape.num_prompt_columns + done + steps), self.shape.num_columns)
            for _ in range(steps):
                self._advance(rows, columns)
            done += steps
        self._write(found, order, rows)
        return found[0], found[1], found[2], found[3]

    def _bucket_of(self, running: int) -> int:
        """The fewest rows of a graph that holds so many: all, or a half, a quarter ... of them."""
        rows = self.shape.num_rows
        while rows > 1 and (rows + 1) // 2 >= running:
            rows = (rows + 1) // 2
        return rows

    def _prefill(self, prompts: Sequence[Sequence[int]], num_responses: int, uniforms: Tensor, limits: Tensor) -> None:
        lengths = [len(prompt) for prompt in prompts]
        row_of_prompt = torch.arange(len(prompts), device=self.device).repeat_interleave(num_responses)
        batch = pack([Group(prompt=prompt, responses=[]) for prompt in prompts], device=self.device)
        self.cache.start(lengths, row_of_prompt)
        self.uniforms.zero_()
        self.uniforms[:, : uniforms.shape[1]] = uniforms
        self.limits.copy_(limits)
        for state in (self.lengths, self.is_complete, self.has_ended, self.time):
            state.zero_()
        self.positions.copy_(torch.tensor(lengths, device=self.device).index_select(0, row_of_prompt))
        last = torch.tensor(lengths, device=self.device).cumsum(0) - 1
        states = self.weights.states(batch.tokens, batch.positions, self.cache)
        self.cache.prefill = None
        self._accept(self.weights.logits(states.index_select(0, last)).index_select(0, row_of_prompt))

    def _accept(self, logits: Tensor) -> None:
        """Draw each row's next token from `logits` (rows, V) and write down what that means."""
        rows = logits.shape[0]
        drawn, logprobs = self.draw(logits, self.uniforms[:rows].index_select(1, self.time).squeeze(1))
        self.tokens[:rows].index_copy_(1, self.time, drawn.unsqueeze(1))
        self.logprobs[:rows].index_copy_(1, self.time, logprobs.unsqueeze(1).to(self.logprobs.dtype))
        self.time.add_(1)
        is_stop = (drawn.unsqueeze(1) == self.stops).any(1)
        is_running = ~self.has_ended[:rows]
        self.lengths[:rows].add_(is_running.long())
        self.is_complete[:rows].logical_or_(is_running & is_stop)
        self.has_ended[:rows].logical_or_(is_stop | (self.lengths[:rows] >= self.limits[:rows]))
        self.newest[:rows].copy_(drawn)

    def _step(self, rows: int, columns: int) -> None:
        """One token of the first `rows` rows, attending to the first `columns` columns."""
        self.cache.rows, self.cache.columns = rows, columns
        self.cache.bias.index_fill_(3, self.cache.column, 0.0)
        states = self.weights.states(self.newest[:rows], self.positions[:rows], self.cache)
        self.positions.add_(1)
        self.cache.column.add_(1)
        self._accept(self.weights.logits(states))

    def _advance(self, rows: int, columns: int) -> None:
        if not self.should_capture:
            self._step(rows, columns)
        elif (graph := self.graphs.get((rows, columns))) is not None:
            graph.replay()
        else:
            # The first step of its kind is taken kernel by kernel: whatever is set up once, is set up by then.
            self._step(rows, columns)
            self.graphs[rows, columns] = self._captured(rows, columns)

    def _captured(self, rows: int, columns: int) -> Any:
        graph = torch.cuda.CUDAGraph()
        if self.pool is None:
            self.pool = torch.cuda.graph_pool_handle()
        try:
            with torch.cuda.graph(graph, pool=self.pool):
                self._step(rows, columns)
        except RuntimeError as error:
            raise ModelError(
                f"a decode step of this model could not be captured as a CUDA graph ({error}); set {SWITCH}=0 to "
                "sample without graphs"
            ) from error
        return graph

    def _write(self, found: tuple[Tensor, ...], order: Tensor, rows: int) -> None:
        for result, own in zip(found, (self.tokens, self.logprobs, self.lengths, self.is_complete), strict=True):
            result[order[:rows]] = own[:rows]

    def _compact(self, order: Tensor, rows: int, fewer: int) -> Tensor:
        """Move running rows into the first `fewer` places; returns which response each place holds now."""
        has_ended = self.has_ended[:rows]
        sources = (~has_ended[fewer:]).nonzero().squeeze(1) + fewer
        targets = has_ended[:fewer].nonzero().squeeze(1)[: sources.numel()]
        self.cache.move_rows(sources, targets)
        for own in self._by_row:
            own[targets] = own[sources]
        order = order.clone()
        order[targets] = order[sources]
        return order


class _Weights:
    """A model's layers and head as sampling reads them: its own tensors, matrices in the layers' precision.

    Under bfloat16 the matrices are held in it once more, so that a step reads half and converts nothing.
    """

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.copies: list[tuple[str, Tensor]] = []
        if dtype == torch.float32:
            self.layers: torch.nn.Module = backbone(copy.deepcopy(model, dict(_shared(model, self.copies, set()))))
        else:
            embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
            matrices = {id(own) for own in model.parameters() if own.ndim > 1 and own.is_floating_point()}
            self.layers = backbone(
                copy.deepcopy(model, dict(_shared(model, self.copies, matrices - embeddings, dtype)))
            )
        self.layers.eval()
        head = model.get_output_embeddings()
        self.head = head.weight if dtype == torch.float32 else head.weight.detach().to(dtype)
        self.head_bias = getattr(head, "bias", None)
        self.addresses = _addresses(model)

    def refresh(self, model: PreTrainedModel) -> bool:
        """Copy what the model has learned meanwhile; whether a tensor moved, so that graphs would read the old one."""
        own = dict(model.named_parameters())
        with torch.no_grad():
            for name, weight in self.copies:
                weight.copy_(own[name])
            head = model.get_output_embeddings().weight
            if self.head is not head:
                self.head.copy_(head)
        addresses = _addresses(model)
        has_moved = addresses != self.addresses
        self.addresses = addresses
        return has_moved

    def states(self, tokens: Tensor, positions: Tensor, layout: Any) -> Tensor:
        """The last hidden states (T, D) of packed tokens (T,)."""
        # Without the cache of conversions: it would keep tensors of one graph for another.
        with torch.autocast(
            tokens.device.type, dtype=torch.bfloat16, enabled=self.dtype != torch.float32, cache_enabled=False
        ):
            states: Tensor = self.layers(
                input_ids=tokens.unsqueeze(0), position_ids=positions.unsqueeze(0), use_cache=False, layout=layout
            ).last_hidden_state
        return states[0]

    def logits(self, states: Tensor) -> Tensor:
        """(rows, V) in float32; of bfloat16 matrices the products are added in float32 and stay so."""
        with torch.autocast(states.device.type, enabled=False):
            states = states.to(self.head.dtype)
            if states.is_cuda and self.head.dtype != torch.float32:
                logits = torch.mm(states, self.head.t(), out_dtype=torch.float32)
            else:
                logits = torch.nn.functional.linear(states, self.head).float()
            return logits if self.head_bias is None else logits + self.head_bias.float()


def _shared(
    model: torch.nn.Module, copies: list[tuple[str, Tensor]], converted: set[int], dtype: torch.dtype = torch.float32
) -> list[tuple[int, Tensor]]:
    """What `copy.deepcopy` is to take for each tensor: itself, or a copy in `dtype`, which is noted in `copies`."""
    found: list[tuple[int, Tensor]] = []
    for name, own in model.named_parameters():
        if id(own) in converted:
            twin = torch.nn.Parameter(own.detach().to(dtype), requires_grad=False)
            copies.append((name, twin))
            found.append((id(own), twin))
        else:
            found.append((id(own), own))
    return found + [(id(own), own) for own in model.buffers()]


def _addresses(model: PreTrainedModel) -> list[int]:
    return [own.data_ptr() for own in (*model.parameters(), *model.buffers())]


class _Samplers:
    """The samplers of one model, the last used last, and the weights that they share."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.dtype = layer_dtype(model)
        self.weights = _Weights(model, self.dtype or torch.float32)
        self.known: list[tuple[Any, StaticSampler]] = []

    def find(self, shape: StaticShape, draw: Draw, stop_tokens: Sequence[int], key: Any) -> StaticSampler:
        found = next((own for own in self.known if own[0] == key and own[1].shape.holds(shape)), None)
        if found is not None:
            self.known.remove(found)
        else:
            # One of the same shape but for shorter prompts goes first: its cache makes room for the longer ones.
            like = (shape.num_rows, shape.max_tokens)
            self.known = [own for own in self.known if (own[1].shape.num_rows, own[1].shape.max_tokens) != like]
            del self.known[: max(0, len(self.known) - NUM_SHAPES + 1)]
            shape = StaticShape(shape.num_rows, _rounded_up(shape.num_prompt_columns), shape.max_tokens)
            found = (key, StaticSampler(self.weights, shape, draw, stop_tokens))
        self.known.append(found)
        return found[1]


_SAMPLERS: WeakKeyDictionary[PreTrainedModel, _Samplers] = WeakKeyDictionary()


def sampler_of(
    model: PreTrainedModel, shape: StaticShape, draw: Draw, stop_tokens: Sequence[int], key: Any
) -> StaticSampler:
    """The model's sampler for batches of `shape` with its present weights; `key`: what else decides what it draws.

    The last few are kept with their caches and graphs until the model goes: capturing takes longer than many steps.
    """
    samplers = _SAMPLERS.get(model)
    if samplers is None or samplers.dtype != layer_dtype(model):
        samplers = _SAMPLERS[model] = _Samplers(model)
    if samplers.weights.refresh(model):
        samplers.known.clear()
    return samplers.find(shape, draw, stop_tokens, (key, tuple(stop_tokens)))


def _rounded_up(columns: int) -> int:
    return -(-columns // COLUMNS_PER_BUCKET) * COLUMNS_PER_BUCKET
