"""A GGUF file as a folder that transformers and every verb of Tutelage load: weights, tokenizer, chat template, stops.

    python examples/convert_gguf.py SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2-135m-instruct
    tutelage chat models/smollm2-135m-instruct

transformers reads the file (it needs the packages gguf and accelerate). What it would read wrongly without a word is
mended here where the file says how, and refused where it does not: the split of text before the merges, rotary
positions, weights that the file lacks or that no weight of the model stands for.
"""

from __future__ import annotations

import argparse
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

# `tokenizer.ggml.pre` names how text is split before the merges (llama.cpp, src/llama-vocab.cpp). transformers splits
# what it has no entry for as GPT-2 does; these are split so, and each digit alone.
DIGITS_ALONE = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"}
AS_GPT2 = {"gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais"}
# The end of a sequence, and the further tokens at which a model may stop: end of a turn, of a message.
STOPS = ("eos_token_id", "eot_token_id", "eom_token_id")
NOT_SCALED = ("none", "default")


class FormatError(ValueError):
    """A file that is not what its name promises, or that cannot be converted faithfully."""


class GGUFFile:
    """What a GGUF file says, and the names and sizes of its tensors. Raises `FormatError` for a cut or other file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise FormatError(f"{path} is no GGUF file: it does not begin with the four bytes GGUF")
        try:
            reader = GGUFReader(path)
            self.said: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
        except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
            raise FormatError(
                f"{path} is cut or damaged: its {path.stat().st_size:,} bytes end before its contents do, or are not "
                f"in order ({error}); fetch it again"
            ) from error
        self.path = path
        self.num_values = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
        if "general.architecture" not in self.said:
            raise FormatError(f"{path} does not name its architecture (key general.architecture)")
        self.architecture = str(self.said["general.architecture"])

    def of_model(self, key: str) -> Any:
        """What the file says of its own architecture's `key`; None where it says nothing."""
        return self.said.get(f"{self.architecture}.{key}")

    def of_tokenizer(self, key: str) -> Any:
        return self.said.get(f"tokenizer.ggml.{key}")


def read_model(file: GGUFFile) -> Any:
    """The model in float32, its weights in a fresh one of the same class that knows nothing of quantization."""
    _require_plain_rotary(file)
    where: dict[str, Any] = {
        "pretrained_model_name_or_path": file.path.parent,
        "gguf_file": file.path.name,
    }
    try:
        config = AutoConfig.from_pretrained(**where)
        read, info = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, output_loading_info=True)
    except (ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise FormatError(
            f"{file.path} holds a model of the architecture {file.architecture!r}, which transformers does not read "
            f"from GGUF as a causal language model ({' '.join(str(error).split())[:300]}); get the model's own folder"
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise FormatError(
            f"{file.path} lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}), which would be "
            "random; it is incomplete, or written by a program that names them otherwise"
        )
    _require_all_read(file, read)
    _require_same_rotary(file, config)
    config.dtype = torch.float32
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict())
    return model.eval()


def _require_plain_rotary(file: GGUFFile) -> None:
    """transformers reads no scaling of rotary positions from GGUF; without it the model is another one."""
    kind = file.of_model("rope.scaling.type")
    tables = [name for name in file.num_values if name.startswith(("rope_freqs", "rope_factors"))]
    if tables or (kind is not None and kind not in NOT_SCALED):
        raise FormatError(
            f"{file.path} scales its rotary positions ({tables[0] if tables else kind}), which transformers does not "
            "read from GGUF; the model would be another one. Get the model's own folder"
        )


def _require_all_read(file: GGUFFile, model: Any) -> None:
    """Every value of the file is in the model: what transformers has no place for, it leaves out without a word."""
    held = {tensor.data_ptr(): tensor.numel() for tensor in model.state_dict().values()}
    in_file, in_model = sum(file.num_values.values()), sum(held.values())
    if in_file != in_model:
        raise FormatError(
            f"{file.path} holds {in_file:,} values, but a {type(model).__name__} has place for {in_model:,}: the file "
            f"is of a variant of {file.architecture!r} that transformers does not read. Get the model's own folder"
        )


def _require_same_rotary(file: GGUFFile, config: Any) -> None:
    """The base and the number of turned dimensions are those of the file, not defaults of the class."""
    parameters = getattr(config, "rope_parameters", None) or {}
    if parameters and "rope_theta" not in parameters:  # one set a kind of layer; the file speaks of full attention
        parameters = parameters.get("full_attention") or {}
    base = file.of_model("rope.freq_base")
    if base is not None and parameters and not math.isclose(base, parameters["rope_theta"], rel_tol=1e-6):
        raise FormatError(f"{file.path} has a rotary base of {base}; transformers reads {parameters['rope_theta']}")
    turned = file.of_model("rope.dimension_count")
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    share = parameters.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", 1.0))
    if turned is not None and parameters and turned != int(head * share):
        raise FormatError(f"{file.path} turns {turned} dimensions of a head; transformers turns {int(head * share)}")


def read_tokenizer(file: GGUFFile) -> Any:
    """The tokenizer with its chat template; raises `FormatError` where it would split text otherwise than the file."""
    split, kind = file.of_tokenizer("pre"), file.of_tokenizer("model")
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.path.parent, gguf_file=file.path.name)
    except (ValueError, KeyError) as error:
        raise FormatError(f"{file.path} has a tokenizer {kind!r} that transformers does not read ({error})") from error
    if kind == "gpt2":
        _restore_split(file, tokenizer, split)
    elif kind == "llama" and file.of_tokenizer("add_space_prefix") is False and "gemma" not in file.architecture:
        raise FormatError(f"{file.path} puts no space before a text, which transformers does not read from GGUF")
    if (context := file.of_model("context_length")) is not None:
        tokenizer.model_max_length = int(context)
    return tokenizer


def _restore_split(file: GGUFFile, tokenizer: Any, split: str | None) -> None:
    if split in DIGITS_ALONE:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif split is not None and split not in AS_GPT2 and not _is_split_by_transformers(split):
        raise FormatError(
            f"{file.path} splits text before its merges as {split!r} does, which transformers does not know; its "
            "tokens would be others. Get the tokenizer's own files"
        )


def _is_split_by_transformers(split: str) -> bool:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    return split in GGUF_PRE_TOKENIZER_SPLITS


def name_tokens(file: GGUFFile, model: Any, tokenizer: Any) -> None:
    """Beginning, padding and stops as the file has them, in the configuration and for generation."""
    stops = list(dict.fromkeys(int(stop) for key in STOPS if (stop := file.of_tokenizer(key)) is not None))
    if not stops:
        raise FormatError(f"{file.path} names no token that ends a response (key tokenizer.ggml.eos_token_id)")
    config = model.config
    config.bos_token_id, config.pad_token_id = file.of_tokenizer("bos_token_id"), tokenizer.pad_token_id
    config.eos_token_id = stops[0]
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        pad_token_id=config.pad_token_id,
        eos_token_id=stops if len(stops) > 1 else stops[0],
    )


def convert(path: Path, out: Path) -> Any:
    """Write the folder `out`, whole or not at all; returns the model."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FormatError(f"{out} is there already; name another folder, or remove it")
    file = GGUFFile(path)
    model, tokenizer = read_model(file), read_tokenizer(file)
    name_tokens(file, model, tokenizer)
    unfinished = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.replace(out)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        model = convert(arguments.file, arguments.out)
    except (FormatError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters: {arguments.out}")  # noqa: T201


if __name__ == "__main__":
    main()
