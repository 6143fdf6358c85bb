"""The models, prompts and rankings of a row, made once and read by both sides.

python benchmarks/materials.py --row NAME --out DIR [--quick]
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path

import torch
from shapes import Shape, row_named
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig, PreTrainedTokenizerFast

STOP, PAD = 0, 1
NUM_SPECIAL = 2


def word_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """One word, one token: lengths in tokens are lengths in words, and the separator of a prompt costs nothing."""
    words = {"<stop>": STOP, "<pad>": PAD} | {f"w{i}": i for i in range(NUM_SPECIAL, vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<stop>", pad_token="<pad>", padding_side="left"
    )


def model_config(shape: Shape) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=STOP,
        pad_token_id=PAD,
    )


@torch.no_grad()
def policy(shape: Shape) -> torch.nn.Module:
    """Random weights whose stop token has the wanted probability at every position: the first coordinate of the hidden
    states is nearly constant, and only the stop token's row of the head reads it."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(model_config(shape)).eval()
    model.model.embed_tokens.weight[:, 0] = 0.3
    head = model.lm_head.weight
    head[:, 0] = 0.0
    head[STOP] = 0.0
    # The pad token also ends a response on the peer's side; it must not be drawn.
    head[PAD] = 0.0
    tokens = torch.randint(NUM_SPECIAL, shape.vocab_size, (4, shape.prompt_tokens + shape.response_tokens))
    states = model.model(input_ids=tokens).last_hidden_state.flatten(0, 1)
    coordinate = states[:, 0]
    head[PAD, 0] = -40.0 / coordinate.mean()
    others = torch.logsumexp((states @ head.T)[:, NUM_SPECIAL:], -1)
    if shape.ending == "limit":
        head[STOP, 0] = -40.0 / coordinate.mean()
        return model
    low, high = 0.0, 2.0 * math.log(shape.vocab_size) / float(coordinate.mean())
    for _ in range(40):
        middle = (low + high) / 2
        probability = float(torch.sigmoid(middle * coordinate - others).mean())
        low, high = (middle, high) if probability < 1 / shape.mean_tokens else (low, middle)
    head[STOP, 0] = low
    return model


def reward_model(shape: Shape) -> torch.nn.Module:
    torch.manual_seed(1)
    config = model_config(shape)
    config.num_labels = 1
    return AutoModelForSequenceClassification.from_config(config)


def _words(draw: random.Random, shape: Shape, count: int) -> str:
    return " ".join(f"w{draw.randrange(NUM_SPECIAL, shape.vocab_size)}" for _ in range(count))


def write_materials(shape: Shape, out: Path) -> None:
    draw = random.Random(0)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = word_tokenizer(shape.vocab_size)
    for name, model in (("policy", policy(shape)), ("reward", reward_model(shape))):
        model.save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
    # One warm-up step, and as many records more as steps are timed: no step reads a record that another has read.
    count = shape.batch * (shape.num_steps + 1)
    if shape.kind == "reward":
        _write(out / "rankings.jsonl", [_ranking(draw, shape) for _ in range(count)])
        _write(out / "validation.jsonl", [_ranking(draw, shape) for _ in range(2)])
    else:
        _write(out / "prompts.jsonl", [{"text": _words(draw, shape, shape.prompt_tokens)} for _ in range(count)])


def _ranking(draw: random.Random, shape: Shape) -> dict[str, object]:
    """K completions, ranked in their order; the stop token is the last token of each."""
    half = shape.response_tokens // 2
    lengths = [
        shape.response_tokens if shape.are_lengths_equal else draw.randint(half, 3 * half)
        for _ in range(shape.completions)
    ]
    completions = [{"id": f"c{k}", "text": _words(draw, shape, n - 1)} for k, n in enumerate(lengths)]
    return {
        "prompt": _words(draw, shape, shape.prompt_tokens),
        "completions": completions,
        "ranking": [[completion["id"]] for completion in completions],
    }


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--row", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    write_materials(row_named(arguments.row, is_quick=arguments.quick), arguments.out)
