"""A PostgreSQL server of the tests' own, from the binaries that Debian installs; it listens at a socket, on no port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

_NUMBERS = count(1)


def binaries() -> Path | None:
    """Where initdb and pg_ctl are, the newest version first."""
    on_path = shutil.which("pg_ctl")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: path.parts[-3], reverse=True)
    return Path(on_path).parent if on_path else found[0].parent if found else None


def _unprivileged() -> str | None:
    """The server refuses to run as root: then the user it runs as instead."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


@pytest.fixture(scope="session")
def postgresql_socket() -> Iterator[Path]:
    """The folder with the socket of a running server."""
    pytest.importorskip("psycopg", reason="PostgreSQL needs the extra 'postgresql'")
    place = binaries()
    if place is None:
        pytest.skip("PostgreSQL's server is not installed (on Debian: apt install postgresql)")
    user, folder = _unprivileged(), Path(tempfile.mkdtemp(prefix="pg"))
    if user is not None:
        shutil.chown(folder, user)

    def run(*arguments: str) -> None:
        command = [str(place / arguments[0]), *arguments[1:]]
        done = subprocess.run(
            command, user=user, cwd=folder, check=False, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert done.returncode == 0, done.stderr.decode()

    data = folder / "data"
    # No fsync: these databases live for one test, and a power cut is not what is tested here.
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run("initdb", "--pgdata", str(data), "--username", "tutelage", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
    run("pg_ctl", "start", "--wait", "--pgdata", str(data), "--log", str(folder / "log"), "--options", options)
    try:
        yield folder
    finally:
        run("pg_ctl", "stop", "--pgdata", str(data), "--mode", "immediate")
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql_socket: Path) -> str:
    """A database that nothing has been in."""
    import psycopg

    name = f"studio{next(_NUMBERS)}"
    with psycopg.connect(host=str(postgresql_socket), user="tutelage", dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://tutelage@/{name}?host={postgresql_socket}"
