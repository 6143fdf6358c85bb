"""What scripts may ask, in JSON: the page's own (a session and its token) and a researcher's (an API token)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

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
