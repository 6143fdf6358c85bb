"""Serving the application at an address, with as many threads as help, until it is stopped."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import sys
from contextlib import suppress

import uvicorn
from anyio import to_thread
from fastapi import FastAPI

from tutelage.errors import UserError

# One thread at a time runs Python and one at a time writes to SQLite: more of them only stand in each other's way.
_NUM_THREADS = 8
# Whoever holds the writers' lock gives up the interpreter at every call of the database, and gets it back soon.
_SWITCH_SECONDS = 0.0005
_KEEP_ALIVE_SECONDS = 75


def listen(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises UserError where there can be none: occupied, forbidden, not of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "something listens there already" if taken else error.strerror
        remedy = f"Choose another port, e.g. --port {port % 65535 + 1}, or stop what listens there."
        raise UserError(
            f"cannot serve at {host}, port {port}: {reason}. "
            f"{remedy if taken else 'Choose a --host of this machine and a --port from 1024 on.'}"
        ) from None


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or a signal to end; those in hand are finished."""
    settings = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=10,
    )
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What is loaded by now stays: to look through it for garbage takes 0.1 s, in the middle of somebody's request.
    gc.collect()
    gc.freeze()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(uvicorn.Server(settings), listening))


async def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    to_thread.current_default_thread_limiter().total_tokens = _NUM_THREADS
    await server.serve(sockets=[listening])
