"""The figures of a run's outcome: who is preferred, how responses are rated, what the reward model knows, the cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tutelage.report.arms import arm_of
from tutelage.report.notation import Form, duration, fixed, percent, readable
from tutelage.report.results import Estimate
from tutelage.report.themed_svg import Drawing, colour, draw

# Inches at 72 units; the page gives a panel one column and a wide panel the whole measure.
PANEL = (3.9, 2.75)
WIDE_WIDTH, NARROW_WIDTH = 8.2, 4.3
_PERCENT_TICKS = FuncFormatter(lambda value, _: f"{100 * value:.0f} %")
GROUP_ROLES = {"training": "training", "held_out": "held-out", "heldout": "held-out"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing; `narrow` takes its place on a small screen where the wide one would become too small to read.

    Each is drawn once, when it is first asked for.
    """

    drawing: Drawing
    narrow_drawing: Drawing | None = None

    @cached_property
    def svg(self) -> Markup:
        return draw(self.drawing)

    @cached_property
    def narrow(self) -> Markup | None:
        return draw(self.narrow_drawing) if self.narrow_drawing else None


def panel(name: str, description: str, size: tuple[float, float], paint: Callable[[Axes], None]) -> Panel:
    """A panel of one drawing."""
    return Panel(drawing=Drawing(name=name, description=description, size=size, paint=paint))


def win_rate_figure(overall: Mapping[str, Estimate], by_group: Mapping[str, Mapping[str, Estimate]]) -> Panel:
    """Win rate against SFT, a row an arm: everybody's judgements, and those of each group of labelers below them."""
    description = "Win rate against SFT. " + "; ".join(
        f"{arm_of(arm).label} {percent(estimate.mean)}" for arm, estimate in overall.items()
    )

    def paint(axes: Axes) -> None:
        _paint_win_rates(axes, overall, by_group)

    height = 1.2 + 0.52 * len(overall)
    wide = Drawing(name="win-rate", description=description, size=(WIDE_WIDTH, height), paint=paint)
    narrow_size = (NARROW_WIDTH, height + 0.2)
    return Panel(drawing=wide, narrow_drawing=replace(wide, name="win-rate-narrow", size=narrow_size))


def _paint_win_rates(
    axes: Axes, overall: Mapping[str, Estimate], by_group: Mapping[str, Mapping[str, Estimate]]
) -> None:
    axes.axvline(0.5, color=colour("ink"), linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    for row, (arm, estimate) in enumerate(overall.items()):
        shown = arm_of(arm)
        _whisker(axes, estimate, row, role=shown.role, mark=shown.mark, size=7.5)
        edge = estimate.high if estimate.high is not None else estimate.mean
        axes.annotate(
            percent(estimate.mean), (edge, row), xytext=(7, 0), textcoords="offset points", va="center", weight="bold"
        )
        for index, (group, estimates) in enumerate(by_group.items()):
            if arm in estimates:
                role = GROUP_ROLES.get(group, "other")
                _whisker(axes, estimates[arm], row + 0.2 + 0.15 * index, role=role, mark=".", size=5)
    _share_axis(axes)
    axes.set_yticks(range(len(overall)), [arm_of(arm).label for arm in overall])
    axes.tick_params(axis="y", length=0, labelsize=9.5, labelcolor=colour("ink"))
    axes.set_ylim(len(overall) - 0.3, -0.6)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("preferred to SFT (dashed: SFT itself)")
    if by_group:
        _group_legend(axes, list(by_group))


def _group_legend(axes: Axes, groups: Sequence[str]) -> None:
    for group in groups:
        role = GROUP_ROLES.get(group, "other")
        axes.plot([], [], ".-", color=colour(role), linewidth=1, markersize=5, label=f"{readable(group)} labelers")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(groups), handlelength=1.6, columnspacing=1.4)


def _whisker(axes: Axes, estimate: Estimate, row: float, *, role: str, mark: str, size: float) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.hlines(row, estimate.low, estimate.high, color=colour(role), linewidth=1 if size < 6 else 2.2, zorder=2)
    axes.plot(estimate.mean, row, mark, color=colour(role), markersize=size, zorder=3)


