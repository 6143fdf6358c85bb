"""A tiny project made on the spot: text, prompts, demonstrations, rankings, a policy and a reward model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig

from tutelage.text.tokenizers import train_tokenizer

CONTEXT = 128
NUM_PROMPTS = 120
ANIMALS = ("cat", "dog", "hen", "fox", "cow", "owl", "bee")
PLACES = ("barn", "mill", "well", "lane", "hill", "yard", "pond")
VERBS = ("sleeps", "waits", "sings", "hides", "eats")


@dataclass(frozen=True, slots=True)
class Project:
    """Paths of everything; `tokenizer` is in both model folders, too."""

    folder: Path
    tokenizer: Any

    def path(self, name: str) -> Path:
        return self.folder / name


def write_project(folder: Path) -> Project:
    """All files; the same ones every time."""
    folder.mkdir(parents=True)
    draw = Random(0)
    texts = [f"Page {i}. " + " ".join(_sentence(draw) for _ in range(draw.randint(2, 6))) for i in range(400)]
    (folder / "text.txt").write_text("".join(f"{text}\n<|endoftext|>\n" for text in texts))
    asked = [f"{i}: where is the {draw.choice(ANIMALS)}?" + " Say it." * draw.randint(0, 4) for i in range(NUM_PROMPTS)]
    _write(folder / "prompts.jsonl", [{"text": text} for text in asked])
    _write(
        folder / "demonstrations.jsonl",
        [{"prompt": text, "response": f"At the {draw.choice(PLACES)}."} for text in asked],
    )
    _write(folder / "rankings.jsonl", [_ranking(text, draw) for text in asked])
    tokenizer = train_tokenizer(texts, vocab_size=320, context_tokens=CONTEXT)
    for name in ("policy", "reward_model"):
        sharp_model(tokenizer, has_score=name == "reward_model").save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return Project(folder, tokenizer)


def _sentence(draw: Random) -> str:
    return f"The {draw.choice(ANIMALS)} {draw.choice(VERBS)} at the {draw.choice(PLACES)}."


def _ranking(prompt: str, draw: Random) -> dict[str, Any]:
    """Longer ones better."""
    completions = [{"id": f"c{k}", "text": " ".join(draw.choices(PLACES, k=k + 1))} for k in range(draw.randint(2, 5))]
    order = [[one["id"]] for one in reversed(completions)]
    draw.shuffle(completions)
    return {"prompt": prompt, "completions": completions, "ranking": order}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def sharp_model(tokenizer: Any, *, has_score: bool = False) -> Any:
    """Two heads of queries to a head of keys; weights so large that the next token is far from uniform."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    if has_score:
        config.num_labels = 1
    family = AutoModelForSequenceClassification if has_score else AutoModelForCausalLM
    torch.manual_seed(int(has_score))
    model = family.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                parameter.normal_(0.0, (3.0 if "embed" in name else 1.0) * config.hidden_size**-0.5)
    return model.eval()
