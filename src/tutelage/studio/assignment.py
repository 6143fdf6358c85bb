"""Assigning tasks: a labeler leases one slot of an item, renews it by heartbeats, and finishes or releases it.

An item's slots are rows, one per labeler, and no labeler may have two of them: the overlap is a constraint of the
database. A slot is taken by one statement that names the state it must still be in, so that two concurrent claims
cannot both succeed, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Update, and_, exists, func, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from tutelage.labeling.assignment import PURPOSES_OF, Group, has_quota_left, should_halt
from tutelage.labeling.display import display_order
from tutelage.labeling.forms import SKIP_REASONS
from tutelage.labeling.tasks import KINDS, Kind, Purpose, Task
from tutelage.studio.gold import IS_GOLD, has_gold, num_turns, turns_of
from tutelage.studio.people import record_action
from tutelage.studio.queue import place_of
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Item, ItemAuthor, Skip, Slot, StoredLabel, User

MOST_COUNTED = 200
NOT_YOURS = "This task is no longer assigned to you. Go back to your tasks."
# A literal, not a bound parameter: only then do both databases use the index of open slots.
_IS_OPEN = text("slots.state <> 'done'")


class LeaseLost(Refusal):
    """The slot went to another labeler, and no other slot of this item is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A task assigned to a labeler. `order`: its completion ids as this labeler sees them, A first."""

    slot_id: int
    item_id: int
    labeler_id: str
    purpose: Purpose
    task: Task
    order: tuple[str, ...]
    lease_token: str
    leased_until: datetime


def claim(studio: Studio, labeler: User, kind: Kind) -> Assignment | None:
    """Assign a task of this kind: the one the labeler already holds, or the next one available; None if there is none.

    Raises Refusal if the labeler's quota is used up.
    """
    while True:
        try:
            with studio.database.write() as session:
                # Two tabs that start at once get the same task, the one that the first of them took.
                _take_turn(studio, session, labeler)
                slot = _held(studio, session, labeler.id, kind) or _take(studio, session, labeler, kind)
                return None if slot is None else _assignment(studio, session, slot)
        except IntegrityError:
            # Two browsers of one labeler claimed two slots of one item: the constraint let one succeed.
            continue


def _held(studio: Studio, session: Session, labeler_id: str, kind: Kind) -> Slot | None:
    """The labeler's unfinished task, its lease renewed; also an expired one that nobody else has taken."""
    own = (
        select(Slot.id)
        .join(Item)
        .where(Slot.labeler_id == labeler_id, Slot.state == "leased", Item.kind == kind, ~Item.is_halted)
        .order_by(Slot.leased_until.desc())
        .limit(1)
    )
    held = update(Slot).where(Slot.id == own.scalar_subquery(), Slot.labeler_id == labeler_id, Slot.state == "leased")
    return _returned(session, held.values(leased_until=studio.clock() + studio.settings.lease))


def _take(studio: Studio, session: Session, labeler: User, kind: Kind) -> Slot | None:
    _require_quota(studio, session, labeler)
    first = (
        select(Slot.id)
        .join(Item)
        .where(_IS_OPEN, Slot.kind == kind, ~IS_GOLD, *_may_take(labeler), _is_free(studio.clock()))
        .order_by(Slot.order_key, Slot.item_id, Slot.place)
        .limit(1)
        .with_for_update(of=Slot, skip_locked=True)
    )
    gold = _gold_item(studio, session, labeler, kind)
    if gold is not None and session.scalar(first) is not None:
        return _take_gold(studio, session, labeler.id, gold)
    return _returned(session, leased(studio, labeler.id).where(Slot.id == first.scalar_subquery()))


def _take_turn(studio: Studio, session: Session, labeler: User) -> None:
    studio.database.take_turn(session, f"claim {labeler.id}")


def _require_quota(studio: Studio, session: Session, labeler: User) -> None:
    """Raise Refusal if the tasks that a labeler has finished and holds, of all kinds, reach their quota.

    Counted while holding this labeler's turn: two concurrent claims would otherwise each see room for one more.
    """
    _take_turn(studio, session, labeler)
    if labeler.quota is None:
        return
    done = session.scalar(select(func.count()).where(StoredLabel.labeler_id == labeler.id)) or 0
    held = session.scalar(select(func.count()).where(Slot.labeler_id == labeler.id, Slot.state == "leased")) or 0
    if has_quota_left(labeler.quota, done + held):
        return
    if has_quota_left(labeler.quota, done):
        raise Refusal(f"Your quota is {labeler.quota} tasks, and the rest are in progress. Finish those first.")
    raise Refusal(f"You have finished the {labeler.quota} tasks of your quota. Ask the lead if there are more.")


