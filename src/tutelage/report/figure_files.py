"""Every figure of the paper as a file of its own, to be shown where no page can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.report.figures import Exhibit
from tutelage.report.themed_svg import KeyEntry, draw_files

FIGURES = "figures"


def figure_files(exhibits: Sequence[Exhibit]) -> Iterator[tuple[str, bytes]]:
    """Name and content of every figure's files, SVG and PNG: its panels together, with their legend."""
    for exhibit in exhibits:
        key = [KeyEntry(arm.label, arm.role, arm.mark) for arm in exhibit.arms]
        for kind, drawn in draw_files([panel.drawing for panel in exhibit.panels], key).items():
            yield f"{exhibit.name}.{kind}", drawn
