"""The screening test in the database: batches of tasks, candidates who take them, researchers who rate and decide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tutelage.labeling.display import display_order
from tutelage.labeling.fields import Submitted
from tutelage.labeling.screening import (
    DECISIONS,
    SELF_ASSESSMENT,
    Decision,
    Response,
    ScreeningScores,
    ScreeningTask,
    screening_problems,
    screening_scores,
)
from tutelage.statistics.likert import LIKERT_MAX, LIKERT_MIN
from tutelage.studio.people import record_action
from tutelage.studio.screening_tables import (
    Screening,
    ScreeningBatch,
    ScreeningResponse,
    ScreeningScore,
    ScreeningTaskRow,
)
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import User

_MAX_TASKS = 200
_MAX_ENTRIES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningPage:
    """One task of a test as shown to a candidate. `order`: its completions as they see them, A first."""

    task_id: int
    task: ScreeningTask
    order: tuple[str, ...]
    entries: Submitted

    @property
    def is_complete(self) -> bool:
        # A page that was never saved is incomplete, even if nothing on it is required.
        return bool(self.entries) and not screening_problems(self.task, self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """A candidate's test with what they entered, the ratings of each task by researcher, and the four scores."""

    id: int
    candidate_id: str
    name: str
    batch: str
    pages: tuple[ScreeningPage, ...]
    ratings: dict[int, dict[str, int]]
    scores: ScreeningScores
    submitted_at: datetime | None
    decision: str | None
    decision_note: str
    decided_by: str | None
    decided_at: datetime | None


def add_screening(studio: Studio, tasks: Iterable[ScreeningTask], *, name: str = "", by: str | None = None) -> int:
    """Create a test of these tasks followed by the self-assessment; returns its id. It replaces the previous test.

    Raises Refusal if a part is missing, for which there would then be no score.
    """
    tasks = [*(task for task in tasks if task.part != "self-assessment"), _SELF_ASSESSMENT]
    missing = {"flagging", "ranking", "demonstration"} - {task.part for task in tasks}
    if missing or len(tasks) > _MAX_TASKS:
        raise Refusal(
            f"The test has {len(tasks)} tasks; missing: {', '.join(sorted(missing)) or 'nothing'}. It needs "
            f"flagging, ranking and demonstration tasks, at most {_MAX_TASKS} in all."
        )
    with studio.database.write() as session:
        studio.database.take_turn(session, "screening tests")
        for open_one in session.scalars(select(ScreeningBatch).where(ScreeningBatch.is_open)):
            open_one.is_open = False
        batch = ScreeningBatch(name=name[-200:], is_open=True, created_at=studio.clock())
        session.add(batch)
        session.flush()
        session.add_all(
            ScreeningTaskRow(batch_id=batch.id, place=place, task=task.model_dump(mode="json", exclude_defaults=True))
            for place, task in enumerate(tasks, start=1)
        )
        record_action(studio, session, by, "add screening", f"test {batch.id}: {len(tasks)} tasks")
        return batch.id


_SELF_ASSESSMENT = ScreeningTask(part="self-assessment", prompt=SELF_ASSESSMENT)


def screening_of(studio: Studio, candidate: User) -> Candidacy:
    """The test that a candidate takes or took; started, if one is open. Raises Refusal if there is none."""
    with studio.database.read() as session:
        if own := _newest(session, candidate.id):
            return _candidacy(studio, session, own, candidate)
    with studio.database.write() as session:
        # Another browser of theirs may have been first, and the test may have been replaced since then.
        studio.database.take_turn(session, f"screening {candidate.id}")
        own = _newest(session, candidate.id) or _begin(studio, session, candidate)
        return _candidacy(studio, session, own, candidate)


def _newest(session: Session, candidate_id: str, *, should_lock: bool = False) -> Screening | None:
    of_candidate = select(Screening).where(Screening.candidate_id == candidate_id)
    newest = of_candidate.order_by(Screening.id.desc()).limit(1)
    return session.scalar(newest.with_for_update() if should_lock else newest)


def _begin(studio: Studio, session: Session, candidate: User) -> Screening:
    newest = select(ScreeningBatch).where(ScreeningBatch.is_open).order_by(ScreeningBatch.id.desc()).limit(1)
    batch = session.scalar(newest)
    if batch is None:
        raise Refusal("The test is not ready yet. Come back later, or ask the person who invited you.")
    begun = Screening(batch_id=batch.id, candidate_id=candidate.id, started_at=studio.clock())
    session.add(begun)
    session.flush()
    return begun


def save_response(studio: Studio, candidate: User, task_id: int, entries: Submitted) -> dict[str, str]:
    """Save what a candidate entered in one task, complete or not; returns what is wrong with it.

    Raises Refusal if the task is not in their test, or the test has been submitted.
    """
    if sum(map(len, entries.values())) > _MAX_ENTRIES:
        raise Refusal(f"This page has more than {_MAX_ENTRIES:,} characters. Shorten it.")
    with studio.database.write() as session:
        own = _open_one(session, candidate)
        row = session.get(ScreeningTaskRow, task_id)
        if row is None or row.batch_id != own.batch_id:
            raise Refusal("This task is not in your test.")
        kept = session.get(ScreeningResponse, (own.id, task_id))
        kept = kept or ScreeningResponse(screening_id=own.id, task_id=task_id)
        kept.entries, kept.saved_at = dict(entries), studio.clock()
        session.add(kept)
        return screening_problems(ScreeningTask.model_validate(row.task), entries)


