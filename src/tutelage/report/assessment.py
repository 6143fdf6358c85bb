"""A claim as data, and its assessment in a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tutelage.report.measured import Estimate, Measured
from tutelage.report.notation import Form
from tutelage.report.raw_rows import RawRows
from tutelage.report.rules import Rule, Verdict, overall


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence for claims: the measurements, and the rows behind them."""

    measured: Measured
    raw: RawRows


class Quantity(Protocol):
    """A number that a claim is about; None if this run has not measured it."""

    def read(self, evidence: Evidence) -> Estimate | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One number of a claim: its label in the table, how it is measured, the rule, its format."""

    label: str
    quantity: Quantity
    rule: Rule
    form: Form
    # An alternative, if this run has not measured it this way.
    otherwise: Part | None = None

    @property
    def rule_words(self) -> str:
        """The rule in words: what the whole interval has to satisfy."""
        return self.rule.words(self.form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the paper claims (`statement`), its evidence (`paper`), and the numbers that decide here.

    `note`: the reason for the rule, if the paper gives no threshold.
    """

    name: str
    statement: str
    paper: str
    parts: tuple[Part, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part with its number; None: this run has not measured it."""

    part: Part
    estimate: Estimate | None
    verdict: Verdict

    @property
    def leaning(self) -> str:
        """What the number itself suggests, if its interval leaves the question open."""
        if self.verdict != "too noisy to say" or self.estimate is None:
            return ""
        alone = self.part.rule.verdict(Estimate(mean=self.estimate.mean, source=self.estimate.source))
        return "the number agrees" if alone == "agrees, without interval" else "the number disagrees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A claim, its findings and the verdict."""

    claim: Claim
    findings: tuple[Finding, ...]
    verdict: Verdict


def assess(claims: Sequence[Claim], evidence: Evidence) -> list[Assessment]:
    """Every claim with its verdict, in the order given, including unmeasured ones."""
    return [_assess(claim, evidence) for claim in claims]


def _assess(claim: Claim, evidence: Evidence) -> Assessment:
    findings = tuple(_find(part, evidence) for part in claim.parts)
    return Assessment(claim=claim, findings=findings, verdict=overall([found.verdict for found in findings]))


def _find(part: Part, evidence: Evidence) -> Finding:
    estimate = part.quantity.read(evidence)
    if estimate is None and part.otherwise is not None:
        return _find(part.otherwise, evidence)
    verdict: Verdict = "not measured" if estimate is None else part.rule.verdict(estimate)
    return Finding(part=part, estimate=estimate, verdict=verdict)
