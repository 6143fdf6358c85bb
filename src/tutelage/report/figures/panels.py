"""The figures of a run's results: win rates, ratings, reward-model accuracy, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tutelage.report.arms import arm_of
from tutelage.report.measured import Estimate
from tutelage.report.notation import Form, duration, percent, readable
from tutelage.report.themed_svg import Drawing, colour, draw

# Inches at 72 units; on the page a panel takes one column and a wide panel the full width.
PANEL = (3.9, 2.75)
WIDE_WIDTH, NARROW_WIDTH = 8.2, 4.3
_PERCENT_TICKS = FuncFormatter(lambda value, _: f"{100 * value:.0f} %")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing; `narrow` replaces it on small screens, where the wide one would be too small to read.

    Each is drawn once, on first use.
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


def arm_dots(name: str, title: str, estimates: Mapping[str, Estimate], form: Form) -> Panel:
    """One dot per arm, for quantities without a meaningful zero: the axis covers only their range."""

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


def reward_model_figure(shares: Mapping[str, Estimate]) -> Panel:
    """How often the reward model agrees with labelers, and how often labelers agree with each other."""
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
