"""What the rules must store about all prompts, in SQLite: on disk for a build, in memory for a few thousand prompts."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tutelage.errors import StorageError
from tutelage.prompts.allot import Writer
from tutelage.prompts.config import PromptsConfig
from tutelage.prompts.dedupe import Opening
from tutelage.prompts.examine import Examined, Reason, opening_of
from tutelage.records import Split

_CACHE_KIB = 65_536
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
CREATE TABLE prompts (number INTEGER PRIMARY KEY, id TEXT, key TEXT, tie TEXT, user TEXT, writer TEXT, hint TEXT,
                      is_private INTEGER, long_start INTEGER);
CREATE TABLE lines (number INTEGER PRIMARY KEY, line TEXT);
CREATE TABLE rejected (number INTEGER PRIMARY KEY, reason TEXT);
CREATE TABLE openings (number INTEGER PRIMARY KEY, key TEXT, start TEXT, length INTEGER);
CREATE TABLE left_out (path TEXT, line INTEGER, message TEXT);
CREATE TABLE hinted (user TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
"""
# Reading in sorted order goes through the sorter, which finishes before the first row is returned: `rejected` may grow
# in the meantime.
_STAYING = "FROM prompts p WHERE NOT EXISTS (SELECT 1 FROM rejected r WHERE r.number = p.number)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPrompt:
    """One kept prompt: what `finished` and the draws need."""

    line: str
    key: str
    user: str
    writer: Writer
    is_private: bool
    hint: Split | None  # if every prompt of this user requests it


