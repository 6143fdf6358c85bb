"""Which records a step uses, from its number alone: a resumed run needs no saved position."""

from __future__ import annotations

from functools import lru_cache

import torch

from tutelage.seeds import derived_seed


class ShuffledEpochs:
    """An endless sequence of `num_items` items: one permutation after another, each from the seed and its epoch."""

    def __init__(self, num_items: int, *, seed: int) -> None:
        assert num_items > 0, "nothing to shuffle"
        self.num_items, self.seed = num_items, seed
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def _permute(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "epoch", epoch))
        order: list[int] = torch.randperm(self.num_items, generator=generator).tolist()
        return order

    def take(self, start: int, count: int) -> list[int]:
        """Items `start` to `start + count` of the endless sequence."""
        return [self._permutation(i // self.num_items)[i % self.num_items] for i in range(start, start + count)]

    def batch_of(self, step: int, batch_size: int) -> list[int]:
        """The items of `step` if the last batch of each epoch may be smaller, so that no batch spans two epochs."""
        epoch, place = divmod(step, self.batches_per_epoch(batch_size))
        return self._permutation(epoch)[place * batch_size : (place + 1) * batch_size]

    def batches_per_epoch(self, batch_size: int) -> int:
        return -(-self.num_items // batch_size)
