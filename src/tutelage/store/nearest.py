"""The hint for a row in no known format: the nearest format, and what the row lacks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tutelage.store.forms import Form, Row


def nearest_form(row: Row, forms: Sequence[Form[Any]], others: Mapping[str, Iterable[Form[Any]]]) -> str:
    """A sentence that begins with a space, or an empty string if no format has any of the keys.

    `others`: the formats of other record types, by noun. A row that fully matches one of them is reported as such.
    """
    for noun, known in others.items():
        if fitting := next((form for form in known if form.matches(row)), None):
            return f" It has the format {fitting.name}, which contains {noun}."
    seen = [(len(_missing(form, row)), -len(form.needs), place) for place, form in enumerate(forms) if form.needs]
    near = [key for key in seen if key[0] < -key[1]]
    if not near:
        return ""
    form = forms[min(near)[2]]
    missing = " and ".join(map(repr, _missing(form, row)))
    return f" The nearest format is {form.name}" + (f", without {missing}." if missing else ", by its keys.")


def _missing(form: Form[Any], row: Row) -> list[str]:
    return [key for key in form.needs if row.get(key) is None]
