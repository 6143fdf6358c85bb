"""How completions are shown: in a random order per labeler, under letters that do not reveal the policy."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from tutelage.labeling.tasks import MAX_COMPLETIONS
from tutelage.seeds import derived_seed

LETTERS = tuple(string.ascii_uppercase[:MAX_COMPLETIONS])


def display_order(seed: int, labeler_id: str, item_id: int, completion_ids: Sequence[str]) -> tuple[str, ...]:
    """Completion ids as this labeler sees them, A first. The same arguments always give the same order.

    Sorted before they are shuffled, so that the order in which they were queued cannot show through.
    """
    shown = sorted(completion_ids)
    random.Random(derived_seed(seed, "display", labeler_id, item_id)).shuffle(shown)
    return tuple(shown)
