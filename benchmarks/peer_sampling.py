"""Sampling one batch of responses with `generate` of transformers."""

from __future__ import annotations

import json
from typing import Any

import torch
from shapes import Shape
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from worker import Place, between, now, run_worker


def measure(shape: Shape, place: Place) -> dict[str, Any]:
    model = AutoModelForCausalLM.from_pretrained(place.materials / "policy", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(place.materials / "policy", padding_side="left")
    lines = (place.materials / "prompts.jsonl").read_text().splitlines()
    prompts = torch.tensor([tokenizer(json.loads(line)["text"])["input_ids"] for line in lines])
    settings = GenerationConfig(
        max_new_tokens=shape.response_tokens,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(place.seed)
    stamps, counts = [], []
    for step in range(shape.num_steps + 1):
        batch = prompts[step * shape.batch : (step + 1) * shape.batch]
        with torch.no_grad():
            found = model.generate(batch, attention_mask=torch.ones_like(batch), generation_config=settings)
        stamps.append(now())
        # Padding follows the stop token, and the policy never draws it.
        counts.append(int((found[:, shape.prompt_tokens :] != tokenizer.pad_token_id).sum()))
    return {
        **between(stamps),
        "counts": counts[1:],
        "response_tokens": sum(counts[1:]) / shape.batch / shape.num_steps,
    }


if __name__ == "__main__":
    run_worker(measure)
