"""What needs further training: ptx and KL coefficients (Figures 33 and 34), reward models over labeler groups (E.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tutelage.evaluation.completions import Arm
from tutelage.evaluation.measuring import Statistic
from tutelage.evaluation.preference import compare_with_baseline, rate_completions, score_rows
from tutelage.evaluation.records import INSTRUCT, TRAINING, Condition, EvaluatedCompletion, SizedArm, TaskRow
from tutelage.evaluation.skills import SkillItem, skill_rows
from tutelage.model.policy import Policy, ScoreModel
from tutelage.records import Ranking
from tutelage.reproduction.contests import baseline_of, outcome_row
from tutelage.reproduction.distances import loss_rows, validation_windows
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.judging import completions_by_arm, panels, prefer_in, rate_in
from tutelage.reproduction.models import complete_prompts, score_rankings, scores_by_reward_model
from tutelage.reproduction.probes import ProbeSizes
from tutelage.reproduction.rewards import FILES
from tutelage.reproduction.sizes import FullRun
from tutelage.reproduction.village import probes
from tutelage.statistics.interval import bounded_mean
from tutelage.statistics.likert import likert_mean
from tutelage.statistics.unbounded import clustered_mean
from tutelage.statistics.win_rate import win_rate
from tutelage.store.jsonl import read_records, write_records
from tutelage.training.reward import train_reward


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
    found, arm = Findings(), SizedArm(swept.name, view.size)
    for metric, rows, statistic in (
        ("score", score_values(view, swept.arm, measure=swept.sweep), clustered_mean),
        ("pretraining_loss", _losses(view, swept), clustered_mean),
        ("skill", _skills(view, swept), bounded_mean),
        *_judged(view, swept),
    ):
        about = {**swept.coefficient, "metric": metric}
        found.add(swept.sweep, [row.about(arm, about) for row in rows], statistic)
    return found.write(run.steps / name)


def score_values(view: FullRun, arm: Arm, *, measure: str) -> list[TaskRow]:
    """Scores by the reward model on validation prompts, which no policy was trained on."""
    prompts = view.prompts("valid", "ppo")[: view.full.num_sweep_prompts]
    scores = scores_by_reward_model(view, prompts, complete_prompts(view, arm, prompts, 1))
    return [TaskRow(measure=measure, unit=p.id, value=own[0]) for p, own in zip(prompts, scores, strict=True)]


def _losses(view: FullRun, swept: Swept) -> list[TaskRow]:
    return loss_rows(Policy.load(swept.arm.model), validation_windows(view), measure=swept.sweep)


def _skills(view: FullRun, swept: Swept) -> list[TaskRow]:
    """The items of all skills, few-shot, each by its first metric."""
    sizes, rows = ProbeSizes(**view.full.probes), []
    for name, skill in probes.SKILLS.items():
        items = probes.skill_items(view.world, name, num_items=sizes.num_skill_items)
        own = skill_rows(
            swept.arm,
            [SkillItem(**item._asdict()) for item in items],
            num_shots=skill.num_shots,
            metrics=skill.metrics[:1],
            max_response_tokens=sizes.max_response_tokens,
        )
        rows += [
            TaskRow(measure=swept.sweep, unit=row.unit, cluster=row.cluster, value=row.value, skill=name) for row in own
        ]
    return rows


def _judged(view: FullRun, swept: Swept) -> Iterator[tuple[str, list[TaskRow], Statistic]]:
    """Win rate against the run's baseline and ratings, by held-out labelers, on the first test prompts."""
    arm, baseline = SizedArm(swept.name, view.size), baseline_of(view)
    rows = read_records(view.largest.steps / "answers" / "completions.jsonl", EvaluatedCompletion)
    prompts, completions = completions_by_arm(
        row for row in rows if (row.arm, row.size, row.distribution) == (*baseline, INSTRUCT)
    )
    prompts = prompts[: view.full.num_sweep_prompts]
    own = {
        arm: [several[0] for several in complete_prompts(view, swept.arm, prompts, 1)],
        baseline: completions[baseline][: len(prompts)],
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
    yield "win_rate", [outcome_row(swept.sweep, row) for row in compared], win_rate
    ratings = [
        TaskRow(measure=swept.sweep, unit=row.prompt_id, value=row.overall, labeler_id=row.labeler_id) for row in rated
    ]
    yield "likert", ratings, likert_mean


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
    valid = list(read_records(run.data / FILES[TRAINING], Ranking))
    found = Findings()
    for name, is_outside in (("inside", False), ("outside", True)):
        own = [ranking for ranking in valid if (ranking.labeler_id in outside) == is_outside]
        scores = score_rankings(model, own)
        found.add("reward_folds", score_rows(own, scores, {"fold": fold, "labelers": name}))
    return found.write(run.steps / f"fold-{fold}")
