"""A studio: its database, its clock and its settings. Every service takes it first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tutelage.errors import StorageError, UserError
from tutelage.studio.database import Database, open_database, sqlite_url

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of a studio in service; tests pass one that they move."""
    return datetime.now(UTC)


class Refusal(UserError):
    """What a person asked of the studio and may not have, in words for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a studio behaves. `seed` decides the order in which completions are shown."""

    seed: int = 0
    lease: timedelta = timedelta(minutes=30)
    session: timedelta = timedelta(hours=12)
    invite: timedelta = timedelta(days=14)
    skips_until_halt: int = 5
    # Wrong passwords in a name: the first ones from one place cost nothing, for people mistype; then there is a wait
    # that doubles, up to an hour, and strange places together have 100 tries in a day (NIST SP 800-63B, 5.2.2).
    failures_until_wait: int = 5
    first_wait: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(hours=1)
    failures_of_strangers: int = 100
    failures_count_for: timedelta = timedelta(hours=24)
    # How long a browser is known after somebody signed in there.
    device: timedelta = timedelta(days=180)
    # What one page may count towards paid time: a browser left open overnight is not work.
    longest_page: timedelta = timedelta(minutes=30)
    # One task in twenty is one whose right label is known, where there are such.
    gold_share: float = 0.05
    # Whoever makes an account says that their labels may be used; without that their work would be for nothing.
    is_consent_required: bool = True
    # How long a labeler may change what they submitted.
    revise: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """Made once by whoever runs the studio; shared by all threads."""

    database: Database
    clock: Clock = utc_now
    settings: Settings = field(default_factory=Settings)


def open_studio(
    folder: Path, *, url: str | None = None, clock: Clock = utc_now, settings: Settings | None = None
) -> Studio:
    """The studio in a data folder, made if there is none; with `url` its database is elsewhere.

    Raises StorageError where the folder cannot be made, and what `open_database` raises.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the data folder {folder} cannot be made: {error.strerror}. Choose another place."
        ) from None
    return Studio(database=open_database(url or sqlite_url(folder)), clock=clock, settings=settings or Settings())
