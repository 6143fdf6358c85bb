"""Estimates the memory of training: weights, gradients, moments, activations, logits, the sampling cache.

For float32 on one device, Llama-shaped models and packed attention. Fitted to measured peaks of single steps (see
`test_model_footprint.py`); not counted: Python and PyTorch themselves (about 0.4 GiB), what the allocator holds beyond
(bounded, see `training.allocation`), the copy of the prompt's keys and values for each completion of a ranking, and
architectures that packed attention does not support.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOAT = 4  # bytes
# Weights, gradients, and Adam's two moments.
FLOATS_PER_TRAINED_WEIGHT = 4
# Logits, their log-softmax and the gradient, one chunk at a time; as `objectives.tokens.LOGITS_PER_CHUNK`.
COPIES_OF_LOGITS = 3
LOGITS_PER_CHUNK = 2**25
SAMPLING_ROWS = 256  # the batch size of `sampling.sample_responses`


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Llama-shaped model: `key_width` is the width of all key heads together, `inner_width` that of the MLP."""

    width: int
    num_layers: int
    key_width: int
    inner_width: int
    vocab_size: int
    has_own_head: bool = False  # False: the embedding is also the head

    @property
    def num_weights(self) -> int:
        """Number of weights in embedding, layers and norms, and in a separate head."""
        attention = 2 * self.width * (self.width + self.key_width)
        layer = attention + 3 * self.width * self.inner_width + 2 * self.width
        return (1 + self.has_own_head) * self.vocab_size * self.width + self.num_layers * layer + self.width

    def num_adapter_weights(self, rank: int) -> int:
        """Number of LoRA weights in all linear layers: `rank` times each one's input and output width."""
        attention = 4 * self.width + 2 * (self.width + self.key_width)
        return rank * self.num_layers * (attention + 3 * (self.width + self.inner_width))


def activation_bytes(shape: Shape, num_tokens: int, *, has_adapters: bool = False) -> int:
    """Bytes kept for the backward pass of `num_tokens` in one micro-batch.

    A layer keeps, per token, two norms' inputs, intermediate values and outputs, the queries, attention's output before
    and after repacking (9 widths), rotated and padded keys and values (4 key widths), and four inner states of the MLP,
    half of one being for gradients in flight. With adapters, every linear layer's output is kept once more.
    """
    floats = 9 * shape.width + 4 * shape.key_width + 4.5 * shape.inner_width
    if has_adapters:
        floats += 3 * shape.width + 2 * shape.key_width + 2 * shape.inner_width
    return int(FLOAT * shape.num_layers * num_tokens * floats)


def logits_bytes(shape: Shape, num_tokens: int) -> int:
    """Bytes of the vocabulary head for `num_tokens` response tokens in one micro-batch."""
    return FLOAT * COPIES_OF_LOGITS * min(num_tokens * shape.vocab_size, LOGITS_PER_CHUNK)


def cache_bytes(shape: Shape, num_columns: int) -> int:
    """Bytes of keys and values during sampling: `num_columns` is the longest prompt plus the longest response."""
    return 2 * FLOAT * shape.num_layers * shape.key_width * SAMPLING_ROWS * num_columns


def weight_bytes(shape: Shape, *, lora_rank: int = 0) -> int:
    """Bytes of one trained model with gradients and moments; with adapters only the adapters have these."""
    if lora_rank == 0:
        return FLOAT * FLOATS_PER_TRAINED_WEIGHT * shape.num_weights
    return FLOAT * (shape.num_weights + FLOATS_PER_TRAINED_WEIGHT * shape.num_adapter_weights(lora_rank))


def sft_bytes(shape: Shape, *, tokens_per_microbatch: int, lora_rank: int = 0) -> int:
    """Peak bytes of supervised fine-tuning; a reward model needs the same without the logits."""
    activations = activation_bytes(shape, tokens_per_microbatch, has_adapters=lora_rank > 0)
    return weight_bytes(shape, lora_rank=lora_rank) + activations + logits_bytes(shape, tokens_per_microbatch)


def ppo_bytes(shape: Shape, *, tokens_per_microbatch: int, num_columns: int, lora_rank: int = 0) -> int:
    """Peak bytes of PPO with four models of one shape: while sampling or training, whichever is larger.

    Policy and value model are trained; the reward model is frozen, as are the reference (with adapters, the policy
    without them) and the moving average of the trained weights.
    """
    trained = 2 * weight_bytes(shape, lora_rank=lora_rank)
    averaged = shape.num_adapter_weights(lora_rank) if lora_rank else shape.num_weights
    frozen = FLOAT * (averaged + (1 if lora_rank else 2) * shape.num_weights)
    learning = activation_bytes(shape, tokens_per_microbatch, has_adapters=lora_rank > 0)
    learning += logits_bytes(shape, tokens_per_microbatch)
    return trained + frozen + max(learning, cache_bytes(shape, num_columns))
