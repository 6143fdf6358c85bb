"""Learning curves, and score against the policy's distance from the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tutelage.report.arms import arm_of
from tutelage.report.figures.lines import square_root_axis
from tutelage.report.figures.panels import PANEL, Panel, panel
from tutelage.report.run_folder import RunData, StageRun, is_number
from tutelage.report.themed_svg import colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One metric of one stage: `steps` and `values` of equal length, at least one."""

    stage: str
    metric: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePanel:
    """Curves drawn together: a title and its quantities, each with its legend label and line style."""

    title: str
    quantities: Mapping[str, str]


LOSS = CurvePanel(title="Loss, nats per token", quantities={"loss": "training", "validation_loss": "validation"})
REWARD_LOSS = CurvePanel(
    title="Loss, nats per ranking", quantities={"loss": "training", "validation_loss": "validation"}
)
ACCURACY = CurvePanel(
    title="Mean accuracy per ranking", quantities={"accuracy": "training", "validation_accuracy": "validation"}
)
# The additional lines of a panel, in the second color.
SECOND_LABELS = ("validation", "rejected")
LOG_RATIOS = CurvePanel(
    title="Log-ratio to the reference, nats per response",
    quantities={"chosen_log_ratio": "chosen", "rejected_log_ratio": "rejected"},
)
FIRST_PANELS: Mapping[str, Sequence[CurvePanel]] = {
    "pretrain": (LOSS,),
    "sft": (LOSS, CurvePanel(title="Score of its responses (reward model)", quantities={"score": ""})),
    "reward": (REWARD_LOSS, ACCURACY),
    "dpo": (REWARD_LOSS, ACCURACY, LOG_RATIOS),
    "ppo": (
        CurvePanel(title="Score (reward model)", quantities={"score": ""}),
        CurvePanel(title="KL to the reference, nats per response", quantities={"kl_to_reference": ""}),
        CurvePanel(title="Response length, tokens", quantities={"response_tokens": ""}),
        CurvePanel(title="Entropy, nats per token", quantities={"entropy": ""}),
        CurvePanel(title="Loss on pretraining text (ptx)", quantities={"ptx_loss": ""}),
    ),
}


def curves_of(stage: StageRun) -> dict[str, Curve]:
    """Every metric of a stage with at least one finite number."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in stage.metrics:
        step: Any = row.get("step")
        for metric, value in row.items():
            if metric != "step" and is_number(step) and is_number(value):
                points.setdefault(metric, []).append((step, value))
    return {
        metric: Curve(
            stage=stage.name,
            metric=metric,
            steps=tuple(step for step, _ in found),
            values=tuple(value for _, value in found),
        )
        for metric, found in points.items()
    }


def stage_kind(stage: StageRun) -> str:
    """The prefix of its metrics: pretrain, sft, reward, ppo, ..."""
    kinds = [metric.split("/")[0] for metric in curves_of(stage) if "/" in metric]
    return kinds[0] if kinds else stage.name


def curve_groups(run: RunData) -> dict[tuple[str, str], list[StageRun]]:
    """Stages drawn together, by model size and kind, largest size first.

    PPO and PPO-ptx of one size share their panels, every other stage has its own.
    """
    groups: dict[tuple[str, str], list[StageRun]] = {}
    order = [*reversed(run.sizes), ""]
    stages = sorted(run.stages, key=lambda stage: order.index(stage.size) if stage.size in order else len(order))
    for stage in stages:
        if curves_of(stage):
            name = "ppo" if stage_kind(stage) == "ppo" else stage.name
            groups.setdefault((stage.size, name), []).append(stage)
    return groups


def first_panels(stages: Sequence[StageRun], heading: str = "") -> list[Panel]:
    """The main panels of the stages, their titles under a `heading` if shown among others."""
    return list(_panels(stages, FIRST_PANELS.get(stage_kind(stages[0]), ()), heading))


def further_panels(stages: Sequence[StageRun]) -> list[Panel]:
    """Every other metric, one panel each."""
    kind = stage_kind(stages[0])
    drawn = {f"{kind}/{quantity}" for panel in FIRST_PANELS.get(kind, ()) for quantity in panel.quantities}
    others = dict.fromkeys(metric for stage in stages for metric in curves_of(stage) if metric not in drawn)
    panels = [CurvePanel(title=metric, quantities={metric: ""}) for metric in others]
    return list(_panels(stages, panels))


def _panels(stages: Sequence[StageRun], panels: Sequence[CurvePanel], heading: str = "") -> Iterator[Panel]:
    kind = stage_kind(stages[0])
    curves = {stage.name: curves_of(stage) for stage in stages}
    for wanted in panels:
        shown = [
            (curve, label)
            for stage in stages
            for quantity, label in wanted.quantities.items()
            if (curve := curves[stage.name].get(quantity if "/" in quantity else f"{kind}/{quantity}")) is not None
        ]
        if shown:
            name = "curve-" + "-".join([stages[0].folder or stages[0].name, *wanted.quantities])
            title = f"{heading}: {_within(wanted.title)}" if heading else wanted.title
            yield _draw_curves(name, title, shown)


def _within(title: str) -> str:
    """A title in the middle of a sentence; an abbreviation is unchanged."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _draw_curves(name: str, title: str, curves: Sequence[tuple[Curve, str]]) -> Panel:
    is_overlay = len({curve.stage for curve, _ in curves}) > 1

    def paint(axes: Axes) -> None:
        for curve, label in curves:
            is_validation = label == "validation"
            role = arm_of(curve.stage).role if is_overlay else ("held-out" if label in SECOND_LABELS else "training")
            shown = " ".join([arm_of(curve.stage).label, label]).strip() if is_overlay else label
            _paint_curve(axes, curve, role=role, label=shown, is_sparse=is_validation)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if any(label for _, label in curves) or is_overlay:
            axes.legend(loc="best", handlelength=1.4)

    ends = "; ".join(f"{curve.stage} {label} ends at {curve.values[-1]:.4g}" for curve, label in curves)
    return panel(_identifier(name), f"{title} by step. {ends}", PANEL, paint)


