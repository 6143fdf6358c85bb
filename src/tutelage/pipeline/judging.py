"""Section 4 of the paper: everybody answers the test prompts, held-out labelers judge, and what needs no labeler."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from tutelage import miniature
from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, is_complete
from tutelage.evaluation.preference import (
    Panel,
    compare_with_baseline,
    ranking_agreement,
    rate_completions,
    score_accuracy,
    win_rates,
)
from tutelage.model.loading import load_policy, load_tokenizer
from tutelage.model.measure import kl_to_reference, mean_language_loss
from tutelage.model.packing import Group
from tutelage.pipeline.models import complete_prompts, scores_by_reward_model, scores_of_rankings
from tutelage.pipeline.run import Run
from tutelage.records import Completion, Prompt, Ranking
from tutelage.statistics.likert import likert_mean
from tutelage.store.jsonl import read_records, read_rows, write_rows
from tutelage.text.render import Renderer
from tutelage.training.corpus import load_corpora

# Few-shot blocks of the miniature end so; a base model goes on with the next block instead of stopping.
BLOCK_END = "\n\n###"


def choose_prefix(run: Run) -> dict[str, Any]:
    """GPT prompted: the few-shot prefix whose completions of validation prompts score highest [C.5]."""
    prompts = run.prompts("valid", "ppo")[:100]
    scores = {}
    for name, prefix in miniature.few_shot_prefixes(run.world).items():
        arm = Arm(name="gpt_prompted", model=run.model("pretrain"), prefix=prefix, stop_text=BLOCK_END)
        completions = complete_prompts(run, arm, prompts, 1)
        scores[name] = mean(score for own in scores_by_reward_model(run, prompts, completions) for score in own)
    return {"prefix": max(scores, key=lambda name: scores[name]), "scores": scores}


def arms(run: Run) -> list[Arm]:
    """The arms of Figure 1."""
    prefix = miniature.few_shot_prefixes(run.world)[run.result("prompted")["prefix"]]
    return [
        Arm(name="gpt", model=run.model("pretrain")),
        Arm(name="gpt_prompted", model=run.model("pretrain"), prefix=prefix, stop_text=BLOCK_END),
        *(Arm(name=name, model=run.model(name)) for name in ("sft", "ppo", "ppo_ptx")),
    ]


def complete_test_prompts(run: Run) -> dict[str, float]:
    """One completion of every arm to every test prompt, at temperature 1, as the rankings' were."""
    prompts = run.prompts("test")
    run.rng("test prompts").shuffle(prompts)
    prompts = prompts[: run.config.num_test_prompts]
    rows = []
    shares = {}
    for arm in arms(run):
        completions = [own[0] for own in complete_prompts(run, arm, prompts, 1)]
        shares[arm.name] = mean(float(is_complete(c)) for c in completions)
        rows += [
            {
                "prompt_id": prompt.id,
                "prompt": prompt.flat,
                "use_case": prompt.use_case,
                "task": miniature.task_of(prompt),
                "arm": arm.name,
                "completion_id": completion.id,
                "text": completion.text,
                "is_complete": is_complete(completion),
            }
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
    write_rows(run.out / "evaluation" / "completions.jsonl", rows)
    return shares


def judge_arms(run: Run) -> dict[str, Any]:
    """Comparisons with SFT and ratings by held-out and by training labelers, evaluation priorities [3.4]."""
    prompts, completions = _test_completions(run)
    number = run.config.judgements_per_prompt
    heldout = Panel(group="heldout", labelers=run.heldout_labelers, judgements_per_prompt=number)
    training = Panel(group="training", labelers=run.training_labelers, judgements_per_prompt=number)

    def prefer(prompt: Prompt, a: Completion, b: Completion, labeler: Any, rng: Random) -> float:
        finished = (is_complete(a), is_complete(b))
        return miniature.prefer(run.world, prompt, a, b, labeler, rng, "evaluation", complete=finished)

    def rate(prompt: Prompt, completion: Completion, labeler: Any, rng: Random) -> Any:
        return miniature.rate(run.world, prompt, completion, is_complete(completion), labeler, rng)

    comparisons = compare_with_baseline(
        prompts, completions, baseline="sft", panels=(heldout, training), prefer=prefer, rng=run.rng("comparisons")
    )
    ratings = rate_completions(prompts, completions, panel=heldout, rate=rate, rng=run.rng("ratings"))
    write_rows(run.out / "evaluation" / "comparisons.jsonl", comparisons)
    write_rows(run.out / "evaluation" / "ratings.jsonl", ratings)
    by_arm = {arm: [row for row in ratings if row["arm"] == arm] for arm in completions}
    return {
        "win_rate_vs_sft": _intervals(win_rates(comparisons, labeler_group="heldout")),
        "win_rate_vs_sft_training_labelers": _intervals(win_rates(comparisons, labeler_group="training")),
        "likert": {
            arm: likert_mean([r["overall"] for r in rows], [r["prompt_id"] for r in rows]).mean
            for arm, rows in by_arm.items()
        },
        "flags": {
            arm: {flag: mean(float(r["flags"][flag]) for r in rows) for flag in rows[0]["flags"]}
            for arm, rows in by_arm.items()
        },
    }


def measure_arms(run: Run) -> dict[str, Any]:
    """What needs no labeler: KL to the reference, pretraining loss, the reward model against both labeler groups."""
    tokenizer = load_tokenizer(run.model("pretrain"))
    renderer = Renderer(tokenizer=tokenizer)
    prompts, completions = _test_completions(run)
    reference = load_policy(run.model("ppo_init"))
    _, validation = load_corpora(run.text, renderer, context_tokens=128, validation_share=0.01)
    windows = validation.groups(range(len(validation)))
    kl, loss = {}, {}
    for arm, stage in (("gpt", "pretrain"), ("sft", "sft"), ("ppo", "ppo"), ("ppo_ptx", "ppo_ptx")):
        policy = load_policy(run.model(stage))
        loss[arm] = mean_language_loss(policy, windows, tokens_per_microbatch=8192, device=policy.device)
        groups = [
            Group(prompt=renderer.prompt_tokens(p), responses=[_tokens(renderer, c)])
            for p, c in zip(prompts, completions[arm], strict=True)
        ]
        kl[arm] = kl_to_reference(policy, reference, groups, tokens_per_microbatch=8192)
    return {"kl_to_reference": kl, "pretraining_loss": loss, "reward_model": measure_reward_model(run)}


def measure_reward_model(run: Run) -> dict[str, float]:
    """Accuracy on validation prompts by labeler group, beside how often two labelers of different groups agree."""
    training = list(read_records(run.data / "rankings_valid.jsonl", Ranking))
    heldout = list(read_records(run.data / "rankings_heldout.jsonl", Ranking))
    return {
        "accuracy_training_labelers": score_accuracy(training, scores_of_rankings(run, training)),
        "accuracy_heldout_labelers": score_accuracy(heldout, scores_of_rankings(run, heldout)),
        "labeler_agreement": ranking_agreement(training + heldout).mean,
        "labeler_agreement_training": ranking_agreement(training).mean,
        "labeler_agreement_heldout": ranking_agreement(heldout).mean,
        "mean_score_on_demonstrations": run.result("reward")["mean_score_on_demonstrations"],
    }


def _tokens(renderer: Renderer, completion: Completion) -> list[int]:
    return renderer.truncated_response_tokens(completion.text, is_complete=is_complete(completion))


def _test_completions(run: Run) -> tuple[list[Prompt], dict[str, list[Completion]]]:
    prompts: dict[str, Prompt] = {}
    completions: dict[str, list[Completion]] = {}
    for _, row in read_rows(run.out / "evaluation" / "completions.jsonl"):
        prompts.setdefault(
            row["prompt_id"],
            Prompt(id=row["prompt_id"], text=row["prompt"], use_case=row["use_case"], task=row["task"]),
        )
        completions.setdefault(row["arm"], []).append(
            Completion(id=row["completion_id"], text=row["text"], policy=row["arm"], is_complete=row["is_complete"])
        )
    return list(prompts.values()), completions


def _intervals(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {arm: {"mean": i.mean, "low": i.low, "high": i.high, "n": i.n} for arm, i in found.items()}


def mean(values: Iterable[float]) -> float:
    numbers = list(values)
    if not numbers:
        raise DataError("there is nothing to average; the run has an empty split. Raise num_raw_prompts")
    return sum(numbers) / len(numbers)
