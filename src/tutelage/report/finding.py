"""The one-sentence finding at the top of the page, generated from the numbers."""

from __future__ import annotations

from markupsafe import Markup

from tutelage.report.arms import BASELINE, arm_of
from tutelage.report.curves import stage_kind
from tutelage.report.measured import Estimate
from tutelage.report.notation import (
    Number,
    count,
    count_of,
    fixed,
    interval_of,
    number_of,
    percent,
    significant,
)
from tutelage.report.results import result, win_rates
from tutelage.report.run_folder import RunData, StageRun, is_number

# The arm that the paper is about; if a run does not have it, the next.
_LEADING = ("ppo_ptx", "ppo")


def finding(run: RunData) -> Markup | None:
    """The result of the run, in one sentence with traced numbers; None if nothing was compared."""
    rates = win_rates(run)
    arm = leading_arm(rates)
    if arm is None:
        return _stage_finding(run.stages[0]) if run.is_single_stage else None
    sentence = Markup("{} {} those of the SFT policy: {} of comparisons won{}.")
    return sentence.format(_responses_of(arm), _verdict(rates[arm]), number_of(rates[arm], percent), _doubt(rates[arm]))


def context(run: RunData) -> Markup:
    """How the other policies did against the same baseline, and the mean ratings; "" if there is nothing to say."""
    rates = win_rates(run)
    return Markup(" ").join(part for part in (_beside(rates), _ratings(run)) if part)


# The key metric of a stage: the first of these that it logged.
_TELLING = {
    "validation_accuracy": "Mean accuracy per validation ranking",
    "accuracy": "Mean accuracy per training ranking",
    "score": "The score",
    "validation_loss": "The validation loss",
    "loss": "The training loss",
}


def _stage_finding(stage: StageRun) -> Markup | None:
    kind = stage_kind(stage)
    # The score of SFT responses is secondary there, but the objective of PPO.
    telling = [quantity for quantity in _TELLING if kind == "ppo" or quantity != "score"]
    for quantity in telling:
        points = [
            (index, row)
            for index, row in enumerate(stage.metrics)
            if is_number(row.get(f"{kind}/{quantity}")) and is_number(row.get("step"))
        ]
        if len(points) > 1:
            ends = (_point(stage, index, f"{kind}/{quantity}") for index in (points[0][0], points[-1][0]))
            step = _point(stage, points[-1][0], "step")
            return Markup("{} went from {} to {} by step {}.").format(_TELLING[quantity], *ends, step)
    return None


def _point(stage: StageRun, index: int, metric: str) -> Number:
    pointer = metric.replace("/", "~1")
    return Number(
        value=stage.metrics[index][metric],
        form=count if metric == "step" else significant,
        source=f"{stage.source('metrics.jsonl')}#/{index}/{pointer}",
    )


def leading_arm(rates: dict[str, Estimate]) -> str | None:
    """The arm that the finding is about."""
    return next((key for key in (*_LEADING, *reversed(rates)) if key in rates and key != BASELINE), None)


def _responses_of(arm: str) -> str:
    return f"Responses of {arm_of(arm).long}"


def _verdict(rate: Estimate) -> str:
    if rate.low is None or rate.high is None:
        return "were compared, without an interval, with"
    if rate.low > 0.5:
        return "are preferred to"
    if rate.high < 0.5:
        return "are judged worse than"
    return "are not distinguishable from"


def _doubt(rate: Estimate) -> Markup | str:
    if not rate.has_interval:
        return ""
    return Markup(" (95\u202f% interval {}, {} comparisons)").format(interval_of(rate, percent), count_of(rate))


def _beside(rates: dict[str, Estimate]) -> Markup | str:
    leading = leading_arm(rates)
    others = [
        Markup("{} {}").format(arm_of(key).label, number_of(rate, percent))
        for key, rate in rates.items()
        if key not in (leading, BASELINE)
    ]
    return Markup("Against the same baseline: {}.").format(Markup(", ").join(others)) if others else ""


def _ratings(run: RunData) -> Markup | str:
    means, leading = result(run, "likert"), leading_arm(win_rates(run))
    if leading not in means or BASELINE not in means:
        return ""
    return Markup("Mean rating (1 to 7): {} {}, SFT {}.").format(
        arm_of(leading).label, number_of(means[leading], fixed(2)), number_of(means[BASELINE], fixed(2))
    )
