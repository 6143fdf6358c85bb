"""What is measured: one `Shape` a row of the table, the same for both sides. Imports neither side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The model, the lengths and the batch of one row. Lengths are in tokens, the stop token included.

    `ending` "varied": the stop token has the same probability everywhere, so that responses would have `mean_tokens`
    tokens on average without the limit; "limit": it is never drawn. `completions` is the reward model's K.
    """

    name: str
    title: str
    kind: Literal["ppo", "reward", "sampling"]
    prompt_tokens: int
    response_tokens: int
    batch: int
    minibatch: int = 0
    completions: int = 1
    ending: Literal["varied", "limit"] = "limit"
    mean_tokens: int = 64
    are_lengths_equal: bool = True
    num_steps: int = 2
    peer_pairs: int = 0
    vocab_size: int = 4096
    width: int = 256
    num_layers: int = 6
    num_heads: int = 8
    feed_forward: int = 688

    @property
    def unit(self) -> str:
        return {"ppo": "episodes/s", "reward": "prompts/s", "sampling": "tokens/s"}[self.kind]


def _ppo(name: str, title: str, **others: object) -> Shape:
    given = {"prompt_tokens": 64, "response_tokens": 128, "batch": 32, "minibatch": 16} | others
    return Shape(name=name, title=title, kind="ppo", **given)  # type: ignore[arg-type]


def _reward(name: str, title: str, **others: object) -> Shape:
    given = {"prompt_tokens": 64, "response_tokens": 64, "num_steps": 2} | others
    return Shape(name=name, title=title, kind="reward", **given)  # type: ignore[arg-type]


def _sampling(name: str, title: str, **others: object) -> Shape:
    given = {"prompt_tokens": 64, "response_tokens": 128, "batch": 64, "num_steps": 3} | others
    return Shape(name=name, title=title, kind="sampling", **given)  # type: ignore[arg-type]


ROWS = (
    _ppo("ppo-varied", "PPO, responses end at different lengths", ending="varied"),
    _ppo("ppo-limit", "PPO, all responses run to the limit"),
    # Half the response length: the peer keeps all logits of a rollout, and 32 x 128 x 50,257 are 0.8 GB a copy.
    _ppo("ppo-memory", "PPO, vocabulary 50,257, up to 64 tokens", vocab_size=50_257, response_tokens=64, num_steps=1),
    # `peer_pairs`: comparisons in one of the peer's micro-batches, near the 8,192 tokens of ours.
    _reward("reward-k4", "Reward model, K = 4", completions=4, batch=8, peer_pairs=24),
    _reward("reward-k9", "Reward model, K = 9", completions=9, batch=4, peer_pairs=36),
    _reward(
        "reward-k9-long",
        "Reward model, K = 9, prompt twice as long",
        prompt_tokens=128,
        completions=9,
        batch=4,
        peer_pairs=24,
    ),
    _reward(
        "reward-k9-varied",
        "Reward model, K = 9, responses of 32 to 96 tokens",
        completions=9,
        batch=4,
        peer_pairs=36,
        are_lengths_equal=False,
    ),
    _sampling("sampling-varied", "Sampling, responses end at different lengths", ending="varied"),
    _sampling("sampling-limit", "Sampling, all responses run to the limit"),
)


def row_named(name: str, *, is_quick: bool) -> Shape:
    """The row, or a small one of the same kind that only shows that both sides run."""
    shape = next(shape for shape in ROWS if shape.name == name)
    if not is_quick:
        return shape
    return replace(
        shape,
        prompt_tokens=shape.prompt_tokens // 4,
        response_tokens=shape.response_tokens // 4,
        mean_tokens=shape.mean_tokens // 4,
        batch=max(2, shape.batch // 4),
        minibatch=shape.minibatch // 4,
        num_steps=1,
    )