class Ledger:
    """One row per prompt, numbered in input order; a file is removed on exit."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.num_prompts = 0
        self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.executescript(_SCHEMA + "BEGIN;")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def add(self, batch: Iterable[Examined], config: PromptsConfig) -> None:
        """Add prompts, and record those that are rejected individually."""
        rows, lines, rejected = [], [], []
        for number, one in enumerate(batch, start=self.num_prompts):
            start = _start_number(one, config)
            rows.append((number, one.id, one.key, one.tie, one.user, one.writer, one.hint, one.is_private, start))
            if one.rejected is None:
                lines.append((number, one.line))
            else:
                rejected.append((number, one.rejected))
        with _full_disk_told(self.path):
            self._database.executemany("INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._database.executemany("INSERT INTO lines VALUES (?, ?)", lines)
            self._database.executemany("INSERT INTO rejected VALUES (?, ?)", rejected)
        self.num_prompts += len(rows)

    def leave_out(self, path: str, line: int, message: str) -> None:
        """Record a row that is not a prompt, or malformed."""
        with _full_disk_told(self.path):
            self._database.execute("INSERT INTO left_out VALUES (?, ?, ?)", (path, line, message))

    def left_out(self) -> Iterator[tuple[str, int, str]]:
        """(path, line, message) of every skipped record, in input order."""
        return self._rows("SELECT path, line, message FROM left_out ORDER BY rowid")

    def reject(self, numbers: Iterable[int], reason: Reason) -> int:
        """Mark prompts as rejected, unless they already are; returns how many were marked."""
        before = self._database.total_changes
        with _full_disk_told(self.path):
            self._database.executemany(
                "INSERT OR IGNORE INTO rejected VALUES (?, ?)", ((number, reason) for number in numbers)
            )
        return self._database.total_changes - before

    def by_key(self) -> Iterator[tuple[int, str]]:
        """(number, key) of the kept prompts, with exact repeats adjacent."""
        return self._rows(f"SELECT number, key {_STAYING} ORDER BY key, tie, number")

    def by_user(self, *, only_customers: bool) -> Iterator[tuple[int, str]]:
        """(number, user) of the kept prompts, with each user's prompts adjacent, ordered by key."""
        writers = "AND writer = 'customer'" if only_customers else ""
        return self._rows(f"SELECT number, user {_STAYING} {writers} ORDER BY user, key")

    def collect_openings(self, config: PromptsConfig) -> int:
        """Store the beginnings of prompts that share their first characters with another; returns how many."""
        shared = f"SELECT long_start {_STAYING} AND long_start IS NOT NULL GROUP BY long_start HAVING COUNT(*) > 1"
        lines = _STAYING.replace("WHERE", "JOIN lines l USING (number) WHERE")
        found = self._rows(f"SELECT p.number, p.key, l.line, p.is_private {lines} AND long_start IN ({shared})")
        openings = (opening_of(number, key, line, bool(is_private), config) for number, key, line, is_private in found)
        before = self._database.total_changes
        with _full_disk_told(self.path):
            self._database.executemany(
                "INSERT INTO openings VALUES (?, ?, ?, ?)", ((o.number, o.key, o.start, o.length) for o in openings)
            )
        return self._database.total_changes - before

    def openings(self, *, descending: bool) -> Iterator[Opening]:
        """What `collect_openings` stored, sorted by start; descending is the exact reverse of ascending."""
        order = "start DESC, number DESC" if descending else "start, number"
        rows = self._rows(f"SELECT number, key, start, length FROM openings ORDER BY {order}")
        for number, key, start, length in rows:
            yield Opening(number=number, key=key, start=start, length=length)

    def settle_hints(self) -> tuple[int, tuple[str, str, str] | None]:
        """Record the users all of whose prompts request the same split.

        Returns the number of users with hints on only some of their prompts, and (user, split, other split) of one user
        whose prompts request several.
        """
        hints = "SELECT user, COUNT(*) n, COUNT(hint) given, MIN(hint) low, MAX(hint) high FROM prompts GROUP BY user"
        conflict = self._one(f"SELECT user, low, high FROM ({hints}) WHERE low <> high ORDER BY user LIMIT 1")
        self._database.execute(f"INSERT INTO hinted SELECT user, low FROM ({hints}) WHERE given = n AND low = high")
        (partial,) = self._one(f"SELECT COUNT(*) FROM ({hints}) WHERE given > 0 AND given < n") or (0,)
        return partial, conflict

    def users(self) -> Iterator[tuple[str, Split | None]]:
        """(user, the split that all their prompts request) of every user with kept prompts."""
        users = f"SELECT DISTINCT user {_STAYING}"
        return self._rows(f"SELECT user, h.split FROM ({users}) LEFT JOIN hinted h USING (user)")

    def repeated_id(self) -> tuple[str, int] | None:
        """An id shared by several kept prompts, and how many."""
        return self._one(f"SELECT id, COUNT(*) n {_STAYING} GROUP BY id HAVING n > 1 ORDER BY id LIMIT 1")

    def kept(self) -> Iterator[KeptPrompt]:
        """The kept prompts, sorted by key: shuffled, and independent of the input order."""
        staying = _STAYING.replace("WHERE", "JOIN lines l USING (number) LEFT JOIN hinted h ON h.user = p.user WHERE")
        rows = self._rows(f"SELECT l.line, p.key, p.user, p.writer, p.is_private, h.split {staying} ORDER BY p.key")
        for line, key, user, writer, is_private, hint in rows:
            yield KeptPrompt(line=line, key=key, user=user, writer=writer, is_private=bool(is_private), hint=hint)

    def num_kept(self) -> int:
        """The number of kept prompts."""
        (number,) = self._one(f"SELECT COUNT(*) {_STAYING}") or (0,)
        return int(number)

    def rejected(self) -> Iterator[tuple[str, Reason]]:
        """(id, reason) of the rejected prompts, sorted."""
        return self._rows("SELECT p.id, r.reason FROM rejected r JOIN prompts p USING (number) ORDER BY r.reason, p.id")

    def _rows(self, query: str) -> Iterator[Any]:
        with _full_disk_told(self.path):
            yield from self._database.execute(query)

    def _one(self, query: str) -> Any:
        with _full_disk_told(self.path):
            return self._database.execute(query).fetchone()


def _start_number(one: Examined, config: PromptsConfig) -> int | None:
    """A number for the first `min_common_prefix` characters, if the prefix rule applies and there are that many."""
    if one.length < config.min_common_prefix or (config.exempt_labelers and one.writer == "labeler"):
        return None
    digest = hashlib.blake2b(one.start.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@contextmanager
def _full_disk_told(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise StorageError(
            f"the disk is full: the working file {path} of this build could not grow. Nothing was written. "
            "A build needs about three times the size of its sources; free some space or choose another location."
        ) from error
