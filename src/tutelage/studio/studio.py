"""A studio: its database, its clock and its settings. Every service takes it as the first argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tutelage.errors import StorageError, UserError
from tutelage.studio.database import Database, open_database, sqlite_url

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of a studio in production; tests pass one that they control."""
    return datetime.now(UTC)


class Refusal(UserError):
    """A request that the studio declines, with a message for the person who made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a studio behaves. `seed` determines the order in which completions are shown."""

    seed: int = 0
    lease: timedelta = timedelta(minutes=30)
    session: timedelta = timedelta(hours=12)
    invite: timedelta = timedelta(days=14)
    skips_until_halt: int = 5
    # Wrong passwords for a name: the first few from one origin are free, because people mistype; then there is a wait
    # that doubles, up to an hour, and unknown origins together have 100 tries per day (NIST SP 800-63B, 5.2.2).
    failures_until_wait: int = 5
    first_wait: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(hours=1)
    failures_of_strangers: int = 100
    failures_count_for: timedelta = timedelta(hours=24)
    # How long a browser is recognized after someone signed in there.
    device: timedelta = timedelta(days=180)
    # The most time that one page can add to paid time: a browser left open overnight is not work.
    longest_page: timedelta = timedelta(minutes=30)
    # One task in twenty is gold, if there is any.
    gold_share: float = 0.05
    # Accounts require consent to the use of their labels; without it their work would be for nothing.
    is_consent_required: bool = True
    # How long a labeler may change what they submitted.
    revise: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """Created once by the server or command; shared by all threads."""

    database: Database
    clock: Clock = utc_now
    settings: Settings = field(default_factory=Settings)


def open_studio(
    folder: Path, *, url: str | None = None, clock: Clock = utc_now, settings: Settings | None = None
) -> Studio:
    """The studio in a data folder, created if it does not exist; with `url` its database is external.

    Raises StorageError if the folder cannot be created, and what `open_database` raises.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the data folder {folder} cannot be created: {error.strerror}. Choose another location."
        ) from None
    return Studio(database=open_database(url or sqlite_url(folder)), clock=clock, settings=settings or Settings())
