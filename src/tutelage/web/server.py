"""Serve the application at an address until it is stopped."""

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

# One thread at a time runs Python and one at a time writes to SQLite: more threads only get in each other's way.
_NUM_THREADS = 8
# The holder of the writers' lock releases the interpreter at every database call, and must get it back soon.
_SWITCH_SECONDS = 0.0005
_KEEP_ALIVE_SECONDS = 75


def listen(host: str, port: int) -> socket.socket:
    """Open a socket at this address. Raises UserError if that fails: in use, forbidden, not on this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "the address is already in use" if taken else error.strerror
        remedy = f"Choose another port, e.g. --port {port % 65535 + 1}, or stop the program that uses it."
        raise UserError(
            f"cannot serve at {host}, port {port}: {reason}. "
            f"{remedy if taken else 'Choose a --host of this machine and a --port of at least 1024.'}"
        ) from None


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve requests until Ctrl-C or a termination signal; requests in progress are finished."""
    settings = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=10,
    )
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What is loaded by now stays: scanning it for garbage takes 0.1 s, in the middle of a request.
    gc.collect()
    gc.freeze()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(uvicorn.Server(settings), listening))


async def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    to_thread.current_default_thread_limiter().total_tokens = _NUM_THREADS
    await server.serve(sockets=[listening])
