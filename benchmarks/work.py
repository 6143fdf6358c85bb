"""The floating-point operations that a row's work needs: real tokens only, a shared prompt once."""

from __future__ import annotations

from shapes import Shape

TRAIN = 3.0  # forward, and a backward of twice its work


def sequence_work(shape: Shape, num_tokens: float, context: float) -> float:
    """One forward pass of the layers over `num_tokens` tokens that each see `context` tokens on average."""
    weights = shape.num_layers * (4 * shape.width**2 + 3 * shape.width * shape.feed_forward)
    return num_tokens * (2.0 * weights + 4.0 * shape.num_layers * shape.width * context)


def head_work(shape: Shape, num_tokens: float) -> float:
    return 2.0 * num_tokens * shape.width * shape.vocab_size


def work_per_unit(shape: Shape, response_tokens: float) -> float:
    """FLOP of one episode, one ranking or one sampled token; `response_tokens` is the mean length that was seen."""
    if shape.kind == "reward":
        prompt = sequence_work(shape, shape.prompt_tokens, shape.prompt_tokens / 2)
        each = sequence_work(shape, shape.response_tokens, shape.prompt_tokens + shape.response_tokens / 2)
        return TRAIN * (prompt + shape.completions * each)
    length = shape.prompt_tokens + response_tokens
    whole, head = sequence_work(shape, length, length / 2), head_work(shape, response_tokens)
    if shape.kind == "sampling":
        return (whole + head) / response_tokens
    # Sampled, reference and trained policy have the vocabulary head; reward, old value and trained value have not.
    return (4 + 2 * TRAIN) * whole + (2 + TRAIN) * head
