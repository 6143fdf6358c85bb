"""The database: migrations make exactly the tables of the code, writers wait for each other, times have a zone."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from studio_world import person, queue, task
from tutelage.errors import StorageError, UserError
from tutelage.studio.assignment import claim
from tutelage.studio.database import _MIGRATIONS, open_database
from tutelage.studio.studio import open_studio
from tutelage.studio.tables import Batch, TableBase


def test_the_migrations_make_the_tables_of_the_code(studio):
    with studio.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TableBase.metadata) == []


def test_opening_again_keeps_what_is_there(studio, tmp_path):
    with studio.database.write() as session:
        session.add(Batch(name="kept", created_at=studio.clock()))
    again = open_studio(tmp_path / "studio")
    with again.database.read() as session:
        assert session.scalars(select(Batch.name)).all() == ["kept"]
    again.database.close()


def test_sqlite_is_set_up_to_keep_what_was_acknowledged(studio):
    with studio.database.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_writers_that_read_first_do_not_fail_when_another_wrote_meanwhile(studio, tmp_path):
    """Two processes, here two engines on one file: a deferred transaction would end in SQLITE_BUSY at once."""
    other = open_studio(tmp_path / "studio")
    start, errors = threading.Barrier(2), []

    def add(database):
        start.wait()
        try:
            for _ in range(25):
                with database.write() as session:
                    number = len(session.scalars(select(Batch.id)).all())
                    session.add(Batch(name=str(number), created_at=studio.clock()))
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=add, args=(each.database,)) for each in (studio, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    with studio.database.read() as session:
        names = session.scalars(select(Batch.name)).all()
    other.database.close()
    assert errors == []
    assert sorted(map(int, names)) == list(range(50)), "each saw what all before it had written"


def test_times_come_back_in_utc(studio):
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    with studio.database.write() as session:
        session.add(Batch(name="", created_at=noon))
    with studio.database.read() as session:
        stored = session.scalars(select(Batch.created_at)).one()
    assert stored == noon and stored.tzinfo is UTC


def test_databases_that_cannot_be_opened_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="cannot be opened"):
        open_database("nonsense://x")
    with pytest.raises(StorageError, match="cannot be used"):
        open_database(f"sqlite:///{tmp_path}/missing/studio.sqlite3")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be created"):
        open_studio(tmp_path / "file")


def test_places_from_before_they_knew_their_order_are_handed_out_in_it(studio, tmp_path):
    queue(studio, task("demonstrate", number=1), task("compare", number=2))
    queue(studio, task("demonstrate", number=3), priority=5)
    ada = person(studio, "Ada")
    with studio.database.engine.execution_options(is_writing=True).begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, "v0002")
    again = open_studio(tmp_path / "studio")
    given = claim(again, ada, "demonstrate")
    again.database.close()
    assert given.task.prompt.id == "p3", "the urgent one first"
