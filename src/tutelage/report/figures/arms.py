"""Panels that compare policies: a row each if the run has one model size, else a line each over sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tutelage.report.arms import arm_of, in_order
from tutelage.report.figures.panels import PANEL, WIDE_WIDTH, Panel
from tutelage.report.measured import Estimate
from tutelage.report.notation import Form
from tutelage.report.themed_svg import Drawing, colour

# Estimates by size, then by arm.
BySize = Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisScale:
    """The format of numbers on the axis and next to marks, the axis range, and the position of a dashed line."""

    form: Form
    tick_form: Form
    limits: tuple[float, float]
    baseline: float | None = None


def span(
    estimates: Sequence[Estimate], *, baseline: float | None = None, floor: float | None = None
) -> tuple[float, float]:
    """Limits that contain every interval of `estimates` (and the baseline) with a margin, the same for all panels."""
    ends = [end for found in estimates for end in (found.low, found.mean, found.high) if end is not None]
    ends += [baseline] if baseline is not None else []
    low, high = min(ends), max(ends)
    air = 0.06 * max(high - low, 1e-3)
    low = low - air if floor is None or low - air > floor + 0.15 * (high - floor) else floor
    return low, high + air


def arms_panel(name: str, title: str, found: BySize, scale: AxisScale, *, is_alone: bool = False) -> Panel:
    """One panel: policies by model size, or one below the other. `is_alone`: it takes the full width."""
    make = _size_drawing if len(found) > 1 else _row_drawing
    drawing = make(name, title, found, scale)
    if not is_alone:
        return Panel(drawing=drawing)
    wide = replace(drawing, size=(WIDE_WIDTH, drawing.size[1] + (0.6 if len(found) > 1 else 0.0)))
    return Panel(drawing=wide, narrow_drawing=replace(drawing, name=f"{name}-narrow"))


def _description(title: str, found: BySize, form: Form) -> str:
    parts = [
        f"{arm_of(arm).label}{f' ({size})' if size else ''} {form(estimate.mean)}"
        for size, estimates in found.items()
        for arm, estimate in estimates.items()
    ]
    return f"{title}. " + "; ".join(parts)


def _row_drawing(name: str, title: str, by_size: BySize, scale: AxisScale) -> Drawing:
    estimates = next(iter(by_size.values()))

    def paint(axes: Axes) -> None:
        _dashed(axes, scale, is_vertical=True)
        for row, (arm, found) in enumerate(estimates.items()):
            shown = arm_of(arm)
            axes.axhline(row, color=colour("rule"), linewidth=0.6, zorder=0)
            if found.low is not None and found.high is not None:
                axes.hlines(row, found.low, found.high, color=colour(shown.role), linewidth=2, zorder=2)
            axes.plot(found.mean, row, shown.mark, color=colour(shown.role), markersize=6.5, zorder=3)
            text = scale.form(found.mean)
            axes.text(1.02, row, text, va="center", fontsize=8.5, transform=axes.get_yaxis_transform())
        axes.set_yticks(range(len(estimates)), [arm_of(arm).label for arm in estimates])
        axes.tick_params(axis="y", length=0, labelcolor=colour("ink"))
        axes.set_ylim(len(estimates) - 0.4, -0.6)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(*scale.limits)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(_ticks(scale))
        axes.set_title(title)

    size = (PANEL[0], 0.95 + 0.34 * len(estimates))
    return Drawing(name=name, description=_description(title, by_size, scale.form), size=size, paint=paint)


def _size_drawing(name: str, title: str, found: BySize, scale: AxisScale) -> Drawing:
    def paint(axes: Axes) -> None:
        _dashed(axes, scale, is_vertical=False)
        arms = in_order(arm for estimates in found.values() for arm in estimates)
        for index, arm in enumerate(arms):
            _paint_arm(axes, arm, found, shift=0.05 * (index - (len(arms) - 1) / 2))
        axes.set_xticks(range(len(found)), list(found))
        axes.set_xlim(-0.35, len(found) - 0.65)
        axes.set_ylim(*scale.limits)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(_ticks(scale))
        axes.tick_params(axis="x", length=0, labelcolor=colour("ink"))
        axes.set_title(title)

    return Drawing(name=name, description=_description(title, found, scale.form), size=PANEL, paint=paint)


def _paint_arm(axes: Axes, arm: str, found: BySize, *, shift: float) -> None:
    shown = arm_of(arm)
    own = [(x, estimates[arm]) for x, estimates in enumerate(found.values()) if arm in estimates]
    places, means = [x + shift for x, _ in own], [estimate.mean for _, estimate in own]
    axes.plot(places, means, color=colour(shown.role), linewidth=1.2, alpha=0.55, zorder=2)
    axes.plot(places, means, shown.mark, color=colour(shown.role), markersize=5, zorder=4, linestyle="none")
    for x, estimate in own:
        if estimate.low is not None and estimate.high is not None:
            axes.vlines(x + shift, estimate.low, estimate.high, color=colour(shown.role), linewidth=1.5, zorder=3)


def _dashed(axes: Axes, scale: AxisScale, *, is_vertical: bool) -> None:
    if scale.baseline is not None:
        line = axes.axvline if is_vertical else axes.axhline
        line(scale.baseline, color=colour("ink"), linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)


def _ticks(scale: AxisScale) -> FuncFormatter:
    return FuncFormatter(lambda value, _: scale.tick_form(value))
