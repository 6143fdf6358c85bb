"""Making a page: a template, who is reading it, and the token that its forms carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tutelage import __version__
from tutelage.labeling.forms import KIND_TITLES
from tutelage.studio.people import SignedIn
from tutelage.web import charts
from tutelage.web.guards import FORM_COOKIE, csrf_token
from tutelage.web.markdown import html_of

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    # Everything is escaped, whatever a template is called: prompts and completions are data.
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"version": __version__, "kind_titles": KIND_TITLES, "charts": charts}
_TEMPLATES.filters["markdown"] = html_of


def page(request: Request, template: str, person: SignedIn | None, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """A page with its forms' token; who has no session gets the token's cookie with it."""
    token = csrf_token(request, person)
    text = _TEMPLATES.get_template(template).render(person=person, csrf=token, path=request.url.path, **shown)
    response = HTMLResponse(text, status_code=status)
    if person is None:
        set_cookie(request, response, FORM_COOKIE, token)
    return response


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """A cookie that no script can read and no other site can send."""
    is_https = request.url.scheme == "https"
    response.set_cookie(name, value, httponly=True, samesite="lax", secure=is_https)


def see(path: str) -> RedirectResponse:
    """After a form: go and look there (303, so that loading again sends nothing again)."""
    return RedirectResponse(path, status_code=303)


def local_path(path: str) -> str:
    """`path` if it stays on this site, else the start page: nobody is led elsewhere by a link."""
    is_local = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_local else "/"
