"""What needs no judge: lengths, how far each policy went from its reference, and what it forgot of the text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tutelage.evaluation.completions import group_to_score
from tutelage.evaluation.likelihood import likelihoods
from tutelage.evaluation.measuring import mean_values
from tutelage.evaluation.records import COMPLETIONS, FOLDER, EvaluatedCompletion, Measurement, TaskRow
from tutelage.model.loading import device_of, load_tokenizer
from tutelage.model.policy import Policy
from tutelage.statistics.best_of_n import best_of_n_kl
from tutelage.statistics.unbounded import clustered_mean
from tutelage.store.jsonl import read_records, write_records
from tutelage.training.corpus import VALIDATION_SHARE, load_validation_corpus
from tutelage.workflow.answers import num_tokens, read_answers
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.judging import measure_win_rates


def measure_lengths(run: Experiment) -> list[Measurement]:
    """Mean number of tokens of each arm's responses."""
    rows = [
        TaskRow(measure="response_tokens", unit=row.prompt_id, arm=row.arm, value=num_tokens(row))
        for row in read_records(run.evaluation("completions"), EvaluatedCompletion)
    ]
    return mean_values(rows, source=COMPLETIONS, statistic=clustered_mean)


def measure_kl(run: Experiment) -> None:
    """Nats from the start of PPO, per response: log p of what a policy wrote, less log p under the reference.

    The mean of these is an unbiased estimate of the divergence. Of the prompted base model there is none, because its
    prompts are other ones; of best-of-n there is a formula.
    """
    needs = {**run.answers, **run.policies, "ppo_init": run.model("ppo_init")}
    leaves = (run.evaluation("kl_to_reference"),)
    run.do("divergence", _measure_kl, needs=needs, settings=("arms", "num_test_prompts", "text"), leaves=leaves)


def _measure_kl(run: Experiment) -> dict[str, int]:
    prompts, completions = read_answers(run)
    device = device_of(run.device)
    reference = Policy.load(run.model("ppo_init"), device=device)
    rows = []
    for arm in (arm for arm in run.config.arms if arm not in ("prompted", "best_of_n")):
        model = run.policy_of(arm)
        policy = Policy.load(model, renderer=run.render_as_asked(load_tokenizer(model)), device=device)
        names = list(completions[arm])
        groups = [group_to_score(policy.renderer, prompts[name], [completions[arm][name]]) for name in names]
        for name, own, other in zip(names, likelihoods(policy, groups), likelihoods(reference, groups), strict=True):
            nats = own[0].total - other[0].total
            rows.append(TaskRow(measure="kl_to_reference", unit=name, arm=arm, value=nats))
    return {"responses": write_records(run.evaluation("kl_to_reference"), rows)}


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
    device = device_of(run.device)
    rows = []
    for arm in (arm for arm in run.config.arms if arm not in ("prompted", "best_of_n")):
        policy = Policy.load(run.policy_of(arm), device=device)
        corpus = load_validation_corpus(
            text,
            policy.renderer,
            context_tokens=min(run.config.text_window_tokens, policy.context_limit - 1),
            validation_share=VALIDATION_SHARE,
            skip_bad=bool(run.config.all_stages.get("skip_bad", False)),
        )
        windows = corpus.groups(range(len(corpus)))
        rows += [
            TaskRow(measure="pretraining_loss", unit=str(number), arm=arm, value=-own[0].total, count=own[0].num_tokens)
            for number, own in enumerate(likelihoods(policy, windows))
        ]
    return {"windows": write_records(run.evaluation("pretraining_loss"), rows)}


def join_measurements(run: Experiment) -> None:
    """Every number of the run with its interval, in evaluation/measurements.jsonl; what it measures no more is gone."""
    parts = {"judgements": run.is_judged, "divergence": run.has_reference}
    parts["text_loss"] = run.config.pretraining_text is not None
    for step in (step for step, is_part in parts.items() if not is_part):
        run.steps.drop(step)
    needs = {path.stem: path for path in map(run.evaluation, run.measured)}
    run.do(
        "measurements", _join_measurements, needs=needs, settings=("arms",), leaves=(run.evaluation("measurements"),)
    )


def _join_measurements(run: Experiment) -> dict[str, int]:
    judged = measure_win_rates(run) if run.is_judged else ()
    found = [*judged, *measure_lengths(run), *_kl(run)]
    if run.config.pretraining_text is not None:
        found += mean_values(_rows(run, "pretraining_loss"), source=f"{FOLDER}/pretraining_loss.jsonl")
    return {"measurements": write_records(run.evaluation("measurements"), found)}


def _kl(run: Experiment) -> Iterator[Measurement]:
    if not run.has_reference:
        return
    rows = _rows(run, "kl_to_reference")
    yield from mean_values(rows, source=f"{FOLDER}/kl_to_reference.jsonl", statistic=clustered_mean)
    if "best_of_n" in run.config.arms:
        # An upper bound: log n - (n - 1) / n.
        bound = best_of_n_kl(run.config.best_of_n)
        n = run.config.best_of_n
        yield Measurement(measure="kl_to_reference", arm="best_of_n", mean=bound, n=n, source=COMPLETIONS)


def _rows(run: Experiment, name: str) -> Iterator[TaskRow]:
    return read_records(run.evaluation(name), TaskRow)
