"""The processes that train one model together. Currently one; whatever must be summed over all of them says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's number, `rank`, among `size`."""

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if self.size != 1:
            raise NotImplementedError(f"{self.size} processes: training runs in one")

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def sum(self, count: int) -> int:
        """The sum of every process's `count`."""
        return count
