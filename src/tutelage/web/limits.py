"""How often one address may ask. Needs nothing that is not in Python, so that the command line can tell the number."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

# An office is one address. A labeler who works fast opens three pages a minute with a dozen files each, and saves every
# two seconds: below 100 requests. 6,000 are a team of 60, and 100 a second, which the server answers with ease.
REQUESTS_PER_MINUTE = 6000
# A server draws this part of an address's minute at once: one request in a hundred is written down, not each of them.
# What it has drawn and does not use, the other servers lack until the minute is over.
_PARTS = 60

Draw = Callable[[str, int, int, int], int]
"""(address, minute since 1970, how many are wanted, the limit): how many more that address is given in that minute."""


@dataclass(slots=True, kw_only=True)
class RequestLimit:
    """The requests of each address in the running minute, drawn from those that all servers share."""

    per_minute: int
    draw: Draw
    clock: Callable[[], datetime]
    _minute: int = -1
    _left: dict[str, int] = field(default_factory=dict)
    _spent: set[str] = field(default_factory=set)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _drawing: threading.Lock = field(default_factory=threading.Lock)

    def is_reached(self, address: str) -> bool | None:
        """Count a request: whether it is one too many. None, and nothing is counted, where more must be drawn first."""
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
        """As `is_reached`, but draws where it must, and waits for the database."""
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
