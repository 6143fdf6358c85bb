"""Request guards: authentication, roles, CSRF, rate limits, and what the browser may load."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import PlainTextResponse

from tutelage.studio.people import Role, SignedIn, signed_in, user_of_api_token
from tutelage.studio.remembered import Remembered
from tutelage.studio.studio import Studio
from tutelage.studio.tables import User
from tutelage.web.limits import RequestLimit

SESSION_COOKIE = "tutelage_session"
FORM_COOKIE = "tutelage_form"
DEVICE_COOKIE = "tutelage_device"
CSRF_FIELD = "csrf_token"
_CONTENT_SECURITY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
Next = Callable[[Request], Awaitable[Response]]
# A row id in a URL: no database accepts larger ones.
RowId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class NotSignedIn(Exception):
    """The page requires signing in. `carried`: what was entered, which the sign-in page keeps."""

    def __init__(self, carried: Mapping[str, str] | None = None) -> None:
        super().__init__("not signed in")
        self.carried = dict(carried or {})

    def __reduce__(self) -> tuple[type[NotSignedIn], tuple[Mapping[str, str]], dict[str, object]]:
        return type(self), (self.carried,), self.__dict__


class NotAllowed(Exception):
    """The page is for another role, or the form did not come from one of our pages; the message says which."""


async def secure_headers(request: Request, call_next: Next) -> Response:
    """Set security headers: nothing external is loaded, nothing is framed, pages with people's work are not cached."""
    response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers[name] = value
    if not request.url.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"
    return response


def limit_requests(limit: RequestLimit) -> Callable[[Request, Next], Awaitable[Response]]:
    """A middleware that answers 429 to an address that sends too many requests."""

    async def limited(request: Request, call_next: Next) -> Response:
        address = address_of(request)
        is_reached = limit.is_reached(address)
        if is_reached is None:
            is_reached = await run_in_threadpool(limit.is_reached_after_draw, address)
        if is_reached:
            text = "Too many requests from this address. What you entered is still on your page: wait a minute."
            return PlainTextResponse(text, status_code=429, headers={"Retry-After": "60"})
        return await call_next(request)

    return limited


def address_of(request: Request) -> str:
    """The client address of a request; for IPv6 its /64 network, since one client usually controls all of it."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ip_network(f"{host.split('%')[0]}/64", strict=False))


def studio_of(request: Request) -> Studio:
    found: Studio = request.app.state.studio
    return found


def remembered_of(request: Request) -> Remembered:
    """The cached computations over all labels, for the pages that show them."""
    found: Remembered = request.app.state.remembered
    return found


def visitor(request: Request) -> SignedIn | None:
    """The user making the request, by browser cookie or API token; None if not signed in."""
    studio, authorization = studio_of(request), request.headers.get("authorization", "")
    if authorization.startswith("Bearer "):
        return user_of_api_token(studio, authorization.removeprefix("Bearer ").strip())
    token = request.cookies.get(SESSION_COOKIE)
    return signed_in(studio, token) if token else None


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=200)


def _texts(form: FormData) -> dict[str, str]:
    """The text fields, the first value of each name; U+0000, which PostgreSQL cannot store, becomes U+FFFD."""
    texts = {name: value for name, value in reversed(form.multi_items()) if isinstance(value, str)}
    return {name.replace("\0", "\ufffd"): value.replace("\0", "\ufffd") for name, value in texts.items()}


Visitor = Annotated[SignedIn | None, Depends(visitor)]


async def _required(request: Request, visitor: Visitor) -> SignedIn:
    if visitor is None:
        raise NotSignedIn(_texts(await _form(request)) if request.method == "POST" else None)
    return visitor


Person = Annotated[SignedIn, Depends(_required)]


def _needs_role(*roles: Role) -> Callable[[SignedIn], User]:
    def checked(person: Person) -> User:
        if person.user.role not in roles:
            allowed = " and ".join(f"{role}s" for role in roles)
            raise NotAllowed(f"This page is for {allowed}; you are a {person.user.role}.")
        return person.user

    return checked


# Leads may label too, to try the tasks.
Labeler = Annotated[User, Depends(_needs_role("labeler", "researcher", "admin"))]
# Takes the screening test, and may do nothing else yet.
Candidate = Annotated[User, Depends(_needs_role("candidate"))]
Lead = Annotated[User, Depends(_needs_role("researcher", "admin"))]


def _script(person: Person, lead: Lead) -> User:
    """A lead's script, by token: browsers send a session cookie even for cross-site requests, but not a token."""
    if person.csrf_token is not None:
        raise NotAllowed("This endpoint is for scripts: send an API token, 'Authorization: Bearer ...'.")
    return lead


LeadScript = Annotated[User, Depends(_script)]
Admin = Annotated[User, Depends(_needs_role("admin"))]


def csrf_token(request: Request, person: SignedIn | None) -> str:
    """The token a form must carry: the session's, or, before there is a session, that of a separate cookie."""
    if person is not None and person.csrf_token is not None:
        return person.csrf_token
    if not hasattr(request.state, "form_token"):
        request.state.form_token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    return str(request.state.form_token)


def _checked_form(request: Request, person: Visitor, form: Annotated[FormData, Depends(_form)]) -> dict[str, str]:
    """The text fields of a form that came from one of our pages."""
    fields = _texts(form)
    given = fields.pop(CSRF_FIELD, "") or request.headers.get("x-csrf-token", "")
    is_script = person is not None and person.csrf_token is None
    expected = person.csrf_token if person else request.cookies.get(FORM_COOKIE)
    if not is_script and not (expected and secrets.compare_digest(given.encode(), expected.encode())):
        raise NotAllowed("This form did not come from a page of this studio, or is too old. Reload the page.")
    return fields


Form = Annotated[dict[str, str], Depends(_checked_form)]
