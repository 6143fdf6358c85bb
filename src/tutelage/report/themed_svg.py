"""Matplotlib figures as SVG with the colours and fonts of the page: readable in light, in dark and in print."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colours that stand for a role and are replaced by the page's variable of that name after drawing.
ROLES = (
    "ink",
    "muted",
    "rule",
    "paper",
    "gpt",
    "prompted",
    "sft",
    "ppo",
    "ppo-ptx",
    "other",
    "training",
    "held-out",
)
_COLOUR_OF = {role: f"#0102{index + 16:02x}" for index, role in enumerate(ROLES)}
_FONT_SIZE = 9.5
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    # A dollar sign in somebody's text is a dollar sign.
    "text.parse_math": False,
    "font.size": _FONT_SIZE,
    "axes.titlesize": _FONT_SIZE + 0.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": _FONT_SIZE - 0.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": _FONT_SIZE - 1,
    "ytick.labelsize": _FONT_SIZE - 1,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": _FONT_SIZE - 1,
    "axes.unicode_minus": True,
    "text.color": _COLOUR_OF["ink"],
    "axes.titlecolor": _COLOUR_OF["ink"],
    "axes.edgecolor": _COLOUR_OF["muted"],
    "axes.labelcolor": _COLOUR_OF["muted"],
    "xtick.color": _COLOUR_OF["muted"],
    "ytick.color": _COLOUR_OF["muted"],
    "legend.labelcolor": _COLOUR_OF["muted"],
}


def colour(role: str) -> str:
    """The colour to draw with so that the page shows its own colour of that role."""
    return _COLOUR_OF[role]


@contextmanager
def _settings(name: str) -> Iterator[None]:
    # The salt makes the ids of one figure the same in every run and different from another figure's.
    settings: Any = _SETTINGS | {"svg.hashsalt": name}
    with matplotlib.rc_context(settings):
        yield


def draw(name: str, description: str, size: tuple[float, float], paint: Callable[[Axes], None]) -> Markup:
    """One panel as inline SVG: `name` prefixes its ids, `description` is read to those who do not see it.

    `size` is width and height in inches at 72 units an inch; the page scales it to its column.
    """
    with _settings(name):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        paint(axes)
        _flush_title(figure, axes)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    return Markup(_themed(drawn.getvalue(), name, description))


def _flush_title(figure: Figure, axes: Axes) -> None:
    """The title begins at the panel's edge, so that long row labels leave it room."""
    title = axes.get_title(loc="left")
    if title:
        axes.set_title("")
        figure.suptitle(title, x=0.01, ha="left", fontsize=_FONT_SIZE + 0.5)


def _themed(svg: str, name: str, description: str) -> str:
    """Matplotlib's file as an element of the page: no declarations, no addresses, its own ids, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\s(xmlns(:\w+)?|version|width|height)="[^"]*"', "", svg[: svg.index(">")]) + svg[svg.index(">") :]
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{name}-", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(font: [^;\"]*?px|font-family:) [^;\"]+", r"\1 var(--sans)", svg)
    for role, code in _COLOUR_OF.items():
        svg = svg.replace(code, f"var(--{role})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
