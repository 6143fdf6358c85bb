"""Accounts: invite links, sign-in, sign-out, API tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tutelage.studio.people import (
    MIN_PASSWORD,
    accept_invite,
    api_tokens,
    invited_role,
    make_api_token,
    revoke_api_token,
    set_consent,
    sign_out,
    signed_in,
)
from tutelage.studio.sign_in import Entrance
from tutelage.studio.studio import Refusal
from tutelage.web.guards import SESSION_COOKIE, Form, Person, RowId, Visitor, studio_of
from tutelage.web.pages import enter, local_path, page, see, set_entrance

router = APIRouter()

# Prefix of the names of fields that were on the page when the session ended.
_CARRIED = "carried."


@router.get("/sign-in")
def show_sign_in(request: Request, person: Visitor, going_on: str = "/") -> HTMLResponse:
    return page(request, "sign_in.html", person, going_on=local_path(going_on), carried={}, problem="", name="")


@router.post("/sign-in")
def do_sign_in(request: Request, person: Visitor, form: Form) -> Response:
    """Sign in and continue to the requested page, with what was entered there when the session ended."""
    name, going_on = form.get("name", ""), local_path(form.get("going_on", "/"))
    carried = {key.removeprefix(_CARRIED): text for key, text in form.items() if key.startswith(_CARRIED)}
    try:
        entrance = enter(request, name, form.get("password", ""))
    except Refusal as refusal:
        shown = {"going_on": going_on, "carried": carried, "problem": str(refusal), "name": name}
        return page(request, "sign_in.html", person, status=400, **shown)
    if not carried:
        return _welcome(request, entrance, going_on)
    again = signed_in(studio_of(request), entrance.session)
    response = page(request, "go_on.html", again, going_on=going_on, carried=carried)
    set_entrance(request, response, entrance)
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
    return _invite_page(request, role)


@router.post("/invite/{token}")
def do_accept_invite(request: Request, token: str, form: Form) -> Response:
    studio, name, password = studio_of(request), form.get("name", ""), form.get("password", "")
    role = invited_role(studio, token)
    try:
        accept_invite(studio, token, name=name, password=password, has_consented=form.get("consent") == "yes")
    except Refusal as refusal:
        return _invite_page(request, role, str(refusal), form)
    return _welcome(request, enter(request, name, password), "/")


@router.get("/account")
def show_account(request: Request, person: Person) -> HTMLResponse:
    return page(request, "account.html", person, tokens=api_tokens(studio_of(request), person.user), token="")


@router.post("/account/consent")
def do_set_consent(request: Request, person: Person, form: Form) -> RedirectResponse:
    set_consent(studio_of(request), person.user, form.get("consent") == "yes")
    return see("/account")


@router.post("/account/tokens")
def do_make_token(request: Request, person: Person, form: Form) -> HTMLResponse:
    """Create a token; it is shown once, on the response page."""
    studio = studio_of(request)
    token = make_api_token(studio, person.user, form.get("name", ""))
    return page(request, "account.html", person, tokens=api_tokens(studio, person.user), token=token)


@router.post("/account/tokens/{token_id}/revoke")
def do_revoke_token(request: Request, token_id: RowId, person: Person, _form: Form) -> RedirectResponse:
    revoke_api_token(studio_of(request), person.user, token_id)
    return see("/account")


def _invite_page(request: Request, role: str, problem: str = "", form: Mapping[str, str] | None = None) -> HTMLResponse:
    entered = form or {}
    shown: dict[str, Any] = {
        "role": role,
        "problem": problem,
        "name": entered.get("name", ""),
        "has_consented": entered.get("consent") == "yes",
        "min_password": MIN_PASSWORD,
        "is_consent_required": studio_of(request).settings.is_consent_required,
    }
    return page(request, "invite.html", None, status=400 if problem else 200, **shown)


def _welcome(request: Request, entrance: Entrance, going_on: str) -> RedirectResponse:
    response = see(going_on)
    set_entrance(request, response, entrance)
    return response
