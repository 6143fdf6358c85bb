"""What needs further training: ptx and KL coefficients (Figures 33 and 34), reward models over labeler groups (E.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.completions import Arm
from tutelage.evaluation.preference import compare_with_baseline, rate_completions
from tutelage.evaluation.skills import SkillItem, skill_rows
from tutelage.model.policy import Policy, ScoreModel
from tutelage.records import Ranking
from tutelage.reproduction.contests import SizedArm, baseline_of
from tutelage.reproduction.distances import loss_interval, loss_rows, validation_windows
from tutelage.reproduction.findings import INSTRUCT, Condition, Findings, measured
from tutelage.reproduction.judging import completions_by_arm, panels, prefer_in, rate_in
from tutelage.reproduction.models import complete_prompts, score_rankings, scores_by_reward_model
from tutelage.reproduction.probes import ProbeSizes
from tutelage.reproduction.rewards import VALID, add_accuracy
from tutelage.reproduction.sizes import FullRun
from tutelage.reproduction.village import probes
from tutelage.statistics.interval import Interval, bounded_mean
from tutelage.statistics.likert import likert_mean
from tutelage.statistics.unbounded import clustered_mean
from tutelage.statistics.win_rate import win_rate
from tutelage.store.jsonl import read_records, read_rows, write_records
from tutelage.training.reward import train_reward

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A run of a sweep as an arm: which sweep, under which coefficient."""

    sweep: str
    coefficient: Condition
    arm: Arm

    @property
    def name(self) -> str:
        return "ppo" if self.sweep == "kl_sweep" else "ppo_ptx"


def swept_arm(run: FullRun, name: str) -> Swept:
    """The arm of one run of a sweep."""
    is_kl = name.startswith("kl-")
    value = float(name.partition("-")[2])
    return Swept(
        sweep="kl_sweep" if is_kl else "ptx_sweep",
        coefficient={"kl_coef" if is_kl else "ptx_coef": value},
        arm=Arm(name=name, model=run.out / "sweeps" / name / "model"),
    )


def measure_sweep(run: FullRun, name: str) -> dict[str, int]:
    """Score, loss on held-out text, few-shot skills, win rate and ratings of one run of a sweep."""
    view, swept = run.smallest, swept_arm(run, name)
    found = Findings(rows={swept.sweep: []})
    judged = list(_judged(view, swept))
    for metric, rows, interval in (validation_score(view, swept.arm), _loss(view, swept), _skill(view, swept), *judged):
        condition: Condition = {**swept.coefficient, "metric": metric}
        about = {"arm": swept.name, "size": view.size}
        source = f"evaluation/{swept.sweep}.jsonl"
        found.measurements.append(
            measured(swept.sweep, interval, condition, source=source, arm=swept.name, size=view.size)
        )
        found.rows[swept.sweep] += [{**about, **condition, **row} for row in rows]
    return found.write(run.steps / name)


Metric = tuple[str, Rows, Interval]


def validation_score(view: FullRun, arm: Arm) -> Metric:
    """Score by the reward model on validation prompts, which no policy was trained on."""
    prompts = view.prompts("valid", "ppo")[: view.full.num_sweep_prompts]
    scores = scores_by_reward_model(view, prompts, complete_prompts(view, arm, prompts, 1))
    values = [own[0] for own in scores]
    rows = [{"prompt_id": p.id, "value": value} for p, value in zip(prompts, values, strict=True)]
    return "score", rows, clustered_mean(values, [prompt.id for prompt in prompts])


def _loss(view: FullRun, swept: Swept) -> Metric:
    rows = loss_rows(Policy.load(swept.arm.model), validation_windows(view))
    return "pretraining_loss", rows, loss_interval(rows)


def _skill(view: FullRun, swept: Swept) -> Metric:
    """The mean over the items of all skills, few-shot, each by its first metric."""
    sizes, rows = ProbeSizes(**view.full.probes), []
    for name, skill in probes.SKILLS.items():
        items = probes.skill_items(view.world, name, num_items=sizes.num_skill_items)
        found = skill_rows(
            swept.arm,
            [SkillItem(**item._asdict()) for item in items],
            num_shots=skill.num_shots,
            max_response_tokens=sizes.max_response_tokens,
        )
        rows += [
            {"skill": name, "item_id": row["item_id"], "cluster": row["cluster"], "value": row[skill.metrics[0]]}
            for row in found
        ]
    return "skill", rows, bounded_mean([row["value"] for row in rows], [row["cluster"] for row in rows])


def _judged(view: FullRun, swept: Swept) -> Iterator[Metric]:
    """Win rate against the run's baseline and ratings, by held-out labelers, on the first test prompts."""
    prompts, completions = completions_by_arm(
        row
        for _, row in read_rows(view.largest.steps / "answers" / "completions.jsonl")
        if (row["arm"], row["distribution"]) == ("sft", INSTRUCT)
    )
    prompts = prompts[: view.full.num_sweep_prompts]
    arm, baseline = SizedArm(swept.name, view.size), baseline_of(view)
    own = {
        arm: [several[0] for several in complete_prompts(view, swept.arm, prompts, 1)],
        baseline: completions["sft"][: len(prompts)],
    }
    compared = compare_with_baseline(
        prompts,
        own,
        baseline=baseline,
        panels=panels(view)[:1],
        prefer=prefer_in(view),
        rng=view.rng("comparisons", swept.arm.name),
    )
    rated = rate_completions(
        prompts,
        {arm: own[arm]},
        panel=panels(view)[0],
        rate=rate_in(view),
        rng=view.rng("ratings", swept.arm.name),
    )
    for metric, rows, key, mean in (
        ("win_rate", compared, "outcome", win_rate),
        ("likert", rated, "overall", likert_mean),
    ):
        values, clusters = [row[key] for row in rows], [row["prompt_id"] for row in rows]
        kept = [{"prompt_id": row["prompt_id"], "labeler_id": row["labeler_id"], "value": row[key]} for row in rows]
        yield metric, kept, mean(values, clusters)


def labeler_folds(run: FullRun) -> list[set[str]]:
    """The training labelers in groups of like size, drawn once."""
    labelers = [labeler.id for labeler in run.training_labelers]
    run.rng("folds").shuffle(labelers)
    return [set(labelers[number :: run.full.num_folds]) for number in range(run.full.num_folds)]


def train_fold(run: FullRun, fold: int) -> dict[str, int]:
    """A reward model without the rankings of one group of labelers; its accuracy inside and outside of the others."""
    view, outside = run.middle, labeler_folds(run)[fold]
    folder = run.out / "sweeps" / f"fold-{fold}"
    rankings = run.data / f"rankings-without-fold-{fold}.jsonl"
    kept = [own for own in read_records(run.data / "rankings.jsonl", Ranking) if own.labeler_id not in outside]
    write_records(rankings, kept)
    train_reward(view.reward().model_copy(update={"rankings": rankings, "out": folder}), resume=True)
    model = ScoreModel.load(folder / "model")
    valid = list(read_records(run.data / VALID, Ranking))
    found = Findings(rows={"reward_folds": []})
    for name, is_outside in (("inside", False), ("outside", True)):
        own = [ranking for ranking in valid if (ranking.labeler_id in outside) == is_outside]
        add_accuracy(found, "reward_folds", own, score_rankings(model, own), {"fold": fold, "labelers": name})
    return found.write(run.steps / f"fold-{fold}")
