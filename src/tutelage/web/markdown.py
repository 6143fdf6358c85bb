"""HTML of guidelines, by markdown-it-py: CommonMark with tables. Raw HTML is shown as text."""

from __future__ import annotations

from functools import lru_cache

from markdown_it import MarkdownIt
from markupsafe import Markup

# No images: our pages load nothing external. Content nested deeper than the preset's 20 levels is dropped.
_PARSER = MarkdownIt("js-default", {"html": False}).disable("image")
# The page's own headings are above those of a guideline.
_LEVELS_DOWN = 2


# A guideline is shown next to every task, and never changes.
@lru_cache(maxsize=64)
def html_of(markdown: str) -> Markup:
    """Render a guideline as HTML; headings begin at level 3, below those of the page.

    Links to javascript:, vbscript:, file: or data: (other than images) are not rendered as links (markdown-it's
    `validateLink`). Others open in a new tab, without access to our page and without a referrer.
    """
    tokens = _PARSER.parse(markdown)
    for token in (each for block in tokens for each in (block, *(block.children or ()))):
        if token.type.startswith("heading_"):
            token.tag = f"h{min(int(token.tag[1:]) + _LEVELS_DOWN, 6)}"
        elif token.type == "link_open":
            token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
        elif alignment := str(token.attrs.pop("style", "")).removeprefix("text-align:"):
            # The content security policy allows no style in a tag.
            token.attrs["class"] = f"align-{alignment}"
    return Markup(_PARSER.renderer.render(tokens, _PARSER.options, {}))
