"""Plots as small inline SVGs: no script, no style attribute, nothing loaded; colors come from the style sheet.

Positions are percentages, so that a plot fills its container without its dots becoming ovals. Text is next to the
plots, in HTML, where it can be read, enlarged and copied; each plot has a title with the same content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil, floor, log10

from markupsafe import Markup

from tutelage.statistics import Interval

_SVG = Markup('<svg class="plot {0}" role="img" aria-label="{1}"><title>{1}</title>{2}</svg>')


def share(value: float) -> str:
    """Format a share as a percentage: 0.7264 is "72.6 %", never broken over two lines."""
    return f"{100 * value:.1f}\u00a0%"


def spread(interval: Interval) -> str:
    """Format an interval of shares: "72.6 % (68.1 to 76.7)"."""
    return f"{share(interval.mean)} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def in_words(intervals: Iterable[Interval]) -> str:
    """Format a sequence of shares: "71 %, 65 %"."""
    return ", ".join(f"{100 * interval.mean:.0f}\u00a0%" for interval in intervals)


def around(mean: float, error: float) -> Interval:
    """A published figure with its plus-minus, to be drawn next to the studio's own."""
    return Interval(mean=mean, low=mean - error, high=mean + error, n=0)


def parts(title: str, counts: Iterable[tuple[str, int]]) -> Markup:
    """A stacked bar of (class, count) segments, left to right; the full width is their sum."""
    counts = list(counts)
    whole = sum(count for _, count in counts) or 1
    drawn, start = Markup(), 0.0
    for name, count in counts:
        width = 100 * count / whole
        drawn += _rect(name, start, 0, width, 100)
        start += width
    return _SVG.format("parts", title, drawn)


def bar(title: str, value: float, most: float) -> Markup:
    """One bar, full where `value` is `most`."""
    return _SVG.format("bar-of", title, _rect("value", 0, 0, 100 * value / most if most else 0, 100))


def columns(title: str, values: Sequence[tuple[str, float]]) -> Markup:
    """A column per (label, value), all of equal width; the highest sets the scale. Each has its value as a title."""
    most = nice_end(max((value for _, value in values), default=0))
    width = 100 / max(len(values), 1)
    drawn = Markup()
    for place, (name, value) in enumerate(values):
        height = 100 * value / most
        column = _rect("value", place * width + width * 0.12, 100 - height, width * 0.76, height)
        # The full height is hoverable, even if the column is low.
        target = _rect("target", place * width, 0, width, 100)
        drawn += Markup("<g><title>{}: {:g}</title>{}{}</g>").format(name, value, column, target)
    lines = Markup().join(_line("grid", 0, 100 - level, 100, 100 - level) for level in (0, 50, 100))
    return _SVG.format("columns", title, lines + drawn)


def interval_plot(
    title: str, interval: Interval | None, *, lowest: float = 0.0, highest: float = 1.0, marks: Sequence[float] = ()
) -> Markup:
    """A dot with its interval between `lowest` and `highest`; `marks` are reference lines."""

    def at(value: float) -> float:
        return 100 * (min(max(value, lowest), highest) - lowest) / (highest - lowest)

    drawn = _line("axis", 0, 50, 100, 50)
    drawn += Markup().join(_line("mark", at(mark), 0, at(mark), 100) for mark in marks)
    if interval is not None:
        drawn += _line("whisker", at(interval.low), 50, at(interval.high), 50)
        drawn += _dot(at(interval.mean), 50)
    return _SVG.format("interval", title, drawn)


def path(title: str, intervals: Sequence[Interval]) -> Markup:
    """A sparkline of shares with their intervals, for a row of a table."""
    width = 100 / max(len(intervals), 1)
    places = [(place * width + width / 2, 100 - 100 * interval.mean) for place, interval in enumerate(intervals)]
    drawn = Markup().join(
        _line("whisker", x, 100 - 100 * interval.high, x, 100 - 100 * interval.low)
        for (x, _), interval in zip(places, intervals, strict=True)
    )
    drawn += Markup().join(_line("step", *one, *other) for one, other in pairwise(places))
    drawn += Markup().join(_dot(x, y, radius=3) for x, y in places)
    return _SVG.format("path", title, _line("grid", 0, 50, 100, 50) + drawn)


def nice_end(value: float) -> float:
    """The smallest of 1, 2, 4, 5, 8, 10, 20, 40 ... that is at least `value`, so that its half is a round number."""
    if value <= 1:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step >= ceil(value / power * 1e6) / 1e6)


def _rect(name: str, x: float, y: float, width: float, height: float) -> Markup:
    text = Markup('<rect class="{}" x="{:.2f}%" y="{:.2f}%" width="{:.2f}%" height="{:.2f}%"/>')
    return text.format(name, x, y, width, height)


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    text = Markup('<line class="{}" x1="{:.2f}%" y1="{:.2f}%" x2="{:.2f}%" y2="{:.2f}%"/>')
    return text.format(name, x1, y1, x2, y2)


def _dot(x: float, y: float, *, radius: float = 5) -> Markup:
    return Markup('<circle class="dot" cx="{:.2f}%" cy="{:.2f}%" r="{:g}"/>').format(x, y, radius)
