"""When a claim counts as reproduced: rules on an estimate and its interval, each with a description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tutelage.report.measured import Estimate
from tutelage.report.notation import Form

Verdict = Literal[
    "reproduced",
    "not reproduced",
    "too noisy to say",
    "agrees, without interval",
    "disagrees, without interval",
    "measured in part",
    "not measured",
]


class Rule(Protocol):
    """Judges an estimate; `words` describes what it requires of the whole interval, in the number's format."""

    def verdict(self, estimate: Estimate) -> Verdict: ...

    def words(self, form: Form) -> str: ...


@dataclass(frozen=True, slots=True)
class Between:
    """The number is within [low, high]; None: open on that side."""

    low: float | None
    high: float | None

    def verdict(self, estimate: Estimate) -> Verdict:
        """Reproduced if the whole interval is inside, not reproduced if all of it is on one side outside, or too noisy.

        Without an interval, only whether the number agrees.
        """
        if estimate.low is None or estimate.high is None:
            holds = self._is_inside(estimate.mean)
            return "agrees, without interval" if holds else "disagrees, without interval"
        if self._is_inside(estimate.low) and self._is_inside(estimate.high):
            return "reproduced"
        is_below = self.low is not None and estimate.high <= self.low
        is_above = self.high is not None and estimate.low >= self.high
        return "not reproduced" if is_below or is_above else "too noisy to say"

    def _is_inside(self, value: float) -> bool:
        return (self.low is None or value > self.low) and (self.high is None or value < self.high)

    def words(self, form: Form) -> str:
        """For example "above 50 %"."""
        if self.high is None and self.low is not None:
            return f"above {_bound(self.low, form)}"
        if self.low is None and self.high is not None:
            return f"below {_bound(self.high, form)}"
        assert self.low is not None and self.high is not None
        return f"between {_bound(self.low, form)} and {_bound(self.high, form)}"


def _bound(value: float, form: Form) -> str:
    return form(value) if value else "0"


def above(threshold: float) -> Between:
    """The whole interval above `threshold`."""
    return Between(threshold, None)


def below(threshold: float) -> Between:
    """The whole interval below `threshold`."""
    return Between(None, threshold)


def overall(verdicts: list[Verdict]) -> Verdict:
    """The verdict on a claim with several parts: it fails if one fails, and is reproduced if all are."""
    for decisive in ("not reproduced", "disagrees, without interval"):
        if decisive in verdicts:
            return decisive
    measured = [verdict for verdict in verdicts if verdict != "not measured"]
    if not measured:
        return "not measured"
    if len(measured) < len(verdicts):
        return "measured in part"
    for weaker in ("too noisy to say", "agrees, without interval"):
        if weaker in verdicts:
            return weaker
    return "reproduced"
