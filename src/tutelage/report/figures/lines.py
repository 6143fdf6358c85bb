"""Panels of one number against a coefficient, an epoch or a distance: marks with intervals, joined by a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from tutelage.report.figures.panels import PANEL, WIDE_WIDTH, Panel, panel
from tutelage.report.measured import Estimate
from tutelage.report.notation import Form
from tutelage.report.themed_svg import Drawing, colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Estimates along the axis, in order; `is_hollow`: drawn as outlines, for a second kind of number."""

    label: str
    role: str
    mark: str
    points: tuple[tuple[float, Estimate], ...]
    is_hollow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted curve through the points: values at distances."""

    role: str
    places: np.ndarray
    values: np.ndarray


def steps_panel(name: str, title: str, axis: str, series: Sequence[Series], tick_form: Form) -> Panel:
    """Series over evenly spaced, labeled positions: coefficients have no common scale, and 0 is one of them."""
    places = sorted({place for shown in series for place, _ in shown.points})

    def paint(axes: Axes) -> None:
        for index, shown in enumerate(series):
            shift = 0.08 * (index - (len(series) - 1) / 2)
            _paint_series(axes, shown, [places.index(place) + shift for place, _ in shown.points])
        axes.set_xticks(range(len(places)), [f"{place:g}" for place in places])
        axes.set_xlim(-0.4, len(places) - 0.6)
        if len(series) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series), handlelength=1, columnspacing=1)
        _finish(axes, title, axis, tick_form)

    return panel(name, _description(title, series), PANEL, paint)


def distance_panel(name: str, title: str, series: Sequence[Series], curves: Sequence[Fitted], tick_form: Form) -> Panel:
    """Series against KL on a square-root axis, with fitted curves."""

    def paint(axes: Axes) -> None:
        axes.axhline(0, color=colour("rule"), linewidth=0.8, zorder=0)
        for shown in series:
            _paint_series(axes, shown, [place for place, _ in shown.points])
        for curve in curves:
            axes.plot(curve.places, curve.values, color=colour(curve.role), linewidth=1, linestyle=(0, (1, 1.5)))
        square_root_axis(axes, max(place for shown in series for place, _ in shown.points))
        axes.legend(loc="best", handlelength=1.4)
        _finish(axes, title, "KL to the initial policy, nats per response (square-root axis)", tick_form)

    size = (WIDE_WIDTH, PANEL[1] + 0.6)
    wide = Drawing(name=name, description=_description(title, series), size=size, paint=paint)
    return Panel(drawing=wide, narrow_drawing=replace(wide, name=f"{name}-narrow", size=PANEL))


def _paint_series(axes: Axes, series: Series, places: Sequence[float]) -> None:
    shade = colour(series.role)
    means = [estimate.mean for _, estimate in series.points]
    axes.plot(places, means, color=shade, linewidth=1.1, alpha=0.55, linestyle="--" if series.is_hollow else "-")
    inside = colour("paper") if series.is_hollow else shade
    axes.plot(
        places,
        means,
        series.mark,
        color=shade,
        markersize=5,
        markerfacecolor=inside,
        linestyle="none",
        label=series.label,
        zorder=3,
    )
    for place, (_, estimate) in zip(places, series.points, strict=True):
        if estimate.low is not None and estimate.high is not None:
            axes.vlines(place, estimate.low, estimate.high, color=shade, linewidth=1.4, zorder=2)


def _finish(axes: Axes, title: str, axis: str, tick_form: Form) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_form(value)))
    axes.set_xlabel(axis)
    axes.set_title(title)


def square_root_axis(axes: Axes, largest: float) -> None:
    """An x axis from 0, evenly spaced in the square root, on which score against KL is nearly straight."""
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0.0)), np.square))
    end = max(largest, 1e-3) * 1.05
    axes.set_xlim(0, end)
    step = 10.0 ** np.floor(np.log10(end))
    ticks = [share * step for share in (0, 0.1, 0.25, 0.5, 1, 2, 5) if share * step <= end]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _description(title: str, series: Sequence[Series]) -> str:
    parts = [f"{shown.label} from {shown.points[0][1].mean:.4g} to {shown.points[-1][1].mean:.4g}" for shown in series]
    return f"{title}. " + "; ".join(parts)
