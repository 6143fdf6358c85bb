"""The paper's figures that compare policies, in its order, with the paper's results."""

from __future__ import annotations

from collections.abc import Iterator

from tutelage.evaluation.records import GPT, HELDOUT, INSTRUCT, TRAINING
from tutelage.report.measured import Measured
from tutelage.report.notation import fixed, percent, readable, signed, signed_points, whole_percent
from tutelage.report.results import AGAINST
from tutelage.reproduction.figures.by_arm import FigurePlan, PanelPlan

_DISTRIBUTIONS = {INSTRUCT: "prompts written for InstructGPT", GPT: "prompts written for GPT"}
_LABELERS = {HELDOUT: "Held-out labelers", TRAINING: "Training labelers"}
_PAPERS_ARMS = ("base", "prompted", "sft", "ppo", "ppo_ptx")
_JUDGED = {"labelers": HELDOUT, "distribution": INSTRUCT}
_PROMPTS = {"none": "No prompt", "respectful": "Asked to be respectful", "biased": "Asked to be biased"}
_QUESTIONS = {"qa": "QA prompt", "instruction": "Instruction prompt", "qa_instruction": "QA + instruction prompt"}
# Table 3's names of what Figure 4 shows, as it shows them.
_FLAGS = {
    "fails_instruction": "Fails the instruction",
    "satisfies_constraint": "Satisfies explicit constraint",
    "hallucination": "Hallucinations",
    "inappropriate_for_customer_assistant": "Inappropriate for customer assistant",
}


def figure_plans(measured: Measured) -> Iterator[FigurePlan]:
    """Every figure that compares policies, whether or not the run has measured it."""
    yield from _preference_plans()
    yield from _truth_plans()
    yield from _harm_plans()
    yield _skills_plan(measured, "few", "Figure 29")
    yield _skills_plan(measured, "zero", "Figure 28")
    yield _generalisation_plan(measured)


def _preference_plans() -> Iterator[FigurePlan]:
    yield FigurePlan(
        name="fig-01-win-rate",
        title="Preference over SFT",
        after="Figure 1",
        saw="At 175B GPT wins 24\u202f% against SFT 175B, prompted GPT 41\u202f%, PPO 63\u202f%, PPO-ptx 66\u202f%; "
        "PPO-ptx of 1.3B still wins 53\u202f% (training labelers).",
        caption="Share of comparisons won against the SFT policy of the largest size on the same prompt; a tie counts "
        "half. Dashed: SFT itself.",
        panels=[PanelPlan(title="Win rate against SFT", measure="win_rate", where=_JUDGED, baseline=AGAINST)],
        form=percent,
        tick_form=whole_percent,
        change_form=signed_points,
        baseline=0.5,
        floor=0.0,
        arms=_PAPERS_ARMS,
    )
    yield FigurePlan(
        name="fig-03-distributions",
        title="Both kinds of prompts, both groups of labelers",
        after="Figure 3",
        saw="The order of the policies is the same in all four panels; held-out labelers give PPO-ptx 175B 71\u202f% "
        "on InstructGPT prompts and 62\u202f% on GPT prompts, training labelers 66\u202f% and 61\u202f%.",
        caption="Win rate against SFT by labeler group and prompt distribution.",
        panels=[
            PanelPlan(
                title=f"{who}, {what}",
                measure="win_rate",
                where={"labelers": labelers, "distribution": distribution},
                baseline=AGAINST,
            )
            for labelers, who in _LABELERS.items()
            for distribution, what in _DISTRIBUTIONS.items()
        ],
        form=percent,
        tick_form=whole_percent,
        change_form=signed_points,
        baseline=0.5,
        floor=0.0,
        arms=_PAPERS_ARMS,
    )
    yield FigurePlan(
        name="fig-04-metadata",
        title="What labelers flagged",
        after="Figure 4",
        saw="GPT, prompted, SFT, PPO, PPO-ptx hallucinate in 45, 28, 8, 22, 16\u202f%, keep explicit constraints in "
        "22, 28, 34, 44, 43\u202f% and attempt the correct instruction in 70, 79, 86, 92, 93\u202f% of responses.",
        caption="Share of judged responses with the flag, among prompts to which it applies.",
        panels=[
            PanelPlan(title=title, measure="flag", where=_JUDGED | {"flag": flag}) for flag, title in _FLAGS.items()
        ],
        form=percent,
        tick_form=whole_percent,
        change_form=signed_points,
        floor=0.0,
        told=2,
        shares_scale=False,
        arms=_PAPERS_ARMS,
    )
    yield FigurePlan(
        name="fig-05-likert",
        title="Ratings, including tuning on public tasks",
        after="Figure 5",
        saw="Mean ratings at 175B are GPT 2.6, T0 3.3, FLAN 3.4, prompted GPT 3.5, SFT 4.1, PPO-ptx 4.8.",
        caption="Mean overall rating, 1 worst to 7 best.",
        panels=[PanelPlan(title="Mean rating, 1 to 7", measure="likert", where=_JUDGED)],
        form=fixed(2),
        tick_form=fixed(1),
        change_form=signed(2),
        is_of_fullest=True,
    )


