"""The lead's guideline pages: read the current version, publish the next one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from tutelage.labeling.fields import MAX_CHARACTERS
from tutelage.labeling.tasks import KINDS, PURPOSES, Kind, Purpose
from tutelage.studio.guidelines import current_guideline, publish_guideline
from tutelage.studio.studio import Refusal
from tutelage.web.guards import Admin, Form, Lead, Person, studio_of
from tutelage.web.pages import page, see

router = APIRouter(prefix="/lead/guidelines")


@router.get("")
def show_guidelines(request: Request, person: Person, _lead: Lead) -> HTMLResponse:
    return page(request, "guidelines.html", person, kinds=KINDS, purposes=PURPOSES)


@router.get("/{kind}/{purpose}")
def show_guideline(request: Request, kind: str, purpose: str, person: Person, _lead: Lead) -> HTMLResponse:
    newest = current_guideline(studio_of(request), *_known(kind, purpose))
    return page(request, "guideline.html", person, guideline=newest)


@router.post("/{kind}/{purpose}")
def do_publish(request: Request, kind: str, purpose: str, admin: Admin, form: Form) -> Response:
    """Publish, unless nothing has changed: each version differs from the one before."""
    of_task = _known(kind, purpose)
    markdown = form.get("markdown", "").replace("\r\n", "\n").strip() + "\n"
    if not 1 < len(markdown) <= MAX_CHARACTERS:
        raise Refusal(f"The guideline has {len(markdown) - 1:,} characters; it must have 1 to {MAX_CHARACTERS - 1:,}.")
    publish_guideline(studio_of(request), *of_task, markdown, by=admin.id)
    return see(f"/lead/guidelines/{kind}/{purpose}")


def _known(kind: str, purpose: str) -> tuple[Kind, Purpose]:
    if kind not in KINDS or purpose not in PURPOSES:
        raise HTTPException(404, f"There is no guideline for {kind!r}, {purpose!r}.")
    return kind, purpose
