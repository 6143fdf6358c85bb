"""Claims of the paper beside what this run measured: reproduced, not reproduced, too noisy to say. Numbers decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from tutelage.report.arms import BASELINE, arm_of
from tutelage.report.notation import (
    Number,
    fixed,
    interval_of,
    number_of,
    percent,
    signed_points,
)
from tutelage.report.results import Estimate, is_number, read_estimates, win_rates, win_rates_by_group
from tutelage.report.run_folder import COMPARISONS, RATINGS, SUMMARY, Run
from tutelage.statistics import win_rate_difference

Verdict = Literal[
    "reproduced", "not reproduced", "too noisy to say", "agrees, without interval", "disagrees, without interval"
]
_OPPOSITE: Mapping[Verdict, Verdict] = {
    "reproduced": "not reproduced",
    "not reproduced": "reproduced",
    "agrees, without interval": "disagrees, without interval",
    "disagrees, without interval": "agrees, without interval",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`statement` and `paper` say what the paper found (and where), `measured` what this run found."""

    statement: str
    paper: str
    measured: Markup
    verdict: Verdict


def verdict_above(estimate: Estimate, threshold: float) -> Verdict:
    """Whether the estimate lies above `threshold` with its whole interval, below with all of it, or neither."""
    if estimate.low is None or estimate.high is None:
        return _without_interval(estimate.mean > threshold)
    if estimate.low > threshold:
        return "reproduced"
    return "not reproduced" if estimate.high < threshold else "too noisy to say"


def verdict_below(estimate: Estimate, threshold: float) -> Verdict:
    """As `verdict_above`, for a claim that the number is smaller."""
    found = verdict_above(estimate, threshold)
    return _OPPOSITE.get(found, found)


def _without_interval(agrees: bool) -> Verdict:
    return "agrees, without interval" if agrees else "disagrees, without interval"


def claims(run: Run) -> list[Claim]:
    """Every claim that this run has measured something about."""
    return [*_preference_claims(run), *_flag_claims(run), *_reward_model_claims(run), *_pretraining_claims(run)]


def _preference_claims(run: Run) -> Iterator[Claim]:
    rates = win_rates(run)
    if (gain := _difference(run, "gpt_prompted", "gpt")) is not None:
        yield _claim(
            "A few-shot prompt improves GPT", "+5 to +17 points (Fig. 1)", gain, signed_points, verdict_above, 0
        )
    if "gpt_prompted" in rates:
        yield _claim(
            "SFT is preferred to prompted GPT",
            "prompted GPT wins 41\u202f% (175B, Fig. 1)",
            rates["gpt_prompted"],
            percent,
            verdict_below,
            0.5,
        )
    for arm, label, paper in (("ppo", "PPO", "63\u202f%"), ("ppo_ptx", "PPO-ptx", "66\u202f%")):
        if arm in rates:
            statement = f"{label} is preferred to SFT"
            yield _claim(statement, f"{paper} (175B, Fig. 1)", rates[arm], percent, verdict_above, 0.5)
    held_out = {group: found for group, found in win_rates_by_group(run).items() if group.startswith("held")}
    for estimates in held_out.values():
        if "ppo_ptx" in estimates:
            yield _claim(
                "Labelers who made no training data prefer PPO-ptx to SFT, too",
                "71\u202f% (175B, Fig. 3)",
                estimates["ppo_ptx"],
                percent,
                verdict_above,
                0.5,
            )


def _flag_claims(run: Run) -> Iterator[Claim]:
    difference = _flag_difference(run, "hallucination", "ppo_ptx", "gpt")
    if difference is not None:
        yield _claim(
            "PPO-ptx hallucinates less than GPT",
            "16\u202f% against 45\u202f% (Fig. 4)",
            difference,
            signed_points,
            verdict_below,
            0,
        )


def _claim(
    statement: str,
    paper: str,
    estimate: Estimate,
    form: Callable[[float], str],
    verdict: Callable[[Estimate, float], Verdict],
    threshold: float,
) -> Claim:
    measured = Markup("{} {}").format(number_of(estimate, form), interval_of(estimate, form))
    return Claim(statement=statement, paper=paper, measured=measured, verdict=verdict(estimate, threshold))


def _difference(run: Run, arm: str, other: str) -> Estimate | None:
    return _paired(
        COMPARISONS,
        *([(row.outcome, row.prompt_id) for row in run.comparisons if row.arm == key] for key in (arm, other)),
    )


def _flag_difference(run: Run, flag: str, arm: str, other: str) -> Estimate | None:
    return _paired(
        RATINGS,
        *(
            [(float(row.flags[flag]), row.prompt_id) for row in run.ratings if row.arm == key and flag in row.flags]
            for key in (arm, other)
        ),
    )


def _paired(source: str, rows: list[tuple[float, str]], other_rows: list[tuple[float, str]]) -> Estimate | None:
    if not {prompt for _, prompt in rows} & {prompt for _, prompt in other_rows}:
        return None
    found = win_rate_difference(*zip(*rows, strict=True), *zip(*other_rows, strict=True))
    return Estimate(mean=found.mean, low=found.low, high=found.high, n=found.n, source=source)


def _reward_model_claims(run: Run) -> Iterator[Claim]:
    traced = {key: _traced(run.summary, "reward_model", key, percent) for key in _ACCURACIES}
    training, held_out = (traced[key] for key in _ACCURACIES)
    if training is not None and held_out is not None:
        yield Claim(
            statement="The reward model is a little less accurate on held-out labelers",
            paper="72.4\u202f% and 69.6\u202f% (4.1)",
            measured=Markup("{} and {}").format(training, held_out),
            verdict=_without_interval(training.value > held_out.value),
        )


_ACCURACIES = ("accuracy_training_labelers", "accuracy_heldout_labelers")


def _pretraining_claims(run: Run) -> Iterator[Claim]:
    losses = read_estimates(run.summary, "pretraining_loss")
    if "ppo" in losses and BASELINE in losses:
        yield _loss_claim("PPO forgets pretraining text (alignment tax)", losses, more="ppo", less=BASELINE)
    if "ppo_ptx" in losses and "ppo" in losses:
        yield _loss_claim("Mixing in pretraining text (ptx) recovers it", losses, more="ppo", less="ppo_ptx")


def _loss_claim(statement: str, losses: Mapping[str, Estimate], *, more: str, less: str) -> Claim:
    """A claim that the loss of the arm `more` is above that of `less`."""
    return Claim(
        statement=statement,
        paper="public NLP scores (4.2, Fig. 29, 33)",
        measured=Markup("{} against {} nats per token ({} against {})").format(
            number_of(losses[more], fixed(3)), number_of(losses[less], fixed(3)), arm_of(more).label, arm_of(less).label
        ),
        verdict=_without_interval(losses[more].mean > losses[less].mean),
    )


def _traced(summary: Mapping[str, Any], section: str, key: str, form: Callable[[float], str]) -> Number | None:
    values = summary.get(section)
    if not isinstance(values, dict) or not is_number(values.get(key)):
        return None
    return Number(value=float(values[key]), form=form, source=f"{SUMMARY}#/{section}/{key}")
