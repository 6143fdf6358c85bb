"""A figure of the page: panels, the paper's result, this run's result, the numbers, the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from tutelage.report.arms import ArmStyle
from tutelage.report.figures.panels import Panel
from tutelage.report.measured import Row
from tutelage.report.tables import Table

# Rows along an axis, in order.
Along = list[tuple[float, Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Panels with one caption; `further`: panels shown on a click; `source`: the files used.

    `arms`: the legend shared by all panels. `saw`: the paper's result, `here`: this run's, one sentence each; `after`:
    the paper's own figure. `name`: of its files, "" if it has none.
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
    """The files that contain the rows, and those of the raw rows that they average."""
    rows = list(rows)
    files = list(dict.fromkeys(row.estimate.source.split("#")[0] for row in rows))
    raw = [file for file in dict.fromkeys(row.estimate.raw for row in rows) if file and file not in files]
    return ", ".join(files) + (f"; raw rows: {', '.join(raw)}" if raw else "")
