"""The little markdown that guidelines need: headings, lists, paragraphs, bold, italics. All else is shown as text."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_INLINE = ((re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"), (re.compile(r"\*(.+?)\*"), r"<em>\1</em>"))
_HEADING = re.compile(r"(#{1,4}) +(.+)")


def html_of(markdown: str) -> Markup:
    """HTML of a guideline; headings begin at level 3, below those of the page."""
    blocks = re.split(r"\n\s*\n", markdown.replace("\r\n", "\n").strip())
    return Markup("\n").join(_block(block) for block in blocks if block.strip())


def _block(block: str) -> Markup:
    lines = block.strip().splitlines()
    if heading := _HEADING.fullmatch(lines[0]):
        level = min(len(heading[1]) + 2, 6)
        rest = _block("\n".join(lines[1:])) if lines[1:] else Markup()
        return Markup("<h{0}>{1}</h{0}>{2}").format(level, _inline(heading[2]), rest)
    items = re.split(r"^[-*] +", block.strip(), flags=re.MULTILINE)
    if len(items) > 1 and not items[0].strip():
        return Markup("<ul>{}</ul>").format(Markup().join(Markup("<li>{}</li>").format(_inline(i)) for i in items[1:]))
    return Markup("<p>{}</p>").format(_inline(block))


def _inline(text: str) -> Markup:
    """Escaped first, so that only the marks below become tags."""
    escaped = str(escape(" ".join(text.split())))
    for pattern, tag in _INLINE:
        escaped = pattern.sub(tag, escaped)
    return Markup(escaped)
