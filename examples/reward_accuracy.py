"""How often a reward model orders completions as their labelers did, beside what length and likelihood alone would.

    python examples/reward_accuracy.py runs/real/run/sft/model \
        runs/real/fold0/model=runs/real/data/fold0.jsonl runs/real/fold1/model=runs/real/data/fold1.jsonl

The first argument is the policy whose mean log-probability of a completion's tokens is the likelihood baseline: what
the reward model started from. Each other argument is a reward model and the rankings that were held out from it; the
folds of one set are joined. An accuracy is the share of a ranking's comparisons that come out right (0.5 for equal
numbers), averaged over rankings; its 95 % interval is clustered by prompt. The differences are paired: of the same
rankings, so that their intervals say whether the model is better than a baseline.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tutelage.errors import ConfigError, UserError
from tutelage.model.inference import compute_scores, compute_sequence_logprobs
from tutelage.model.policy import Policy, ScoreModel
from tutelage.records import Ranking
from tutelage.statistics import bounded_mean
from tutelage.store.atomic import atomic_file
from tutelage.store.sources import load_rankings
from tutelage.text.render import Renderer
from tutelage.training.config import TextConfig
from tutelage.training.data import LengthLimits, SkippedRecords, encode_rankings, flat_prompt

MODEL, LENGTH, LIKELIHOOD = "reward model", "longer text", "likelihood"
Numbers = dict[str, list[list[float]]]


def share_right(ranking: Ranking, numbers: Sequence[float]) -> float:
    """Of the comparisons of one ranking, how many have the larger number on the chosen side; equal ones count half."""
    pairs = ranking.pairs()
    right = [float(numbers[i] > numbers[j]) + 0.5 * (numbers[i] == numbers[j]) for i, j in pairs]
    return sum(right) / len(pairs)


def by_ranking(flat: Sequence[float], rankings: Sequence[Ranking]) -> list[list[float]]:
    """Numbers of completions that are laid end to end, ranking by ranking."""
    rest = iter(flat)
    return [[next(rest) for _ in ranking.completions] for ranking in rankings]


def measure(
    policy: Policy, reward_model: ScoreModel, held_out: Path, *, max_tokens: int
) -> tuple[list[Ranking], Numbers]:
    """The held-out rankings and, for each, what model, length and likelihood say of its completions."""
    limits = _limits(reward_model.renderer, max_tokens, reward_model.context_limit)
    records = [ranking for ranking in load_rankings(held_out) if ranking.pairs()]
    items = encode_rankings(records, reward_model.renderer, limits)
    groups, rankings = [item.group for item in items], [item.record for item in items]
    lengths = [float(len(response)) for group in groups for response in group.responses]
    totals = compute_sequence_logprobs(policy, groups, tokens_per_microbatch=2048).tolist()
    likelihoods = [total / length for total, length in zip(totals, lengths, strict=True)]
    return rankings, {
        MODEL: by_ranking(compute_scores(reward_model, groups, tokens_per_microbatch=2048).tolist(), rankings),
        LENGTH: [[float(len(completion.text)) for completion in ranking.completions] for ranking in rankings],
        LIKELIHOOD: by_ranking(likelihoods, rankings),
    }


def _limits(renderer: Renderer, max_tokens: int, context: int) -> LengthLimits:
    text = TextConfig(max_prompt_tokens=context // 2, max_response_tokens=max_tokens, too_long="skip")
    return LengthLimits(text=text, context=context, left_out=SkippedRecords(skip_bad=False))


def accuracies(rankings: Sequence[Ranking], numbers: Numbers) -> dict[str, Any]:
    """Every way's accuracy, and the model's paired lead over the others, with intervals by prompt."""
    prompts = [flat_prompt(ranking) for ranking in rankings]
    shares = {name: [share_right(r, own) for r, own in zip(rankings, of_all)] for name, of_all in numbers.items()}
    found: dict[str, Any] = {"num_rankings": len(rankings), "num_comparisons": sum(len(r.pairs()) for r in rankings)}
    for name, own in shares.items():
        found[name] = _told(bounded_mean(own, prompts))
    for name in (LENGTH, LIKELIHOOD):
        leads = [ours - theirs for ours, theirs in zip(shares[MODEL], shares[name])]
        found[f"{MODEL} less {name}"] = _told(bounded_mean(leads, prompts, lower=-1.0))
    return found


def _told(interval: Any) -> list[float]:
    return [round(value, 4) for value in (interval.mean, interval.low, interval.high)]


def joined(policy_folder: str, pairs: Sequence[str], *, dtype: str, max_tokens: int) -> dict[str, Any]:
    """`accuracies` over all `MODEL=RANKINGS` pairs together."""
    rankings: list[Ranking] = []
    numbers: Numbers = {MODEL: [], LENGTH: [], LIKELIHOOD: []}
    policy = Policy.load(policy_folder, dtype=dtype)
    for pair in pairs:
        folder, equals, held_out = pair.partition("=")
        if not equals:
            raise ConfigError(f"{pair!r} must be MODEL_FOLDER=RANKINGS_FILE")
        model = ScoreModel.load(folder, dtype=dtype)
        own, found = measure(policy, model, Path(held_out), max_tokens=max_tokens)
        rankings += own
        for name, values in found.items():
            numbers[name] += values
    return accuracies(rankings, numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("pairs", nargs="+", metavar="MODEL=RANKINGS")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "auto"), default="auto")
    parser.add_argument("--max-tokens", type=int, default=512, help="of a completion; what is longer is cut")
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    arguments = parser.parse_args()
    try:
        found = joined(arguments.policy, arguments.pairs, dtype=arguments.dtype, max_tokens=arguments.max_tokens)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    for name, value in found.items():
        shown = f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]" if isinstance(value, list) else f"{value:,}"
        print(f"{name:32} {shown}")  # noqa: T201
    if arguments.out is not None:
        with atomic_file(arguments.out) as handle:
            handle.write(json.dumps(found, indent=2).encode())


if __name__ == "__main__":
    main()
