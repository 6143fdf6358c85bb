"""The JSON API for scripts: the page's own (a session and its token) and a researcher's (an API token)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from tutelage.labeling.assignment import Group
from tutelage.labeling.tasks import Purpose
from tutelage.store.jsonl import record_line
from tutelage.studio.export import FILES, GOLD, RULED, exported_records
from tutelage.studio.label_rows import Selection, require_batch, without_consent
from tutelage.studio.people import record_action
from tutelage.studio.progress import KindProgress, progress
from tutelage.studio.studio import Studio
from tutelage.web.guards import Lead, Person, studio_of

router = APIRouter(prefix="/api", tags=["studio"])


class Me(BaseModel):
    """The user whose token or session this is."""

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


# As `label export` names them: ordinary labels, labels of gold items, researchers' decisions.
ExportedFile = Annotated[str, Path(pattern=f"^({'|'.join(FILES)})({GOLD}|{RULED})?$")]


@router.get("/labels/{name}.jsonl", response_class=StreamingResponse)
def show_labels(
    request: Request,
    name: ExportedFile,
    lead: Lead,
    purpose: Purpose | None = None,
    group: Group | None = None,
    batch: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
) -> StreamingResponse:
    """One file of `tutelage label export` as it would be written now, line by line.

    The header X-Labels-Without-Consent counts the labels excluded from the export as a whole.
    """
    studio, selection = studio_of(request), Selection(purpose=purpose, group=group, batch=batch)
    require_batch(studio, selection)
    with studio.database.write() as session:
        record_action(studio, session, lead.id, "export", f"{name}.jsonl")
    with studio.database.read() as reading:
        left_out = {"X-Labels-Without-Consent": str(without_consent(reading, selection).num_labels)}
    return StreamingResponse(_lines(studio, selection, name), media_type="application/x-ndjson", headers=left_out)


def _lines(studio: Studio, selection: Selection, name: str) -> Iterator[str]:
    with studio.database.read() as session:
        for file, _, record in exported_records(studio, session, selection):
            if file == name:
                yield f"{record_line(record)}\n"
