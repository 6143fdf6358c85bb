"""Cross-validation of the reward model over groups of labelers [4.1, E.2]."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from tutelage.report.assessment import Evidence
from tutelage.report.figures.exhibit import Along, Exhibit, source_of
from tutelage.report.figures.lines import Series, steps_panel
from tutelage.report.measured import Row
from tutelage.report.notation import MISSING, percent, signed_points, whole_percent, with_interval
from tutelage.report.tables import Table
from tutelage.reproduction.claims.quantities import Contrast
from tutelage.reproduction.claims.training import reward_accuracy

_SIDES = {
    "inside": ("inside", "training", "o"),
    "outside": ("outside", "held-out", "s"),
}


def cross_validation_figure(evidence: Evidence) -> Exhibit | None:
    """Accuracy of the reward model inside and outside its labelers, by fold."""
    found = {
        side: [(float(row.condition["fold"]), row) for row in rows]
        for side in _SIDES
        if (
            rows := [
                row
                for row in evidence.measured.where("reward_model_accuracy", {"labelers": side})
                if _has_fold(row, side)
            ]
        )
    }
    if not found:
        return None
    series = [
        Series(label=label, role=role, mark=mark, points=tuple((fold, row.estimate) for fold, row in found[side]))
        for side, (label, role, mark) in _SIDES.items()
        if side in found
    ]
    return Exhibit(
        name="reward-model-cross-validation",
        title="The reward model on unseen labelers",
        after="Section 4.1",
        saw="Over five groups of labelers the reward model agrees on 72.4\u202f% of comparisons with the labelers "
        "inside its training set, and on 69.6\u202f% with those outside.",
        here=_gap(evidence),
        panels=(steps_panel("cross-validation", "Accuracy on comparisons", "fold left out", series, whole_percent),),
        caption="Accuracy of reward models that were each trained without one group of labelers.",
        source=source_of(row for rows in found.values() for _, row in rows),
        table=_fold_table(found),
    )


def _has_fold(row: Row, side: str) -> bool:
    return "fold" in row.condition and row.condition.get("labelers") == side


def _gap(evidence: Evidence) -> Markup:
    inside, outside = reward_accuracy(1.0, "inside"), reward_accuracy(1.0, "outside")
    gap = (inside, reward_accuracy(-1.0, "outside"))
    found = [
        ("inside", Contrast((inside,), across="fold").read(evidence), percent),
        ("outside", Contrast((outside,), across="fold").read(evidence), percent),
        ("inside minus outside", Contrast(gap, across="fold").read(evidence), signed_points),
    ]
    parts = [Markup("{} {}").format(name, with_interval(mean, form)) for name, mean, form in found if mean is not None]
    return Markup("Over the folds: {}.").format(Markup(", ").join(parts)) if parts else Markup("")


def _fold_table(found: Mapping[str, Along]) -> Table:
    folds = sorted({fold for rows in found.values() for fold, _ in rows})
    by_side = {side: dict(rows) for side, rows in found.items()}
    rows = tuple(
        (
            f"{fold:g}",
            *(with_interval(own[fold].estimate, percent) if fold in own else MISSING for own in by_side.values()),
        )
        for fold in folds
    )
    return Table(columns=("Fold", *(_SIDES[side][0] for side in by_side)), rows=rows)
