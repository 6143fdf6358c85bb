"""A labeler's work: the list of open tasks, the pages of a task, saving, submitting, skipping."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from tutelage.labeling.forms import SKIP_REASONS, Page, letters_of, pages_of
from tutelage.labeling.labels import LabelError, Problems, page_problems, read_label
from tutelage.labeling.revision import submitted_of
from tutelage.labeling.tasks import KINDS
from tutelage.studio.assignment import (
    MOST_COUNTED,
    Assignment,
    LeaseLost,
    assignment_of,
    claim,
    give_back,
    num_open,
    skip,
)
from tutelage.studio.guidelines import current_guideline
from tutelage.studio.labels import Entered, draft_of, label_of_uuid, num_labels, save_draft, submit
from tutelage.studio.revision import own_label
from tutelage.studio.tables import User
from tutelage.web.guards import Form, Labeler, Person, RowId, studio_of
from tutelage.web.pages import page, see
from tutelage.web.shortcuts import keys_of
from tutelage.web.work_forms import entries_of, guideline_version_of, seconds_of

router = APIRouter()

# Prefix of the name of the page that a step button leads to.
_TO_PAGE = "page."
_ALREADY_SUBMITTED = (
    "This task was already submitted without your latest changes. You can change a label under “Done” while the "
    "time for changes lasts."
)


@router.get("/")
def show_tasks(request: Request, person: Person, labeler: Labeler, done: int = 0, gone: int = 0) -> HTMLResponse:
    studio = studio_of(request)
    shown: dict[str, Any] = {
        "num_open": num_open(studio, labeler),
        "most_counted": MOST_COUNTED,
        "num_labels": num_labels(studio, labeler),
        "is_done": bool(done),
        "is_gone": bool(gone),
    }
    return page(request, "tasks.html", person, **shown)


@router.post("/tasks/{kind}")
def start(request: Request, kind: str, labeler: Labeler, _form: Form) -> Response:
    if kind not in KINDS:
        raise HTTPException(404, f"There are no tasks of kind {kind!r}.")
    assignment = claim(studio_of(request), labeler, kind)
    return see("/?gone=1") if assignment is None else see(f"/task/{assignment.slot_id}")


@router.get("/task/{slot_id}")
def resume(request: Request, slot_id: RowId, labeler: Labeler) -> Response:
    """Redirect to the first incomplete page."""
    studio = studio_of(request)
    assignment = assignment_of(studio, labeler, slot_id)
    return see(f"/task/{slot_id}/{_next_page(assignment, draft_of(studio, assignment))}")


@router.get("/task/{slot_id}/{page_name}")
def show_work(request: Request, slot_id: RowId, page_name: str, person: Person, labeler: Labeler) -> HTMLResponse:
    studio = studio_of(request)
    assignment = assignment_of(studio, labeler, slot_id)
    return _work_page(request, person, assignment, _page_of(assignment, page_name), draft_of(studio, assignment), {})


@router.post("/task/{slot_id}/skip")
def do_skip(request: Request, slot_id: RowId, labeler: Labeler, form: Form) -> Response:
    skip(studio_of(request), labeler, slot_id, reason=form.get("reason", ""), note=form.get("skip_note", ""))
    return see("/")


@router.post("/task/{slot_id}/give-back")
def do_give_back(request: Request, slot_id: RowId, labeler: Labeler, _form: Form) -> Response:
    give_back(studio_of(request), labeler, slot_id)
    return see("/")


@router.post("/task/{slot_id}/{page_name}")
def save_work(
    request: Request, slot_id: RowId, page_name: str, person: Person, labeler: Labeler, form: Form
) -> Response:
    """Save the page as it is; then show another page, or the next one if this is complete, or submit them all."""
    studio, go = studio_of(request), form.get("go", "next")
    known = label_of_uuid(studio, labeler, form.get("client_uuid", "")) if go == "submit" else None
    if known is not None:
        return _sent_again(request, page_name, person, labeler, known, form)
    try:
        return _saved(request, slot_id, page_name, person, labeler, form)
    except LeaseLost as lost:
        return _lost_page(request, person, str(lost), form)


def _sent_again(request: Request, page_name: str, person: Person, labeler: User, label_id: int, form: Form) -> Response:
    """Done, if it equals the label: a double click. After the browser's Back, the form may be changed and resent."""
    own = own_label(studio_of(request), labeler, label_id)
    entered = {**submitted_of(own.task, own.label, own.order), page_name: entries_of(form)}
    try:
        is_same = read_label(own.task, entered, own.order) == own.label
    except LabelError:
        is_same = False
    if is_same:
        return see("/?done=1")
    return _lost_page(request, person, _ALREADY_SUBMITTED, form)


