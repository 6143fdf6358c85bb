"""What to say of a row that has no known form: which form is the nearest, and what it lacks for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tutelage.store.forms import Form, Row


def nearest_form(row: Row, forms: Sequence[Form[Any]], others: Mapping[str, Iterable[Form[Any]]]) -> str:
    """A sentence that begins with a blank, or nothing where no form has any of the keys.

    `others`: the forms of what was not asked for, by its noun. A row that has one of them whole is told as that.
    """
    for noun, known in others.items():
        if fitting := next((form for form in known if form.matches(row)), None):
            return f" It has the form {fitting.name}, which holds {noun}."
    seen = [(len(_missing(form, row)), -len(form.needs), place) for place, form in enumerate(forms) if form.needs]
    near = [key for key in seen if key[0] < -key[1]]
    if not near:
        return ""
    form = forms[min(near)[2]]
    missing = " and ".join(map(repr, _missing(form, row)))
    return f" The nearest form is {form.name}" + (f", without {missing}." if missing else ", by its keys.")


def _missing(form: Form[Any], row: Row) -> list[str]:
    return [key for key in form.needs if row.get(key) is None]
