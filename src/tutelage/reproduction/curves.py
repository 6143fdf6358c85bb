"""Reward and ground truth against KL: best-of-n and PPO during training, from the same initial policy.

The proxy is the reward model's score; gold is the quality from which the labelers' rankings were drawn, without their
preferences and noise. Both are recentered so that the initial policy has mean 0 (Gao et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from tutelage.evaluation.completions import Arm, group_to_score, is_complete, score_completions
from tutelage.evaluation.measuring import mean_of, measured
from tutelage.evaluation.records import Condition, SizedArm, TaskRow
from tutelage.model.policy import Policy, ScoreModel
from tutelage.records import Completion, Prompt
from tutelage.reproduction import village
from tutelage.reproduction.checkpoints import policy_of_checkpoint
from tutelage.reproduction.experiment import Reproduction
from tutelage.reproduction.findings import Findings, file_of
from tutelage.statistics.best_of_n import best_of_n_curve, expected_best_of_n
from tutelage.statistics.interval import Interval
from tutelage.statistics.over_optimisation import fit_over_optimisation
from tutelage.statistics.unbounded import clustered_mean
from tutelage.workflow.answers import complete_prompts
from tutelage.workflow.measuring import kl_rows

FEWEST_POINTS = 3  # for a fit with two coefficients
METRICS = ("proxy", "gold")
FILE = "overoptimisation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Mean recentered value of one metric at a distance from the initial policy, and the value of each prompt."""

    method: str
    metric: str
    kl: float
    value: Interval
    by_prompt: list[float]


def measure_curve(run: Reproduction) -> None:
    """Points of both methods and both metrics at the smallest size, and the fit of the gold ones."""
    measuring, view = run.measuring, run.smallest
    needs = {
        "ppo_init": view.model("ppo_init"),
        "freest": run.out / "sweeps" / run.freest / "model",
        "reward": view.model("reward"),
        "prompts": run.prompts_path,
    }
    settings = {"num_prompts": measuring.num_curve_prompts, "sizes": list(measuring.curve_sizes)}
    run.measure("curve", _measure_curve, needs=needs, settings=settings)


def _measure_curve(run: Reproduction) -> Findings:
    view = run.smallest
    prompts = view.prompts("valid", "ppo")[: view.measuring.num_curve_prompts]
    initial = Arm(name="initial", model=view.model("ppo_init"))
    completions = complete_prompts(view, initial, prompts, max(view.measuring.curve_sizes))
    values = _values(view, prompts, completions)
    centres = {metric: fmean(value for own in values[metric] for value in own) for metric in METRICS}
    points = [*_best_of_n(view, values, centres), *_on_the_way(view, prompts, centres)]
    found = Findings(rows={FILE: []})
    for point in points:
        _add(found, view, point, prompts)
    for method in ("best_of_n", "rl"):
        _add_fit(found, view, [p for p in points if (p.method, p.metric) == (method, "gold")])
    return found


def _values(
    view: Reproduction, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]]
) -> dict[str, list[list[float]]]:
    """Score and ground truth of every completion of every prompt."""
    gold = [[_gold(view, prompt, own) for own in several] for prompt, several in zip(prompts, completions, strict=True)]
    proxy = score_completions(ScoreModel.load(view.model("reward")), prompts, completions)
    return {"proxy": proxy, "gold": gold}


def _gold(view: Reproduction, prompt: Prompt, completion: Completion) -> float:
    task = village.task_of(prompt)
    judgement = village.judge(view.village, task, completion.text, is_complete=is_complete(completion))
    return village.quality(judgement, "training")


def _best_of_n(view: Reproduction, values: dict[str, list[list[float]]], centres: dict[str, float]) -> Iterator[Point]:
    for metric in METRICS:
        centred = [[value - centres[metric] for value in own] for own in values[metric]]
        for point in best_of_n_curve(values["proxy"], view.measuring.curve_sizes, values=centred):
            by_prompt = [
                expected_best_of_n(scores, point.n, values=own)
                for scores, own in zip(values["proxy"], centred, strict=True)
            ]
            yield Point(method="best_of_n", metric=metric, kl=point.kl, value=point.value, by_prompt=by_prompt)


def _on_the_way(view: Reproduction, prompts: Sequence[Prompt], centres: dict[str, float]) -> Iterator[Point]:
    """The checkpoints of PPO with the lowest KL coefficient, and its final policy."""
    folder = view.out / "sweeps" / view.freest
    reference = Policy.load(view.model("ppo_init"))
    for place in [*sorted((folder / "checkpoints").glob("step-*")), folder / "model"]:
        policy, model = policy_of_checkpoint(place, like=view.model("ppo_init"))
        completions = complete_prompts(view, Arm(name=place.name, model=model), prompts)
        groups = [group_to_score(reference.renderer, p, own) for p, own in zip(prompts, completions, strict=True)]
        # An estimate below 0 means that the KL is too small to measure.
        distances = kl_rows(policy, reference, groups, [p.id for p in prompts])
        kl = max(0.0, mean_of(distances, source=file_of(FILE), statistic=clustered_mean).mean)
        for metric, values in _values(view, prompts, completions).items():
            centred = [own[0] - centres[metric] for own in values]
            interval = clustered_mean(centred, [prompt.id for prompt in prompts])
            yield Point(method="rl", metric=metric, kl=kl, value=interval, by_prompt=centred)


def _arm(view: Reproduction, method: str) -> SizedArm:
    return SizedArm("ppo" if method == "rl" else method, view.size)


def _add(found: Findings, view: Reproduction, point: Point, prompts: Sequence[Prompt]) -> None:
    arm = _arm(view, point.method)
    condition: Condition = {"kl": point.kl, "metric": point.metric, "method": point.method}
    found.measurements.append(measured(FILE, point.value, condition, source=file_of(FILE), arm=arm))
    found.rows[FILE].extend(
        TaskRow(measure=FILE, unit=prompt.id, value=value).about(arm, condition)
        for prompt, value in zip(prompts, point.by_prompt, strict=True)
    )


def _add_fit(found: Findings, view: Reproduction, points: Sequence[Point]) -> None:
    """Add the two coefficients of the curve of Gao et al., unless too few points are away from the initial policy."""
    kls = [point.kl for point in points]
    if len({kl for kl in kls if kl > 0}) < FEWEST_POINTS:
        return
    method = points[0].method
    fit = fit_over_optimisation(kls, [p.value.mean for p in points], method="rl" if method == "rl" else "best_of_n")
    for name, interval in (("alpha", fit.gain), ("beta", fit.decline)):
        condition: Condition = {"method": method, "coefficient": name}
        found.measurements.append(
            measured("overoptimisation_fit", interval, condition, source=file_of(FILE), arm=_arm(view, method))
        )
