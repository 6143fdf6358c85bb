"""The ranking of K completions into tie groups: untouched, partial, complete, or refused with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tutelage.labeling.fields import EntryError, Submitted

RankingState = Literal["untouched", "partial", "complete"]
Ranks = Mapping[str, int | None]
"""The rank chosen for every completion: 1 best, equal ranks a tie, None not chosen yet."""
Groups = tuple[tuple[str, ...], ...]

RANK = "rank."
ALL_TIED = "all_tied"
CANNOT_RANK = "cannot_rank"
REASON = "cannot_rank_reason"


def ranking_state(ranks: Ranks) -> RankingState:
    """Nothing ranked, some, or all. Only "complete" may be saved: an untouched default carries no information."""
    chosen = sum(rank is not None for rank in ranks.values())
    if chosen == 0:
        return "untouched"
    return "complete" if chosen == len(ranks) else "partial"


def tie_groups(ranks: Ranks) -> Groups:
    """Groups of equal rank, best first; gaps between ranks (1, 1, 3) are ignored. Raises EntryError if incomplete."""
    missing = [name for name, rank in ranks.items() if rank is None]
    if missing:
        raise EntryError(f"Choose a rank for {', '.join(missing)}; equal numbers are a tie.")
    levels = sorted({rank for rank in ranks.values() if rank is not None})
    return tuple(tuple(name for name, rank in ranks.items() if rank == level) for level in levels)


def dense_ranks(groups: Groups) -> dict[str, int]:
    """The rank of every completion, counting groups from 1."""
    return {name: rank for rank, group in enumerate(groups, start=1) for name in group}


def read_ranks(letters: Sequence[str], submitted: Submitted) -> dict[str, int | None]:
    """The ranks in a submitted form, where `rank.A` is that of completion A. Raises EntryError outside 1..K."""
    ranks: dict[str, int | None] = {}
    for letter in letters:
        text = submitted.get(RANK + letter, "").strip()
        if text and text not in map(str, range(1, len(letters) + 1)):
            raise EntryError(f"{text!r} is not a rank from 1 to {len(letters)}.")
        ranks[letter] = int(text) if text else None
    return ranks


def read_ranking(letters: Sequence[str], submitted: Submitted) -> tuple[Groups, str]:
    """The tie groups, or none and the reason why these completions cannot be ranked. Raises EntryError otherwise.

    "All are tied" and "cannot rank" exclude each other and ranks: if several were sent, only one was meant.
    """
    is_tied, is_refused = bool(submitted.get(ALL_TIED)), bool(submitted.get(CANNOT_RANK))
    ranks = read_ranks(letters, submitted)
    if is_tied + is_refused + (ranking_state(ranks) != "untouched") > 1:
        raise EntryError("Do only one: rank the completions, say that all are tied, or say that they cannot be ranked.")
    if is_refused:
        reason = submitted.get(REASON, "").strip()
        if not reason:
            raise EntryError("Say why they cannot be ranked.")
        return (), reason
    if is_tied:
        return (tuple(letters),), ""
    return tie_groups(ranks), ""
