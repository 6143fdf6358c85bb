"""What stands in for the peers where TRL is missing: `generate`, and PPO on padded rows with plain transformers.

Both import nothing from the package but its device and its configuration's numbers. Plain PPO is written as TRL's
trainer computes: every row padded to one length, logits of all response tokens, four models, float32 weights under
autocast.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from gpu_speed import episodes, microbatch_tokens, ppo_flop, report_sampling, sampling_lengths
from gpu_world import ModelShape, Report, World, random_model, random_tokens
from materials import PAD
from torch import Tensor
from transformers import GenerationConfig

from tutelage.model.packing import Group


def _generated(model: Any, prompts: Tensor, num_tokens: int) -> Tensor:
    """Whole rows; nothing ends before the limit."""
    settings = GenerationConfig(
        max_new_tokens=num_tokens,
        min_new_tokens=num_tokens,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=None,
        pad_token_id=PAD,
    )
    with torch.no_grad():
        found: Tensor = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=settings)
    return found


def generate(world: World, report: Report, name: str) -> None:
    """`generate` of transformers on weights in bfloat16, at the rows and lengths of our sampling."""
    shape = world.shape(name)
    model = random_model(world, shape, dtype=getattr(torch, world.dtype))
    for num_rows in world.row_counts:
        prompt_tokens, response_tokens = sampling_lengths(world, shape, num_rows)
        prompts = torch.tensor(random_tokens(shape, num_rows, prompt_tokens, seed=num_rows), device=world.device)
        _generated(model, prompts, 4)
        world.forget_peak()
        prefill = world.seconds(lambda prompts=prompts: _generated(model, prompts, 1))
        seconds = world.seconds(
            lambda prompts=prompts, response_tokens=response_tokens: _generated(model, prompts, response_tokens)
        )
        report_sampling(
            world,
            report,
            shape,
            num_rows,
            seconds,
            what=f"generate, {num_rows} rows",
            more={"prefill s": prefill},
            peer_of=[name, f"sampling, {num_rows} rows"],
        )


def plain_ppo(world: World, report: Report, name: str) -> None:
    """One PPO step after a short one for warming up; its parts as ours are timed."""
    shape = world.shape(name)
    step = _PlainPPO(world, shape)
    step.take(min(8, world.response_tokens), seed=0)
    world.forget_peak()
    start = time.perf_counter()
    parts = step.take(world.response_tokens, seed=1)
    seconds = time.perf_counter() - start
    number = episodes(world, shape)
    groups = [Group(prompt=[0] * world.prompt_tokens, responses=[[0] * world.response_tokens])] * number
    report.figure(
        name,
        "plain padded PPO step",
        number * (world.prompt_tokens + world.response_tokens) / seconds,
        "tok/s",
        flop_per_second=ppo_flop(shape, groups) / seconds,
        peak_gib=world.peak_gib(),
        more={"s a step": seconds, "episodes": number, **parts},
        peer_of=[name, "PPO step"],
    )


class _PlainPPO:
    """Four models, two optimizers, one epoch of one minibatch."""

    def __init__(self, world: World, shape: ModelShape) -> None:
        self.world, self.shape = world, shape
        self.policy, self.reference = random_model(world, shape), random_model(world, shape).requires_grad_(False)
        self.score_model = random_model(world, shape, has_score=True).requires_grad_(False)
        self.value_model = random_model(world, shape, has_score=True)
        self.optimizers = [
            torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True) for model in (self.policy, self.value_model)
        ]

    def take(self, num_tokens: int, *, seed: int) -> dict[str, float]:
        """A whole step with responses of `num_tokens`; seconds of its parts."""
        world, parts, number = self.world, {}, episodes(self.world, self.shape)
        prompts = torch.tensor(random_tokens(self.shape, number, world.prompt_tokens, seed=seed), device=world.device)
        clock = _Clock(world, parts)
        with self._autocast():
            rows = _generated(self.policy, prompts, num_tokens)
        clock.note("sampling")
        chunks = rows.split(max(1, microbatch_tokens(self.shape) // rows.shape[1]))
        with torch.no_grad(), self._autocast():
            old = torch.cat([self._logprobs(self.policy, chunk, num_tokens) for chunk in chunks])
            clock.note("policy")
            reference = torch.cat([self._logprobs(self.reference, chunk, num_tokens) for chunk in chunks])
            clock.note("reference")
            scores = torch.cat([self._scalars(self.score_model, chunk)[:, -1] for chunk in chunks])
            clock.note("scores")
            values = torch.cat([self._values(chunk, num_tokens) for chunk in chunks])
        rewards = -0.02 * (old - reference)
        rewards[:, -1] += scores
        advantages = _generalized_advantages(rewards, values)
        returns = advantages + values
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        clock.note("values")
        sizes = [len(chunk) for chunk in chunks]
        for chunk, own_old, own in zip(chunks, old.split(sizes), advantages.split(sizes), strict=True):
            with self._autocast():
                logprobs = self._logprobs(self.policy, chunk, num_tokens)
            ratio = (logprobs - own_old).exp()
            loss = torch.maximum(-own * ratio, -own * ratio.clamp(0.8, 1.2)).sum() / old.numel()
            loss.backward()
        clock.note("policy_loss")
        for chunk, own_values, own in zip(chunks, values.split(sizes), returns.split(sizes), strict=True):
            with self._autocast():
                found = self._values(chunk, num_tokens)
            clipped = found.clamp(own_values - 0.2, own_values + 0.2)
            loss = 0.5 * torch.maximum((found - own) ** 2, (clipped - own) ** 2).sum() / old.numel()
            loss.backward()
        clock.note("value_loss")
        for model, optimizer in zip((self.policy, self.value_model), self.optimizers, strict=True):
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        clock.note("optimizer")
        return parts

    def _autocast(self) -> torch.autocast:
        is_cuda = self.world.device.type == "cuda"
        return torch.autocast(self.world.device.type, dtype=torch.bfloat16, enabled=is_cuda)

    def _logprobs(self, model: Any, rows: Tensor, num_tokens: int) -> Tensor:
        logits = model(input_ids=rows, use_cache=False, logits_to_keep=num_tokens + 1).logits[:, :-1].float()
        return torch.log_softmax(logits, -1).gather(-1, rows[:, -num_tokens:].unsqueeze(-1)).squeeze(-1)

    def _scalars(self, model: Any, rows: Tensor) -> Tensor:
        states = model.model(input_ids=rows, use_cache=False).last_hidden_state
        return model.score(states).squeeze(-1).float()

    def _values(self, rows: Tensor, num_tokens: int) -> Tensor:
        return self._scalars(self.value_model, rows)[:, -num_tokens - 1 : -1]


class _Clock:
    """Adds the time since the last note to a part."""

    def __init__(self, world: World, parts: dict[str, float]) -> None:
        self.world, self.parts = world, parts
        world.wait()
        self.last = time.perf_counter()

    def note(self, part: str) -> None:
        self.world.wait()
        now = time.perf_counter()
        self.parts[part], self.last = round(now - self.last, 3), now


def _generalized_advantages(rewards: Tensor, values: Tensor) -> Tensor:
    found, following, following_value = torch.zeros_like(rewards), 0.0, 0.0
    for t in range(rewards.shape[1] - 1, -1, -1):
        following = rewards[:, t] + following_value - values[:, t] + 0.95 * following
        following_value, found[:, t] = values[:, t], following
    return found
