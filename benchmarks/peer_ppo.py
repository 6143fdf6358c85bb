"""One PPO run of TRL 1.12.0 on the same models, prompts, batch and minibatches."""

from __future__ import annotations

import json
from statistics import mean
from typing import Any

import torch
import trl.experimental.ppo.ppo_trainer as peer
from datasets import Dataset
from peer_steps import StepEnds, shared_settings
from shapes import Shape
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl.experimental.ppo import PPOConfig, PPOTrainer
from worker import Place, between, run_worker


def measure(shape: Shape, place: Place) -> dict[str, Any]:
    lengths = _count_lengths(stop_token=0)
    tokenizer = AutoTokenizer.from_pretrained(place.materials / "policy", padding_side="left")
    lines = (place.materials / "prompts.jsonl").read_text().splitlines()
    prompts = Dataset.from_list([{"input_ids": tokenizer(json.loads(line)["text"])["input_ids"]} for line in lines])
    ends = StepEnds()
    trainer = PPOTrainer(
        args=_settings(shape, place),
        processing_class=tokenizer,
        model=AutoModelForCausalLM.from_pretrained(place.materials / "policy", dtype=torch.float32),
        ref_model=AutoModelForCausalLM.from_pretrained(place.materials / "policy", dtype=torch.float32),
        reward_model=_scalar_model(place),
        value_model=_scalar_model(place),
        train_dataset=prompts,
        eval_dataset=prompts,
        callbacks=[ends],
    )
    trainer.train()
    return {**between(ends.stamps), "count": shape.batch, "response_tokens": mean(lengths[1:])}


def _settings(shape: Shape, place: Place) -> PPOConfig:
    # One micro-batch a minibatch, and a rollout in one batch: the fastest that its options allow here. With gradient
    # accumulation its optimizer would step once per batch, not once per minibatch.
    return PPOConfig(
        **shared_settings(place),
        per_device_train_batch_size=shape.batch,
        gradient_accumulation_steps=1,
        num_mini_batches=shape.batch // shape.minibatch,
        local_rollout_forward_batch_size=shape.batch,
        num_ppo_epochs=1,
        total_episodes=shape.batch * (shape.num_steps + 1),
        response_length=shape.response_tokens,
        temperature=1.0,
        kl_coef=0.02,
        stop_token="eos",
        missing_eos_penalty=None,
        num_sample_generations=0,
    )


def _scalar_model(place: Place) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(
        place.materials / "reward", num_labels=1, dtype=torch.float32
    )


def _count_lengths(stop_token: int) -> list[float]:
    """Mean response length of each rollout, stop token included."""
    lengths: list[float] = []
    truncate = peer.truncate_response

    def counted(stop: int, pad: int, responses: torch.Tensor) -> torch.Tensor:
        is_stop = responses == stop_token
        first = torch.where(is_stop.any(1), is_stop.int().argmax(1) + 1, responses.shape[1])
        lengths.append(float(first.float().mean()))
        return truncate(stop, pad, responses)

    peer.truncate_response = counted
    return lengths


if __name__ == "__main__":
    run_worker(measure)
