"""What scripts may ask, in JSON: the page's own (a session and its token) and a researcher's (an API token)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from tutelage.labeling.assignment import Group
from tutelage.labeling.tasks import Purpose
from tutelage.store.jsonl import record_line
from tutelage.studio.export import Selection, label_rows, records_of
from tutelage.studio.people import record_action
from tutelage.studio.progress import KindProgress, progress
from tutelage.web.guards import Lead, Person, studio_of

router = APIRouter(prefix="/api", tags=["studio"])


class Me(BaseModel):
    """Whose token or session this is."""

    labeler_id: str
    name: str
    role: str
    group: str


@router.get("/me")
def show_me(person: Person) -> Me:
    user = person.user
    return Me(labeler_id=user.id, name=user.name, role=user.role, group=user.labeler_group)


@router.get("/progress")
def show_progress(request: Request, _lead: Lead) -> list[KindProgress]:
    return progress(studio_of(request))


ExportedFile = Literal["demonstrations", "ratings", "rankings", "comparisons", "toxicity", "prompts"]


@router.get("/labels/{name}.jsonl", response_class=StreamingResponse)
def show_labels(
    request: Request,
    name: ExportedFile,
    lead: Lead,
    purpose: Purpose | None = None,
    group: Group | None = None,
    batch: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
) -> StreamingResponse:
    """One file of `tutelage label export` as it would be written now, line by line."""
    studio = studio_of(request)
    with studio.database.write() as session:
        record_action(studio, session, lead.id, "export", f"{name}.jsonl")
    rows = label_rows(studio, Selection(purpose=purpose, group=group, batch=batch))
    lines = (f"{record_line(record)}\n" for row in rows for file, record in records_of(row) if file == name)
    return StreamingResponse(lines, media_type="application/x-ndjson")