def _identifier(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)


def _paint_curve(axes: Axes, curve: Curve, *, role: str, label: str, is_sparse: bool) -> None:
    if is_sparse or len(curve.values) < 20:
        axes.plot(curve.steps, curve.values, "o-", color=colour(role), markersize=3.2, linewidth=1.3, label=label)
        return
    axes.plot(curve.steps, curve.values, color=colour(role), linewidth=0.8, alpha=0.35)
    axes.plot(curve.steps, smoothed(curve.values), color=colour(role), linewidth=1.7, label=label)


def smoothed(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Centered running mean over a tenth of the curve; truncated at both ends."""
    half = max(1, len(values) // 20)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def score_against_kl(stages: Sequence[StageRun]) -> Panel | None:
    """Score against KL to the reference (square-root axis) during training, one line per policy; None without both."""
    paths = {stage.name: path for stage in stages if (path := _score_path(stage)) is not None}
    if not paths:
        return None

    def paint(axes: Axes) -> None:
        for name, (kl, score) in paths.items():
            arm = arm_of(name)
            role = arm.role if len(paths) > 1 else "training"
            axes.plot(kl, score, ".", color=colour(role), markersize=4, alpha=0.35)
            axes.plot(smoothed(kl), smoothed(score), color=colour(role), linewidth=1.7, label=arm.label)
            axes.plot(smoothed(kl)[-1], smoothed(score)[-1], arm.mark, color=colour(role), markersize=7)
        axes.set_title("Score against KL to the reference")
        axes.set_xlabel("KL, nats per response (square-root axis)")
        square_root_axis(axes, max(float(kl.max()) for kl, _ in paths.values()))
        if len(paths) > 1:
            axes.legend(loc="lower right", handlelength=1.4)

    name = _identifier("-".join(["score-kl", *([stages[0].size] if stages[0].size else [])]))
    return panel(name, "Score against KL to the reference during PPO", PANEL, paint)


def _score_path(stage: StageRun) -> tuple[np.ndarray, np.ndarray] | None:
    both = [
        (row["ppo/kl_to_reference"], row["ppo/score"])
        for row in stage.metrics
        if is_number(row.get("ppo/kl_to_reference")) and is_number(row.get("ppo/score"))
    ]
    if not both:
        return None
    kl, score = np.array(both, dtype=np.float64).T
    # A sampled estimate of the KL can be below 0; the KL cannot.
    return np.maximum(kl, 0.0), score
