"""A labeler's finished work: what they submitted, and changing it within the allowed time."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from tutelage.labeling.labels import LabelError
from tutelage.labeling.revision import submitted_of
from tutelage.studio.revision import own_label, own_labels, revise
from tutelage.web.guards import Form, Labeler, Person, RowId, studio_of
from tutelage.web.pages import page, see
from tutelage.web.quality import pages_submitted, whole_task

router = APIRouter(prefix="/labels")


@router.get("")
def show_labels(request: Request, person: Person, labeler: Labeler, changed: int = 0) -> HTMLResponse:
    labels = own_labels(studio_of(request), labeler)
    return page(request, "labels.html", person, labels=labels, is_changed=bool(changed))


@router.get("/{label_id}")
def show_label(request: Request, label_id: RowId, person: Person, labeler: Labeler) -> HTMLResponse:
    own = own_label(studio_of(request), labeler, label_id)
    entered = submitted_of(own.task, own.label, own.order)
    return page(request, "label.html", person, own=own, **whole_task(own.task, own.order, entered, {}))


@router.post("/{label_id}")
def do_revise(request: Request, label_id: RowId, person: Person, labeler: Labeler, form: Form) -> Response:
    studio = studio_of(request)
    own = own_label(studio, labeler, label_id)
    submitted = pages_submitted(own.task, form)
    try:
        revise(studio, labeler, label_id, submitted)
    except LabelError as error:
        shown = whole_task(own.task, own.order, submitted, error.problems)
        return page(request, "label.html", person, status=422, own=own, **shown)
    return see("/labels?changed=1")
