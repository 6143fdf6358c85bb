"""Requests per address and minute, counted by all servers of one database together.

The library `limits` stores such counts in Redis, Memcached, MongoDB or one process. A studio has only its database, and
should need nothing else.
"""

from __future__ import annotations

from sqlalchemy import delete

from tutelage.studio.studio import Studio
from tutelage.studio.tables import RequestCount


def draw_requests(studio: Studio, address: str, minute: int, wanted: int, limit: int) -> int:
    """Reserve up to `wanted` more requests of an address, of `limit` in that minute. Returns how many; 0: none left.

    `minute` counts from 1970. Counts older than the previous minute are deleted.
    """
    address = address[:80]
    with studio.database.write() as session:
        studio.database.take_turn(session, f"requests of {address}")
        session.execute(delete(RequestCount).where(RequestCount.minute < minute - 1))
        drawn = session.get(RequestCount, (minute, address))
        if drawn is None:
            drawn = RequestCount(minute=minute, address=address, num_drawn=0)
            session.add(drawn)
        more = max(0, min(wanted, limit - drawn.num_drawn))
        drawn.num_drawn += more
        return more
