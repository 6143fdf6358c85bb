"""Storing labels that were made elsewhere: each once, by its own id, with its labeler."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tutelage.labeling.assignment import Group
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Purpose, Task
from tutelage.records import content_id
from tutelage.studio.people import record_action
from tutelage.studio.queue import content_key, place_of
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Guideline, Item, LabelVersion, Slot, StoredLabel, User

_NAMESPACE = uuid.UUID("6f1d3a50-2f7e-4a52-9b70-0d6f2f6b8f11")
_GUIDELINE = "These labels were made elsewhere and imported; what their labelers were told is not known here.\n"
_NEW, _KNOWN, _REPLACED = "new", "known", "replaced"
_OLDER = "an earlier version of a label that its labeler has changed since; the newer one stays"
_OTHER_TASK = "the task was changed since its label was imported; the label stays with the task that it was made for"
_SECOND = "its labeler has another label of the same task; the first one stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A task with one labeler's label, as far as its source knows.

    `labeler`: their id or name there, None if unknown; `labeler_name`: the display name. `label_id`: the id of the
    label in the tool `tool`, unique everywhere, None if it has none.
    """

    task: Task
    label: Label
    labeler: str | None
    labeler_name: str | None = None
    label_id: str | None = None
    tool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How many labels were imported, already there unchanged, and replaced by their labeler's newer version.

    `left`: those that were not imported, by reason.
    """

    num_new: int
    num_known: int
    num_replaced: int = 0
    left: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Storing:
    """One import: settings for all its labels, and the outcomes so far.

    `name` is the batch; `origin` distinguishes two sources that use the same ids or names for different people.
    """

    studio: Studio
    name: str
    purpose: Purpose
    group: Group
    origin: str
    outcomes: Counter[str] = field(default_factory=Counter)
    unnamed: Counter[str] = field(default_factory=Counter)

    def store(self, part: Sequence[Imported]) -> None:
        """Store labels whose tasks are queued, in one transaction."""
        with self.studio.database.write() as session:
            self.studio.database.take_turn(session, "queue")
            outcomes = Counter(self._store(session, each) for each in part)
            told = f"{self.name}: {outcomes[_NEW]} labels, {outcomes[_REPLACED]} replaced"
            record_action(self.studio, session, None, "import labels", told)
        self.outcomes += outcomes

    def stored(self) -> Stored:
        """The outcomes of all labels so far."""
        counts = dict(self.outcomes)
        new, known, replaced = (counts.pop(outcome, 0) for outcome in (_NEW, _KNOWN, _REPLACED))
        return Stored(num_new=new, num_known=known, num_replaced=replaced, left=counts)

    def waiting(self, part: Sequence[Imported]) -> list[Imported]:
        """Those whose labels are not yet stored under the tool's own id: only their tasks need queueing."""
        named = {self._named(each): each for each in part if each.label_id is not None}
        known = select(StoredLabel.client_uuid).where(StoredLabel.client_uuid.in_(named))
        with self.studio.database.read() as session:
            here = set(session.scalars(known))
        return [each for each in part if each.label_id is None or self._named(each) not in here]

    def _store(self, session: Session, each: Imported) -> str:
        """Store one label; returns its outcome, or why it was left out."""
        key = content_key(each.task, self.purpose)
        identity = self._identity(each, key)
        known = session.scalars(select(StoredLabel).where(StoredLabel.client_uuid == identity)).one_or_none()
        if known is not None:
            return self._replace(session, known, key, each)
        item = session.scalars(select(Item).where(Item.content_key == key)).one()
        # If the item is gold, a labeler may be assigned a new slot of it at this moment.
        self.studio.database.take_turn(session, f"places of {item.id}")
        labeler_id = self._labeler(session, each, item)
        if _has_place(session, item, labeler_id):
            own = select(StoredLabel.label).where(StoredLabel.item_id == item.id, StoredLabel.labeler_id == labeler_id)
            return _KNOWN if session.scalar(own) == each.label.model_dump(mode="json") else _SECOND
        self._add(session, item, each, labeler_id, identity)
        return _NEW

    def _named(self, each: Imported) -> str:
        return _uuid(each.tool, self.purpose, each.label_id or "")

    def _identity(self, each: Imported, key: str) -> str:
        """The identity of a label: the tool's own id of it, else its task and labeler.

        If the labeler is unknown, the n-th label that says the same about the same task.
        """
        if each.label_id is not None:
            return self._named(each)
        if each.labeler is not None:
            return _uuid(each.tool, self.origin, key, each.labeler)
        said = json.dumps([key, each.label.model_dump(mode="json")], sort_keys=True)
        self.unnamed[said] += 1
        return _uuid("unknown", said, str(self.unnamed[said]))

    def _replace(self, session: Session, known: StoredLabel, key: str, each: Imported) -> str:
        says = each.label.model_dump(mode="json")
        if session.get_one(Item, known.item_id).content_key != key:
            return _OTHER_TASK
        if known.label == says:
            return _KNOWN
        if each.label_id is None:
            return _SECOND
        versions = session.scalars(select(LabelVersion).where(LabelVersion.label_id == known.id)).all()
        if any(version.label == says for version in versions):
            return _OLDER
        number, now = len(versions) + 1, self.studio.clock()
        session.add(LabelVersion(label_id=known.id, version=number, label=known.label, replaced_at=now))
        known.label = says
        session.flush()
        return _REPLACED

    def _labeler(self, session: Session, each: Imported, item: Item) -> str:
        if each.labeler is not None:
            return self._person(session, each.tool, each.labeler, each.labeler_name or each.labeler)
        number = 1
        while _has_place(session, item, labeler_id := self._person(session, "", f"unknown {number}", "unknown")):
            number += 1
        return labeler_id

    def _person(self, session: Session, tool: str, labeler: str, name: str) -> str:
        labeler_id = content_id("imported", tool, self.origin, labeler)
        if session.get(User, labeler_id) is None:
            place = ", ".join(part for part in (tool, self.origin[-20:], labeler_id[:4]) if part)
            user = User(id=labeler_id, name=f"{name[:40]} ({place})", password_hash="", role="labeler")
            # Nobody can use this account: without a password hash no password matches, and it is inactive.
            now = self.studio.clock()
            user.labeler_group, user.quota, user.is_active, user.created_at = self.group, None, False, now
            # Imported labels are meant to be used: consent was given at their source.
            user.consented_at = user.created_at
            session.add(user)
            session.flush()
        return labeler_id

    def _add(self, session: Session, item: Item, each: Imported, labeler_id: str, identity: str) -> None:
        last = session.scalar(select(func.max(Slot.place)).where(Slot.item_id == item.id)) or 0
        place = place_of(item.id, item.kind, item.priority, last + 1)
        slot = Slot(**{**place, "state": "done", "labeler_id": labeler_id})
        session.add(slot)
        session.flush()
        item.overlap = max(item.overlap, slot.place)
        session.add(
            StoredLabel(
                slot_id=slot.id,
                item_id=item.id,
                labeler_id=labeler_id,
                client_uuid=identity,
                label=each.label.model_dump(mode="json"),
                display_order=[completion.id for completion in each.task.completions],
                display_seed=0,
                guideline_id=_guideline(self.studio, session, each.task.kind),
                ui_version="imported",
                active_seconds={},
                created_at=self.studio.clock(),
            )
        )
        session.flush()


def _uuid(*parts: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, json.dumps(parts)))


def _has_place(session: Session, item: Item, labeler_id: str) -> bool:
    own = select(Slot.id).where(Slot.item_id == item.id, Slot.labeler_id == labeler_id)
    return session.scalar(own) is not None


def _guideline(studio: Studio, session: Session, kind: str) -> int:
    """A placeholder guideline, with a purpose that no task has, so that no page ever shows it."""
    known = session.scalar(select(Guideline).where(Guideline.kind == kind, Guideline.purpose == "imported"))
    if known is None:
        known = Guideline(kind=kind, purpose="imported", version=1, markdown=_GUIDELINE, created_at=studio.clock())
        session.add(known)
        session.flush()
    return known.id