def _share_axis(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(_PERCENT_TICKS)


def arm_bars(
    name: str,
    title: str,
    estimates: Mapping[str, Estimate],
    form: Form,
    *,
    floor: float = 0.0,
    top: float | None = None,
) -> Panel:
    """One bar an arm with its interval, from `floor` to at most `top` (default: what is needed)."""

    def paint(axes: Axes) -> None:
        reach = [estimate.high if estimate.high is not None else estimate.mean for estimate in estimates.values()]
        span = (top if top is not None else max(reach)) - floor
        for row, (arm, estimate) in enumerate(estimates.items()):
            axes.barh(row, estimate.mean - floor, left=floor, height=0.56, color=colour(arm_of(arm).role))
            if estimate.low is not None and estimate.high is not None:
                axes.hlines(row, estimate.low, estimate.high, color=colour("ink"), linewidth=1.2)
            axes.text(reach[row] + 0.02 * span, row, form(estimate.mean), va="center", fontsize=8.5)
        _row_labels(axes, [arm_of(arm).label for arm in estimates])
        axes.set_xlim(floor, floor + span * (1.2 if top is None else 1.0))
        axes.xaxis.set_major_locator(MaxNLocator(4 if top is None else 7))
        if form is percent:
            axes.xaxis.set_major_formatter(_PERCENT_TICKS)
        axes.set_title(title)

    description = f"{title}. " + "; ".join(
        f"{arm_of(arm).label} {form(found.mean)}" for arm, found in estimates.items()
    )
    return panel(name, description, (PANEL[0], 0.95 + 0.36 * len(estimates)), paint)


def arm_dots(name: str, title: str, estimates: Mapping[str, Estimate], form: Form) -> Panel:
    """One dot an arm, for quantities whose zero means nothing: the axis shows only the range that they span."""

    def paint(axes: Axes) -> None:
        means = [estimate.mean for estimate in estimates.values()]
        span = max(max(means) - min(means), 1e-3)
        for row, (arm, estimate) in enumerate(estimates.items()):
            axes.axhline(row, color=colour("rule"), linewidth=0.7, zorder=1)
            axes.plot(estimate.mean, row, arm_of(arm).mark, color=colour(arm_of(arm).role), markersize=8, zorder=2)
            axes.text(estimate.mean + 0.07 * span, row - 0.02, form(estimate.mean), va="bottom", fontsize=8.5)
        _row_labels(axes, [arm_of(arm).label for arm in estimates])
        axes.set_xlim(min(means) - 0.15 * span, max(means) + 0.4 * span)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(title)

    description = f"{title}. " + "; ".join(
        f"{arm_of(arm).label} {form(found.mean)}" for arm, found in estimates.items()
    )
    return panel(name, description, (PANEL[0], 0.95 + 0.42 * len(estimates)), paint)


def _row_labels(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, labelcolor=colour("ink"))
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)


def likert_figure(estimates: Mapping[str, Estimate]) -> Panel:
    """Mean rating by arm on the whole scale, 1 to 7."""
    return arm_bars("likert", "Mean rating, 1 (worst) to 7 (best)", estimates, fixed(2), floor=1.0, top=7.0)


def reward_model_figure(shares: Mapping[str, Estimate]) -> Panel:
    """How often the reward model agrees with labelers, beside how often labelers agree with each other."""
    roles = {"Training labelers": "training", "Held-out labelers": "held-out"}

    def paint(axes: Axes) -> None:
        axes.axvline(0.5, color=colour("muted"), linewidth=0.9, linestyle=(0, (2, 2)))
        for row, (label, estimate) in enumerate(shares.items()):
            axes.plot(estimate.mean, row, "o", color=colour(roles.get(label, "ink")), markersize=8)
            axes.hlines(row, 0.5, estimate.mean, color=colour(roles.get(label, "ink")), linewidth=1.6)
            axes.annotate(
                percent(estimate.mean), (estimate.mean, row), xytext=(8, 0), textcoords="offset points", va="center"
            )
        _row_labels(axes, list(shares))
        lowest = min([0.5, *(estimate.mean for estimate in shares.values())])
        axes.set_xlim(max(0.0, lowest - 0.04), 1)
        axes.xaxis.set_major_formatter(_PERCENT_TICKS)
        axes.set_title("Agreement on comparisons (dotted: chance)")

    description = "Reward model. " + "; ".join(f"{label} {percent(found.mean)}" for label, found in shares.items())
    return panel("reward-model", description, (PANEL[0], 1.0 + 0.36 * len(shares)), paint)


def time_figure(seconds: Mapping[str, float]) -> Panel:
    """Wall time of each stage."""

    def paint(axes: Axes) -> None:
        longest = max(seconds.values())
        for row, value in enumerate(seconds.values()):
            axes.barh(row, value, height=0.56, color=colour("muted"))
            axes.text(value + 0.02 * longest, row, duration(value), va="center", fontsize=8.5)
        _row_labels(axes, [readable(stage) for stage in seconds])
        axes.set_xlim(0, 1.25 * longest if longest > 0 else 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_title("Seconds by stage")

    description = "Wall time. " + "; ".join(f"{stage} {duration(value)}" for stage, value in seconds.items())
    return panel("wall-time", description, (PANEL[0], 0.9 + 0.3 * len(seconds)), paint)
