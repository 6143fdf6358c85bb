"""Rate limit per address. Uses only the standard library, so that the command line can show the default."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

# An office often shares one address. A fast labeler opens three pages per minute with a dozen files each, and saves
# every two seconds: below 100 requests. 6,000 is a team of 60, or 100 per second, which the server handles easily.
REQUESTS_PER_MINUTE = 6000
# A server reserves this fraction of an address's minute at once, so that one request in a hundred writes to the
# database. What it reserves and does not use is unavailable to the other servers until the minute is over.
_PARTS = 60

Draw = Callable[[str, int, int, int], int]
"""(address, minute since 1970, number wanted, the limit) -> how many more requests the address gets that minute."""


@dataclass(slots=True, kw_only=True)
class RequestLimit:
    """The requests of each address in the current minute, reserved from the count that all servers share."""

    per_minute: int
    draw: Draw
    clock: Callable[[], datetime]
    _minute: int = -1
    _left: dict[str, int] = field(default_factory=dict)
    _spent: set[str] = field(default_factory=set)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _drawing: threading.Lock = field(default_factory=threading.Lock)

    def is_reached(self, address: str) -> bool | None:
        """Count a request; True if it exceeds the limit. None, counting nothing, if more must be reserved first."""
        if self.per_minute == 0:
            return False
        with self._turn:
            minute = int(self.clock().timestamp() // 60)
            if minute != self._minute:
                self._minute, self._left, self._spent = minute, {}, set()
            if address in self._spent:
                return True
            if not self._left.get(address):
                return None
            self._left[address] -= 1
            return False

    def is_reached_after_draw(self, address: str) -> bool:
        """Like `is_reached`, but reserves more if needed, waiting for the database."""
        with self._drawing:
            while (is_reached := self.is_reached(address)) is None:
                minute = self._minute
                num = self.draw(address, minute, max(1, self.per_minute // _PARTS), self.per_minute)
                with self._turn:
                    if minute != self._minute:
                        continue
                    if num == 0:
                        self._spent.add(address)
                    self._left[address] = self._left.get(address, 0) + num
        return is_reached
