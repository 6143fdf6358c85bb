"""What needs no judge: lengths, how far each policy went from its reference, and what it forgot of the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tutelage.evaluation.completions import group_to_score
from tutelage.evaluation.likelihood import likelihoods
from tutelage.model.loading import device_of
from tutelage.model.policy import Policy
from tutelage.records import Measurement
from tutelage.statistics.best_of_n import best_of_n_kl
from tutelage.statistics.interval import Interval
from tutelage.statistics.unbounded import clustered_mean, ratio_of_totals
from tutelage.store.jsonl import read_rows, write_records, write_rows
from tutelage.training.corpus import VALIDATION_SHARE, load_validation_corpus
from tutelage.workflow.answers import read_answers
from tutelage.workflow.config import BASELINE
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.judging import win_rates

CONTEXT_TOKENS = 512  # of a window of held-out text, at most


def measure_lengths(run: Experiment) -> list[Measurement]:
    """Mean number of tokens of each arm's responses."""
    lengths: dict[str, list[float]] = {}
    prompts: dict[str, list[str]] = {}
    for _, row in read_rows(run.evaluation("completions")):
        lengths.setdefault(row["arm"], []).append(float(row["num_tokens"]))
        prompts.setdefault(row["arm"], []).append(row["prompt_id"])
    source = "evaluation/completions.jsonl"
    return [
        _measurement("response_tokens", clustered_mean(own, prompts[arm]), arm, source) for arm, own in lengths.items()
    ]


def measure_kl(run: Experiment) -> dict[str, int]:
    """Nats from the start of PPO, per response: log p of what a policy wrote, less log p under the reference.

    The mean of these is an unbiased estimate of the divergence. Of the prompted base model there is none, because its
    prompts are other ones; of best-of-n there is a formula.
    """
    prompts, completions = read_answers(run)
    device = device_of(run.device)
    reference = Policy.load(run.model("ppo_init"), device=device)
    rows = []
    for arm in (arm for arm in run.config.arms if arm not in ("prompted", "best_of_n")):
        policy = Policy.load(run.policy_of(arm), device=device)
        names = list(completions[arm])
        groups = [group_to_score(policy.renderer, prompts[name], [completions[arm][name]]) for name in names]
        for name, own, other in zip(names, likelihoods(policy, groups), likelihoods(reference, groups), strict=True):
            rows.append({"arm": arm, "prompt_id": name, "kl_to_reference": own[0].total - other[0].total})
    return {"responses": write_rows(run.evaluation("kl_to_reference"), rows)}


def measure_text(run: Experiment) -> dict[str, int]:
    """The loss of every policy on pretraining text that no stage has seen, window by window."""
    assert run.config.pretraining_text is not None, "a step only where text is given"
    device = device_of(run.device)
    rows = []
    for arm in (arm for arm in run.config.arms if arm not in ("prompted", "best_of_n")):
        policy = Policy.load(run.policy_of(arm), device=device)
        corpus = load_validation_corpus(
            run.config.pretraining_text,
            policy.renderer,
            context_tokens=min(CONTEXT_TOKENS, policy.context_limit) - 1,
            validation_share=VALIDATION_SHARE,
            skip_bad=bool(run.config.all_stages.get("skip_bad", False)),
        )
        windows = corpus.groups(range(len(corpus)))
        rows += [
            {"arm": arm, "window": number, "nats": -own[0].total, "num_tokens": own[0].num_tokens}
            for number, own in enumerate(likelihoods(policy, windows))
        ]
    return {"windows": write_rows(run.evaluation("pretraining_loss"), rows)}


def join_measurements(run: Experiment) -> dict[str, int]:
    """Every number of the run with its interval, in evaluation/measurements.jsonl."""
    found = [*_judged(run), *measure_lengths(run), *_kl(run), *_text_losses(run)]
    return {"measurements": write_records(run.evaluation("measurements"), found)}


def _judged(run: Experiment) -> Iterator[Measurement]:
    if not run.is_judged:
        return
    for group, by_arm in win_rates(run).items():
        condition = {"baseline": BASELINE, "labelers": group}
        for arm, rates in by_arm.items():
            for measure, rate in zip(("win_rate", "win_rate_length_controlled"), rates, strict=True):
                yield _measurement(measure, rate, arm, "evaluation/comparisons.jsonl", condition)


def _kl(run: Experiment) -> Iterator[Measurement]:
    if not run.has_reference:
        return
    for arm, rows in _by_arm(run, "kl_to_reference").items():
        nats = clustered_mean([row["kl_to_reference"] for row in rows], [row["prompt_id"] for row in rows])
        yield _measurement("kl_to_reference", nats, arm, "evaluation/kl_to_reference.jsonl")
    if "best_of_n" in run.config.arms:
        # An upper bound: log n - (n - 1) / n.
        bound = best_of_n_kl(run.config.best_of_n)
        source = "evaluation/completions.jsonl"
        yield Measurement(measure="kl_to_reference", arm="best_of_n", mean=bound, n=run.config.best_of_n, source=source)


def _text_losses(run: Experiment) -> Iterator[Measurement]:
    if run.config.pretraining_text is None:
        return
    for arm, rows in _by_arm(run, "pretraining_loss").items():
        nats, sizes = ([row[key] for row in rows] for key in ("nats", "num_tokens"))
        loss = ratio_of_totals(nats, sizes, range(len(rows)))
        yield _measurement("pretraining_loss", loss, arm, "evaluation/pretraining_loss.jsonl")


def _by_arm(run: Experiment, name: str) -> dict[str, Sequence[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for _, row in read_rows(run.evaluation(name)):
        found.setdefault(row["arm"], []).append(row)
    return dict(found)


def _measurement(
    measure: str, found: Interval, arm: str, source: str, condition: dict[str, Any] | None = None
) -> Measurement:
    is_known = found.low == found.low and found.high == found.high
    return Measurement(
        measure=measure,
        arm=arm,
        condition=condition or {},
        mean=found.mean,
        low=found.low if is_known else None,
        high=found.high if is_known else None,
        n=found.n,
        source=source,
    )
