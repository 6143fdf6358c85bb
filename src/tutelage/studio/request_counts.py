"""How many requests an address has had in a minute, counted by all servers of one database together.

The library `limits` keeps such counts in Redis, Memcached, MongoDB or one process. A studio has none of these but its
database, and shall need nothing else.
"""

from __future__ import annotations

from sqlalchemy import delete

from tutelage.studio.studio import Studio
from tutelage.studio.tables import RequestCount


def draw_requests(studio: Studio, address: str, minute: int, wanted: int, limit: int) -> int:
    """Count up to `wanted` more requests of an address, of `limit` in that minute. Returns how many: 0 is none left.

    `minute` counts from 1970. What is older than the one before it is thrown away.
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
