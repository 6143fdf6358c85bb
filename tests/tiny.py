"""Models, a tokenizer and records small enough to be made on the spot; nothing heavy is imported before it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

CONTEXT = 96
TEXT = {"max_prompt_tokens": 40, "max_response_tokens": 24}
ANIMALS = ("cat", "dog", "hen", "fox", "cow", "owl")
PLACES = ("barn", "mill", "well", "lane", "hill", "yard")
VERBS = ("sleeps", "waits", "sings", "hides")


def documents(number: int, seed: int = 0) -> list[str]:
    """Different documents of two to five short sentences."""
    rng = Random(seed)
    return [f"Page {i}. " + " ".join(_sentence(rng) for _ in range(rng.randint(2, 5))) for i in range(number)]


def _sentence(rng: Random) -> str:
    return f"The {rng.choice(ANIMALS)} {rng.choice(VERBS)} at the {rng.choice(PLACES)}."


def prompt_rows(number: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = Random(seed)
    return [{"text": f"{i}: where is the {rng.choice(ANIMALS)}?", "user_id": f"u{i % 7}"} for i in range(number)]


def demonstration_rows(number: int, seed: int = 2) -> list[dict[str, Any]]:
    rng = Random(seed)
    return [
        {"prompt": f"{i}: where is the {rng.choice(ANIMALS)}?", "response": f"At the {rng.choice(PLACES)}."}
        for i in range(number)
    ]


def ranking_rows(number: int, seed: int = 3) -> list[dict[str, Any]]:
    """Rankings of 2 to 5 completions, longer ones better, with a tie here and there."""
    rng = Random(seed)
    rows = []
    for i in range(number):
        size = rng.randint(2, 5)
        completions = [
            {"id": f"c{k}", "text": " ".join(rng.choices(PLACES, k=k + 1)), "policy": "tiny"} for k in range(size)
        ]
        ranking = [[f"c{k}"] for k in reversed(range(size))]
        if size > 3:
            ranking[:2] = [ranking[0] + ranking[1]]
        rng.shuffle(completions)
        prompt = f"{i}: where is the {rng.choice(ANIMALS)}?"
        rows.append({"prompt": prompt, "completions": completions, "ranking": ranking, "labeler_id": f"l{i % 3}"})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def config_of(family: str, vocab_size: int = 64, **others: Any) -> Any:
    """A configuration of a few thousand weights of one Hugging Face family."""
    from transformers import AutoConfig

    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": CONTEXT}
    shape |= {"vocab_size": vocab_size, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    if family == "gpt2":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT, "vocab_size": vocab_size}
        shape |= {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
        shape |= dict.fromkeys(("resid_pdrop", "attn_pdrop", "embd_pdrop"), 0.0)
    elif family == "opt":
        shape |= {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0}
    elif family == "gpt_neox":
        shape |= {"intermediate_size": 48}
    else:
        shape |= {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
    return AutoConfig.for_model(family, **{**shape, **others})


def model_of(config: Any, *, has_score: bool = False, seed: int = 0) -> Any:
    """A model with weights large enough that every part of it shows in its outputs."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    torch.set_num_threads(1)
    family = AutoModelForSequenceClassification if has_score else AutoModelForCausalLM
    if has_score:
        config.num_labels = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.from_config(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim >= 2:
                    parameter.normal_(0.0, 0.15)
                elif "norm" not in name and "ln" not in name:
                    parameter.normal_(0.0, 0.1)
    return model.eval()


@dataclass(frozen=True, slots=True)
class Tiny:
    """Files of a tiny project: model folders and data, made once and only read by tests."""

    folder: Path
    policy: Path
    reward_model: Path
    text: Path
    prompts: Path
    demonstrations: Path
    rankings: Path


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Byte-level BPE of 320 tokens; end of text 0, padding 1."""
    from tutelage.text.tokenizers import train_tokenizer

    return train_tokenizer(documents(60), vocab_size=320, context_tokens=CONTEXT)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    policy, reward_model = folder / "policy", folder / "reward_model"
    vocab_size = len(tokenizer)
    model_of(config_of("llama", vocab_size, tie_word_embeddings=True)).save_pretrained(policy)
    model_of(config_of("llama", vocab_size), has_score=True, seed=1).save_pretrained(reward_model)
    for path in (policy, reward_model):
        tokenizer.save_pretrained(path)
    text = folder / "text.txt"
    text.write_text("".join(f"{document}\n<|endoftext|>\n" for document in documents(300)), encoding="utf-8")
    return Tiny(
        folder,
        policy,
        reward_model,
        text,
        write_rows(folder / "prompts.jsonl", prompt_rows(12)),
        write_rows(folder / "demonstrations.jsonl", demonstration_rows(40)),
        write_rows(folder / "rankings.jsonl", ranking_rows(40)),
    )


@pytest.fixture
def encoded(tiny: Tiny) -> Callable[[list[dict[str, Any]]], Any]:
    """Makes groups of tokens of rows of rankings, as the reward model and DPO read them."""
    from tutelage.model.loading import load_tokenizer
    from tutelage.records import Ranking
    from tutelage.text.render import Renderer
    from tutelage.training.config import TextConfig
    from tutelage.training.data import LengthLimits, SkippedRecords, encode_rankings

    renderer = Renderer(tokenizer=load_tokenizer(tiny.policy))

    def encoded(rows: list[dict[str, Any]]) -> Any:
        limits = LengthLimits(text=TextConfig(**TEXT), context=CONTEXT, left_out=SkippedRecords(skip_bad=False))
        return encode_rankings([Ranking.model_validate(row) for row in rows], renderer, limits)

    return encoded


def gradients_of_term(term: Any, config: Any) -> dict[str, float]:
    """Accumulate the gradients of one term of an objective, as the training loop does; returns its means."""
    import torch

    from tutelage.training.loop import accumulate_gradients
    from tutelage.training.processes import Processes

    limit, device = config.tokens_per_microbatch, torch.device("cpu")
    return accumulate_gradients(term, tokens_per_microbatch=limit, device=device, processes=Processes())
