"""Label quality, from the database: agreement within each group, each labeler, gold, drift."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import exists, select

from tutelage.labeling.assignment import GROUPS, Group
from tutelage.labeling.labels import Label
from tutelage.labeling.quality import (
    ORDER,
    Agreement,
    Answers,
    Drift,
    Judged,
    Judgements,
    agreements,
    concordance,
    drifts,
    judgements_of,
    labeler_agreements,
)
from tutelage.labeling.tasks import Kind, Purpose
from tutelage.statistics import Interval, bounded_mean, pairwise_agreement
from tutelage.statistics.agreement import TieRule
from tutelage.studio.gold import GoldOutcome, gold_outcomes
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Gold, Item, StoredLabel, User


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerQuality:
    """One labeler: agreement with the rest on orders, gold, and drift; each None without data."""

    labeler_id: str
    name: str
    group: str
    num_labels: int
    share: Interval | None
    gold: Interval | None
    drift: Drift | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """All agreement statistics. `by_group`: on orders, within each labeler group separately, as in the paper.

    Gold is excluded from agreement: dozens judge the same gold item, and would outweigh all others.
    """

    num_labels: int
    num_shared: int
    by_group: dict[Group, Interval | None]
    agreements: tuple[Agreement, ...]
    concordance: Interval | None
    labelers: tuple[LabelerQuality, ...]


@dataclass(frozen=True, slots=True)
class QualityEvidence:
    """Labels and their judgments, read once for all computations."""

    judged: Sequence[Judged]
    judgements: Judgements

    def of(self, purpose: Purpose | None, kind: Kind | None = None) -> QualityEvidence:
        """The part for one purpose and one kind of task; None: all."""
        if purpose is None and kind is None:
            return self
        judged = [each for each in self.judged if purpose in (None, each.purpose) and kind in (None, each.kind)]
        return QualityEvidence(judged, judgements_of(judged))


def evidence_of(studio: Studio) -> QualityEvidence:
    """All labels in the order they were made, without gold. Takes seconds for tens of thousands."""
    judged = judged_labels(studio)
    return QualityEvidence(judged, judgements_of(judged))


def judged_labels(studio: Studio) -> list[Judged]:
    """All labels in the order they were made, without gold."""
    rows = (
        select(
            StoredLabel.item_id,
            Item.kind,
            Item.purpose,
            StoredLabel.labeler_id,
            User.labeler_group,
            StoredLabel.label,
            StoredLabel.created_at,
        )
        .join(Item, Item.id == StoredLabel.item_id)
        .join(User, User.id == StoredLabel.labeler_id)
        .where(~exists().where(Gold.item_id == Item.id))
        .order_by(StoredLabel.id)
    )
    with studio.database.read() as session:
        return [
            Judged(
                item_id=item_id,
                kind=cast(Kind, kind),
                purpose=cast(Purpose, purpose),
                labeler_id=labeler_id,
                group=group,
                label=Label.model_validate(label),
                made_at=made_at,
            )
            for item_id, kind, purpose, labeler_id, group, label, made_at in session.execute(rows).tuples()
        ]


def quality(
    studio: Studio,
    purpose: Purpose | None = None,
    kind: Kind | None = None,
    *,
    ties: TieRule = "category",
    evidence: QualityEvidence | None = None,
) -> Quality:
    """Quality of the labels of a purpose and a kind. `evidence`: the result of `evidence_of`, if already available."""
    own = (evidence or evidence_of(studio)).of(purpose, kind)
    judged, judgements = own.judged, own.judgements
    of_item: dict[int, set[str]] = defaultdict(set)
    for each in judged:
        of_item[each.item_id].add(each.labeler_id)
    return Quality(
        num_labels=len(judged),
        num_shared=sum(len(labelers) > 1 for labelers in of_item.values()),
        by_group={group: _within(group, judged, judgements, ties) for group in GROUPS},
        agreements=tuple(agreements(judgements, ties=ties)),
        concordance=concordance(judged),
        labelers=tuple(_labelers(studio, judged, judgements)),
    )


def _within(group: Group, judged: Sequence[Judged], judgements: Judgements, ties: TieRule) -> Interval | None:
    members = {each.labeler_id for each in judged if each.group == group}
    own = [each for each in judgements.get(ORDER, Answers()) if each.labeler_id in members]
    things = [each.thing for each in own]
    if len(set(things)) == len(things):
        return None
    labelers, values = [each.labeler_id for each in own], [each.value for each in own]
    return pairwise_agreement(things, labelers, values, clusters=[each.item_id for each in own], ties=ties)


def _labelers(studio: Studio, judged: Sequence[Judged], judgements: Judgements) -> list[LabelerQuality]:
    share = {each.labeler_id: each.share for each in labeler_agreements(judgements)}
    drift = {each.labeler_id: each for each in drifts(judgements)}
    gold = gold_shares(gold_outcomes(studio))
    num_labels: dict[str, int] = defaultdict(int)
    for each in judged:
        num_labels[each.labeler_id] += 1
    with studio.database.read() as session:
        users = session.scalars(select(User).order_by(User.name)).all()
    return [
        LabelerQuality(
            labeler_id=user.id,
            name=user.name,
            group=user.labeler_group,
            num_labels=num_labels[user.id],
            share=share.get(user.id),
            gold=gold.get(user.id),
            drift=drift.get(user.id),
        )
        for user in users
        if user.id in num_labels or user.id in gold
    ]


def gold_shares(outcomes: Sequence[GoldOutcome]) -> dict[str, Interval]:
    """Each labeler's mean share of correct judgments on gold items, clustered by item."""
    of_labeler: dict[str, list[GoldOutcome]] = defaultdict(list)
    for outcome in outcomes:
        of_labeler[outcome.labeler_id].append(outcome)
    return {
        labeler_id: bounded_mean([each.result.share for each in own], [each.item_id for each in own])
        for labeler_id, own in of_labeler.items()
    }
