"""Number formatting; every number carries its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from tutelage.report.measured import Estimate

Form = Callable[[float], str]
MISSING = "–"


def percent(share: float) -> str:
    """61.3 %, with a thin no-break space."""
    return f"{100 * share:.1f}\u202f%"


def whole_percent(share: float) -> str:
    """61 %, for axes."""
    return f"{100 * share:.0f}\u202f%"


def fixed(digits: int) -> Form:
    """A number with this many decimals and a true minus sign."""
    return lambda value: f"{value:.{digits}f}".replace("-", "\u2212")


def signed_points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+z.1f}".replace("-", "\u2212") + "\u202fpoints"


def signed(digits: int) -> Form:
    """A difference with its sign and this many decimals."""
    return lambda value: f"{value:+z.{digits}f}".replace("-", "\u2212")


def significant(value: float) -> str:
    """Four significant digits, for a number of unknown magnitude."""
    return f"{value:.4g}".replace("-", "\u2212")


def count(value: float) -> str:
    return f"{round(value):,}"


def duration(seconds: float) -> str:
    """142.6 s, 9 min 5 s, 1 h 02 min."""
    if seconds < 100:
        return f"{seconds:.1f}\u202fs"
    if seconds < 3600:
        return f"{int(seconds // 60)}\u202fmin {int(seconds % 60)}\u202fs"
    return f"{int(seconds // 3600)}\u202fh {int(seconds % 3600 // 60):02d}\u202fmin"


def gibibytes(value: float) -> str:
    return f"{value:.2f}\u202fGiB"


def readable(key: str) -> str:
    """A key as a reader would write it: open_qa as "open qa", held_out and heldout as "held-out"."""
    return re.sub(r"held_?out", "held-out", key).replace("_", " ")


def _bare(form: Form) -> Form:
    """The same format without its unit, for the ends of an interval."""
    return lambda value: form(value).split("\u202f")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number on the page: its value, its formatting, its source and raw rows (see `Estimate`)."""

    value: float
    form: Form
    source: str
    raw: str = ""

    def __str__(self) -> str:
        return self.form(self.value)

    def __html__(self) -> str:
        tag = Markup('<data value="{}" data-source="{}" title="{}">{}</data>')
        title = f"{self.source} (of {self.raw})" if self.raw else self.source
        return tag.format(repr(self.value), self.source, title, str(self))


def number_of(estimate: Estimate, form: Form) -> Number:
    """Only the mean."""
    pointer = "/mean" if estimate.has_interval and "#" in estimate.source and not estimate.interval_source else ""
    return Number(value=estimate.mean, form=form, source=estimate.source + pointer, raw=estimate.raw)


def with_interval(estimate: Estimate, form: Form) -> Number | Markup:
    """The mean and, if there is one, its interval in smaller type."""
    if not estimate.has_interval:
        return number_of(estimate, form)
    return Markup('{} <span class="interval">{}</span>').format(number_of(estimate, form), interval_of(estimate, form))


def interval_of(estimate: Estimate, form: Form) -> Markup | str:
    """[57.2, 65.4] in the unit of the mean, each end with its source; or a dash."""
    if estimate.low is None or estimate.high is None:
        return MISSING
    source = estimate.interval_source or estimate.source
    low, high = (
        Number(value=value, form=_bare(form), source=f"{source}/{end}" if "#" in source else source)
        for value, end in ((estimate.low, "low"), (estimate.high, "high"))
    )
    return Markup("[{}, {}]").format(low, high)


def count_of(estimate: Estimate) -> Number | str:
    """The number of judgments behind the estimate, or a dash."""
    if estimate.n is None:
        return MISSING
    source = estimate.interval_source or estimate.source
    return Number(value=estimate.n, form=count, source=f"{source}/n" if "#" in source else source)
