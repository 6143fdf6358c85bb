"""Error handlers: always a page in plain words, never a traceback."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tutelage.studio.assignment import LeaseLost
from tutelage.studio.studio import Refusal
from tutelage.web.guards import NotAllowed, NotSignedIn, visitor
from tutelage.web.pages import page, see

_TITLES = {403: "Access denied", 404: "Page not found", 409: "No longer possible"}


def register(app: FastAPI) -> None:
    """Answer every refusal with its page, or with JSON below /api."""
    app.add_exception_handler(NotSignedIn, _not_signed_in)
    app.add_exception_handler(NotAllowed, _not_allowed)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ClientDisconnect, _gone)


def _gone(_request: Request, _error: Exception) -> Response:
    """The client disconnected in the middle of the request: nobody reads this, and it is not a server error."""
    return Response(status_code=400)


def _told(request: Request, status: int, message: str) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"detail": message}, status_code=status)
    title = _TITLES.get(status, "Something went wrong")
    return page(request, "message.html", visitor(request), status=status, title=title, message=message)


def _not_signed_in(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/api/"):
        return _told(request, 401, "Sign in, or send an API token: 'Authorization: Bearer ...'.")
    assert isinstance(error, NotSignedIn)
    shown = {"going_on": request.url.path, "carried": error.carried, "problem": "", "name": ""}
    return page(request, "sign_in.html", None, status=401, **shown)


def _not_allowed(request: Request, error: Exception) -> Response:
    person = visitor(request)
    if request.url.path == "/" and person is not None and person.user.role == "candidate":
        # The start page of a candidate is their test.
        return see("/screening")
    return _told(request, 403, str(error))


def _refused(request: Request, error: Exception) -> Response:
    return _told(request, 409 if isinstance(error, LeaseLost) else 400, str(error))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _told(request, error.status_code, str(error.detail))


def _malformed(request: Request, error: Exception) -> Response:
    """The input is not echoed: it may contain what no response can encode."""
    assert isinstance(error, RequestValidationError)
    places = ("/".join(map(str, fault["loc"])) + f": {fault['msg']}" for fault in error.errors())
    return _told(request, 422, ascii("; ".join(places))[1:-1][:500])