def _gold_item(studio: Studio, session: Session, labeler: User, kind: Kind) -> int | None:
    """The gold item for this labeler at this turn, if it is a gold turn and one is left for them."""
    if not has_gold(session, kind):
        return None
    turns, turn = turns_of(studio, labeler.id, kind), num_turns(session, labeler.id, kind)
    if not turns.is_gold(turn):
        return None
    left = session.scalars(select(Item.id).where(Item.kind == kind, IS_GOLD, *_may_take(labeler))).all()
    return turns.choose(turn, list(left)) if left else None


def _take_gold(studio: Studio, session: Session, labeler_id: str, item_id: int) -> Slot | None:
    """A slot of a gold item: a released one, or a new one, since every labeler may get it."""
    studio.database.take_turn(session, f"places of {item_id}")
    free = select(Slot.id).where(Slot.item_id == item_id, Slot.state == "free").order_by(Slot.place).limit(1)
    slot_id = session.scalar(free)
    if slot_id is None:
        last = session.scalar(select(func.max(Slot.place)).where(Slot.item_id == item_id)) or 0
        item = session.get_one(Item, item_id)
        added = Slot(**place_of(item_id, item.kind, item.priority, last + 1))
        session.add(added)
        session.flush()
        slot_id = added.id
    return _returned(session, leased(studio, labeler_id).where(Slot.id == slot_id))


def _may_take(labeler: User) -> list[ColumnElement[bool]]:
    """`labeling.assignment.may_take` in SQL."""
    other = aliased(Slot)
    return [
        ~Item.is_halted,
        Item.purpose.in_(PURPOSES_OF[cast(Group, labeler.labeler_group)]),
        ~exists().where(other.item_id == Item.id, other.labeler_id == labeler.id),
        ~exists().where(Skip.item_id == Item.id, Skip.labeler_id == labeler.id),
        ~exists().where(ItemAuthor.item_id == Item.id, ItemAuthor.labeler_id == labeler.id),
    ]


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(Slot.state == "free", and_(Slot.state == "leased", Slot.leased_until < now))


def leased(studio: Studio, labeler_id: str) -> Update:
    """An update that leases slots that are still free when it is executed."""
    now = studio.clock()
    return (
        update(Slot)
        .where(_is_free(now))
        .values(
            state="leased",
            labeler_id=labeler_id,
            lease_token=secrets.token_hex(16),
            leased_until=now + studio.settings.lease,
        )
    )


def _returned(session: Session, statement: Update) -> Slot | None:
    returning = statement.returning(Slot).execution_options(synchronize_session=False, populate_existing=True)
    return session.scalars(returning).one_or_none()


def _assignment(studio: Studio, session: Session, slot: Slot) -> Assignment:
    item = session.get_one(Item, slot.item_id)
    task = Task.model_validate(item.task)
    labeler_id = slot.labeler_id or ""
    return Assignment(
        slot_id=slot.id,
        item_id=item.id,
        labeler_id=labeler_id,
        purpose=cast(Purpose, item.purpose),
        task=task,
        order=display_order(studio.settings.seed, labeler_id, item.id, [each.id for each in task.completions]),
        lease_token=slot.lease_token or "",
        leased_until=slot.leased_until or studio.clock(),
    )


def assignment_of(studio: Studio, labeler: User, slot_id: int) -> Assignment:
    """The task that a labeler holds in a slot, even after its lease expired, as long as nobody else has it.

    Raises LeaseLost if the labeler does not hold it: never had it, finished it, released it, or was too late.
    """
    with studio.database.read() as session:
        slot = session.get(Slot, slot_id)
        if slot is None or slot.labeler_id != labeler.id or slot.state != "leased":
            raise LeaseLost(NOT_YOURS)
        return _assignment(studio, session, slot)


def renew(studio: Studio, labeler: User, slot_id: int) -> datetime:
    """A heartbeat: renew the lease of a slot; returns its new end. Raises LeaseLost."""
    with studio.database.write() as session:
        return hold(studio, session, labeler.id, slot_id)


def hold(studio: Studio, session: Session, labeler_id: str, slot_id: int) -> datetime:
    """Renew the lease of a slot, in the transaction that saves its draft. Raises LeaseLost."""
    until = studio.clock() + studio.settings.lease
    held = update(Slot).where(Slot.id == slot_id, Slot.labeler_id == labeler_id, Slot.state == "leased")
    if _returned(session, held.values(leased_until=until)) is None:
        raise LeaseLost(NOT_YOURS)
    return until


def give_back(studio: Studio, labeler: User, slot_id: int) -> None:
    """Release a slot; what was entered is kept as a draft. Raises LeaseLost."""
    with studio.database.write() as session:
        _free(session, labeler.id, slot_id)


def _free(session: Session, labeler_id: str, slot_id: int) -> Slot:
    held = update(Slot).where(Slot.id == slot_id, Slot.labeler_id == labeler_id, Slot.state == "leased")
    freed = held.values(state="free", labeler_id=None, lease_token=None, leased_until=None)
    slot = _returned(session, freed)
    if slot is None:
        raise LeaseLost(NOT_YOURS)
    return slot


