"""Matplotlib figures as SVG with the page's colors and fonts, and as separate files in its light colors."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Placeholder colors for roles, replaced by the page's variable of that name after drawing.
ROLES = (
    "ink",
    "muted",
    "rule",
    "paper",
    "base",
    "prompted",
    "sft",
    "ppo",
    "ppo-ptx",
    "flan",
    "t0",
    "dpo",
    "best-of-n",
    "other",
    "training",
    "held-out",
)
_COLOUR_OF = {role: f"#0102{index + 16:02x}" for index, role in enumerate(ROLES)}
_FONT_SIZE = 9.5
_SETTINGS: dict[str, Any] = {
    # A dollar sign in text is a dollar sign.
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
}
_SETTINGS_OF_ROLE = {
    "text.color": "ink",
    "axes.titlecolor": "ink",
    "axes.edgecolor": "muted",
    "axes.labelcolor": "muted",
    "xtick.color": "muted",
    "ytick.color": "muted",
    "legend.labelcolor": "muted",
}
_palette: ContextVar[Mapping[str, str]] = ContextVar("palette", default=_COLOUR_OF)


def colour(role: str) -> str:
    """The placeholder color that the page replaces with its own color for that role."""
    return _palette.get()[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What one panel draws: `name` prefixes its ids, `description` is for screen readers.

    `size` is width and height in inches at 72 units per inch; the page scales it to its column.
    """

    name: str
    description: str
    size: tuple[float, float]
    paint: Callable[[Axes], None]


@contextmanager
def _settings(name: str, palette: Mapping[str, str], **further: Any) -> Iterator[None]:
    # The salt makes the ids of a figure the same in every run and different from other figures'.
    settings: Any = _SETTINGS | {"svg.hashsalt": name} | further
    settings |= {key: palette[role] for key, role in _SETTINGS_OF_ROLE.items()}
    token = _palette.set(palette)
    try:
        with matplotlib.rc_context(settings):
            yield
    finally:
        _palette.reset(token)


_METADATA: Any = {"Date": None, "Creator": None, "Type": None, "Format": None}


def draw(drawing: Drawing) -> Markup:
    """One panel as inline SVG."""
    with _settings(drawing.name, _COLOUR_OF, **{"svg.fonttype": "none"}):
        figure = Figure(figsize=drawing.size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        drawing.paint(axes)
        _flush_title(figure, axes)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata=_METADATA)
    return Markup(_themed(drawn.getvalue(), drawing.name, drawing.description))


# Dots per inch of a PNG: twice the screen resolution.
_FILE_DPI = 144


def columns_in_file(num_panels: int) -> int:
    """The number of panels per row: three, but four are arranged two by two, as on the page."""
    return 2 if num_panels == 4 else min(num_panels, 3)


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One entry of a legend shared by several panels."""

    label: str
    role: str
    mark: str


def draw_png(drawings: Sequence[Drawing], key: Sequence[KeyEntry]) -> bytes:
    """The panels of one figure together, with their legend, in the page's light colors on white."""
    columns = columns_in_file(len(drawings))
    rows = [drawings[start : start + columns] for start in range(0, len(drawings), columns)]
    heights = [max(drawing.size[1] for drawing in row) for row in rows]
    # A legend also has to fit next to a single panel.
    width = max(max(drawing.size[0] for drawing in drawings) * columns, 1.15 * len(key))
    with _settings(drawings[0].name, light_colours()):
        figure = Figure(figsize=(width, sum(heights) + (0.35 if key else 0)), layout="constrained", facecolor="white")
        grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
        for index, drawing in enumerate(drawings):
            drawing.paint(figure.add_subplot(grid[index // columns, index % columns]))
        if key:
            handles = [Line2D([], [], color=colour(e.role), marker=e.mark, label=e.label, markersize=6) for e in key]
            figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=1.4)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=_FILE_DPI, facecolor="white", metadata={"Software": None})
    return drawn.getvalue()


def standalone(svg: Markup) -> str:
    """An SVG element of the page as a standalone file: light colors and a plain font instead of the page's."""
    text = str(svg)
    for role, code in light_colours().items():
        text = text.replace(f"var(--{role})", code)
    return text.replace("var(--sans)", "sans-serif").replace('href="#', 'xlink:href="#')


@cache
def light_colours() -> Mapping[str, str]:
    """The color of every role in the page's light theme."""
    style = files("tutelage.report").joinpath("templates", "report.css").read_text(encoding="utf-8")
    light = style[: style.index("@media")]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return {role: found[role] for role in ROLES}


def _flush_title(figure: Figure, axes: Axes) -> None:
    """Start the title at the panel's edge, so that long row labels leave it room."""
    title = axes.get_title(loc="left")
    if title:
        axes.set_title("")
        figure.suptitle(title, x=0.01, ha="left", fontsize=_FONT_SIZE + 0.5)


def _themed(svg: str, name: str, description: str) -> str:
    """Matplotlib's SVG as an element of the page: no declarations, no URLs, unique ids, the page's colors."""
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
