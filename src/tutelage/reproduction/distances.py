"""What needs no labeler: how far a policy went from its reference, and what it forgot of the pretraining text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tutelage.evaluation.completions import group_to_score
from tutelage.evaluation.records import SizedArm, TaskRow
from tutelage.model.inference import compute_sequence_logprobs
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.records import Completion, Prompt
from tutelage.reproduction.findings import Findings
from tutelage.reproduction.run import Run
from tutelage.statistics.unbounded import clustered_mean
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
    found: Findings,
    stages: Mapping[str, str],
    prompts: Sequence[Prompt],
    completions: Mapping[SizedArm, Sequence[Completion]],
) -> None:
    """Adds for each arm, whose stage is given: KL to the reference on its own completions, loss on held-out text."""
    reference, windows = Policy.load(run.model("ppo_init")), validation_windows(run)
    for name, stage in stages.items():
        arm = SizedArm(name, run.size)
        policy = Policy.load(run.model(stage))
        groups = [group_to_score(policy.renderer, p, [c]) for p, c in zip(prompts, completions[arm], strict=True)]
        distances = kl_rows(policy, reference, groups, [prompt.id for prompt in prompts])
        found.add("kl_to_reference", [row.about(arm, {}) for row in distances], clustered_mean)
        found.add("pretraining_loss", [row.about(arm, {}) for row in loss_rows(policy, windows)])


def kl_rows(policy: Policy, reference: Policy, groups: Sequence[Group], prompt_ids: Iterable[str]) -> list[TaskRow]:
    """Nats of each response: log p under the policy that wrote it minus log p under the reference (unbiased)."""
    own, other = (
        compute_sequence_logprobs(model, groups, tokens_per_microbatch=TOKENS_PER_MICROBATCH).double()
        for model in (policy, reference)
    )
    return [
        TaskRow(measure="kl_to_reference", unit=prompt_id, value=nats)
        for prompt_id, nats in zip(prompt_ids, (own - other).tolist(), strict=True)
    ]


def loss_rows(
    policy: Policy, windows: Sequence[Group], *, measure: str = "pretraining_loss", units: Iterable[str] = ()
) -> list[TaskRow]:
    """Nats of each window of held-out text, and how many tokens they are of; windows without names are numbered."""
    logprobs = compute_sequence_logprobs(policy, windows, tokens_per_microbatch=TOKENS_PER_MICROBATCH).double()
    names = list(units) or [str(number) for number in range(len(windows))]
    return [
        TaskRow(measure=measure, unit=name, value=-logprob, count=len(window.responses[0]))
        for name, logprob, window in zip(names, logprobs.tolist(), windows, strict=True)
    ]
