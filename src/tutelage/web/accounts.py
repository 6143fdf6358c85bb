"""Coming in and leaving: invite links, sign-in, sign-out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tutelage.studio.people import (
    MIN_PASSWORD,
    accept_invite,
    api_tokens,
    invited_role,
    make_api_token,
    revoke_api_token,
    sign_in,
    sign_out,
    signed_in,
)
from tutelage.studio.studio import Refusal
from tutelage.web.guards import SESSION_COOKIE, Form, Person, RowId, Visitor, studio_of
from tutelage.web.pages import local_path, page, see, set_cookie

router = APIRouter()

# Before the names of fields that were on the page when the session ended.
_CARRIED = "carried."


@router.get("/sign-in")
def show_sign_in(request: Request, person: Visitor, going_on: str = "/") -> HTMLResponse:
    return page(request, "sign_in.html", person, going_on=local_path(going_on), carried={}, problem="", name="")


@router.post("/sign-in")
def do_sign_in(request: Request, person: Visitor, form: Form) -> Response:
    """In, and on to where the person wanted to go; with what they had entered when their session ended."""
    name, going_on = form.get("name", ""), local_path(form.get("going_on", "/"))
    carried = {key.removeprefix(_CARRIED): text for key, text in form.items() if key.startswith(_CARRIED)}
    try:
        token = sign_in(studio_of(request), name=name, password=form.get("password", ""))
    except Refusal as refusal:
        shown = {"going_on": going_on, "carried": carried, "problem": str(refusal), "name": name}
        return page(request, "sign_in.html", person, status=400, **shown)
    if not carried:
        return _welcome(request, token, going_on)
    again = signed_in(studio_of(request), token)
    response = page(request, "go_on.html", again, going_on=going_on, carried=carried)
    set_cookie(request, response, SESSION_COOKIE, token)
    return response


@router.post("/sign-out")
def do_sign_out(request: Request, _person: Person, _form: Form) -> RedirectResponse:
    sign_out(studio_of(request), request.cookies.get(SESSION_COOKIE, ""))
    response = see("/sign-in")
    response.delete_cookie(SESSION_COOKIE)
    return response


@router.get("/invite/{token}")
def show_invite(request: Request, token: str) -> HTMLResponse:
    role = invited_role(studio_of(request), token)
    return page(request, "invite.html", None, role=role, problem="", name="", min_password=MIN_PASSWORD)


@router.post("/invite/{token}")
def do_accept_invite(request: Request, token: str, form: Form) -> Response:
    studio, name, password = studio_of(request), form.get("name", ""), form.get("password", "")
    role = invited_role(studio, token)
    try:
        accept_invite(studio, token, name=name, password=password)
    except Refusal as refusal:
        shown = {"role": role, "problem": str(refusal), "name": name, "min_password": MIN_PASSWORD}
        return page(request, "invite.html", None, status=400, **shown)
    return _welcome(request, sign_in(studio, name=name, password=password), "/")


@router.get("/account")
def show_account(request: Request, person: Person) -> HTMLResponse:
    return page(request, "account.html", person, tokens=api_tokens(studio_of(request), person.user), token="")


@router.post("/account/tokens")
def do_make_token(request: Request, person: Person, form: Form) -> HTMLResponse:
    """The token is shown once, on the page that answers."""
    studio = studio_of(request)
    token = make_api_token(studio, person.user, form.get("name", ""))
    return page(request, "account.html", person, tokens=api_tokens(studio, person.user), token=token)


@router.post("/account/tokens/{token_id}/revoke")
def do_revoke_token(request: Request, token_id: RowId, person: Person, _form: Form) -> RedirectResponse:
    revoke_api_token(studio_of(request), person.user, token_id)
    return see("/account")


def _welcome(request: Request, token: str, going_on: str) -> RedirectResponse:
    response = see(going_on)
    set_cookie(request, response, SESSION_COOKIE, token)
    return response
