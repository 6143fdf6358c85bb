"""What needs further training: ptx and KL coefficients (Figures 33 and 34)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tutelage.evaluation.completions import Arm, score_completions
from tutelage.evaluation.measuring import Statistic
from tutelage.evaluation.records import HELDOUT, INSTRUCT, Condition, SizedArm, TaskRow
from tutelage.evaluation.skills import SkillItem, skill_rows
from tutelage.model.policy import Policy, ScoreModel
from tutelage.reproduction.experiment import Reproduction
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.outside import outcome_rows
from tutelage.reproduction.probes import ProbeSizes
from tutelage.reproduction.village import probes
from tutelage.statistics.interval import bounded_mean
from tutelage.statistics.likert import likert_mean
from tutelage.statistics.unbounded import clustered_mean
from tutelage.statistics.win_rate import win_rate
from tutelage.training.ppo import ppo
from tutelage.workflow.answers import answers_of, complete_prompts, read_answers
from tutelage.workflow.measuring import held_out_windows, loss_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """A run of a sweep as an arm: which sweep, with which coefficient."""

    sweep: str
    coefficient: Condition
    arm: Arm

    @property
    def name(self) -> str:
        return "ppo" if self.sweep == "kl_sweep" else "ppo_ptx"


def train_sweeps(run: Reproduction) -> None:
    """PPO at the smallest size under every coefficient, each measured once it is trained."""
    view = run.smallest
    for name in run.sweeps:
        run.train(ppo, view.swept(name))
        needs = {
            "policy": swept_arm(run, name).arm.model,
            "reward": view.model("reward"),
            "prompts": run.prompts_path,
            "text": run.text,
            "baseline": run.largest.evaluation("completions"),
        }
        settings = {"num_prompts": run.measuring.num_sweep_prompts, "probes": run.measuring.probes}
        run.measure(f"measure-{name}", partial(_measure_sweep, name=name), needs=needs, settings=settings)


def swept_arm(run: Reproduction, name: str) -> Swept:
    """The arm of one run of a sweep."""
    is_kl = name.startswith("kl-")
    value = float(name.partition("-")[2])
    return Swept(
        sweep="kl_sweep" if is_kl else "ptx_sweep",
        coefficient={"kl_coef" if is_kl else "ptx_coef": value},
        arm=Arm(name=name, model=run.out / "sweeps" / name / "model"),
    )


def _measure_sweep(run: Reproduction, name: str) -> Findings:
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
    return found


def score_values(view: Reproduction, arm: Arm, *, measure: str) -> list[TaskRow]:
    """Scores by the reward model on validation prompts, which no policy was trained on."""
    prompts = view.prompts("valid", "ppo")[: view.measuring.num_sweep_prompts]
    reward_model = ScoreModel.load(view.model("reward"))
    scores = score_completions(reward_model, prompts, complete_prompts(view, arm, prompts))
    both = zip(prompts, scores, strict=True)
    return [TaskRow(measure=measure, unit=prompt.id, value=score) for prompt, own in both for score in own]


def _losses(view: Reproduction, swept: Swept) -> list[TaskRow]:
    policy = Policy.load(swept.arm.model)
    return loss_rows(policy, held_out_windows(view, policy, view.text), measure=swept.sweep)


def _skills(view: Reproduction, swept: Swept) -> list[TaskRow]:
    """The items of all skills, few-shot, each by its first metric."""
    sizes, rows = ProbeSizes(**view.measuring.probes), []
    for name, skill in probes.SKILLS.items():
        items = probes.skill_items(view.village, name, num_items=sizes.num_skill_items)
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


def _judged(view: Reproduction, swept: Swept) -> Iterator[tuple[str, list[TaskRow], Statistic]]:
    """Win rate against the run's baseline and ratings, by held-out labelers, on the first test prompts."""
    answers = [own for own in read_answers(view.largest) if own.test_set == INSTRUCT]
    prompts, others = answers_of(answers, view.baseline)
    prompts = prompts[: view.measuring.num_sweep_prompts]
    own = complete_prompts(view, swept.arm, prompts)
    judges = view.judges(swept.arm.name, HELDOUT)
    baseline = [[other] for other in others[: len(prompts)]]
    yield "win_rate", outcome_rows(judges, prompts, own, baseline, measure=swept.sweep), win_rate
    rated = judges.rate([(prompt, each) for prompt, several in zip(prompts, own, strict=True) for each in several])
    ratings = [
        TaskRow(measure=swept.sweep, unit=row.prompt_id, value=row.overall, labeler_id=row.labeler_id)
        for _, row in rated
    ]
    yield "likert", ratings, likert_mean
