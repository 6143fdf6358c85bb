"""How good the labels are, from the database: agreement within each group, each labeler, gold, drift."""

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
    Drift,
    Judged,
    Judgement,
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
    """One labeler: agreement with the rest on orders, gold, and drift; each None where there is nothing to go by."""

    labeler_id: str
    name: str
    group: str
    num_labels: int
    share: Interval | None
    gold: Interval | None
    drift: Drift | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """All that is shown of agreement. `by_group`: on orders, within each group of labelers alone, as the paper has it.

    Gold is left out of agreement: dozens judge the same gold item, and would outvote all others.
    """

    num_labels: int
    num_shared: int
    by_group: dict[Group, Interval | None]
    agreements: tuple[Agreement, ...]
    concordance: Interval | None
    labelers: tuple[LabelerQuality, ...]


def judged_labels(studio: Studio, purpose: Purpose | None = None, kind: Kind | None = None) -> list[Judged]:
    """All labels of a purpose and a kind (None: of all) in the order in which they were made, without those of gold."""
    rows = (
        select(StoredLabel, Item.kind, User.labeler_group)
        .join(Item, Item.id == StoredLabel.item_id)
        .join(User, User.id == StoredLabel.labeler_id)
        .where(~exists().where(Gold.item_id == Item.id))
        .order_by(StoredLabel.id)
    )
    if purpose is not None:
        rows = rows.where(Item.purpose == purpose)
    if kind is not None:
        rows = rows.where(Item.kind == kind)
    with studio.database.read() as session:
        return [
            Judged(
                item_id=stored.item_id,
                kind=cast(Kind, of_kind),
                labeler_id=stored.labeler_id,
                group=group,
                label=Label.model_validate(stored.label),
                made_at=stored.created_at,
            )
            for stored, of_kind, group in session.execute(rows).tuples()
        ]


def quality(
    studio: Studio, purpose: Purpose | None = None, kind: Kind | None = None, *, ties: TieRule = "category"
) -> Quality:
    """Everything about the labels of a purpose and a kind. Takes seconds for tens of thousands of labels."""
    judged = judged_labels(studio, purpose, kind)
    judgements = judgements_of(judged)
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


def _within(group: Group, judged: Sequence[Judged], judgements: Sequence[Judgement], ties: TieRule) -> Interval | None:
    members = {each.labeler_id for each in judged if each.group == group}
    own = [each for each in judgements if each.labeler_id in members and each.question == ORDER]
    things = [each.thing for each in own]
    if len(set(things)) == len(things):
        return None
    labelers, values = [each.labeler_id for each in own], [each.value for each in own]
    return pairwise_agreement(things, labelers, values, clusters=[each.item_id for each in own], ties=ties)


def _labelers(studio: Studio, judged: Sequence[Judged], judgements: Sequence[Judgement]) -> list[LabelerQuality]:
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
    """The mean share of known judgements that each labeler has right, clustered by item."""
    of_labeler: dict[str, list[GoldOutcome]] = defaultdict(list)
    for outcome in outcomes:
        of_labeler[outcome.labeler_id].append(outcome)
    return {
        labeler_id: bounded_mean([each.result.share for each in own], [each.item_id for each in own])
        for labeler_id, own in of_labeler.items()
    }
