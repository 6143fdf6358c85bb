"""Sampling one batch of responses with our sampler."""

from __future__ import annotations

import json
from typing import Any

import torch
from shapes import Shape
from worker import Place, between, now, run_worker

from tutelage.model.loading import load_policy, load_tokenizer
from tutelage.model.sampling import SamplingSettings, sample_responses


def measure(shape: Shape, place: Place) -> dict[str, Any]:
    model, tokenizer = load_policy(place.materials / "policy"), load_tokenizer(place.materials / "policy")
    lines = (place.materials / "prompts.jsonl").read_text().splitlines()
    prompts = [tokenizer(json.loads(line)["text"])["input_ids"] for line in lines]
    settings = SamplingSettings(max_response_tokens=shape.response_tokens)
    stamps, counts = [], []
    for step in range(shape.num_steps + 1):
        sampled = sample_responses(
            model,
            prompts[step * shape.batch : (step + 1) * shape.batch],
            settings=settings,
            stop_tokens=[tokenizer.eos_token_id],
            generator=torch.Generator().manual_seed(100 * place.seed + step),
            rows_per_batch=shape.batch,
        )
        stamps.append(now())
        counts.append(sum(len(responses[0].tokens) for responses in sampled))
    return {
        **between(stamps),
        "counts": counts[1:],
        "response_tokens": sum(counts[1:]) / shape.batch / shape.num_steps,
    }


if __name__ == "__main__":
    run_worker(measure)
