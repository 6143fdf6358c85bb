"""The paper's figures, each drawn from what the run measured."""

from __future__ import annotations

from collections.abc import Iterator

from tutelage.report.assessment import Evidence
from tutelage.report.figures.exhibit import Exhibit
from tutelage.reproduction.figures.along import ALONG, along_figure
from tutelage.reproduction.figures.by_arm import arm_figure
from tutelage.reproduction.figures.distance import overoptimisation_figure
from tutelage.reproduction.figures.folds import cross_validation_figure
from tutelage.reproduction.figures.plans import figure_plans


def paper_figures(evidence: Evidence) -> Iterator[Exhibit]:
    """The paper's figures as far as this run has measured them, in the paper's order, and additional ones."""
    plans = {plan.name: plan for plan in figure_plans(evidence.measured)}
    beyond = plans.pop("fig-08-generalisation")
    yield from (found for plan in plans.values() if (found := arm_figure(plan, evidence)) is not None)
    others = [
        cross_validation_figure(evidence),
        *(along_figure(plan, evidence.measured) for plan in ALONG),
        overoptimisation_figure(evidence.measured),
        arm_figure(beyond, evidence),
    ]
    yield from (found for found in others if found is not None)
