"""The lead's pages: progress, people, invites. Researchers can read; admins can also make changes."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from tutelage.labeling.assignment import GROUP_NAMES, GROUPS, Group
from tutelage.labeling.forms import SKIP_REASONS
from tutelage.studio.people import ROLES, Role, SignedIn, audit_log, invite, set_active
from tutelage.studio.progress import (
    batch_progress,
    labeler_progress,
    labels_per_day,
    skip_reasons,
    work_of_labelers,
)
from tutelage.studio.studio import Refusal
from tutelage.web.guards import Admin, Form, Lead, Person, studio_of
from tutelage.web.pages import page, see

router = APIRouter(prefix="/lead")
_NUM_AUDIT = 500


@router.get("")
def show_progress(request: Request, person: Person, _lead: Lead) -> HTMLResponse:
    studio = studio_of(request)
    days = labels_per_day(studio)
    shown: dict[str, Any] = {
        "batches": batch_progress(studio),
        "days": days,
        "groups": GROUP_NAMES,
        "columns": [(f"{day:%A}, {day.day} {day:%B}", count) for day, count in days],
        "everybody": work_of_labelers(studio),
        "skips": {SKIP_REASONS.get(reason, reason): count for reason, count in skip_reasons(studio).items()},
    }
    return page(request, "progress.html", person, **shown)


@router.get("/people")
def show_people(request: Request, person: Person, _lead: Lead) -> HTMLResponse:
    return _people_page(request, person, link="")


@router.post("/people/invite")
def do_invite(request: Request, person: Person, admin: Admin, form: Form) -> HTMLResponse:
    """Create an invite; its link is shown once, on the response page."""
    role, group = cast(Role, form.get("role", "labeler")), cast(Group, form.get("group", "training"))
    quota = form.get("quota", "").strip()
    if quota and not (quota.isascii() and quota.isdigit() and len(quota) < 8):
        raise Refusal(f"The quota is {quota!r}; it must be a whole number of tasks, or empty for no limit.")
    studio = studio_of(request)
    token = invite(studio, role=role, group=group, quota=int(quota) if quota else None, invited_by=admin.id)
    return _people_page(request, person, link=f"{request.base_url}invite/{token}")


@router.post("/people/{user_id}/active")
def do_set_active(request: Request, user_id: str, admin: Admin, form: Form) -> Response:
    if user_id == admin.id:
        raise Refusal("You cannot disable your own account. Another admin can.")
    set_active(studio_of(request), user_id, form.get("is_active") == "yes", by=admin.id)
    return see("/lead/people")


@router.get("/audit")
def show_audit(request: Request, person: Person, _admin: Admin) -> HTMLResponse:
    entries = audit_log(studio_of(request), limit=_NUM_AUDIT)
    return page(request, "audit.html", person, entries=entries, limit=_NUM_AUDIT)


def _people_page(request: Request, person: SignedIn, *, link: str) -> HTMLResponse:
    everybody = labeler_progress(studio_of(request))
    return page(request, "people.html", person, everybody=everybody, roles=ROLES, groups=GROUPS, link=link)