def _open_one(session: Session, candidate: User) -> Screening:
    """The test that a candidate is taking, locked: entries are saved before it is submitted, or refused."""
    own = _newest(session, candidate.id, should_lock=True)
    if own is None or own.submitted_at is not None:
        raise Refusal("Your test has been submitted and can no longer be changed.")
    return own


def hand_in(studio: Studio, candidate: User) -> None:
    """Submit the test. Raises Refusal if a task is incomplete."""
    with studio.database.write() as session:
        own = _open_one(session, candidate)
        pages = _pages(studio, session, own)
        missing = [str(number) for number, page in enumerate(pages, start=1) if not page.is_complete]
        if missing:
            raise Refusal(f"Not complete yet: {'tasks' if len(missing) > 1 else 'task'} {', '.join(missing)}.")
        own.submitted_at = studio.clock()
        record_action(studio, session, candidate.id, "submit screening", f"screening {own.id}")


def candidacies(studio: Studio) -> list[Candidacy]:
    """All started tests, newest first."""
    begun = select(Screening, User).join(User, User.id == Screening.candidate_id).order_by(Screening.id.desc())
    with studio.database.read() as session:
        return [_candidacy(studio, session, *row) for row in session.execute(begun).tuples().all()]


def candidacy(studio: Studio, screening_id: int) -> Candidacy:
    """One test. Raises Refusal if there is none with this id."""
    with studio.database.read() as session:
        own = _found(session, screening_id)
        return _candidacy(studio, session, own, session.get_one(User, own.candidate_id))


def _found(session: Session, screening_id: int, *, should_lock: bool = False) -> Screening:
    own = session.get(Screening, screening_id, with_for_update=should_lock or None)
    if own is None:
        raise Refusal(f"No screening test with the id {screening_id}.")
    return own


def rate(studio: Studio, screening_id: int, task_id: int, score: int, *, by: User) -> None:
    """Store a researcher's rating of a demonstration, replacing an earlier one. Raises Refusal outside 1 to 7."""
    if not LIKERT_MIN <= score <= LIKERT_MAX:
        raise Refusal(f"The rating is {score}; it must be from {LIKERT_MIN} to {LIKERT_MAX}.")
    with studio.database.write() as session:
        own, row = _found(session, screening_id, should_lock=True), session.get(ScreeningTaskRow, task_id)
        if row is None or row.batch_id != own.batch_id or row.task["part"] != "demonstration":
            raise Refusal(f"Task {task_id} is not a demonstration of this test.")
        if own.submitted_at is None:
            raise Refusal("The test has not been submitted yet.")
        kept = session.get(ScreeningScore, (screening_id, task_id, by.id))
        kept = kept or ScreeningScore(screening_id=screening_id, task_id=task_id, researcher_id=by.id)
        kept.score, kept.scored_at = score, studio.clock()
        session.add(kept)


def decide(studio: Studio, screening_id: int, decision: Decision, *, note: str, by: User) -> None:
    """Record the decision; an accepted candidate becomes a labeler, a declined one is no longer one.

    Raises Refusal for a test that is not submitted, or an unknown decision.
    """
    if decision not in DECISIONS:
        raise Refusal(f"The decision is {decision!r}; choose {' or '.join(DECISIONS)}.")
    with studio.database.write() as session:
        own = _found(session, screening_id, should_lock=True)
        if own.submitted_at is None:
            raise Refusal("The test has not been submitted yet.")
        own.decision, own.decision_note = decision, note[:2000]
        own.decided_by, own.decided_at = by.id, studio.clock()
        candidate = session.get_one(User, own.candidate_id)
        if candidate.role in ("candidate", "labeler"):
            candidate.role = "labeler" if decision == "accepted" else "candidate"
        record_action(studio, session, by.id, f"screening {decision}", f"{candidate.name}: {note[:200]}")


def _candidacy(studio: Studio, session: Session, own: Screening, candidate: User) -> Candidacy:
    pages = tuple(_pages(studio, session, own))
    ratings: dict[int, dict[str, int]] = {}
    for row in session.scalars(select(ScreeningScore).where(ScreeningScore.screening_id == own.id)):
        ratings.setdefault(row.task_id, {})[row.researcher_id] = row.score
    responses = [
        Response(
            task=page.task,
            submitted=page.entries,
            order=page.order,
            ratings=list(ratings.get(page.task_id, {}).values()),
        )
        for page in pages
    ]
    decider = session.get(User, own.decided_by) if own.decided_by else None
    return Candidacy(
        id=own.id,
        candidate_id=candidate.id,
        name=candidate.name,
        batch=session.get_one(ScreeningBatch, own.batch_id).name,
        pages=pages,
        ratings=ratings,
        scores=screening_scores(responses),
        submitted_at=own.submitted_at,
        decision=own.decision,
        decision_note=own.decision_note,
        decided_by=decider.name if decider else None,
        decided_at=own.decided_at,
    )


def _pages(studio: Studio, session: Session, own: Screening) -> list[ScreeningPage]:
    tasks = select(ScreeningTaskRow).where(ScreeningTaskRow.batch_id == own.batch_id).order_by(ScreeningTaskRow.place)
    kept = session.scalars(select(ScreeningResponse).where(ScreeningResponse.screening_id == own.id))
    entries = {row.task_id: row.entries for row in kept}
    found = []
    for row in session.scalars(tasks):
        task = ScreeningTask.model_validate(row.task)
        ids = [completion.id for completion in task.completions]
        order = display_order(studio.settings.seed, own.candidate_id, row.id, ids)
        found.append(ScreeningPage(task_id=row.id, task=task, order=order, entries=entries.get(row.id, {})))
    return found
