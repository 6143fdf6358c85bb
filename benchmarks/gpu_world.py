"""What the sections of the GPU script share: the device, model shapes with random weights, clocks, counts of work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from materials import NUM_SPECIAL, PAD, STOP, word_tokenizer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig, PreTrainedModel

from tutelage.model.loading import device_of
from tutelage.model.packing import Group

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A Llama-shaped model whose embedding is its head, too."""

    name: str
    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_key_heads: int
    feed_forward: int

    @property
    def key_width(self) -> int:
        return self.width // self.num_heads * self.num_key_heads

    @property
    def layer_weights(self) -> int:
        """Of all matrices of all layers."""
        attention = 2 * self.width * (self.width + self.key_width)
        return self.num_layers * (attention + 3 * self.width * self.feed_forward)

    @property
    def head_weights(self) -> int:
        return self.vocab_size * self.width

    @property
    def cache_bytes_per_token(self) -> int:
        """Keys and values in bfloat16."""
        return 2 * 2 * self.num_layers * self.key_width

    def forward_flop(self, num_tokens: float, context: float, num_predicted: float = 0.0) -> float:
        """Of `num_tokens` that see `context` others on average, `num_predicted` of them through the head."""
        attention = 4.0 * self.num_layers * self.width * context
        return num_tokens * (2.0 * self.layer_weights + attention) + 2.0 * num_predicted * self.head_weights

    def decoding_bytes(self, num_rows: int, mean_columns: float) -> float:
        """The least that one step of sampling reads: all weights once, and every row's keys and values."""
        weights = 2.0 * (self.layer_weights + self.head_weights)
        return weights + num_rows * mean_columns * self.cache_bytes_per_token


def _shape(name: str, *sizes: int) -> ModelShape:
    vocab_size, width, num_layers, num_heads, num_key_heads, feed_forward = sizes
    return ModelShape(
        name=name,
        vocab_size=vocab_size,
        width=width,
        num_layers=num_layers,
        num_heads=num_heads,
        num_key_heads=num_key_heads,
        feed_forward=feed_forward,
    )


SHAPES = {"135M": _shape("135M", 49_152, 576, 30, 9, 3, 1536), "1.2B": _shape("1.2B", 128_256, 2048, 16, 32, 8, 8192)}
TINY_SHAPES = {"135M": _shape("135M", 512, 48, 2, 3, 1, 96), "1.2B": _shape("1.2B", 512, 64, 2, 4, 2, 128)}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The device, and whether shapes are tiny: on a CPU, or because only a quick look is wanted."""

    device: torch.device
    scratch: Path
    is_tiny: bool

    def shape(self, name: str) -> ModelShape:
        return (TINY_SHAPES if self.is_tiny else SHAPES)[name]

    @property
    def prompt_tokens(self) -> int:
        return 16 if self.is_tiny else 512

    @property
    def response_tokens(self) -> int:
        return 12 if self.is_tiny else 512

    @property
    def dtype(self) -> str:
        """What layers multiply in: a CPU may take a hundred times as long in bfloat16 as in float32."""
        return "bfloat16" if self.device.type == "cuda" else "float32"

    @property
    def row_counts(self) -> tuple[int, ...]:
        """At which sampling is measured."""
        return (1, 4, 8) if self.is_tiny else (1, 64, 256)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any]) -> float:
        """Wall time until the device has finished `work`."""
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def forget_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gib(self) -> float | None:
        """Of allocated memory since `forget_peak`; None on a CPU, where the process has a peak and no step does."""
        if self.device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated(self.device) / GIB, 3)


def make_world(device: str, scratch: Path, *, is_quick: bool) -> World:
    chosen = device_of(device)
    return World(device=chosen, scratch=scratch, is_tiny=is_quick or chosen.type == "cpu")


class Report:
    """Rows of a section, written as soon as they are known: a section that is killed leaves what it had."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _write(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as rows:
            rows.write(json.dumps(row) + "\n")
        print(row, flush=True)

    def card(self, **facts: Any) -> None:
        """The machine and its measured rates."""
        self._write({"what": "card", **facts})

    def check(self, check: str, found: float, *, limit: float) -> None:
        """Holds where `found` is at most `limit`; a number that is none never holds."""
        self._write({"check": check, "found": found, "limit": limit, "is_ok": bool(found <= limit)})

    def figure(self, model: str, what: str, value: float, unit: str, **others: Any) -> None:
        """`flop_per_second` or `bytes_per_second`: what is shown as a share of the card's; `more`: further numbers."""
        self._write({"model": model, "what": what, "value": value, "unit": unit, **others})


def config_of(shape: ModelShape) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_key_heads,
        head_dim=shape.width // shape.num_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=STOP,
        pad_token_id=PAD,
    )


def random_model(
    world: World, shape: ModelShape, *, has_score: bool = False, dtype: torch.dtype = torch.float32, seed: int = 0
) -> PreTrainedModel:
    """Made on the device itself; a policy, or with a score a reward model."""
    config = config_of(shape)
    family = AutoModelForSequenceClassification if has_score else AutoModelForCausalLM
    if has_score:
        config.num_labels = 1
    torch.manual_seed(seed)
    with torch.device(world.device):
        model = family.from_config(config, dtype=dtype)
    return model.to(world.device).eval()


def tokenizer_folder(world: World, shape: ModelShape) -> Path:
    """A folder with a tokenizer of one word a token."""
    folder = world.scratch / f"tokenizer-{shape.name}"
    if not folder.exists():
        word_tokenizer(shape.vocab_size).save_pretrained(folder)
    return folder


def random_tokens(shape: ModelShape, *size: int, seed: int) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(NUM_SPECIAL, shape.vocab_size, size, generator=generator).tolist()


def random_groups(
    shape: ModelShape, number: int, prompt_tokens: int, response_tokens: int, *, num_responses: int = 1, seed: int = 0
) -> list[Group]:
    """Prompts with responses of equal lengths; each response ends with the stop token."""
    prompts = random_tokens(shape, number, prompt_tokens, seed=seed)
    responses = random_tokens(shape, number, num_responses, response_tokens - 1, seed=seed + 1)
    return [
        Group(prompt=prompt, responses=[[*response, STOP] for response in own])
        for prompt, own in zip(prompts, responses, strict=True)
    ]


def steady_seconds(world: World, step: Callable[[int], Any], *, num_warm: int, num_timed: int) -> float:
    """Median wall time of a step, after some that are not counted."""
    for number in range(num_warm):
        step(number)
    return median(world.seconds(lambda n=number: step(num_warm + n)) for number in range(num_timed))
