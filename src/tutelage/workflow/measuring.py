"""Measurements without a judge: lengths, each policy's KL from its reference, and its loss on pretraining text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tutelage.evaluation.completions import group_to_score
from tutelage.evaluation.likelihood import likelihoods
from tutelage.evaluation.measuring import mean_values
from tutelage.evaluation.records import COMPLETIONS, FOLDER, EvaluatedCompletion, Measurement, SizedArm, TaskRow
from tutelage.model.loading import device_of, load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.statistics.best_of_n import best_of_n_kl
from tutelage.statistics.unbounded import clustered_mean
from tutelage.store.jsonl import read_records, write_records
from tutelage.training.corpus import VALIDATION_SHARE, load_validation_corpus
from tutelage.workflow.answers import answers_of, num_tokens, read_answers
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.judging import measure_judgements


def measure_kl(run: Experiment) -> None:
    """KL from the PPO initialization, in nats per response: log p under the policy minus log p under the reference.

    The mean of these is an unbiased estimate of the divergence. The prompted base model has none, because its prompts
    differ; for best-of-n there is a formula.
    """
    needs = {**run.answers, **run.policies, "ppo_init": run.model("ppo_init")}
    leaves = (run.evaluation("kl_to_reference"),)
    run.do("divergence", _measure_kl, needs=needs, settings=("arms", "num_test_prompts", "text"), leaves=leaves)


def _measure_kl(run: Experiment) -> dict[str, int]:
    answers = [own for own in read_answers(run) if own.test_set == run.test_sets[0]]
    device = device_of(run.device)
    reference = Policy.load(run.model("ppo_init"), device=device)
    rows: list[TaskRow] = []
    for arm in _trained(run):
        model = run.policy_of(arm.arm)
        policy = Policy.load(model, renderer=run.render_as_asked(load_tokenizer(model)), device=device)
        both = zip(*answers_of(answers, arm), strict=True)
        groups = {prompt.id: group_to_score(policy.renderer, prompt, [own]) for prompt, own in both}
        rows += (row.about(arm, {}) for row in kl_rows(policy, reference, [*groups.values()], groups))
    return {"responses": write_records(run.evaluation("kl_to_reference"), rows)}


def kl_rows(policy: Policy, reference: Policy, groups: Sequence[Group], units: Iterable[str]) -> list[TaskRow]:
    """Of each response, one a group: its nats from the reference."""
    both = zip(likelihoods(policy, groups), likelihoods(reference, groups), strict=True)
    return [
        TaskRow(measure="kl_to_reference", unit=unit, value=own[0].total - other[0].total)
        for unit, (own, other) in zip(units, both, strict=True)
    ]


def _trained(run: Experiment) -> list[SizedArm]:
    """The arms that are policies of their own and get the prompts as they are."""
    return [SizedArm(arm, run.size) for arm in run.arms if arm not in ("prompted", "best_of_n")]


def measure_text_loss(run: Experiment, text: Path) -> None:
    """The loss of every policy on pretraining text that no stage has seen, window by window."""
    needs, leaves = {"text": text, **run.policies}, (run.evaluation("pretraining_loss"),)
    run.do(
        "text_loss",
        partial(_measure_text_loss, text=text),
        needs=needs,
        settings=("arms", "text_window_tokens"),
        leaves=leaves,
    )


def _measure_text_loss(run: Experiment, text: Path) -> dict[str, int]:
    rows: list[TaskRow] = []
    for arm in _trained(run):
        policy = Policy.load(run.policy_of(arm.arm), device=device_of(run.device))
        rows += (row.about(arm, {}) for row in loss_rows(policy, held_out_windows(run, policy, text)))
    return {"windows": write_records(run.evaluation("pretraining_loss"), rows)}


def held_out_windows(run: Experiment, policy: Policy, text: Path) -> list[Group]:
    """The pretraining text that no stage has seen."""
    corpus = load_validation_corpus(
        text,
        policy.renderer,
        context_tokens=min(run.config.text_window_tokens, policy.context_limit - 1),
        validation_share=VALIDATION_SHARE,
        skip_bad=bool(run.config.all_stages.get("skip_bad", False)),
    )
    return corpus.groups(range(len(corpus)))


def loss_rows(
    policy: Policy, windows: Sequence[Group], *, measure: str = "pretraining_loss", units: Iterable[str] = ()
) -> list[TaskRow]:
    """Nats of each window, and how many tokens they are of; windows without names are numbered."""
    names = list(units) or [str(number) for number in range(len(windows))]
    return [
        TaskRow(measure=measure, unit=name, value=-own[0].total, count=own[0].num_tokens)
        for name, own in zip(names, likelihoods(policy, windows), strict=True)
    ]


def join_measurements(run: Experiment) -> None:
    """Every number of the run with its interval, in evaluation/measurements.jsonl; those no longer made are removed."""
    parts = {"judgements": run.is_judged, "divergence": run.has_reference}
    parts["text_loss"] = run.config.pretraining_text is not None
    for step in (step for step, is_part in parts.items() if not is_part):
        run.steps.drop(step)
    needs = {path.stem: path for path in map(run.evaluation, run.measured)}
    run.do(
        "measurements", _join_measurements, needs=needs, settings=("arms",), leaves=(run.evaluation("measurements"),)
    )


def _join_measurements(run: Experiment) -> dict[str, int]:
    judged = measure_judgements(run) if run.is_judged else ()
    return {"measurements": write_records(run.evaluation("measurements"), [*judged, *measure_responses(run)])}


def measure_responses(run: Experiment) -> Iterator[Measurement]:
    """What needs no judge: mean length in tokens, divergence, loss on text."""
    completions = read_records(run.evaluation("completions"), EvaluatedCompletion)
    lengths = [
        TaskRow(measure="response_tokens", unit=row.prompt_id, arm=row.arm, size=row.size, value=num_tokens(row))
        for row in completions
        if row.distribution == run.test_sets[0]
    ]
    yield from mean_values(lengths, source=COMPLETIONS, statistic=clustered_mean)
    if run.has_reference:
        yield from _measured_kl(run)
    if run.config.pretraining_text is not None:
        yield from mean_values(_rows(run, "pretraining_loss"), source=f"{FOLDER}/pretraining_loss.jsonl")


def _measured_kl(run: Experiment) -> Iterator[Measurement]:
    rows = _rows(run, "kl_to_reference")
    yield from mean_values(rows, source=f"{FOLDER}/kl_to_reference.jsonl", statistic=clustered_mean)
    if "best_of_n" in run.arms:
        # An upper bound: log n - (n - 1) / n.
        n = run.config.best_of_n
        bound = {"mean": best_of_n_kl(n), "n": n, "source": COMPLETIONS}
        yield Measurement(measure="kl_to_reference", arm="best_of_n", size=run.size, **bound)


def _rows(run: Experiment, name: str) -> Iterator[TaskRow]:
    return read_records(run.evaluation(name), TaskRow)
