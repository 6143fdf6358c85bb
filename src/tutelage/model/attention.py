"""Attention over packed tokens, as a function for any Hugging Face model that uses the attention interface.

Linear layers, norms and the embedding see T tokens and no padding. Only inside this function are sequences padded to
rectangles, because attention needs them. The model passes our `layout` through its keyword arguments, so that gradient
checkpointing finds it again.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from tutelage.model.packing import PackedBatch

ATTENTION_NAME = "tutelage_packed"


class Layout(Protocol):
    """The arrangement of packed tokens for attention; queries, keys, values and results are (T, H, head width)."""

    def attend(self, layer_index: int, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor: ...


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    layout: Layout | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The function that the model calls: (1, H, T, width) in, (1, T, H, width) out."""
    refused = [name for name in ("softcap", "sliding_window", "s_aux", "position_bias") if others.get(name) is not None]
    if refused:
        raise ValueError(f"packed attention has no {', '.join(refused)}")
    assert layout is not None, "the model was called without a layout; call it through tutelage.model.forward"
    assert dropout == 0.0, "attention dropout is not supported; set it to 0 in the model's configuration"
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))
    if queries.is_cuda:
        # Rotary positions leave float32 under bfloat16; attention would convert what is padded, copied and cached.
        queries, keys = queries.to(values.dtype), keys.to(values.dtype)
    return layout.attend(module.layer_idx, queries, keys, values, scale).unsqueeze(0), None  # type: ignore[arg-type]


AttentionInterface.register(ATTENTION_NAME, packed_attention)


def attend_over_heads(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    scaling: float,
    mask: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """Scaled dot-product attention over (rows, H, S, width); a head of `keys` may serve several of `queries`.

    A GPU's kernels for masks and for float32 do not support shared heads. PyTorch would fall back to one that stores
    the attention weights of all tokens in float32, so the heads are repeated there first.
    """
    is_shared = queries.shape[1] != keys.shape[1]
    if is_shared and queries.is_cuda and (mask is not None or queries.dtype == torch.float32):
        keys, values = repeated_heads(keys, queries.shape[1]), repeated_heads(values, queries.shape[1])
        is_shared = False
    return scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, is_causal=is_causal, scale=scaling, enable_gqa=is_shared
    )


def repeated_heads(states: Tensor, num_heads: int) -> Tensor:
    """(rows, h, S, width) to (rows, H, S, width): each head is repeated for every query head that it serves."""
    return states.repeat_interleave(num_heads // states.shape[1], 1)


def heads_as_columns(queries: Tensor, num_key_heads: int) -> Tensor:
    """Queries (rows, H, width) of one column as (rows, h, H / h, width): those that share a key head are adjacent.

    Attention then reads every key once, without shared heads; its result is flattened back to H heads.
    """
    return queries.unflatten(1, (num_key_heads, -1))


class _Pad(torch.autograd.Function):
    """Scatter (T, ...) rows to distinct `index` (T,) of a zeroed (num_places, ...); the gradient is a gather."""

    @staticmethod
    def forward(context: Any, rows: Tensor, index: Tensor, num_places: int) -> Tensor:
        context.save_for_backward(index)
        return rows.new_zeros(num_places, *rows.shape[1:]).index_copy_(0, index, rows)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (index,) = context.saved_tensors
        return gradients[0].index_select(0, index), None, None


class _Unpad(torch.autograd.Function):
    """The inverse of `_Pad`: gather forward, scatter backward."""

    @staticmethod
    def forward(context: Any, padded: Tensor, index: Tensor) -> Tensor:
        context.save_for_backward(index)
        context.num_places = padded.shape[0]
        return padded.index_select(0, index)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index,) = context.saved_tensors
        gradient = gradients[0]
        return gradient.new_zeros(context.num_places, *gradient.shape[1:]).index_copy_(0, index, gradient), None


def gather_distinct(rows: Tensor, index: Tensor) -> Tensor:
    """`rows[index]` (along the first axis) for an index without duplicates, so that the gradient needs no sums."""
    return _Unpad.apply(rows, index)


