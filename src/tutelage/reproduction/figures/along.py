"""The paper's figures over a coefficient or an epoch: the sweeps of ptx and KL, the epochs of SFT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from tutelage.report.figures.exhibit import Along, Exhibit, source_of
from tutelage.report.figures.lines import Series, steps_panel
from tutelage.report.measured import Measured, Row
from tutelage.report.notation import MISSING, Form, fixed, percent, whole_percent, with_interval
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
    """A measure over one of its conditions, one panel per metric."""

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
        title="How strongly to penalize KL",
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
    """The measure over its key, as far as it was measured."""
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


def _along(rows: Iterable[Row], key: str, metric: str) -> Along:
    """One row per value, in order; of several sizes the largest, which is last in the file."""
    stated = (row for row in rows if row.condition.get("metric") == metric and key in row.condition)
    found = {float(row.condition[key]): row for row in stated}
    return sorted(found.items())


def _metric(metric: str) -> _Metric:
    return _METRICS.get(metric) or _Metric(title=metric, form=fixed(3), tick_form=fixed(2), role="other")


def _series(metric: str, rows: Along) -> Series:
    points = tuple((place, row.estimate) for place, row in rows)
    return Series(label=_metric(metric).title, role=_metric(metric).role, mark="o", points=points)


def _here(by_metric: Mapping[str, Along]) -> Markup:
    """Both ends of every metric, and its maximum or, for a loss, minimum."""
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
