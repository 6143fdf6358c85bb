"""One run of TRL's RewardTrainer on all comparisons of the same rankings, as many rankings a step as ours."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import torch
from datasets import Dataset
from peer_steps import StepEnds, shared_settings
from shapes import Shape
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer
from worker import Place, between, run_worker


def measure(shape: Shape, place: Place) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(place.materials / "reward")
    rankings = [json.loads(line) for line in (place.materials / "rankings.jsonl").read_text().splitlines()]
    pairs_per_step = shape.batch * shape.completions * (shape.completions - 1) // 2
    micro_batch = min(shape.peer_pairs, pairs_per_step)
    assert pairs_per_step % micro_batch == 0, "the peer's step must be whole micro-batches"
    ends = StepEnds()
    trainer = RewardTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(
            place.materials / "reward", num_labels=1, dtype=torch.float32
        ),
        args=RewardConfig(
            **shared_settings(place),
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=pairs_per_step // micro_batch,
            max_steps=shape.num_steps + 1,
            logging_steps=1,
            max_length=None,
        ),
        train_dataset=Dataset.from_list([pair for ranking in rankings for pair in _pairs(ranking, tokenizer)]),
        processing_class=tokenizer,
        callbacks=[ends],
    )
    trainer.train()
    return {**between(ends.stamps), "count": shape.batch}


def _pairs(ranking: dict[str, Any], tokenizer: Any) -> list[dict[str, list[int]]]:
    prompt = tokenizer(ranking["prompt"])["input_ids"]
    sequences = [
        prompt + tokenizer(completion["text"])["input_ids"] + [tokenizer.eos_token_id]
        for completion in ranking["completions"]
    ]
    return [{"chosen_ids": chosen, "rejected_ids": rejected} for chosen, rejected in combinations(sequences, 2)]


if __name__ == "__main__":
    run_worker(measure)
