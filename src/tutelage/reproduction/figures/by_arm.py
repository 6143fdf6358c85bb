"""Figures that compare the policies on one measure, one panel per condition: most of the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from tutelage.evaluation.records import SizedArm
from tutelage.report.arms import arm_of, in_order
from tutelage.report.figures.arms import AxisScale, arms_panel, span
from tutelage.report.figures.exhibit import Exhibit, source_of
from tutelage.report.measured import LARGEST, Measured, Row, Where
from tutelage.report.notation import MISSING, Form, readable, with_interval
from tutelage.report.tables import Cell, Table
from tutelage.reproduction.claims.quantities import Contrast, Evidence, MeanTerm

_TOLD = ("base", "prompted", "flan", "t0", "sft", "ppo", "ppo_ptx")


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelPlan:
    """One panel: its title, its measure, the conditions of its rows and their baseline."""

    title: str
    measure: str
    where: Where = field(default_factory=dict)
    baseline: SizedArm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigurePlan:
    """A figure of policies as data.

    `form` writes its numbers, `tick_form` its axis, `change_form` differences. The sentence about this run gives the
    numbers of the panel `told` and the difference between the two policies of `focus`. `arms`: the policies shown,
    empty for all; `is_of_fullest`: only at the size with the most policies, the largest of these.
    """

    name: str
    title: str
    after: str
    saw: str
    caption: str
    panels: Sequence[PanelPlan]
    form: Form
    tick_form: Form
    change_form: Form
    baseline: float | None = None
    floor: float | None = None
    told: int = 0
    focus: tuple[str, str] = ("ppo_ptx", "base")
    shares_scale: bool = True
    arms: Sequence[str] = ()
    is_of_fullest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    plan: PanelPlan
    rows: Mapping[str, Mapping[str, Row]]

    @property
    def all_rows(self) -> list[Row]:
        return [row for by_arm in self.rows.values() for row in by_arm.values()]


def arm_figure(plan: FigurePlan, evidence: Evidence) -> Exhibit | None:
    """The figure as far as this run has measured it; None if it has measured nothing of it."""
    drawn = [found for panel in plan.panels if (found := _read(plan, panel, evidence.measured)).rows]
    if not drawn:
        return None
    rows = [row for found in drawn for row in found.all_rows]
    common = _scale(plan, rows)
    panels = tuple(
        arms_panel(
            f"{plan.name}-{index}",
            found.plan.title,
            {size: {arm: row.estimate for arm, row in by_arm.items()} for size, by_arm in found.rows.items()},
            common if plan.shares_scale else _scale(plan, found.all_rows),
            is_alone=len(drawn) == 1,
        )
        for index, found in enumerate(drawn)
    )
    arms = tuple(arm_of(key) for key in in_order(row.arm for row in rows))
    return Exhibit(
        name=plan.name,
        title=plan.title,
        after=plan.after,
        saw=plan.saw,
        here=_here(plan, drawn, evidence),
        panels=panels,
        caption=plan.caption,
        source=source_of(rows),
        table=_table(plan, drawn),
        arms=arms if any(len(found.rows) > 1 for found in drawn) else (),
    )


def _scale(plan: FigurePlan, rows: Sequence[Row]) -> AxisScale:
    limits = span([row.estimate for row in rows], baseline=plan.baseline, floor=plan.floor)
    return AxisScale(form=plan.form, tick_form=plan.tick_form, limits=limits, baseline=plan.baseline)


def _read(plan: FigurePlan, panel: PanelPlan, measured: Measured) -> _Drawn:
    found: dict[str, dict[str, Row]] = {}
    for size in measured.sizes or ("",):
        by_arm = measured.by_arm(panel.measure, panel.where, size=size, baseline=panel.baseline)
        found[size] = {arm: row for arm, row in by_arm.items() if not plan.arms or arm in plan.arms}
    if plan.is_of_fullest:
        fullest = max(reversed(found), key=lambda size: len(found[size]))
        found = {fullest: found[fullest]}
    return _Drawn(plan=panel, rows={size: by_arm for size, by_arm in found.items() if by_arm})


def _here(plan: FigurePlan, drawn: Sequence[_Drawn], evidence: Evidence) -> Markup:
    """This run's result in one panel, at its largest size: every policy, and the difference between two."""
    told = next((found for found in drawn if found.plan is plan.panels[plan.told]), drawn[0])
    size, by_arm = list(told.rows.items())[-1]
    numbers = [
        Markup("{} {}").format(arm_of(arm).label, with_interval(by_arm[arm].estimate, plan.form))
        for arm in _TOLD
        if arm in by_arm
    ]
    place = [told.plan.title] if len(drawn) > 1 else []
    place += [f"{size} models"] if size else []
    opening = f"{', '.join(place)}: " if place else ""
    sentence = Markup("{}{}").format(opening[:1].upper() + opening[1:], Markup(", ").join(numbers))
    return Markup("{}{}.").format(sentence, _change(plan, told.plan, evidence))


def _change(plan: FigurePlan, told: PanelPlan, evidence: Evidence) -> Markup | str:
    terms = tuple(
        MeanTerm(weight, told.measure, arm, told.where, LARGEST, told.baseline)
        for weight, arm in zip((1.0, -1.0), plan.focus, strict=True)
    )
    change = Contrast(terms).read(evidence)
    if change is None:
        return ""
    first, second = (arm_of(arm).label for arm in plan.focus)
    return Markup("; {} minus {}: {}").format(first, second, with_interval(change, plan.change_form))


def _table(plan: FigurePlan, drawn: Sequence[_Drawn]) -> Table:
    arms = in_order(row.arm for found in drawn for row in found.all_rows)
    rows: list[tuple[Cell, ...]] = []
    for found in drawn:
        for size, by_arm in found.rows.items():
            name = ", ".join(part for part in (found.plan.title, size) if part)
            cells = (with_interval(by_arm[arm].estimate, plan.form) if arm in by_arm else MISSING for arm in arms)
            rows.append((readable(name), *cells))
    return Table(columns=("Panel", *(arm_of(arm).label for arm in arms)), rows=tuple(rows))
