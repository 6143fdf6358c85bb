"""A figure of the page: panels, what the paper saw, what this run saw, the numbers, the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from tutelage.report.arms import ArmStyle
from tutelage.report.figures.panels import Panel
from tutelage.report.measured import Row
from tutelage.report.tables import Table

# Rows at places along an axis, in order.
Along = list[tuple[float, Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Panels with one caption; `further`: panels that wait behind a click; `source`: the files drawn from.

    `arms`: the legend that all panels share. `saw`: what the paper saw, `here`: what this run saw, a sentence each;
    `after`: the paper's own figure. `name`: of its files, "" where it has none.
    """

    panels: tuple[Panel, ...]
    caption: str
    source: str
    further: tuple[Panel, ...] = ()
    table: Table | None = None
    name: str = ""
    title: str = ""
    after: str = ""
    saw: str = ""
    here: Markup | str = ""
    arms: tuple[ArmStyle, ...] = ()


def source_of(rows: Iterable[Row]) -> str:
    """The files that the rows stand in, and those of the raw rows that they average."""
    rows = list(rows)
    files = list(dict.fromkeys(row.estimate.source.split("#")[0] for row in rows))
    raw = [file for file in dict.fromkeys(row.estimate.raw for row in rows) if file and file not in files]
    return ", ".join(files) + (f"; raw rows: {', '.join(raw)}" if raw else "")
