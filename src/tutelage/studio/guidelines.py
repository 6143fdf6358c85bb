"""The instructions shown next to a task: one document per kind and purpose, in versions that never change."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tutelage.labeling.tasks import Kind, Purpose
from tutelage.studio.people import record_action
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Guideline

_SHIPPED = Path(__file__).parent / "shipped_guidelines"


@cache
def shipped_guideline(kind: Kind, purpose: Purpose) -> str:
    """The default text, used until the lead writes another one."""
    priorities = (_SHIPPED / f"{purpose}.md").read_text(encoding="utf-8")
    return (_SHIPPED / f"{kind}.md").read_text(encoding="utf-8").replace("{priorities}\n", priorities)


def current_guideline(studio: Studio, kind: Kind, purpose: Purpose) -> Guideline:
    """The newest version; the shipped text becomes version 1 when it is first needed."""
    with studio.database.read() as session:
        if found := _newest(session, kind, purpose):
            return found
    try:
        with studio.database.write() as session:
            return _add(studio, session, kind, purpose, shipped_guideline(kind, purpose), version=1)
    except IntegrityError:
        # Another thread or process was first; versions are never deleted, so it is there now.
        return current_guideline(studio, kind, purpose)


def shown_guideline(studio: Studio, kind: Kind, purpose: Purpose, version: int | None) -> Guideline:
    """The version that a page showed; the newest for None. Raises Refusal if it does not exist."""
    if version is None:
        return current_guideline(studio, kind, purpose)
    of_task = select(Guideline).where(Guideline.kind == kind, Guideline.purpose == purpose)
    with studio.database.read() as session:
        found = session.scalar(of_task.where(Guideline.version == version))
    if found is None:
        raise Refusal(f"There is no version {version} of the guideline for {kind}, {purpose}. Reload the page.")
    return found


def publish_guideline(studio: Studio, kind: Kind, purpose: Purpose, markdown: str, *, by: str) -> Guideline:
    """Create a new version, which labelers see from now on; returns the newest if its text is the same.

    Labels keep the version they were made under.
    """
    while True:
        try:
            with studio.database.write() as session:
                newest = _newest(session, kind, purpose)
                if newest is not None and newest.markdown.strip() == markdown.strip():
                    return newest
                added = _add(studio, session, kind, purpose, markdown, version=newest.version + 1 if newest else 1)
                record_action(studio, session, by, "publish guideline", f"{kind}, {purpose}, version {added.version}")
                return added
        except IntegrityError:
            # Someone else published this version at the same moment: theirs keeps the number, ours is the next one.
            continue


def _newest(session: Session, kind: Kind, purpose: Purpose) -> Guideline | None:
    of_task = select(Guideline).where(Guideline.kind == kind, Guideline.purpose == purpose)
    return session.scalar(of_task.order_by(Guideline.version.desc()).limit(1))


def _add(studio: Studio, session: Session, kind: Kind, purpose: Purpose, markdown: str, *, version: int) -> Guideline:
    added = Guideline(kind=kind, purpose=purpose, version=version, markdown=markdown, created_at=studio.clock())
    session.add(added)
    session.flush()
    return added