def _lost_page(request: Request, person: Person, message: str, form: Form) -> Response:
    """Show what was entered and could not be saved, so that nothing is lost silently."""
    return page(request, "lost.html", person, status=409, message=message, entries=entries_of(form))


def _saved(request: Request, slot_id: int, page_name: str, person: Person, labeler: User, form: Form) -> Response:
    studio, go = studio_of(request), form.get("go", "next")
    assignment = assignment_of(studio, labeler, slot_id)
    this = _page_of(assignment, page_name)
    entries = entries_of(form)
    seconds = seconds_of(studio, form)
    draft = save_draft(studio, assignment, this.name, entries, seconds=seconds, should_hold=True)
    if go == "back":
        return see(f"/task/{slot_id}/{_neighbour(assignment, this, -1)}")
    if go.startswith(_TO_PAGE):
        return see(f"/task/{slot_id}/{_page_of(assignment, go.removeprefix(_TO_PAGE)).name}")
    if problems := page_problems(assignment.task, this, entries):
        return _work_page(request, person, assignment, this, draft, problems, status=422)
    if go != "submit":
        return see(f"/task/{slot_id}/{_neighbour(assignment, this, 1)}")
    return _submitted(request, person, labeler, assignment, form)


def _submitted(request: Request, person: Person, labeler: User, assignment: Assignment, form: Form) -> Response:
    studio = studio_of(request)
    token, uuid = form.get("lease_token", ""), form.get("client_uuid", "")
    try:
        submit(
            studio,
            labeler,
            assignment,
            lease_token=token,
            client_uuid=uuid,
            guideline_version=guideline_version_of(form),
        )
    except LabelError as error:
        name, problems = next(iter(error.problems.items()))
        draft, this = draft_of(studio, assignment), _page_of(assignment, name)
        return _work_page(request, person, assignment, this, draft, problems, status=422)
    return see("/?done=1")


def _work_page(
    request: Request,
    person: Person,
    assignment: Assignment,
    this: Page,
    draft: Entered,
    problems: Problems,
    *,
    status: int = 200,
) -> HTMLResponse:
    studio = studio_of(request)
    pages = pages_of(assignment.task)
    text_of = {completion.id: completion.text for completion in assignment.task.completions}
    shown: dict[str, Any] = {
        "assignment": assignment,
        "task": assignment.task,
        "this": this,
        "keys": keys_of(this),
        "pages": pages,
        "states": {each.name: _state(assignment, each, draft) for each in pages},
        "number": pages.index(this) + 1,
        "entered": draft.pages.get(this.name, {}),
        "problems": problems,
        # Letters and text only: no id or policy name reaches the page.
        "completions": {
            letter: text_of[identity] for letter, identity in zip(letters_of(assignment.task), assignment.order)
        },
        "guideline": current_guideline(studio, assignment.task.kind, assignment.purpose),
        "skip_reasons": SKIP_REASONS,
        "client_uuid": str(uuid4()),
        "opened_at": studio.clock().timestamp(),
        "lease_seconds": (assignment.leased_until - studio.clock()).total_seconds(),
        "total_seconds": sum(draft.active_seconds.values()),
    }
    return page(request, "work.html", person, status=status, **shown)


def _page_of(assignment: Assignment, name: str) -> Page:
    for each in pages_of(assignment.task):
        if each.name == name:
            return each
    raise HTTPException(404, f"This task has no page {name!r}.")


def _neighbour(assignment: Assignment, this: Page, step: int) -> str:
    pages = pages_of(assignment.task)
    return pages[min(max(pages.index(this) + step, 0), len(pages) - 1)].name


def _state(assignment: Assignment, each: Page, draft: Entered) -> str:
    """The state of a page, for the step indicator."""
    if each.name not in draft.pages:
        return "open"
    return "begun" if page_problems(assignment.task, each, draft.pages[each.name]) else "done"


def _next_page(assignment: Assignment, draft: Entered) -> str:
    pages = pages_of(assignment.task)
    open_pages = [each for each in pages if page_problems(assignment.task, each, draft.pages.get(each.name, {}))]
    return (open_pages or pages[-1:])[0].name
