"""A cache of slow computations over all labels, kept until a label, a decision or a gold item changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from sqlalchemy import func, select

from tutelage.labeling.quality import Disagreement
from tutelage.labeling.tasks import Kind, Purpose
from tutelage.statistics.agreement import TieRule
from tutelage.studio.adjudication import adjudication_queue
from tutelage.studio.quality import Quality, QualityEvidence, evidence_of, quality
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Adjudication, Gold, LabelVersion, StoredLabel

Found = TypeVar("Found")


class Remembered:
    """Quality and disputed items of a studio, up to date; recomputed only after something has changed.

    Shared by all threads; of concurrent callers one computes and the others wait for it.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._version: Hashable = None
        self._found: dict[Hashable, Any] = {}
        self._turn = threading.Lock()

    def quality(self, purpose: Purpose | None, kind: Kind | None, *, ties: TieRule) -> Quality:
        """What `quality` gives."""
        return self._of(
            (purpose, kind, ties), lambda: quality(self._studio, purpose, kind, ties=ties, evidence=self._evidence())
        )

    def disputed(self) -> tuple[Disagreement, ...]:
        """The result of `adjudication_queue`, for all purposes."""
        return self._of("disputed", lambda: tuple(adjudication_queue(self._studio, evidence=self._evidence())))

    def _evidence(self) -> QualityEvidence:
        """Read once for all computations on one state of the labels; the caller must hold the lock."""
        return self._found_or("evidence", lambda: evidence_of(self._studio))

    def _of(self, name: Hashable, compute: Callable[[], Found]) -> Found:
        with self._turn:
            # Read before computing: a label that arrives meanwhile makes the result outdated, never the other way
            # round.
            version = labels_version(self._studio)
            if version != self._version:
                self._version, self._found = version, {}
            return self._found_or(name, compute)

    def _found_or(self, name: Hashable, compute: Callable[[], Found]) -> Found:
        if name not in self._found:
            self._found[name] = compute()
        return cast(Found, self._found[name])


def labels_version(studio: Studio) -> Hashable:
    """A value that changes whenever a label, a change of a label, a decision or a gold item is added.

    Counts as well as highest ids, because two ids stored concurrently may become visible in either order; for gold
    items, which are few and can be redefined, everything.
    """
    with studio.database.read() as session:
        counts = (
            session.execute(select(func.count(table.id), func.max(table.id))).tuples().one()
            for table in (StoredLabel, LabelVersion, Adjudication)
        )
        gold = session.execute(select(Gold.item_id, Gold.expected).order_by(Gold.item_id)).tuples()
        return tuple(counts), tuple((item_id, repr(expected)) for item_id, expected in gold)