def skip(studio: Studio, labeler: User, slot_id: int, *, reason: str, note: str = "") -> None:
    """Skip a task permanently, with a reason; too many skips halt the item. Raises LeaseLost, Refusal (no reason)."""
    if reason not in SKIP_REASONS:
        raise Refusal("Say why you skip this task: choose one of the reasons.")
    with studio.database.write() as session:
        item_id = _free(session, labeler.id, slot_id).item_id
        # Counted while holding the turn: of two concurrent skips each would see only its own.
        studio.database.take_turn(session, f"skips of {item_id}")
        session.add(
            Skip(item_id=item_id, labeler_id=labeler.id, reason=reason, note=note[:2000], created_at=studio.clock())
        )
        session.flush()
        num_skips = session.scalar(select(func.count()).select_from(Skip).where(Skip.item_id == item_id)) or 0
        if should_halt(num_skips, studio.settings.skips_until_halt):
            session.get_one(Item, item_id).is_halted = True
            record_action(studio, session, None, "halt item", f"item {item_id}: {num_skips} skips")


def finish(studio: Studio, session: Session, labeler: User, slot_id: int, lease_token: str) -> Slot:
    """Mark the slot as done, in the transaction that stores its label.

    If this slot is lost, any other free slot of the item is used. Raises LeaseLost if there is none, Refusal if the
    labeler's quota has been used up in the meantime.
    """
    held = and_(Slot.id == slot_id, Slot.labeler_id == labeler.id, Slot.lease_token == lease_token)
    done: dict[str, Any] = {"state": "done", "lease_token": None, "leased_until": None}
    slot = _returned(session, update(Slot).where(held, Slot.state == "leased").values(**done))
    if slot is not None:
        return slot
    _require_quota(studio, session, labeler)
    item_id = select(Slot.item_id).where(Slot.id == slot_id).scalar_subquery()
    other = (
        select(Slot.id)
        .join(Item)
        .where(Slot.item_id == item_id, *_may_take(labeler), _is_free(studio.clock()))
        .order_by(Slot.place)
        .limit(1)
        .with_for_update(of=Slot, skip_locked=True)
    )
    late = leased(studio, labeler.id).where(Slot.id == other.scalar_subquery()).values(**done)
    slot = _returned(session, late)
    if slot is None:
        raise LeaseLost(
            "Your time for this task ran out and another labeler has it now. What you entered is kept as a draft."
        )
    return slot


def num_open(studio: Studio, labeler: User) -> dict[Kind, int]:
    """How many tasks of each kind this labeler could still do now, including the one they hold and gold tasks.

    The number decreases by one with each task, gold or not, so that it does not reveal gold. Counting stops at
    MOST_COUNTED: every labeler opens the list of tasks after every task.
    """
    own, free = and_(Slot.labeler_id == labeler.id, Slot.state == "leased"), _is_free(studio.clock())
    with studio.database.read() as session:
        held = _num_items(session, own)
        queued = set(session.scalars(select(Slot.kind).where(_IS_OPEN).distinct()))
        return {
            kind: held.get(kind, 0)
            + _num_ahead(studio, session, labeler, kind, held, _num_free(session, labeler, kind, free))
            if kind in queued
            else 0
            for kind in KINDS
        }


def _num_items(session: Session, *wanted: ColumnElement[bool]) -> dict[str, int]:
    counts = select(Slot.kind, func.count(Slot.item_id.distinct()))
    return dict(session.execute(counts.where(*wanted).group_by(Slot.kind)).tuples().all())


def _num_free(session: Session, labeler: User, kind: Kind, is_free: ColumnElement[bool]) -> int:
    """How many items this labeler could be assigned, without gold; counting stops at MOST_COUNTED."""
    items = (
        select(Slot.item_id)
        .join(Item)
        .where(_IS_OPEN, Slot.kind == kind, is_free, ~IS_GOLD, *_may_take(labeler))
        .distinct()
        .limit(MOST_COUNTED)
    )
    return session.scalar(select(func.count()).select_from(items.subquery())) or 0


def _num_ahead(
    studio: Studio, session: Session, labeler: User, kind: Kind, held: dict[str, int], num_ordinary: int
) -> int:
    if not num_ordinary or not has_gold(session, kind):
        return num_ordinary
    of_kind = select(func.count()).select_from(Item).where(Item.kind == kind, IS_GOLD, *_may_take(labeler))
    turn = num_turns(session, labeler.id, kind) + held.get(kind, 0)
    turns = turns_of(studio, labeler.id, kind)
    return turns.num_ahead(turn, num_ordinary=num_ordinary, num_gold=session.scalar(of_kind) or 0)
