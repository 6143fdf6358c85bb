"""The database: SQLite in the data folder, or PostgreSQL by URL; one way to read, one way to write, on both."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from tutelage.errors import StorageError, UserError

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 10
_NUM_CONNECTIONS = 40
# Any number that no other program on this database uses.
_MIGRATION_LOCK = 7_483_501


class Database:
    """Transactions on one database.

    On SQLite a writing transaction begins with BEGIN IMMEDIATE: one that reads first and writes later fails at once if
    another has written meanwhile, whatever its timeout. Writers in one process queue on a lock, since SQLite itself
    waits by sleeping, which is unfair.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(is_writing=True)
        self._reading = engine
        if engine.dialect.name == "postgresql":
            # By default each statement there sees what was committed before it, so two in one block can differ.
            self._reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._turn: Any = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed when the block succeeds, and rolled back otherwise."""
        with self._turn, Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def take_turn(self, session: Session, name: str) -> None:
        """Wait until no other transaction, in any process, holds this named lock; it is released with the transaction.

        For transactions that read and then write based on it. SQLite has one writer at a time anyway.
        """
        if self.engine.dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"tutelage {name}"})

    def close(self) -> None:
        self.engine.dispose()


def sqlite_url(folder: Path) -> str:
    """The URL of the database in a data folder."""
    return f"sqlite:///{folder / 'studio.sqlite3'}"


def open_database(url: str) -> Database:
    """Open a database and bring its tables up to date.

    Raises UserError for a URL that cannot be opened, StorageError if the database cannot be reached or written.
    """
    try:
        engine = create_engine(url, pool_size=_NUM_CONNECTIONS, max_overflow=_NUM_CONNECTIONS)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise UserError(
            f"the database {url!r} cannot be opened: {error}. Omit --database for SQLite, or give "
            "postgresql+psycopg://user@host/name with the extra 'postgresql' installed."
        ) from None
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    try:
        _migrate(engine)
    except OperationalError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise StorageError(
            f"the database {shown} cannot be used: {error.orig}. Check that it exists and that you may write to it."
        ) from error
    return Database(engine)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # The driver's own BEGIN is deferred: it is turned off here, and ours is sent below.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA journal_mode = WAL")
        # Acknowledged writes survive a power failure, not only a kill.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # SQLite's own LOWER handles ASCII only: nobody named Ärzte could sign in.
        connection.create_function("lower", 1, _lower, deterministic=True)

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _migrate(engine: Engine) -> None:
    """Migrate the tables to the newest version, while other processes that start now wait."""
    with engine.execution_options(is_writing=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
