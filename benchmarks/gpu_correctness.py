"""Whether the device gives the numbers that are the model's own, and whether a stopped run ends where another does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu_data import Project, write_project
from gpu_world import Report, World
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tutelage.errors import Stopped
from tutelage.model.generator import group_responses
from tutelage.model.packing import Group, pack
from tutelage.model.policy import Policy, ScoreModel, ValueModel
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.training.config import PPOConfig, SFTConfig
from tutelage.training.ppo import ppo
from tutelage.training.rollout import MAX_DRIFT
from tutelage.training.sft import sft
from tutelage.training.stage import TrainingRun

# Nats, or units of the score. Rounding in float32 makes a hundredth of it; wrong attention a hundred times as much.
TOLERANCE = 1e-3
TEXT = {"max_prompt_tokens": 64, "max_response_tokens": 16}


def correctness(world: World, report: Report, _: str) -> None:
    """All checks, the most telling first."""
    project = write_project(world.scratch / "project")
    _packed_against_plain(world, report, project)
    _sampled_against_recomputed(world, report, project)
    _step_zero(world, report, project)
    _resume(world, report, project, "sft")
    _resume(world, report, project, "ppo")


def _packed_against_plain(world: World, report: Report, project: Project) -> None:
    """Packed float32 against plain transformers in its `eager` attention, one padded batch; values, scores, gradients.

    One response to each prompt, and several: the two layouts of attention differ.
    """
    generator = torch.Generator().manual_seed(3)
    for what, counts in (("one response", [1] * 6), ("several responses", [3, 1, 4, 2])):
        groups = [
            Group(
                prompt=_tokens(generator, 5 + 7 * i), responses=[_tokens(generator, 3 + 5 * k + i) for k in range(own)]
            )
            for i, own in enumerate(counts)
        ]
        found = {dtype: _packed(world, project, groups, dtype) for dtype in ("float32", "bfloat16")}
        expected = _plain(world, project, groups)
        for name in expected:
            distance = (found["float32"][name] - expected[name]).abs()
            scale = float(expected[name].abs().max()) if "gradient" in name else 1.0
            report.check(f"{name}, {what}: packed - plain, largest", float(distance.max()) / scale, limit=TOLERANCE)
        drift = (found["bfloat16"]["log-probabilities"] - expected["log-probabilities"]).abs()
        report.check(
            f"log-probabilities, {what}: bfloat16 - float32, mean", float(drift.mean()), limit=MAX_DRIFT["bfloat16"]
        )


def _tokens(generator: torch.Generator, number: int) -> list[int]:
    tokens: list[int] = torch.randint(2, 320, (number,), generator=generator).tolist()
    return tokens


def _packed(world: World, project: Project, groups: Sequence[Group], dtype: str) -> dict[str, Tensor]:
    batch = pack(groups, device=world.device)
    policy = Policy.load(project.path("policy"), device=world.device, dtype=dtype)
    scores = ScoreModel.load(project.path("reward_model"), device=world.device, dtype=dtype)
    values = ValueModel.load(project.path("reward_model"), device=world.device, dtype=dtype)
    logprobs = policy(batch).logprobs
    logprobs.sum().backward()
    values_found = values(batch)
    values_found.sum().backward()
    return {
        "log-probabilities": logprobs.detach(),
        "values": values_found.detach(),
        "scores": scores(batch).detach(),
        "gradient of the policy": _gradient(policy.model),
        "gradient of the value model": _gradient(values.model),
    }


def _gradient(model: torch.nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def _plain(world: World, project: Project, groups: Sequence[Group]) -> dict[str, Tensor]:
    """The same numbers from plain transformers, every response in a right-padded row of its own."""
    rows = [[*group.prompt, *response] for group in groups for response in group.responses]
    starts = [len(group.prompt) for group in groups for _ in group.responses]
    width = max(map(len, rows))
    tokens = torch.tensor([[*row, *[1] * (width - len(row))] for row in rows], device=world.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=world.device)
    load = {"attn_implementation": "eager", "dtype": torch.float32}
    policy = AutoModelForCausalLM.from_pretrained(project.path("policy"), **load).to(world.device).eval()
    scored = AutoModelForSequenceClassification.from_pretrained(project.path("reward_model"), **load)
    scored = scored.to(world.device).eval()
    logits = policy(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    logprobs = torch.log_softmax(logits[:, :-1], -1).gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    states = scored.model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
    outputs = scored.score(states).squeeze(-1)
    spans = [(i, start - 1, len(row) - 1) for i, (start, row) in enumerate(zip(starts, rows, strict=True))]
    own_logprobs = torch.cat([logprobs[i, first:last] for i, first, last in spans])
    own_values = torch.cat([outputs[i, first:last] for i, first, last in spans])
    own_logprobs.sum().backward()
    own_values.sum().backward()
    return {
        "log-probabilities": own_logprobs.detach(),
        "values": own_values.detach(),
        "scores": torch.stack([outputs[i, last] for i, _, last in spans]).detach(),
        "gradient of the policy": _gradient(policy),
        "gradient of the value model": _gradient(scored),
    }


def _sampled_against_recomputed(world: World, report: Report, project: Project) -> None:
    """What the sampler said of its tokens against one packed reading of them. Many stop tokens, so that rows leave."""
    generator = torch.Generator().manual_seed(4)
    prompts = [_tokens(generator, 4 + 3 * i) for i in range(12)]
    for dtype, limit in MAX_DRIFT.items():
        policy = Policy.load(project.path("policy"), device=world.device, dtype=dtype)
        sampled = sample_responses(
            policy.model,
            prompts,
            settings=SamplingSettings(max_response_tokens=48),
            stop_tokens=list(range(0, 320, 16)),
            generator=torch.Generator().manual_seed(5),
            num_responses=3,
        )
        with torch.no_grad():
            read = policy(pack(group_responses(prompts, sampled), device=world.device)).logprobs
        told = torch.tensor([x for own in sampled for one in own for x in one.logprobs], device=world.device)
        distance = (told - read).abs()
        found = float(distance.max() if dtype == "float32" else distance.mean())
        which = "largest" if dtype == "float32" else "mean"
        report.check(f"sampled - recomputed log-probability, {dtype}, {which}", found, limit=limit)
        lengths = {len(one.tokens) for own in sampled for one in own}
        report.check(f"sampled, {dtype}: responses all of one length", float(len(lengths) == 1), limit=0.0)


def _ppo_settings(world: World, project: Project, out: Path, **others: Any) -> PPOConfig:
    optimizer = {"learning_rate": 1e-4, "schedule": "constant"}
    return PPOConfig.model_validate(
        {
            "out": out,
            "device": str(world.device),
            "policy": project.path("policy"),
            "reward_model": project.path("reward_model"),
            "prompts": project.path("prompts.jsonl"),
            "text": TEXT,
            "tokens_per_microbatch": 400,
            "num_episodes": 16,
            "episodes_per_step": 16,
            "episodes_per_minibatch": 16,
            "ptx": {"coef": 0.0},
            "policy_optimizer": optimizer,
            "value_optimizer": optimizer,
            **others,
        }
    )


def _step_zero(world: World, report: Report, project: Project) -> None:
    """Before its first update the policy is its reference and what sampled: ratio 1 and KL 0, to the bit."""
    for name, others in (
        ("float32", {}),
        ("bfloat16", {"dtype": "bfloat16"}),
        ("bfloat16, LoRA", {"dtype": "bfloat16", "lora": {"rank": 4}}),
    ):
        out = world.scratch / f"step-zero {name}"
        ppo(_ppo_settings(world, project, out, **others))
        row = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
        report.check(f"step 0, {name}: |ratio - 1|", abs(row["ppo/ratio"] - 1.0), limit=0.0)
        report.check(f"step 0, {name}: |KL to the reference|", abs(row["ppo/kl_to_reference"]), limit=0.0)
        report.check(f"step 0, {name}: KL to the old policy", abs(row["ppo/kl_to_old_policy"]), limit=0.0)


def _resume(world: World, report: Report, project: Project, stage: str) -> None:
    """A run that is stopped and resumed against one that is not, beside two that are not: what the device repeats.

    Each is a share of the largest way that a weight has gone. On a CPU both are 0.
    """
    ends = {name: _trained(world, project, stage, f"{stage}-{name}") for name in ("whole", "again")}
    with _stop_at(3):
        try:
            _trained(world, project, stage, f"{stage}-stopped")
        except Stopped as stopped:
            print(stopped)
    ends["stopped"] = _trained(world, project, stage, f"{stage}-stopped", resume=True)
    start = load_file(project.path("policy") / "model.safetensors")
    moved = _distance(ends["whole"], start)
    assert moved > 0, "the run has not changed its model"
    limit = 0.0 if world.device.type == "cpu" else 0.05
    report.check(
        f"{stage}: run twice, difference / movement", _distance(ends["whole"], ends["again"]) / moved, limit=limit
    )
    resumed = _distance(ends["whole"], ends["stopped"]) / moved
    report.check(f"{stage}: stopped and resumed, difference / movement", resumed, limit=limit)


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def _trained(world: World, project: Project, stage: str, name: str, *, resume: bool = False) -> dict[str, Tensor]:
    out = world.scratch / name
    if stage == "ppo":
        settings = _ppo_settings(
            world,
            project,
            out,
            num_episodes=80,
            episodes_per_minibatch=8,
            checkpoint_every_num_steps=1,
            ptx={"text": project.path("text.txt"), "context_tokens": 64, "sequences_per_episode": 1},
        )
        ppo(settings, resume=resume)
    else:
        settings_of_sft = {
            "out": out,
            "device": str(world.device),
            "model": project.path("policy"),
            "demonstrations": project.path("demonstrations.jsonl"),
            "text": TEXT,
            "num_epochs": 1,
            "demonstrations_per_step": 16,
            "tokens_per_microbatch": 400,
            "checkpoint_every_num_steps": 1,
            "should_select_checkpoint": False,
            "optimizer": {"learning_rate": 1e-4},
        }
        sft(SFTConfig.model_validate(settings_of_sft), resume=resume)
    return load_file(out / "model" / "model.safetensors")


@contextmanager
def _stop_at(step: int) -> Iterator[None]:
    """Ctrl-C in the middle of a step: as soon as its metrics are written, before it is saved."""
    log = TrainingRun.log

    def interrupted(stage: TrainingRun, number: int, metrics: Mapping[str, float]) -> None:
        log(stage, number, metrics)
        if number == step:
            raise KeyboardInterrupt

    TrainingRun.log = interrupted  # type: ignore[method-assign]
    try:
        yield
    finally:
        TrainingRun.log = log  # type: ignore[method-assign]
