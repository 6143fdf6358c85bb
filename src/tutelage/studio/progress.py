"""Progress: slots done, leased and free; what each labeler has done, and in how much time."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from sqlalchemy import and_, case, func, select

from tutelage.studio.gold import IS_GOLD
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Batch, Draft, Item, Skip, Slot, StoredLabel, User


@dataclass(frozen=True, slots=True, kw_only=True)
class KindProgress:
    """Slots of one kind and purpose: an item with overlap 3 has three."""

    kind: str
    purpose: str
    num_items: int
    num_places: int
    num_done: int
    num_halted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerProgress:
    """What one person has done so far."""

    labeler_id: str
    name: str
    role: str
    group: str
    is_active: bool
    num_labels: int
    num_skips: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """Slots of one kind and purpose in one batch. Unfinished slots of halted items count as halted."""

    batch_id: int
    name: str
    created_at: datetime
    kind: str
    purpose: str
    num_items: int
    num_places: int
    num_done: int
    num_leased: int
    num_halted: int

    @property
    def num_open(self) -> int:
        return self.num_places - self.num_done - self.num_leased - self.num_halted


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One person's time, as measured by the pages. `hours` are those of finished labels, and paid in any case.

    `other_hours` went into tasks that were skipped or are not finished; `median_minutes` is per finished label.
    """

    labeler_id: str
    name: str
    group: str
    num_labels: int
    num_skips: int
    hours: float
    other_hours: float
    median_minutes: float | None


def batch_progress(studio: Studio) -> list[BatchProgress]:
    """One row per batch, kind and purpose, newest batch first; gold is not counted."""
    is_done = Slot.state == "done"
    is_leased = and_(Slot.state == "leased", Slot.leased_until >= studio.clock(), ~Item.is_halted)
    rows = (
        select(
            Batch.id.label("batch_id"),
            Batch.name,
            Batch.created_at,
            Item.kind,
            Item.purpose,
            func.count(Item.id.distinct()).label("num_items"),
            func.count(Slot.id).label("num_places"),
            func.sum(case((is_done, 1), else_=0)).label("num_done"),
            func.sum(case((is_leased, 1), else_=0)).label("num_leased"),
            func.sum(case((and_(Item.is_halted, ~is_done), 1), else_=0)).label("num_halted"),
        )
        .join(Item, Item.batch_id == Batch.id)
        .join(Slot, Slot.item_id == Item.id)
        .where(~IS_GOLD)
        .group_by(Batch.id, Batch.name, Batch.created_at, Item.kind, Item.purpose)
        .order_by(Batch.id.desc(), Item.kind, Item.purpose)
    )
    with studio.database.read() as session:
        return [BatchProgress(**row) for row in session.execute(rows).mappings()]


def labels_per_day(studio: Studio, num_days: int = 28) -> list[tuple[date, int]]:
    """How many labels were made on each of the last days (UTC), ending today."""
    today = studio.clock().date()
    days = [today - timedelta(days=ago) for ago in reversed(range(num_days))]
    since = studio.clock() - timedelta(days=num_days)
    with studio.database.read() as session:
        moments = session.scalars(select(StoredLabel.created_at).where(StoredLabel.created_at > since))
        counts = Counter(moment.date() for moment in moments)
    return [(day, counts[day]) for day in days]


def work_of_labelers(studio: Studio) -> list[Work]:
    """Everyone who has labeled, skipped or started anything, by name."""
    finished: dict[str, list[float]] = defaultdict(list)
    begun: dict[str, float] = defaultdict(float)
    with studio.database.read() as session:
        for labeler_id, seconds in session.execute(select(StoredLabel.labeler_id, StoredLabel.active_seconds)):
            finished[labeler_id].append(sum(seconds.values()))
        for labeler_id, seconds in session.execute(select(Draft.labeler_id, Draft.active_seconds)):
            begun[labeler_id] += sum(seconds.values())
        counts = select(Skip.labeler_id, func.count()).group_by(Skip.labeler_id)
        skips = dict(session.execute(counts).tuples().all())
        users = session.scalars(select(User).order_by(User.name)).all()
    return [
        Work(
            labeler_id=user.id,
            name=user.name,
            group=user.labeler_group,
            num_labels=len(finished[user.id]),
            num_skips=skips.get(user.id, 0),
            hours=sum(finished[user.id]) / 3600,
            other_hours=begun[user.id] / 3600,
            median_minutes=median(finished[user.id]) / 60 if finished[user.id] else None,
        )
        for user in users
        if user.id in finished or user.id in begun or user.id in skips
    ]


def skip_reasons(studio: Studio) -> dict[str, int]:
    """How often each reason was given, most frequent first."""
    counts = select(Skip.reason, func.count()).group_by(Skip.reason).order_by(func.count().desc(), Skip.reason)
    with studio.database.read() as session:
        return dict(session.execute(counts).tuples().all())


def progress(studio: Studio) -> list[KindProgress]:
    """One row per kind and purpose that has items; gold is not counted."""
    rows = (
        select(
            Item.kind,
            Item.purpose,
            func.count(Item.id.distinct()),
            func.count(Slot.id),
            func.sum(case((Slot.state == "done", 1), else_=0)),
            func.count(case((Item.is_halted, Item.id)).distinct()),
        )
        .join(Slot, Slot.item_id == Item.id)
        .where(~IS_GOLD)
        .group_by(Item.kind, Item.purpose)
        .order_by(Item.kind, Item.purpose)
    )
    with studio.database.read() as session:
        return [
            KindProgress(
                kind=kind, purpose=purpose, num_items=items, num_places=places, num_done=done, num_halted=halted
            )
            for kind, purpose, items, places, done, halted in session.execute(rows)
        ]


def labeler_progress(studio: Studio) -> list[LabelerProgress]:
    """Everyone, by name."""
    num_labels = select(func.count()).where(StoredLabel.labeler_id == User.id).scalar_subquery()
    num_skips = select(func.count()).where(Skip.labeler_id == User.id).scalar_subquery()
    with studio.database.read() as session:
        return [
            LabelerProgress(
                labeler_id=user.id,
                name=user.name,
                role=user.role,
                group=user.labeler_group,
                is_active=user.is_active,
                num_labels=labels,
                num_skips=skips,
            )
            for user, labels, skips in session.execute(select(User, num_labels, num_skips).order_by(User.name))
        ]
