"""The lead's quality pages: agreement, each labeler, and the disputed items that a researcher decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from tutelage.labeling.assignment import GROUP_NAMES
from tutelage.labeling.fields import Submitted
from tutelage.labeling.forms import Page, letters_of, pages_of
from tutelage.labeling.labels import LabelError, Problems
from tutelage.labeling.quality import PAPER_AGREEMENT, QUESTIONS, Agreement
from tutelage.labeling.ranking import dense_ranks
from tutelage.labeling.revision import submitted_of
from tutelage.labeling.tasks import KINDS, PURPOSES, Task
from tutelage.statistics.agreement import TieRule
from tutelage.studio.adjudication import Case, adjudicate, case_of, rulings
from tutelage.studio.gold import make_gold
from tutelage.studio.people import SignedIn
from tutelage.studio.studio import Refusal
from tutelage.web.guards import Form, Lead, Person, RowId, remembered_of, studio_of
from tutelage.web.pages import page, see

router = APIRouter(prefix="/lead")
_NUM_CASES = 100
TIE_RULES: dict[TieRule, str] = {
    "category": "a tie agrees only with a tie",
    "half": "a tie counts as half agreement with a preference",
    "exclude": "pairs with a tie are excluded",
}


@router.get("/quality")
def show_quality(
    request: Request, person: Person, _lead: Lead, purpose: str = "", kind: str = "", ties: str = "category"
) -> HTMLResponse:
    remembered = remembered_of(request)
    found = remembered.quality(
        _one_of(purpose, PURPOSES, "purpose"),
        _one_of(kind, KINDS, "kind"),
        ties=_one_of(ties, get_args(TieRule), "ties") or "category",
    )
    shown: dict[str, Any] = {
        "quality": found,
        "differing": [each for each in found.agreements if each.share and each.alphas["nominal"].value is not None],
        "same": [QUESTIONS[each.question] for each in found.agreements if _is_all_the_same(each)],
        "once": [QUESTIONS[each.question] for each in found.agreements if each.share is None],
        "groups": GROUP_NAMES,
        "purpose": purpose,
        "kind": kind,
        "ties": ties,
        "purposes": PURPOSES,
        "kinds": KINDS,
        "tie_rules": TIE_RULES,
        "questions": QUESTIONS,
        "paper": PAPER_AGREEMENT,
        "num_cases": len(remembered.disputed()),
    }
    return page(request, "quality.html", person, **shown)


def _is_all_the_same(agreement: Agreement) -> bool:
    return agreement.share is not None and agreement.alphas["nominal"].value is None


def _one_of(value: str, known: tuple[Any, ...], name: str) -> Any:
    if value and value not in known:
        raise Refusal(f"{name} is {value[:40]!r}; choose {', '.join(known)}, or leave it empty for all.")
    return value or None


@router.get("/cases")
def show_cases(request: Request, person: Person, _lead: Lead) -> HTMLResponse:
    queue = remembered_of(request).disputed()
    decided = sorted(rulings(studio_of(request)).values(), key=lambda ruling: ruling.made_at, reverse=True)
    shown: dict[str, Any] = {"queue": queue[:_NUM_CASES], "num_cases": len(queue), "decided": decided[:_NUM_CASES]}
    return page(request, "cases.html", person, **shown)


@router.get("/cases/{item_id}")
def show_case(request: Request, item_id: RowId, person: Person, _lead: Lead) -> HTMLResponse:
    case = case_of(studio_of(request), item_id)
    entered = submitted_of(case.task, case.ruling.label, case.order) if case.ruling else {}
    return _case_page(request, person, case, entered, {})


@router.post("/cases/{item_id}")
def do_decide(request: Request, item_id: RowId, person: Person, lead: Lead, form: Form) -> Response:
    """Store the decision; if the box is checked, the item becomes gold."""
    studio = studio_of(request)
    case = case_of(studio, item_id)
    submitted = pages_submitted(case.task, form)
    try:
        label = adjudicate(studio, case, submitted, note=form.get("ruling_note", ""), by=lead)
    except LabelError as error:
        return _case_page(request, person, case, submitted, error.problems, status=422)
    if form.get("as_gold"):
        make_gold(studio, item_id, label, by=lead.id)
    return see("/lead/cases")


def _case_page(
    request: Request,
    person: SignedIn,
    case: Case,
    entered: Mapping[str, Submitted],
    problems: Mapping[str, Problems],
    *,
    status: int = 200,
) -> HTMLResponse:
    ranks = [dense_ranks(opinion.label.ranking) for opinion in case.opinions]
    shown: dict[str, Any] = {"case": case, "ranks": ranks, "names": QUESTIONS}
    return page(
        request, "case.html", person, status=status, **shown, **whole_task(case.task, case.order, entered, problems)
    )


def whole_task(
    task: Task, order: tuple[str, ...], entered: Mapping[str, Submitted], problems: Mapping[str, Problems]
) -> dict[str, Any]:
    """What a template needs to show all pages of a task as one form: each field's name is prefixed by its page's."""
    text_of = {completion.id: completion.text for completion in task.completions}
    return {
        "task": task,
        "pages": [_named(each) for each in pages_of(task)],
        "completions": {letter: text_of[name] for letter, name in zip(letters_of(task), order, strict=True)},
        "entered": {
            each.name: {_name(each, name): value for name, value in entered.get(each.name, {}).items()}
            for each in pages_of(task)
        },
        "problems": {
            each.name: {_name(each, name): words for name, words in problems.get(each.name, {}).items()}
            for each in pages_of(task)
        },
    }


def pages_submitted(task: Task, form: Submitted) -> dict[str, dict[str, str]]:
    """The pages of a task, from the single form of `whole_task`."""
    found: dict[str, dict[str, str]] = {}
    for each in pages_of(task):
        prefix = _name(each, "")
        found[each.name] = {name.removeprefix(prefix): value for name, value in form.items() if name.startswith(prefix)}
    return found


def _named(this: Page) -> Page:
    return replace(this, fields=tuple(replace(field, name=_name(this, field.name)) for field in this.fields))


def _name(this: Page, name: str) -> str:
    """A task has only one ranking, so its names can stay what the form's parts expect."""
    return name if this.about == "ranking" else f"{this.name}.{name}"
