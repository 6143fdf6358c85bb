"""Gold: items whose right label is known, mixed with other items so that nobody can tell which they are.

A labeler's tasks of one kind come in blocks of 1 / share, and each block has one gold turn, at a position drawn per
labeler. So the share is exact, the next one cannot be predicted, and the number of open tasks can be shown without
revealing which of them are gold.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tutelage.labeling.labels import Entries, Label
from tutelage.seeds import derived_seed
from tutelage.statistics import ranking_outcomes

# Two careful people often differ by one step on a scale of seven; two steps are a different opinion.
_STEPS_ALLOWED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldResult:
    """How many of the known judgments a label has right."""

    num_right: int
    num_known: int

    @property
    def share(self) -> float:
        return self.num_right / self.num_known


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldTurns:
    """Which of one labeler's turns at one kind of task are gold: `share` of them, from 0 (none) to 0.5."""

    seed: int
    labeler_id: str
    kind: str
    share: float

    @property
    def _block(self) -> int:
        return max(2, round(1 / self.share))

    def _place(self, block: int) -> int:
        """The position of gold in a block: never last, so that each block ends with an ordinary task."""
        drawn = derived_seed(self.seed, "gold", self.labeler_id, self.kind, block)
        return random.Random(drawn).randrange(self._block - 1)

    def is_gold(self, turn: int) -> bool:
        """Whether the task after `turn` finished ones is gold, if any is left."""
        if self.share <= 0:
            return False
        block, place = divmod(turn, self._block)
        return place == self._place(block)

    def num_ahead(self, turn: int, *, num_ordinary: int, num_gold: int) -> int:
        """How many tasks a labeler still has before the ordinary ones run out, including gold among them."""
        if self.share <= 0 or num_ordinary == 0:
            return num_ordinary
        block, done = divmod(turn, self._block)
        before_gold = self._place(block) - done
        in_block = self._block - done - (before_gold >= 0)
        if num_ordinary <= in_block:
            met = int(0 <= before_gold < num_ordinary)
        else:
            blocks, rest = divmod(num_ordinary - in_block, self._block - 1)
            met = (before_gold >= 0) + blocks + (self._place(block + 1 + blocks) < rest)
        return num_ordinary + min(met, num_gold)

    def choose(self, turn: int, item_ids: list[int]) -> int:
        """Which gold item comes at this turn: different for every labeler, so that they cannot compare."""
        drawn = derived_seed(self.seed, "gold item", self.labeler_id, self.kind, turn)
        return random.Random(drawn).choice(sorted(item_ids))


def gold_result(expected: Label, given: Label) -> GoldResult:
    """Compare a label with the right one: the order of each pair, each flag, each scale within one step.

    Only what `expected` states is compared; text never is. Raises ValueError if it states nothing comparable.
    """
    found = list(_compared(expected, given))
    if not found:
        raise ValueError("the gold label has neither an order nor a flag nor a number; there is nothing to compare")
    return GoldResult(num_right=sum(found), num_known=len(found))


def _compared(expected: Label, given: Label) -> Iterator[bool]:
    if expected.cannot_rank:
        yield bool(given.cannot_rank)
    known, said = ranking_outcomes(expected.ranking), ranking_outcomes(given.ranking)
    yield from (said.get(pair) == outcome for pair, outcome in known.items())
    yield from _entries_compared(expected.fields, given.fields)
    for completion_id, entries in expected.of_completions.items():
        yield from _entries_compared(entries, given.of_completions.get(completion_id, {}))


def _entries_compared(expected: Entries, given: Mapping[str, object]) -> Iterator[bool]:
    for name, value in expected.items():
        other = given.get(name)
        if isinstance(value, bool):
            yield other is value
        elif isinstance(value, int):
            yield isinstance(other, int) and abs(other - value) <= _STEPS_ALLOWED
