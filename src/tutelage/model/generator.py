"""Samplers of responses for training and evaluation: our own in this process, or another engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.model.sampling import SampledResponse, SamplingSettings, sample_responses


class Generator(Protocol):
    """Samples responses from one policy, each with its log-probabilities as sampled (nats)."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        settings: SamplingSettings,
        draws: torch.Generator,
        num_responses: int = 1,
        room: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[list[SampledResponse]]:
        """Sample `num_responses` per prompt; `draws` is the source of randomness. See `sampling.sample_responses`."""
        ...

    def load_weights(self, policy: Policy) -> None:
        """Sample from these weights from now on; called before every rollout."""
        ...


class LocalGenerator:
    """The sampler of this process, using the policy itself: its weights are always current."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        settings: SamplingSettings,
        draws: torch.Generator,
        num_responses: int = 1,
        room: Sequence[int] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[list[SampledResponse]]:
        return sample_responses(
            self.policy.model,
            prompts,
            settings=settings,
            stop_tokens=self.policy.renderer.stop_tokens,
            generator=draws,
            num_responses=num_responses,
            room=room,
            on_progress=on_progress,
        )

    def load_weights(self, policy: Policy) -> None:
        """Nothing to copy: both are one model."""
        assert policy is self.policy, "a local generator samples from the policy that it was made with"


def group_responses(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[SampledResponse]]) -> list[Group]:
    """Each prompt with its sampled responses."""
    return [
        Group(prompt=prompt, responses=[response.tokens for response in sampled])
        for prompt, sampled in zip(prompts, responses, strict=True)
    ]