class _Repeat(torch.autograd.Function):
    """Row `group[m]` of (G, ...) for each of M responses.

    Its gradient, the sum over a group, is one matrix product with `membership` (G, M): on a CPU, the scatter that
    indexing would do takes many times as long.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, group: Tensor, membership: Tensor) -> Tensor:
        context.save_for_backward(membership)
        return rows.index_select(0, group)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (membership,) = context.saved_tensors
        gradient = gradients[0]
        summed = membership.to(gradient.dtype) @ gradient.flatten(1)
        return summed.view(-1, *gradient.shape[1:]), None, None


class Rectangle:
    """Concatenated sequences as one right-padded rectangle (rows, S)."""

    def __init__(self, lengths: list[int], device: torch.device) -> None:
        self.num_rows, self.num_columns = len(lengths), max(lengths)
        sizes = torch.tensor(lengths, device=device)
        self.mask = torch.arange(self.num_columns, device=device) < sizes.unsqueeze(1)  # (rows, S)
        self.place_index = self.mask.flatten().nonzero().squeeze(1)  # each token's index in the rectangle
        self.is_full = min(lengths) == self.num_columns

    def pad(self, rows: Tensor) -> Tensor:
        """(t, H, width) to (rows, H, S, width)."""
        if not self.is_full:
            rows = _Pad.apply(rows, self.place_index, self.num_rows * self.num_columns)
        return rows.reshape(self.num_rows, self.num_columns, *rows.shape[1:]).transpose(1, 2)

    def unpad(self, rectangle: Tensor) -> Tensor:
        """(rows, H, S, width) to (t, H, width)."""
        flat = rectangle.transpose(1, 2).reshape(self.num_rows * self.num_columns, *rectangle.shape[1::2])
        return flat if self.is_full else _Unpad.apply(flat, self.place_index)


class SequenceLayout:
    """Groups of at most one response: each is one causal sequence.

    The layers process them from short to long, so that those of similar length share a rectangle with little padding.
    """

    def __init__(self, lengths: list[int], device: torch.device) -> None:
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        blocks = _blocks_of_like_length([lengths[i] for i in order])
        # Each packed token's index in the layers' order, and the inverse; None: the same order.
        self.place: Tensor | None = None
        self.packed_place: Tensor | None = None
        if len(blocks) > 1:
            first = [0, *accumulate(lengths)]
            places = [place for i in order for place in range(first[i], first[i + 1])]
            self.packed_place = torch.tensor(places, device=device)
            self.place = self.packed_place.argsort()
        else:
            blocks = [lengths]  # in packed order: one rectangle holds them in any order
        self.rectangles = [Rectangle(block, device) for block in blocks]
        self.sizes = [sum(block) for block in blocks]

    def attend(self, layer_index: int, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        parts = zip(
            self.rectangles, queries.split(self.sizes), keys.split(self.sizes), values.split(self.sizes), strict=True
        )
        mixed = [_attend_causally(rectangle, q, k, v, scaling) for rectangle, q, k, v in parts]
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def _attend_causally(rectangle: Rectangle, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    # Padding is on the right, where causal attention never looks from a real token.
    mixed = attend_over_heads(
        rectangle.pad(queries), rectangle.pad(keys), rectangle.pad(values), is_causal=True, scaling=scaling
    )
    return rectangle.unpad(mixed)


# A rectangle takes sequences up to this factor longer than its shortest, plus these few tokens: less than a sixth of it
# is padding on average, and short sequences do not each get a separate call.
LENGTH_FACTOR, LENGTH_SLACK = 1.4, 8


def _blocks_of_like_length(lengths: list[int]) -> list[list[int]]:
    """Split ascending `lengths` so that no rectangle is mostly padding."""
    blocks: list[list[int]] = []
    for length in lengths:
        if not blocks or length > LENGTH_FACTOR * blocks[-1][0] + LENGTH_SLACK:
            blocks.append([])
        blocks[-1].append(length)
    return blocks


class SharedPromptLayout:
    """Groups of several responses: prompts attend to themselves, each response to its prompt and to itself.

    The layers process all prompts first, then all responses: sorting once is cheaper than gathering in every layer.
    """

    def __init__(self, batch: PackedBatch) -> None:
        device = batch.tokens.device
        self.prompts = Rectangle(batch.prompt_lengths, device)
        self.responses = Rectangle(batch.response_lengths, device)
        self.sizes = [sum(batch.prompt_lengths), sum(batch.response_lengths)]
        self.packed_place: Tensor | None = torch.tensor(_prompts_first(batch), device=device)
        self.place: Tensor | None = self.packed_place.argsort()
        self.group = torch.tensor(batch.group_of_response, device=device)
        groups = torch.arange(len(batch.prompt_lengths), device=device)
        self.membership = (groups.unsqueeze(1) == self.group).float()  # (G, M)
        num_columns = self.responses.num_columns
        causal = torch.ones(num_columns, num_columns, dtype=torch.bool, device=device).tril()
        seen_prompt = self.prompts.mask[self.group].unsqueeze(1).expand(-1, num_columns, -1)
        seen_self = causal.expand(len(batch.response_lengths), -1, -1)
        self.is_seen = torch.cat((seen_prompt, seen_self), 2).unsqueeze(1)  # (M, 1, R, P + R)
        self.biases: dict[torch.dtype, Tensor] = {}

    def attend(self, layer_index: int, queries: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        prompt_queries, response_queries = queries.split(self.sizes)
        prompt_keys, own_keys = keys.split(self.sizes)
        prompt_values, own_values = values.split(self.sizes)
        padded_keys, padded_values = self.prompts.pad(prompt_keys), self.prompts.pad(prompt_values)
        prompts = attend_over_heads(
            self.prompts.pad(prompt_queries), padded_keys, padded_values, is_causal=True, scaling=scaling
        )
        responses = attend_over_heads(
            self.responses.pad(response_queries),
            self._seen(padded_keys, own_keys),
            self._seen(padded_values, own_values),
            mask=self._bias(queries.dtype),
            scaling=scaling,
        )
        return torch.cat((self.prompts.unpad(prompts), self.responses.unpad(responses)))

    def _seen(self, prompts: Tensor, own: Tensor) -> Tensor:
        """(M, H, P + R, width): what each response may attend to."""
        return torch.cat((_Repeat.apply(prompts, self.group, self.membership), self.responses.pad(own)), 2)

    def _bias(self, dtype: torch.dtype) -> Tensor:
        """`is_seen` as 0 and -inf: computed once, because a boolean mask would be converted to this in every layer."""
        if dtype not in self.biases:
            self.biases[dtype] = torch.zeros_like(self.is_seen, dtype=dtype).masked_fill_(~self.is_seen, -torch.inf)
        return self.biases[dtype]


def _prompts_first(batch: PackedBatch) -> list[int]:
    """Packed positions: those of all prompts, then those of all responses."""
    prompts: list[int] = []
    responses: list[int] = []
    position, response = 0, 0
    for group, num_prompt in enumerate(batch.prompt_lengths):
        prompts += range(position, position + num_prompt)
        position += num_prompt
        while response < batch.num_responses and batch.group_of_response[response] == group:
            responses += range(position, position + batch.response_lengths[response])
            position += batch.response_lengths[response]
            response += 1
    return prompts + responses


def layout_of(batch: PackedBatch) -> SequenceLayout | SharedPromptLayout:
    """The cheapest layout for `batch`: plain causal sequences if every prompt has exactly one response."""
    # Counting responses is not enough: one prompt may have two and another none.
    if batch.group_of_response == list(range(len(batch.prompt_lengths))):
        lengths = [p + r for p, r in zip(batch.prompt_lengths, batch.response_lengths, strict=True)]
        return SequenceLayout(lengths, batch.tokens.device)
    if batch.num_responses == 0:
        return SequenceLayout(batch.prompt_lengths, batch.tokens.device)
    return SharedPromptLayout(batch)
