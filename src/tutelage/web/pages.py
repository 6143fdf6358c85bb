"""Rendering a page: a template, its reader, and the token that its forms carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tutelage import __version__
from tutelage.labeling.forms import KIND_TITLES
from tutelage.studio.people import SignedIn
from tutelage.studio.sign_in import Entrance, sign_in
from tutelage.web import charts
from tutelage.web.guards import DEVICE_COOKIE, FORM_COOKIE, SESSION_COOKIE, address_of, csrf_token, studio_of
from tutelage.web.markdown import html_of

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    # Everything is escaped, whatever the template's name: prompts and completions are data.
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"version": __version__, "kind_titles": KIND_TITLES, "charts": charts}
_TEMPLATES.filters["markdown"] = html_of


def page(request: Request, template: str, person: SignedIn | None, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """Render a page with its forms' token; without a session, the token's cookie is set too."""
    token = csrf_token(request, person)
    text = _TEMPLATES.get_template(template).render(person=person, csrf=token, path=request.url.path, **shown)
    response = HTMLResponse(text, status_code=status)
    if person is None:
        set_cookie(request, response, FORM_COOKIE, token)
    return response


def set_cookie(request: Request, response: Response, name: str, value: str, max_age: int | None = None) -> None:
    """Set an HttpOnly, same-site cookie; for `max_age` seconds, or until the browser closes."""
    is_https = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=max_age, httponly=True, samesite="lax", secure=is_https)


def enter(request: Request, name: str, password: str) -> Entrance:
    """Sign in the sender of a form. Raises Refusal."""
    device = request.cookies.get(DEVICE_COOKIE, "")
    return sign_in(studio_of(request), name=name, password=password, address=address_of(request), device=device)


def set_entrance(request: Request, response: Response, entrance: Entrance) -> None:
    """Set the session's cookie, and the one by which this browser is recognized later."""
    set_cookie(request, response, SESSION_COOKIE, entrance.session)
    lasting = int(studio_of(request).settings.device.total_seconds())
    set_cookie(request, response, DEVICE_COOKIE, entrance.device, lasting)


def see(path: str) -> RedirectResponse:
    """Redirect after a form (303, so that reloading does not resubmit)."""
    return RedirectResponse(path, status_code=303)


def local_path(path: str) -> str:
    """`path` if it stays on this site, else the start page: no open redirects."""
    is_local = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_local else "/"
