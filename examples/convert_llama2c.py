"""A llama2.c checkpoint (version 0) and its tokenizer, as a folder that transformers and every verb of Tutelage load.

    python examples/convert_llama2c.py stories260K.bin stories260K_tokenizer.bin stories260K
    tutelage chat stories260K

The checkpoint is seven int32 (width, feed-forward width, layers, heads, key-value heads, vocabulary, context; a
negative vocabulary says that the output head has weights of its own) and then float32 tensors. The tokenizer file is
the longest token's length and then, for each token, a float32 score, an int32 length and its bytes.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

UNKNOWN, BOS, EOS = "<unk>", "<s>", "</s>"
NUM_SPECIAL = 3
NUM_BYTES = 256


class FormatError(ValueError):
    """A file that is not what its name promises."""


class _Tensors:
    """The float32 tensors of a checkpoint, read one after the other."""

    def __init__(self, path: Path, offset: int) -> None:
        self.path = path
        data = path.read_bytes()[offset:]
        self.values = np.frombuffer(data[: len(data) // 4 * 4], dtype="<f4")
        self.place = 0

    def take(self, *shape: int) -> torch.Tensor:
        size = int(np.prod(shape))
        left = len(self.values) - self.place
        if left < size:
            raise FormatError(
                f"{self.path} ends early: a tensor of shape {shape} needs {size} numbers, {left} are left"
            )
        taken = self.values[self.place : self.place + size].reshape(shape)
        self.place += size
        return torch.from_numpy(taken.copy())


def read_checkpoint(path: Path) -> tuple[LlamaConfig, dict[str, torch.Tensor]]:
    """The configuration and the weights by their names in `LlamaForCausalLM`."""
    header = path.read_bytes()[:28]
    if len(header) < 28:
        raise FormatError(f"{path} has {len(header)} bytes; a checkpoint starts with a header of 28")
    width, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", header)
    if min(width, hidden, layers, heads, kv_heads, abs(vocabulary), context) < 1 or width % heads:
        raise FormatError(
            f"{path} is no llama2.c checkpoint of version 0: its header says {struct.unpack('<7i', header)}"
        )
    config = LlamaConfig(
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=abs(vocabulary),
        max_position_embeddings=context,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        tie_word_embeddings=vocabulary > 0,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return config, _weights(_Tensors(path, 28), config, context)


def _weights(tensors: _Tensors, config: LlamaConfig, context: int) -> dict[str, torch.Tensor]:
    width, hidden, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    head = width // config.num_attention_heads
    kv_width = config.num_key_value_heads * head
    embedding = tensors.take(config.vocab_size, width)
    stacks = {
        "input_layernorm": tensors.take(layers, width),
        "self_attn.q_proj": tensors.take(layers, width, width),
        "self_attn.k_proj": tensors.take(layers, kv_width, width),
        "self_attn.v_proj": tensors.take(layers, kv_width, width),
        "self_attn.o_proj": tensors.take(layers, width, width),
        "post_attention_layernorm": tensors.take(layers, width),
        "mlp.gate_proj": tensors.take(layers, hidden, width),
        "mlp.down_proj": tensors.take(layers, width, hidden),
        "mlp.up_proj": tensors.take(layers, hidden, width),
    }
    for name in ("self_attn.q_proj", "self_attn.k_proj"):
        stacks[name] = _halves_rotated(stacks[name], head)
    weights = {
        f"model.layers.{layer}.{name}.weight": stack[layer] for name, stack in stacks.items() for layer in range(layers)
    }
    weights["model.embed_tokens.weight"] = embedding
    weights["model.norm.weight"] = tensors.take(width)
    tensors.take(context, head)  # the tables of the rotation, which transformers computes
    weights["lm_head.weight"] = embedding if config.tie_word_embeddings else tensors.take(config.vocab_size, width)
    return weights


def _halves_rotated(stack: torch.Tensor, head: int) -> torch.Tensor:
    """(L, H * head, D): llama2.c rotates neighbours (0, 1), (2, 3) ...; transformers rotates (0, head / 2) ..."""
    layers, rows, width = stack.shape
    pairs = stack.view(layers, rows // head, head // 2, 2, width)
    return pairs.transpose(2, 3).reshape(layers, rows, width)


def read_tokens(path: Path, size: int) -> list[tuple[float, str]]:
    """Score and text of each token, in the order of their ids."""
    data, place = path.read_bytes(), 4
    tokens = []
    for number in range(size):
        if place + 8 > len(data):
            raise FormatError(f"{path} holds {number} tokens; the model has a vocabulary of {size}")
        score, length = struct.unpack_from("<fi", data, place)
        tokens.append((score, data[place + 8 : place + 8 + length].decode("utf-8")))
        place += 8 + length
    return tokens


def read_tokenizer(path: Path, size: int, context: int) -> PreTrainedTokenizerFast:
    """A tokenizer that encodes as llama2.c does: a space before the text, then the best-scored merge again and again.

    Characters that are no tokens become bytes. Padding is `<unk>`, which no text can become, so it is apart from the
    end of a sequence and costs no row of the embedding.
    """
    tokens = read_tokens(path, size)
    if size < NUM_SPECIAL + NUM_BYTES:
        raise FormatError(f"a vocabulary of {size} has no room for {NUM_SPECIAL} special tokens and {NUM_BYTES} bytes")
    special = [UNKNOWN, BOS, EOS]
    texts = special + [text for _, text in tokens[NUM_SPECIAL:]]
    model = models.BPE(
        vocab={text: number for number, text in enumerate(texts)},
        merges=_merges(tokens[NUM_SPECIAL + NUM_BYTES :]),
        unk_token=UNKNOWN,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=UNKNOWN,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def _merges(tokens: list[tuple[float, str]]) -> list[tuple[str, str]]:
    """Every pair of tokens whose text together is a token, the best-scored results first."""
    known = {text for _, text in tokens}
    by_score = sorted(tokens, key=lambda token: -token[0])
    return [
        (text[:cut], text[cut:])
        for _, text in by_score
        for cut in range(1, len(text))
        if text[:cut] in known and text[cut:] in known
    ]


def convert(checkpoint: Path, tokenizer: Path, out: Path) -> Any:
    """Write the folder; returns the model."""
    config, weights = read_checkpoint(checkpoint)
    model = LlamaForCausalLM(config)
    model.load_state_dict(weights)
    model.save_pretrained(out)
    read_tokenizer(tokenizer, config.vocab_size, config.max_position_embeddings).save_pretrained(out)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        model = convert(arguments.checkpoint, arguments.tokenizer, arguments.out)
    except (FormatError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters: {arguments.out}")  # noqa: T201


if __name__ == "__main__":
    main()
