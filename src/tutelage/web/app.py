"""The web application of a studio."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from tutelage import __version__
from tutelage.studio.remembered import Remembered
from tutelage.studio.request_counts import draw_requests
from tutelage.studio.studio import Studio
from tutelage.web import (
    accounts,
    api,
    guidelines,
    lead,
    quality,
    queue_api,
    refusals,
    revision,
    screening,
    tasks,
    work_api,
)
from tutelage.web.guards import limit_requests, secure_headers
from tutelage.web.limits import REQUESTS_PER_MINUTE, RequestLimit

_STATIC = Path(__file__).parent / "static"


def create_app(studio: Studio, *, requests_per_minute: int = REQUESTS_PER_MINUTE) -> FastAPI:
    """The application that serves `studio`. `requests_per_minute` is per client address, summed over all servers
    of the studio's database; 0 sets no limit.

    FastAPI's documentation pages load external scripts, so they are disabled; /openapi.json is available.
    """
    app = FastAPI(title="Tutelage labeling studio", version=__version__, docs_url=None, redoc_url=None)
    app.state.studio = studio
    app.state.remembered = Remembered(studio)
    draw = partial(draw_requests, studio)
    app.middleware("http")(limit_requests(RequestLimit(per_minute=requests_per_minute, draw=draw, clock=studio.clock)))
    app.middleware("http")(secure_headers)
    refusals.register(app)
    for pages in (accounts, tasks, revision, lead, quality, screening, guidelines):
        app.include_router(pages.router, include_in_schema=False)
    app.include_router(api.router)
    app.include_router(queue_api.router)
    app.include_router(work_api.router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app
