"""What needs no labeler: how far a policy went from its reference, and what it forgot of the pretraining text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tutelage.evaluation.completions import group_to_score
from tutelage.model.inference import compute_sequence_logprobs
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.records import Completion, Prompt
from tutelage.reproduction.findings import Findings, measured
from tutelage.reproduction.run import Run
from tutelage.statistics.interval import Interval
from tutelage.statistics.unbounded import clustered_mean, ratio_of_totals
from tutelage.text.render import make_renderer
from tutelage.training.corpus import VALIDATION_SHARE, load_validation_corpus

CONTEXT_TOKENS = 128  # of a window of held-out text
TOKENS_PER_MICROBATCH = 8192


def validation_windows(run: Run) -> list[Group]:
    """The pretraining text that no stage has seen."""
    renderer = make_renderer(load_tokenizer(run.model("pretrain")))
    corpus = load_validation_corpus(
        run.text, renderer, context_tokens=CONTEXT_TOKENS, validation_share=VALIDATION_SHARE
    )
    return corpus.groups(range(len(corpus)))


def measure_distances(
    run: Run,
    stages: Mapping[str, str],
    prompts: Sequence[Prompt],
    completions: Mapping[str, Sequence[Completion]],
) -> Findings:
    """For each arm, whose stage is given: KL to the reference on its own completions, loss on held-out text."""
    reference, windows = Policy.load(run.model("ppo_init")), validation_windows(run)
    found = Findings(rows={"kl_to_reference": [], "pretraining_loss": []})
    for arm, stage in stages.items():
        policy = Policy.load(run.model(stage))
        groups = [group_to_score(policy.renderer, p, [c]) for p, c in zip(prompts, completions[arm], strict=True)]
        rows = kl_rows(policy, reference, groups, [prompt.id for prompt in prompts])
        _add(found, "kl_to_reference", arm, run.size, rows)
        _add(found, "pretraining_loss", arm, run.size, loss_rows(policy, windows))
    return found


def kl_rows(
    policy: Policy, reference: Policy, groups: Sequence[Group], prompt_ids: Iterable[str]
) -> list[dict[str, Any]]:
    """Nats of each response: log p under the policy that wrote it minus log p under the reference (unbiased)."""
    own, other = (
        compute_sequence_logprobs(model, groups, tokens_per_microbatch=TOKENS_PER_MICROBATCH).double()
        for model in (policy, reference)
    )
    return [
        {"prompt_id": prompt_id, "kl_to_reference": nats}
        for prompt_id, nats in zip(prompt_ids, (own - other).tolist(), strict=True)
    ]


def loss_rows(policy: Policy, windows: Sequence[Group]) -> list[dict[str, Any]]:
    """Nats and learnt tokens of each window of held-out text."""
    logprobs = compute_sequence_logprobs(policy, windows, tokens_per_microbatch=TOKENS_PER_MICROBATCH).double()
    return [
        {"window": number, "nats": -logprob, "num_tokens": len(window.responses[0])}
        for number, (logprob, window) in enumerate(zip(logprobs.tolist(), windows, strict=True))
    ]


def _add(found: Findings, measure: str, arm: str, size: str, rows: list[dict[str, Any]]) -> None:
    interval = kl_interval(rows) if measure == "kl_to_reference" else loss_interval(rows)
    found.measurements.append(measured(measure, interval, {}, arm=arm, size=size, source=f"evaluation/{measure}.jsonl"))
    found.rows[measure] += [{"arm": arm, "size": size, **row} for row in rows]


def kl_interval(rows: Sequence[Mapping[str, Any]]) -> Interval:
    """Mean nats per response, clustered by prompt."""
    return clustered_mean([row["kl_to_reference"] for row in rows], [row["prompt_id"] for row in rows])


def loss_interval(rows: Sequence[Mapping[str, Any]]) -> Interval:
    """Mean nats per token; the windows stand for themselves."""
    totals, sizes = ([row[key] for row in rows] for key in ("nats", "num_tokens"))
    return ratio_of_totals(totals, sizes, range(len(rows)))
