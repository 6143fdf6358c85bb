"""Storing what a labeler enters: drafts while they work, one label when they are done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tutelage import __version__
from tutelage.labeling.fields import MAX_CHARACTERS, Submitted
from tutelage.labeling.forms import pages_of
from tutelage.labeling.labels import LabelError, read_label
from tutelage.studio.assignment import Assignment, finish, hold
from tutelage.studio.guidelines import shown_guideline
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Draft, StoredLabel, User

_MAX_DRAFT = 4 * MAX_CHARACTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """Unfinished work: entries as submitted, and the seconds worked, both by page."""

    pages: Mapping[str, Submitted] = field(default_factory=dict)
    active_seconds: Mapping[str, float] = field(default_factory=dict)


def draft_of(studio: Studio, assignment: Assignment) -> Entered:
    """What the labeler has entered so far, in this lease or an earlier one."""
    with studio.database.read() as session:
        return _read_draft(session, assignment)


def _read_draft(session: Session, assignment: Assignment) -> Entered:
    draft = session.get(Draft, (assignment.item_id, assignment.labeler_id))
    return Entered(pages=draft.pages, active_seconds=draft.active_seconds) if draft else Entered()


def save_draft(
    studio: Studio,
    assignment: Assignment,
    page: str,
    submitted: Submitted,
    *,
    seconds: float = 0.0,
    should_hold: bool = False,
) -> Entered:
    """Save one page, complete or not, and add to its time; with `should_hold`, also renew the lease.

    Raises Refusal for a page the task does not have, and LeaseLost if the lease cannot be renewed.
    """
    if page not in {each.name for each in pages_of(assignment.task)}:
        raise Refusal(f"This task has no page {page!r}.")
    if sum(map(len, submitted.values())) > _MAX_DRAFT:
        raise Refusal(f"This page has more than {_MAX_DRAFT:,} characters. Shorten it.")
    longest = studio.settings.longest_page.total_seconds()
    seconds = min(max(seconds, 0.0), longest) if math.isfinite(seconds) else 0.0
    with studio.database.write() as session:
        _take_turn(studio, session, assignment)
        if should_hold:
            hold(studio, session, assignment.labeler_id, assignment.slot_id)
        draft = session.get(Draft, (assignment.item_id, assignment.labeler_id))
        if draft is None:
            draft = Draft(item_id=assignment.item_id, labeler_id=assignment.labeler_id, pages={}, active_seconds={})
            session.add(draft)
        draft.pages = {**draft.pages, page: dict(submitted)}
        draft.active_seconds = {**draft.active_seconds, page: draft.active_seconds.get(page, 0.0) + seconds}
        draft.saved_at = studio.clock()
        return Entered(pages=draft.pages, active_seconds=draft.active_seconds)


def _take_turn(studio: Studio, session: Session, assignment: Assignment) -> None:
    """Two pages of a task may be saved at the same moment, or saved and submitted: neither may overwrite the other."""
    studio.database.take_turn(session, f"draft {assignment.item_id} {assignment.labeler_id}")


def submit(
    studio: Studio,
    labeler: User,
    assignment: Assignment,
    *,
    lease_token: str,
    client_uuid: str,
    guideline_version: int | None = None,
) -> int:
    """Turn the draft into a label; returns its id. Repeated with the same `client_uuid`, it changes nothing.

    `client_uuid` is drawn when the page is rendered, so that a double click or a retry cannot label twice.
    `guideline_version` is the one that the page showed (None: the newest): another may have been published since.
    Raises LabelError if pages are incomplete, LeaseLost if the slot is lost, Refusal for an invalid id.
    """
    client_uuid = _checked_uuid(client_uuid)
    guideline = shown_guideline(studio, assignment.task.kind, assignment.purpose, guideline_version)
    try:
        return _store(studio, labeler, assignment, lease_token, client_uuid, guideline.id)
    except (IntegrityError, LabelError, Refusal):
        # Sent before, or twice at once: the slot is done and the draft deleted, because the label exists.
        known = label_of_uuid(studio, labeler, client_uuid)
        if known is None:
            raise
        return known


def _store(
    studio: Studio, labeler: User, assignment: Assignment, lease_token: str, client_uuid: str, guideline_id: int
) -> int:
    with studio.database.write() as session:
        # The draft is read while holding the turn: a page saved before is in the label, one saved after finds the task
        # done and is refused.
        _take_turn(studio, session, assignment)
        entered = _read_draft(session, assignment)
        label = read_label(assignment.task, entered.pages, assignment.order)
        slot = finish(studio, session, labeler, assignment.slot_id, lease_token)
        stored = StoredLabel(
            slot_id=slot.id,
            item_id=slot.item_id,
            labeler_id=labeler.id,
            client_uuid=client_uuid,
            label=label.model_dump(mode="json"),
            display_order=list(assignment.order),
            display_seed=studio.settings.seed,
            guideline_id=guideline_id,
            ui_version=__version__,
            active_seconds=dict(entered.active_seconds),
            created_at=studio.clock(),
        )
        session.add(stored)
        session.execute(delete(Draft).where(Draft.item_id == slot.item_id, Draft.labeler_id == labeler.id))
        session.flush()
        return stored.id


def _checked_uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Refusal(f"{text[:40]!r} is not the id of a page. Reload the page.") from None


def label_of_uuid(studio: Studio, labeler: User, client_uuid: str) -> int | None:
    """The label that this labeler stored from the page with this id, if any."""
    with studio.database.read() as session:
        return session.scalar(
            select(StoredLabel.id).where(StoredLabel.client_uuid == client_uuid, StoredLabel.labeler_id == labeler.id)
        )


def num_labels(studio: Studio, labeler: User) -> int:
    """How many tasks a labeler has finished."""
    with studio.database.read() as session:
        of_labeler = select(func.count()).select_from(StoredLabel).where(StoredLabel.labeler_id == labeler.id)
        return session.scalar(of_labeler) or 0
