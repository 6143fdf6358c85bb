"""Endpoints for a task page's script: save a draft, renew the lease, sign in again without leaving the page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse

from tutelage.studio.assignment import assignment_of, renew
from tutelage.studio.labels import save_draft
from tutelage.studio.people import SignedIn, signed_in
from tutelage.studio.studio import Studio
from tutelage.web.guards import FORM_COOKIE, Form, Labeler, Visitor, csrf_token, studio_of
from tutelage.web.pages import enter, set_cookie, set_entrance
from tutelage.web.work_forms import entries_of, seconds_of

router = APIRouter(prefix="/api", tags=["work"])

SlotId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Held(BaseModel):
    """How long the slot is leased: in seconds from now, because the browser's clock may be wrong."""

    lease_seconds: float


class SavedPage(Held):
    """The result of saving a page: the time worked on the whole task so far."""

    total_seconds: float


class Session(BaseModel):
    """Who is signed in (default: nobody), and the token that forms must carry."""

    labeler_id: str | None = None
    name: str | None = None
    csrf_token: str


@router.post("/task/{slot_id}/pages/{page_name}")
def keep(request: Request, slot_id: SlotId, page_name: str, labeler: Labeler, form: Form) -> SavedPage:
    """Save the page as a draft, complete or not, and renew the lease."""
    studio = studio_of(request)
    assignment = assignment_of(studio, labeler, slot_id)
    seconds = seconds_of(studio, form)
    draft = save_draft(studio, assignment, page_name, entries_of(form), seconds=seconds, should_hold=True)
    held_for = studio.settings.lease.total_seconds()
    return SavedPage(lease_seconds=held_for, total_seconds=sum(draft.active_seconds.values()))


@router.post("/task/{slot_id}/lease")
def hold(request: Request, slot_id: SlotId, labeler: Labeler, _form: Form) -> Held:
    """A heartbeat: the labeler is still working; renews the lease."""
    studio = studio_of(request)
    return Held(lease_seconds=_seconds_left(studio, renew(studio, labeler, slot_id)))


@router.get("/session", response_model=Session)
def show_session(request: Request, person: Visitor) -> JSONResponse:
    """The signed-in user; without a session, the response sets the cookie that signing in needs."""
    response = _told(request, person)
    if person is None:
        set_cookie(request, response, FORM_COOKIE, csrf_token(request, None))
    return response


@router.post("/session", response_model=Session)
def sign_in_again(request: Request, form: Form) -> JSONResponse:
    """Start a session from within a page."""
    entrance = enter(request, form.get("name", ""), form.get("password", ""))
    response = _told(request, signed_in(studio_of(request), entrance.session))
    set_entrance(request, response, entrance)
    return response


def _told(request: Request, person: SignedIn | None) -> JSONResponse:
    user = person.user if person else None
    told = Session(
        labeler_id=user.id if user else None,
        name=user.name if user else None,
        csrf_token=csrf_token(request, person),
    )
    return JSONResponse(told.model_dump())


def _seconds_left(studio: Studio, until: datetime) -> float:
    return (until - studio.clock()).total_seconds()
