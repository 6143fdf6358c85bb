"""The converter of llama2.c checkpoints, against a forward pass and an encoder after run.c's definitions."""

from __future__ import annotations

import importlib.util
import os
import random
import struct
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from llama_reference import Shape, compute_logits, draw_tensors

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("TUTELAGE_SHARED", HERE.parent.parent / "shared")) / "data" / "fixtures"
CONTEXT = 12
PIECES = [" a", "ab", " ab", "bc", "abc", " abc", "é", "éa", " ", "a", "b", "c"]
VOCABULARY = 259 + len(PIECES)
SHAPE = Shape(vocabulary=VOCABULARY)


def _example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("convert_llama2c", HERE.parent / "examples" / "convert_llama2c.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


convert_llama2c = _example()


def _write_checkpoint(path: Path, *, is_tied: bool = True) -> dict[str, np.ndarray]:
    shapes = SHAPE.tensors(is_tied)
    head = shapes.pop("head", None)
    shapes |= {"tables": (CONTEXT, SHAPE.head)} | ({} if head is None else {"head": head})
    tensors = draw_tensors(shapes)
    header = (
        *(SHAPE.width, SHAPE.hidden, SHAPE.layers, SHAPE.heads, SHAPE.kv_heads),
        *(VOCABULARY if is_tied else -VOCABULARY, CONTEXT),
    )
    path.write_bytes(struct.pack("<7i", *header) + b"".join(tensor.tobytes() for tensor in tensors.values()))
    return tensors


def _tokens() -> list[tuple[float, str]]:
    special = ["<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256))]
    return [(0.0, text) for text in special] + [(-float(place), text) for place, text in enumerate(PIECES)]


def _write_tokens(path: Path) -> None:
    parts = [struct.pack("<i", 5)]
    for score, text in _tokens():
        parts.append(struct.pack("<fi", score, len(text.encode())) + text.encode())
    path.write_bytes(b"".join(parts))


def _encoded(text: str) -> list[int]:
    """A space, the characters (or their bytes), and then the best-scored merge of neighbours until there is none."""
    known = {piece: number for number, (_, piece) in enumerate(_tokens())}
    score = {number: score for number, (score, _) in enumerate(_tokens())}
    pieces = {number: piece for piece, number in known.items()}
    ids: list[int] = []
    for character in f" {text}" if text else "":
        ids += [known[character]] if character in known else [byte + 3 for byte in character.encode()]
    while True:
        merged = [
            (score[known[both]], -place, known[both])
            for place, (left, right) in enumerate(pairwise(ids))
            if (both := pieces[left] + pieces[right]) in known
        ]
        if not merged:
            return ids
        _, place, new = max(merged)
        ids[-place : -place + 2] = [new]


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "own head"])
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("llama2c")
    tensors = _write_checkpoint(folder / "model.bin", is_tied=request.param)
    _write_tokens(folder / "tokens.bin")
    convert_llama2c.convert(folder / "model.bin", folder / "tokens.bin", folder / "out")
    return folder / "out", tensors


def test_logits_are_those_of_the_format(converted: tuple[Path, dict]) -> None:
    folder, tensors = converted
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = [1, 260, 265, 3, 270, 269, 262, 40, 2]
    with torch.no_grad():
        found = model(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(found, compute_logits(ids, tensors, SHAPE), rtol=1e-4, atol=1e-4)


def test_encoding_is_greedy_by_score_and_round_trips(converted: tuple[Path, dict]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(converted[0])
    draws = random.Random(0)
    texts = [
        "",
        "abc",
        " abc",
        "a  b",
        "éabc ü\n<0x41> <s></s>",
        *("".join(draws.choices("abcé z", k=12)) for _ in range(80)),
    ]
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert ids == _encoded(text), text
        assert tokenizer.decode(ids) == text
    assert tokenizer("abc")["input_ids"][0] == tokenizer.bos_token_id == 1
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 0)


def test_short_files_are_refused(tmp_path: Path) -> None:
    _write_checkpoint(tmp_path / "model.bin")
    _write_tokens(tmp_path / "tokens.bin")
    whole = (tmp_path / "model.bin").read_bytes()
    for size, words in ((20, "header of 28"), (len(whole) - 4, "ends early")):
        (tmp_path / "model.bin").write_bytes(whole[:size])
        with pytest.raises(convert_llama2c.FormatError, match=words):
            convert_llama2c.read_checkpoint(tmp_path / "model.bin")
    (tmp_path / "tokens.bin").write_bytes((tmp_path / "tokens.bin").read_bytes()[:-6])
    with pytest.raises(convert_llama2c.FormatError, match="has a vocabulary of"):
        convert_llama2c.read_tokens(tmp_path / "tokens.bin", VOCABULARY)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no shared data at {SHARED}; set TUTELAGE_SHARED to use it")
def test_the_real_model_tells_a_story(tmp_path: Path) -> None:
    names = (SHARED / "stories260K.bin", SHARED / "stories260K_tokenizer.bin")
    model = convert_llama2c.convert(*names, tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ids = model.generate(torch.tensor([[1]]), max_new_tokens=60, do_sample=False)[0]
    story = tokenizer.decode(ids, skip_special_tokens=True)
    assert story.startswith(
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
    )
    assert tokenizer(story)["input_ids"] == ids.tolist()
