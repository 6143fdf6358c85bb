"""Every figure as a separate file, for use outside the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markupsafe import escape

from tutelage.report.arms import ArmStyle
from tutelage.report.figures.exhibit import Exhibit
from tutelage.report.figures.panels import Panel
from tutelage.report.themed_svg import KeyEntry, columns_in_file, draw_png, light_colours, standalone

FIGURES = "figures"
_POINTS = 72
_GAP, _KEY_HEIGHT, _KEY_STEP = 14, 26, 92


def figure_files(exhibits: Sequence[Exhibit]) -> Iterator[tuple[str, bytes]]:
    """Name and content of every figure's files, SVG and PNG: its panels together, with their legend."""
    for exhibit in exhibits:
        key = [KeyEntry(arm.label, arm.role, arm.mark) for arm in exhibit.arms]
        yield f"{exhibit.name}.svg", _svg(exhibit).encode()
        yield f"{exhibit.name}.png", draw_png([panel.drawing for panel in exhibit.panels], key)


def _svg(exhibit: Exhibit) -> str:
    """The panels as on the page, side by side in rows, each row as high as its highest panel."""
    panels = exhibit.panels
    columns = columns_in_file(len(panels))
    column = max(_POINTS * panel.drawing.size[0] for panel in panels) + _GAP
    width = max(columns * column, _KEY_STEP * len(exhibit.arms)) + _GAP
    height: float = _GAP + (_KEY_HEIGHT if exhibit.arms else 0)
    parts = [_key(exhibit.arms)]
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        parts += [_placed(panel, _GAP + index * column, height) for index, panel in enumerate(row)]
        height += max(_POINTS * panel.drawing.size[1] for panel in row) + _GAP
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
    )
    return f'{head}<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'


def _placed(panel: Panel, x: float, y: float) -> str:
    width, height = (_POINTS * side for side in panel.drawing.size)
    place = f'<svg x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
    return re.sub(r"<svg ", place, standalone(panel.svg), count=1)


def _key(arms: Sequence[ArmStyle]) -> str:
    colours = light_colours()
    entries = (
        f'<text x="{_GAP + index * _KEY_STEP}" y="22" font-family="sans-serif" font-size="11">'
        f'<tspan fill="{colours[arm.role]}">{arm.glyph}</tspan> {escape(arm.label)}</text>'
        for index, arm in enumerate(arms)
    )
    return "".join(entries)
