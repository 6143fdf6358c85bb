"""A Llama's forward pass in NumPy, after the definitions of llama.cpp and run.c: neighboring dimensions are rotated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Shape:
    width: int = 16
    hidden: int = 24
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    vocabulary: int = 271
    base: float = 10000.0

    @property
    def head(self) -> int:
        return self.width // self.heads

    def tensors(self, is_tied: bool) -> dict[str, tuple[int, ...]]:
        """By name, in run.c's order; those of the layers are stacked."""
        shapes: dict[str, tuple[int, ...]] = {
            "embedding": (self.vocabulary, self.width),
            "attention_norm": (self.layers, self.width),
            "q": (self.layers, self.width, self.width),
            "k": (self.layers, self.kv_heads * self.head, self.width),
            "v": (self.layers, self.kv_heads * self.head, self.width),
            "o": (self.layers, self.width, self.width),
            "feed_forward_norm": (self.layers, self.width),
            "w1": (self.layers, self.hidden, self.width),
            "w2": (self.layers, self.width, self.hidden),
            "w3": (self.layers, self.hidden, self.width),
            "norm": (self.width,),
        }
        return shapes if is_tied else shapes | {"head": (self.vocabulary, self.width)}


def draw_tensors(shapes: dict[str, tuple[int, ...]]) -> Tensors:
    draws = np.random.default_rng(0)
    return {name: draws.normal(0, 0.5, shape).astype("<f4") for name, shape in shapes.items()}


def compute_logits(ids: list[int], tensors: Tensors, shape: Shape) -> np.ndarray:
    """(tokens, vocabulary), in float64."""
    tensors = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    x = tensors["embedding"][ids]
    for layer in range(shape.layers):
        x = x + _attended(_norm(x, tensors["attention_norm"][layer]), tensors, layer, shape)
        inner = _norm(x, tensors["feed_forward_norm"][layer])
        gate = inner @ tensors["w1"][layer].T
        x = x + (gate / (1 + np.exp(-gate)) * (inner @ tensors["w3"][layer].T)) @ tensors["w2"][layer].T
    return _norm(x, tensors["norm"]) @ tensors.get("head", tensors["embedding"]).T


def _norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return weight * x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)


def _rotated(vector: np.ndarray, place: int, shape: Shape) -> np.ndarray:
    """Neighboring pairs of every head turned by place / base^(2 i / head)."""
    turned = vector.copy()
    for i in range(0, len(vector), 2):
        angle = place / shape.base ** ((i % shape.head) / shape.head)
        a, b = vector[i], vector[i + 1]
        turned[i], turned[i + 1] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
    return turned


def _attended(x: np.ndarray, tensors: Tensors, layer: int, shape: Shape) -> np.ndarray:
    head, places = shape.head, len(x)
    q = np.stack([_rotated(tensors["q"][layer] @ row, place, shape) for place, row in enumerate(x)])
    k = np.stack([_rotated(tensors["k"][layer] @ row, place, shape) for place, row in enumerate(x)])
    v = x @ tensors["v"][layer].T
    out = np.zeros_like(q)
    for number in range(shape.heads):
        own = slice(number * head, (number + 1) * head)
        shared = number // (shape.heads // shape.kv_heads)
        theirs = slice(shared * head, (shared + 1) * head)
        for place in range(places):
            scores = k[: place + 1, theirs] @ q[place, own] / np.sqrt(head)
            weights = np.exp(scores - scores.max())
            out[place, own] = weights / weights.sum() @ v[: place + 1, theirs]
    return out @ tensors["o"][layer].T
