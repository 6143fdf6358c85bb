"""The screening test: a candidate's pages, and the lead's, who rate demonstrations and decide."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from tutelage.labeling.fields import Submitted
from tutelage.labeling.forms import Page
from tutelage.labeling.labels import Problems
from tutelage.labeling.screening import PART_TITLES, Decision, screening_fields, standings, suggested
from tutelage.studio.people import SignedIn
from tutelage.studio.screening import (
    Candidacy,
    ScreeningPage,
    candidacies,
    candidacy,
    decide,
    hand_in,
    rate,
    save_response,
    screening_of,
)
from tutelage.studio.studio import Refusal
from tutelage.web.guards import Candidate, Form, Lead, Person, RowId, studio_of
from tutelage.web.pages import page, see

router = APIRouter()


@router.get("/screening")
def show_screening(request: Request, person: Person, candidate: Candidate) -> HTMLResponse:
    own = screening_of(studio_of(request), candidate)
    return page(request, "screening.html", person, own=own, titles=PART_TITLES)


@router.get("/screening/{place}")
def show_screening_task(request: Request, place: int, person: Person, candidate: Candidate) -> HTMLResponse:
    own = screening_of(studio_of(request), candidate)
    this = _page_at(own, place)
    return _task_page(request, person, own, place, this.entries, {})


@router.post("/screening/{place}")
def do_save_response(request: Request, place: int, person: Person, candidate: Candidate, form: Form) -> Response:
    """Save the page as it is; then go to the next task if this one is complete, or back."""
    studio = studio_of(request)
    own = screening_of(studio, candidate)
    go, entries = form.get("go", "next"), {name: value for name, value in form.items() if name != "go"}
    problems = save_response(studio, candidate, _page_at(own, place).task_id, entries)
    if go == "back":
        return see(f"/screening/{max(place - 1, 1)}")
    if problems:
        return _task_page(request, person, own, place, entries, problems, status=422)
    return see("/screening" if place == len(own.pages) else f"/screening/{place + 1}")


@router.post("/screening")
def do_hand_in(request: Request, candidate: Candidate, _form: Form) -> Response:
    hand_in(studio_of(request), candidate)
    return see("/screening")


@router.get("/lead/screening")
def show_candidates(request: Request, person: Person, _lead: Lead) -> HTMLResponse:
    rows = [(each, standings(each.scores), suggested(each.scores)) for each in candidacies(studio_of(request))]
    return page(request, "candidates.html", person, rows=rows)


@router.get("/lead/screening/{screening_id}")
def show_candidate(request: Request, screening_id: RowId, person: Person, _lead: Lead) -> HTMLResponse:
    """One candidate without their name, so that only their work is judged."""
    own = candidacy(studio_of(request), screening_id)
    shown: dict[str, Any] = {"own": own, "standings": standings(own.scores), "suggestion": suggested(own.scores)}
    return page(request, "candidate.html", person, **shown)


@router.post("/lead/screening/{screening_id}/rate/{task_id}")
def do_rate(request: Request, screening_id: RowId, task_id: RowId, lead: Lead, form: Form) -> Response:
    score = form.get("score", "")
    if score not in tuple("1234567"):
        raise Refusal("Choose a rating from 1 to 7.")
    rate(studio_of(request), screening_id, task_id, int(score), by=lead)
    return see(f"/lead/screening/{screening_id}")


@router.post("/lead/screening/{screening_id}/decide")
def do_decide(request: Request, screening_id: RowId, lead: Lead, form: Form) -> Response:
    decision = cast(Decision, form.get("decision", ""))
    decide(studio_of(request), screening_id, decision, note=form.get("decision_note", ""), by=lead)
    return see(f"/lead/screening/{screening_id}")


def _page_at(own: Candidacy, place: int) -> ScreeningPage:
    if not 1 <= place <= len(own.pages):
        raise HTTPException(404, f"Your test has no task {place}.")
    return own.pages[place - 1]


def _task_page(
    request: Request,
    person: SignedIn,
    own: Candidacy,
    place: int,
    entered: Submitted,
    problems: Problems,
    *,
    status: int = 200,
) -> HTMLResponse:
    this = _page_at(own, place)
    text_of = {completion.id: completion.text for completion in this.task.completions}
    form = Page(
        name=str(place), title=PART_TITLES[this.task.part], about="completion", fields=screening_fields(this.task)
    )
    completions = {letter: text_of[name] for letter, name in zip(this.task.letters, this.order, strict=True)}
    shown: dict[str, Any] = {
        "own": own,
        "this": this,
        "place": place,
        "form": form,
        "completions": completions,
        "entered": entered,
    }
    return page(request, "screening_task.html", person, status=status, problems=problems, **shown)
