"""How often one address may ask. Needs nothing that is not in Python, so that the command line can tell the number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# An office is one address. A labeler who works fast opens three pages a minute with a dozen files each, and saves every
# two seconds: below 100 requests. 6,000 are a team of 60, and 100 a second, which the server answers with ease.
REQUESTS_PER_MINUTE = 6000


@dataclass(slots=True, kw_only=True)
class RequestLimit:
    """Counts the requests of each address in the running minute."""

    per_minute: int
    clock: Callable[[], float] = time.monotonic
    _minute: int = -1
    _counts: dict[str, int] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def is_reached(self, address: str) -> bool:
        if self.per_minute == 0:
            return False
        with self._turn:
            minute = int(self.clock() // 60)
            if minute != self._minute:
                self._minute, self._counts = minute, {}
            self._counts[address] = self._counts.get(address, 0) + 1
            return self._counts[address] > self.per_minute
