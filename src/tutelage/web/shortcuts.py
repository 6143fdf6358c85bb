"""The keyboard shortcut of each input of a page; the page shows them, and its script handles them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from tutelage.labeling.fields import Choice, Flag, Scale
from tutelage.labeling.forms import Page

# There are at most 11 flags: a to k. Later letters are free for what occurs once per page.
_FLAG_KEYS = "abcdefghijklm"
_NOTE_KEY, _WRITE_KEY, _TIE_KEY = "n", "w", "="


def keys_of(page: Page) -> dict[str, str]:
    """Keys by field name, or by "name=value" if each value has its own.

    Scales share the digits: a digit goes to the one in focus, else to the first without a number.
    """
    return dict(_keys(page))


def _keys(page: Page) -> Iterator[tuple[str, str]]:
    flags, texts = count(), count()
    for field in page.fields:
        if isinstance(field, Scale):
            yield from ((f"{field.name}={step}", str(step) if step >= 0 else "-") for step in field.steps)
        elif isinstance(field, Flag):
            yield field.name, _FLAG_KEYS[next(flags)]
        elif isinstance(field, Choice):
            yield from ((f"{field.name}={value}", _choice_key(value)) for value in field.options)
        elif field.name == "note":
            yield field.name, _NOTE_KEY
        elif next(texts) == 0:
            yield field.name, _WRITE_KEY


def _choice_key(value: str) -> str:
    return value.lower() if len(value) == 1 else _TIE_KEY
