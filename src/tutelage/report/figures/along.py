"""The paper's figures along a coefficient, an epoch, a fold or a distance: sweeps, SFT epochs, reward model, KL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from tutelage.report.claims.quantities import Contrast, Evidence, Term
from tutelage.report.figures.exhibit import Exhibit, source_of
from tutelage.report.figures.lines import Fitted, Series, distance_panel, steps_panel
from tutelage.report.measured import Measured, Row
from tutelage.report.notation import MISSING, Form, fixed, percent, signed_points, whole_percent, with_interval
from tutelage.report.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    title: str
    form: Form
    tick_form: Form
    role: str


_METRICS: Mapping[str, _Metric] = {
    "score": _Metric(title="Score (reward model)", form=fixed(3), tick_form=fixed(2), role="ppo"),
    "skill": _Metric(title="Skills, mean", form=percent, tick_form=whole_percent, role="ppo-ptx"),
    "win_rate": _Metric(title="Win rate against SFT", form=percent, tick_form=whole_percent, role="sft"),
    "likert": _Metric(title="Mean rating, 1 to 7", form=fixed(2), tick_form=fixed(1), role="sft"),
    "pretraining_loss": _Metric(
        title="Pretraining loss, nats per token", form=fixed(3), tick_form=fixed(2), role="prompted"
    ),
    "validation_loss": _Metric(
        title="Validation loss, nats per token", form=fixed(3), tick_form=fixed(2), role="held-out"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlongPlan:
    """A measure along one of its conditions, a panel a metric."""

    name: str
    title: str
    after: str
    saw: str
    caption: str
    measure: str
    key: str
    axis: str


ALONG: tuple[AlongPlan, ...] = (
    AlongPlan(
        name="fig-33-ptx-sweep",
        title="How much pretraining text to mix in",
        after="Figure 33",
        saw="At 1.3B DROP F1 rises from 18 to 27 and SQuADv2 from 52 to 61 as the coefficient grows to 27.8, while the "
        "validation reward falls from −0.61 to −0.85; 20 and more recovers the regressions (GPT 25 and 59).",
        caption="PPO-ptx by its pretraining coefficient.",
        measure="ptx_sweep",
        key="ptx_coef",
        axis="ptx coefficient",
    ),
    AlongPlan(
        name="fig-34-kl-sweep",
        title="How strongly to hold the policy back",
        after="Figures 34 and 36",
        saw="Without ptx no KL coefficient, up to 2.0 or 100 times the default, brings DROP F1 above 22 (GPT 25); with "
        "ptx the rating peaks at 4.1 near 0.01 and is 2.1 at 0.",
        caption="PPO by its KL coefficient.",
        measure="kl_sweep",
        key="kl_coef",
        axis="KL coefficient",
    ),
    AlongPlan(
        name="sft-epochs",
        title="Epochs of supervised fine-tuning",
        after="Section 3.5",
        saw="The validation loss overfits after 1 epoch, yet training for 16 raises the reward model’s score and the "
        "labelers’ ratings.",
        caption="SFT by epoch.",
        measure="sft_epoch",
        key="epoch",
        axis="epoch",
    ),
)


def along_figure(plan: AlongPlan, measured: Measured) -> Exhibit | None:
    """The measure along its key, as far as it was measured."""
    by_metric = {
        metric: rows
        for metric in dict.fromkeys([*_METRICS, *map(str, measured.values(plan.measure, "metric"))])
        if (rows := _along(measured.where(plan.measure, {"metric": metric}), plan.key, metric))
    }
    if not by_metric:
        return None
    panels = tuple(
        steps_panel(
            f"{plan.name}-{index}", _metric(metric).title, plan.axis, [_series(metric, rows)], _metric(metric).tick_form
        )
        for index, (metric, rows) in enumerate(by_metric.items())
    )
    return Exhibit(
        name=plan.name,
        title=plan.title,
        after=plan.after,
        saw=plan.saw,
        here=_here(by_metric),
        panels=panels,
        caption=plan.caption,
        source=source_of(row for rows in by_metric.values() for _, row in rows),
        table=_table(plan, by_metric),
    )


Along = list[tuple[float, Row]]


def _along(rows: Iterable[Row], key: str, metric: str) -> Along:
    """One row a place, in order; of several sizes the largest, which the file gives last."""
    stated = (row for row in rows if row.condition.get("metric") == metric and key in row.condition)
    found = {float(row.condition[key]): row for row in stated}
    return sorted(found.items())


def _metric(metric: str) -> _Metric:
    return _METRICS.get(metric) or _Metric(title=metric, form=fixed(3), tick_form=fixed(2), role="other")


def _series(metric: str, rows: Along) -> Series:
    points = tuple((place, row.estimate) for place, row in rows)
    return Series(label=_metric(metric).title, role=_metric(metric).role, mark="o", points=points)


def _here(by_metric: Mapping[str, Along]) -> Markup:
    """Both ends of every metric, and where it is highest or, for a loss, lowest."""
    return Markup(". ").join(_told(metric, rows) for metric, rows in by_metric.items()) + "."


def _told(metric: str, rows: Along) -> Markup:
    shown = _metric(metric)
    is_loss = metric.endswith("loss")
    choose: Callable[..., tuple[float, Row]] = min if is_loss else max
    place, best = choose(rows, key=lambda found: found[1].estimate.mean)
    first, last = rows[0], rows[-1]
    ends = Markup("{}: {} at {}, {} at {}").format(
        shown.title.split(",")[0],
        with_interval(first[1].estimate, shown.form),
        f"{first[0]:g}",
        with_interval(last[1].estimate, shown.form),
        f"{last[0]:g}",
    )
    if place in (first[0], last[0]):
        return ends
    extreme = "lowest" if is_loss else "highest"
    return Markup("{}, {} {} at {}").format(ends, extreme, with_interval(best.estimate, shown.form), f"{place:g}")


def _table(plan: AlongPlan, by_metric: Mapping[str, Along]) -> Table:
    places = sorted({place for rows in by_metric.values() for place, _ in rows})
    found = {metric: dict(rows) for metric, rows in by_metric.items()}
    rows = tuple(
        (
            f"{place:g}",
            *(
                with_interval(own[place].estimate, _metric(metric).form) if place in own else MISSING
                for metric, own in found.items()
            ),
        )
        for place in places
    )
    return Table(columns=(plan.axis, *(_metric(metric).title for metric in found)), rows=rows)


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
        title="The reward model on labelers it has not met",
        after="Section 4.1",
        saw="Over five groups of labelers the reward model orders 72.4\u202f% of comparisons as the labelers inside "
        "its training set did, and 69.6\u202f% as those outside.",
        here=_gap(evidence),
        panels=(steps_panel("cross-validation", "Accuracy on comparisons", "fold left out", series, whole_percent),),
        caption="Accuracy of reward models that were each trained without one group of labelers.",
        source=source_of(row for rows in found.values() for _, row in rows),
        table=_fold_table(found),
    )


def _has_fold(row: Row, side: str) -> bool:
    return "fold" in row.condition and row.condition.get("labelers") == side


def _gap(evidence: Evidence) -> Markup:
    means = {}
    for sign, sides in ((1.0, ("inside",)), (1.0, ("outside",)), (-1.0, ("inside", "outside"))):
        terms = tuple(
            Term(1.0 if index == 0 else sign, "reward_model_accuracy", condition={"labelers": side})
            for index, side in enumerate(sides)
        )
        means[sides] = Contrast(terms, across="fold").read(evidence)
    parts = [
        Markup("{} {}").format(" minus ".join(sides), with_interval(mean, signed_points if len(sides) > 1 else percent))
        for sides, mean in means.items()
        if mean is not None
    ]
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


_METHODS = {"rl": ("PPO", "ppo", "^"), "best_of_n": ("best of n", "best-of-n", ">")}
_SCORES = {"proxy": "reward model", "gold": "ground truth"}


def overoptimisation_figure(measured: Measured) -> Exhibit | None:
    """The score that was optimised and the quality that was meant, against the KL that was paid."""
    found = dict(_overoptimisation(measured))
    if not found:
        return None
    series = [
        Series(
            label=f"{_METHODS.get(method, (method,))[0]}, {_SCORES.get(metric, metric)}",
            role=_METHODS.get(method, ("", "other", "P"))[1],
            mark=_METHODS.get(method, ("", "other", "P"))[2],
            points=tuple((kl, row.estimate) for kl, row in rows),
            is_hollow=metric == "proxy",
        )
        for (method, metric), rows in found.items()
    ]
    rows = [row for own in found.values() for _, row in own] + measured.where("overoptimisation_fit")
    return Exhibit(
        name="overoptimisation",
        title="Reward against KL",
        after="Gao, Schulman and Hilton (2022)",
        saw="The paper does not show it and warns of it (4.3); Gao et al. find the true score as d(α − β log d) for RL "
        "and d(α − βd) for best of n, d the root of the KL: it rises, peaks and falls while the proxy goes on rising.",
        here=_peaks(found),
        panels=(
            distance_panel(
                "overoptimisation", "Score above the initial policy", series, _fits(measured, found), fixed(1)
            ),
        ),
        caption="Hollow: the reward model that was optimised. Filled: the ground truth. Dotted: the fitted curve.",
        source=source_of(rows),
        table=_distance_table(found),
    )


Paths = Mapping[tuple[str, str], Along]


def _overoptimisation(measured: Measured) -> Iterator[tuple[tuple[str, str], Along]]:
    for method in map(str, measured.values("overoptimisation", "method")):
        for metric in map(str, measured.values("overoptimisation", "metric", {"method": method})):
            rows = measured.where("overoptimisation", {"method": method, "metric": metric})
            own = [row for row in rows if "kl" in row.condition]
            found = sorted(((max(0.0, float(row.condition["kl"])), row) for row in own), key=lambda pair: pair[0])
            if found:
                yield (method, metric), found


def _peaks(found: Paths) -> Markup:
    parts = []
    for (method, metric), rows in found.items():
        kl, best = max(rows, key=lambda pair: pair[1].estimate.mean)
        told = Markup("{}, {}: highest {} at {} nats").format(
            _METHODS.get(method, (method,))[0],
            _SCORES.get(metric, metric),
            with_interval(best.estimate, fixed(2)),
            f"{kl:.1f}",
        )
        last_kl, last = rows[-1]
        falls = Markup(", then {} at {} nats").format(with_interval(last.estimate, fixed(2)), f"{last_kl:.1f}")
        parts.append(told + falls if last_kl > kl else told)
    return Markup("; ").join(parts) + "."


def _fits(measured: Measured, found: Paths) -> list[Fitted]:
    curves = []
    for method in dict.fromkeys(method for method, _ in found):
        alpha, beta = (
            measured.one("overoptimisation_fit", {"method": method, "coefficient": name}) for name in ("alpha", "beta")
        )
        if alpha is not None and beta is not None:
            largest = max(kl for (own, _), rows in found.items() if own == method for kl, _ in rows)
            role = _METHODS.get(method, ("", "other"))[1]
            curves.append(_fitted(method, alpha.estimate.mean, beta.estimate.mean, largest, role))
    return curves


def _fitted(method: str, alpha: float, beta: float, largest: float, role: str) -> Fitted:
    distance = np.sqrt(np.linspace(1e-6, largest, 160))
    values = distance * (alpha - beta * (distance if method == "best_of_n" else np.log(distance)))
    return Fitted(role=role, places=np.square(distance), values=values)


def _distance_table(found: Paths) -> Table:
    rows = tuple(
        (
            f"{_METHODS.get(method, (method,))[0]}, {_SCORES.get(metric, metric)}",
            f"{kl:.2f}",
            with_interval(row.estimate, fixed(3)),
        )
        for (method, metric), own in found.items()
        for kl, row in own
    )
    return Table(columns=("Score", "KL, nats", "Value"), rows=rows)
