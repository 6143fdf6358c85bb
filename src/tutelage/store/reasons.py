"""Why records were skipped, each reason once: its first record, and how many others share it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLACE = re.compile(r"^(?:.*?, (?:line|record) \d+(?:, annotation [^:]*)?|prompt \S+): ")
_VALUE = re.compile(r"(?<=^field )('[^']*' is ).*?; |\d+")
_MAX_REASONS = 1000


class Reasons:
    """Counts messages "FILE, line N: reason" by reason, ignoring locations, values and numbers."""

    def __init__(self, messages: Iterable[str] = ()) -> None:
        self.num_messages = 0
        self._firsts: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._records: dict[str, set[int]] = {}
        self._annotations: dict[str, int] = {}
        for message in messages:
            self.add(message)

    def add(self, message: str, *, record: int | None = None, num_annotations: int = 0) -> None:
        """Count one message. After a thousand reasons, new ones are counted together.

        With `record`, the number of the record, the lines say how many records and annotations a reason affected.
        """
        self.num_messages += 1
        reason = _VALUE.sub(r"\1", _PLACE.sub("", message, count=1))
        if reason not in self._counts and len(self._counts) >= _MAX_REASONS:
            reason, message = "", "many other reasons"
        self._firsts.setdefault(reason, message)
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if record is not None:
            self._records.setdefault(reason, set()).add(record)
            self._annotations[reason] = self._annotations.get(reason, 0) + num_annotations

    def lines(self, limit: int | None = None) -> list[str]:
        """One line per reason in order of occurrence, at most `limit`; then one for all that are not shown."""
        shown = list(self._firsts)[:limit]
        lines = [self._line(reason) for reason in shown]
        rest = self.num_messages - sum(self._counts[reason] for reason in shown)
        return lines + ([f"{rest:,} more for {len(self._firsts) - len(shown)} other reasons"] if rest else [])

    def _line(self, reason: str) -> str:
        first, count = self._firsts[reason], self._counts[reason]
        if reason in self._records:
            return f"{first} [records: {len(self._records[reason]):,}, annotations: {self._annotations[reason]:,}]"
        return first if count == 1 else f"{first} [this and {count - 1:,} more]"
