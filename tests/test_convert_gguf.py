"""The converter of GGUF files, on tiny files written here, against llama.cpp's definitions in NumPy."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from llama_reference import Shape, Tensors, compute_logits, draw_tensors

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf", reason="the package gguf, which writes the test files, is not installed")

SCRIPT = Path(__file__).parent.parent / "examples" / "convert_gguf.py"
MERGES = ["1 2", "12 3", "i n", "Ġ in", "a t"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
# A block of Q8_0 is 32 values of a row.
SHAPE = Shape(width=64, hidden=96, vocabulary=len(SPECIAL) + 256 + len(MERGES), base=50000.0)
CONTEXT = 24
NAMES = {
    "embedding": "token_embd",
    "norm": "output_norm",
    "head": "output",
    "attention_norm": "blk.{}.attn_norm",
    "q": "blk.{}.attn_q",
    "k": "blk.{}.attn_k",
    "v": "blk.{}.attn_v",
    "o": "blk.{}.attn_output",
    "feed_forward_norm": "blk.{}.ffn_norm",
    "w1": "blk.{}.ffn_gate",
    "w2": "blk.{}.ffn_down",
    "w3": "blk.{}.ffn_up",
}


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("convert_gguf", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


convert_gguf = _example()


def _byte_alphabet() -> list[str]:
    """GPT-2's character for each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in seen else chr(next(others)) for byte in range(256)]