def _truth_plans() -> Iterator[FigurePlan]:
    yield FigurePlan(
        name="fig-06-truthfulness",
        title="Truth",
        after="Figure 6",
        saw="With the QA prompt GPT 175B is true in 25\u202f% and true and informative in 20\u202f% of responses, "
        "PPO-ptx in 35\u202f% and 30\u202f%; told that it may say “I have no comment”, PPO 175B is true in 92\u202f% "
        "and informative in few.",
        caption="Share of questions answered truthfully, and truthfully and informatively, by prompt.",
        panels=[
            PanelPlan(title=f"{name}, {prompt}", measure=measure, where={"prompt": key})
            for measure, name in (("truthful", "True"), ("truthful_informative", "True and informative"))
            for key, prompt in _QUESTIONS.items()
        ],
        form=percent,
        tick_form=whole_percent,
        change_form=signed_points,
        floor=0.0,
        told=3,
    )


def _harm_plans() -> Iterator[FigurePlan]:
    yield FigurePlan(
        name="fig-07-toxicity",
        title="Toxicity",
        after="Figure 7",
        saw="Asked to be respectful PPO-ptx 175B falls from 0.24 to 0.20 (Perspective) while GPT stays at 0.23 and "
        "0.24; asked to be biased it rises to 0.40, GPT to 0.29 (Table 14).",
        caption="Mean toxicity of continuations, 0 to 1, by what the prompt asks for.",
        panels=_prompt_panels("toxicity"),
        form=fixed(3),
        tick_form=fixed(2),
        change_form=signed(3),
        floor=0.0,
        told=1,
    )
    yield FigurePlan(
        name="toxicity-extremes",
        title="The most toxic of several continuations",
        after="the measures of RealToxicityPrompts",
        saw="Not reported; measured by Gehman et al. (2020).",
        caption="Expected maximum toxicity over the continuations of a prompt, and the probability that one of them is "
        "toxic.",
        panels=[*_prompt_panels("expected_max_toxicity", "Maximum"), *_prompt_panels("toxicity_probability", "Any")],
        form=fixed(3),
        tick_form=fixed(2),
        change_form=signed(3),
        floor=0.0,
        told=1,
    )
    yield FigurePlan(
        name="table-14-bias",
        title="Bias",
        after="Table 14",
        saw="The entropies of PPO-ptx 175B and GPT 175B are equal: 0.74 and 0.74 on Winogender, 0.41 and 0.41 on "
        "CrowS-Pairs; asked to be respectful PPO-ptx falls to 0.70 and 0.24.",
        caption="Entropy in bits of the choice between two sentences about different groups; 1 is no preference.",
        panels=[
            PanelPlan(title=f"{name}, {prompt.lower()}", measure="bias_entropy", where={"set": key, "prompt": asked})
            for key, name in (("winogender", "Winogender"), ("crows_pairs", "CrowS-Pairs"))
            for asked, prompt in _PROMPTS.items()
        ],
        form=fixed(3),
        tick_form=fixed(2),
        change_form=signed(3),
    )


def _prompt_panels(measure: str, prefix: str = "") -> list[PanelPlan]:
    return [
        PanelPlan(title=f"{prefix}, {title.lower()}" if prefix else title, measure=measure, where={"prompt": prompt})
        for prompt, title in _PROMPTS.items()
    ]


def _skills_plan(measured: Measured, shots: str, after: str) -> FigurePlan:
    found: dict[str | int | float, str | int | float] = {}
    for row in measured.where("skill", {"shots": shots}):
        found.setdefault(row.condition.get("skill", ""), row.condition.get("metric", ""))
    return FigurePlan(
        name=f"fig-{after[-2:]}-skills-{shots}-shot",
        title=f"Skills, {shots}-shot: the alignment tax",
        after=after,
        saw="Few-shot at 175B, GPT, PPO, PPO-ptx: SQuADv2 70, 52, 70; DROP 35, 28, 33; HellaSwag 79, 76, 82; "
        "French to English 40, 27, 37."
        if shots == "few"
        else "Zero-shot at 175B, GPT, PPO, PPO-ptx: SQuADv2 64, 44, 60; DROP 28, 13, 15; HellaSwag 78, 74, 81; "
        "French to English 39, 24, 34.",
        caption="Scores on tasks that no labeler judges.",
        panels=[
            PanelPlan(
                title=f"{readable(str(skill)).capitalize()}, {METRIC_NAMES.get(str(metric), str(metric))}",
                measure="skill",
                where={"skill": skill, "shots": shots},
            )
            for skill, metric in found.items()
        ],
        form=percent,
        tick_form=whole_percent,
        change_form=signed_points,
        focus=("ppo_ptx", "ppo"),
        shares_scale=False,
    )


METRIC_NAMES = {"f1": "F1", "accuracy": "accuracy", "bleu": "BLEU", "rouge_l": "ROUGE-L"}


def _generalisation_plan(measured: Measured) -> FigurePlan:
    return FigurePlan(
        name="fig-08-generalisation",
        title="Beyond the fine-tuning data",
        after="Figure 8",
        saw="Shown by examples, not measured: InstructGPT 175B follows instructions in French and answers questions "
        "about code, though both are rare in its data.",
        caption="Win rate against SFT on prompts of a kind that was excluded from all fine-tuning. Dashed: SFT itself.",
        panels=[
            PanelPlan(
                title=f"A {readable(str(which))} held out",
                measure="generalisation",
                where={"set": which},
            )
            for which in measured.values("generalisation", "set")
        ],
        form=percent,
        tick_form=whole_percent,
        change_form=signed_points,
        baseline=0.5,
        floor=0.0,
    )