def _add_model(writer: Any) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_block_count(SHAPE.layers)
    writer.add_embedding_length(SHAPE.width)
    writer.add_feed_forward_length(SHAPE.hidden)
    writer.add_head_count(SHAPE.heads)
    writer.add_head_count_kv(SHAPE.kv_heads)
    writer.add_rope_freq_base(SHAPE.base)
    writer.add_rope_dimension_count(SHAPE.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(SHAPE.vocabulary)


def _add_tokenizer(writer: Any, split: str) -> None:
    tokens = [*SPECIAL, *_byte_alphabet(), *(merge.replace(" ", "") for merge in MERGES)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _tensors(is_tied: bool = True) -> Tensors:
    return draw_tensors(SHAPE.tensors(is_tied))


def _write(
    path: Path,
    tensors: Tensors,
    *,
    arch: str = "llama",
    split: str = "smollm",
    without: str = "",
    change: Callable[[Any], None] = lambda writer: None,
) -> Path:
    """A GGUF file of these tensors, the matrices of the layers in blocks of 8 bits (and `tensors` made what they say).

    `without`: a tensor left out; `change`: what else is written.
    """
    writer = gguf.GGUFWriter(path, arch)
    _add_model(writer)
    _add_tokenizer(writer, split)
    change(writer)
    for name, stack in tensors.items():
        is_of_layers = "{}" in NAMES[name]
        for layer, tensor in enumerate(stack if is_of_layers else stack[None]):
            own_name = f"{NAMES[name].format(layer)}.weight"
            if own_name == without:
                continue
            if is_of_layers and tensor.ndim == 2:
                kind = gguf.GGMLQuantizationType.Q8_0
                blocks = gguf.quants.quantize(tensor, kind)
                stack[layer] = gguf.quants.dequantize(blocks, kind)
                writer.add_tensor(own_name, blocks, raw_dtype=kind)
            else:
                writer.add_tensor(own_name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "own head"])
def test_logits_are_those_of_the_file(tmp_path: Path, is_tied: bool) -> None:
    tensors = _tensors(is_tied)
    convert_gguf.convert(_write(tmp_path / "tiny.gguf", tensors), tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = [1, 40, 41, 42, 7, 9, 200, 263, 3, 3, 2]
    with torch.no_grad():
        found = model(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(found, compute_logits(ids, tensors, SHAPE), rtol=2e-3, atol=2e-3)
    assert not hasattr(model.config, "quantization_config")
    assert model.dtype == torch.float32
    assert model.config.max_position_embeddings == CONTEXT


def _pieces(folder: Path, text: str) -> list[str]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    return tokenizer.convert_ids_to_tokens(ids)


def test_digits_stand_alone_where_the_file_says_so(tmp_path: Path) -> None:
    """The vocabulary holds 12 and 123; `smollm` cuts digits before any merge, GPT-2's split does not."""
    convert_gguf.convert(_write(tmp_path / "a.gguf", _tensors(), split="smollm"), tmp_path / "smollm")
    convert_gguf.convert(_write(tmp_path / "b.gguf", _tensors(), split="gpt-2"), tmp_path / "gpt2")
    assert _pieces(tmp_path / "smollm", "in 123 at 12") == ["in", "Ġ", *"123", "Ġ", "at", "Ġ", *"12"]
    assert _pieces(tmp_path / "gpt2", "in 123 at 12") == ["in", "Ġ", "123", "Ġ", "at", "Ġ", "12"]


def test_template_special_tokens_and_stops_are_kept(tmp_path: Path) -> None:
    """A turn's own end (`eot`) is a stop beside the end of the sequence."""
    path = _write(tmp_path / "tiny.gguf", _tensors(), change=lambda writer: writer.add_eot_token_id(0))
    convert_gguf.convert(path, tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    turns = [{"role": "user", "content": "in"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<|im_start|>user\nin<|im_end|>\n"
    assert tokenizer("<|im_end|>")["input_ids"] == [2]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (1, 2, 0)
    generation = transformers.GenerationConfig.from_pretrained(tmp_path / "out")
    assert generation.eos_token_id == [2, 0]
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)


def _with_extra(writer: Any) -> None:
    writer.add_tensor("blk.0.attn_q.bias", np.ones(SHAPE.width, dtype=np.float32))


@pytest.mark.parametrize(
    ("writing", "words"),
    [
        ({"arch": "rwkv7"}, "architecture 'rwkv7', which transformers does not read"),
        ({"arch": "t5"}, "architecture 't5', which transformers does not read"),
        ({"without": "blk.1.ffn_up.weight"}, r"lacks 1 of the model's weights \(model.layers.1.mlp.up_proj.weight\)"),
        ({"change": lambda writer: writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)}, "rotary positions .yarn"),
        (
            {"change": lambda writer: writer.add_tensor("rope_freqs.weight", np.ones(8, dtype=np.float32))},
            "rotary positions .rope_freqs.weight",
        ),
        ({"change": _with_extra}, "a LlamaForCausalLM has place for"),
        ({"split": "chatglm-bpe"}, "splits text before its merges as 'chatglm-bpe'"),
    ],
    ids=["architecture", "encoder-decoder", "missing", "yarn", "table", "unread", "split"],
)
def test_what_cannot_be_converted_faithfully_is_refused(tmp_path: Path, writing: dict[str, Any], words: str) -> None:
    path = _write(tmp_path / "tiny.gguf", _tensors(), **writing)
    with pytest.raises(convert_gguf.FormatError, match=words):
        convert_gguf.convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_cut_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    whole = _write(tmp_path / "tiny.gguf", _tensors()).read_bytes()
    for size in (30, 2000, len(whole) // 2, len(whole) - 8):
        (tmp_path / "cut.gguf").write_bytes(whole[:size])
        with pytest.raises(convert_gguf.FormatError, match=r"cut\.gguf is cut or damaged"):
            convert_gguf.convert(tmp_path / "cut.gguf", tmp_path / "out")
    (tmp_path / "other.gguf").write_bytes(b"PK\x03\x04" + whole[4:])
    with pytest.raises(convert_gguf.FormatError, match="does not begin with the four bytes GGUF"):
        convert_gguf.convert(tmp_path / "other.gguf", tmp_path / "out")


def test_the_command_says_one_line_and_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    (tmp_path / "text.gguf").write_text("no model")

    def run(*names: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), *(str(tmp_path / name) for name in names)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for names, words in (
        (("text.gguf", "new"), "is no GGUF file"),
        (("absent.gguf", "new"), "No such file"),
        (("text.gguf", "out"), "is there already"),
    ):
        done = run(*names)
        assert done.returncode == 2
        assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
