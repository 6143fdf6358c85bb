"""What people contribute: prompts, demonstrations of the desired behavior, and rankings of policies' completions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm
from tutelage.records import Completion, Demonstration, Prompt, Ranking, Split
from tutelage.seeds import derived_seed
from tutelage.store.jsonl import read_rows, write_records, write_rows
from tutelage.training.overlap import count_overlap, prompt_key
from tutelage.workflow.answers import complete_prompts
from tutelage.workflow.experiment import Experiment
from tutelage.workflow.sources import Waiting

R = TypeVar("R")
SPLITS: tuple[Split, ...] = ("train", "valid")


def collect_prompts(run: Experiment) -> None:
    """The prompts that users wrote, in splits and by purpose [3.2]."""
    run.do("prompts", _write_prompts, asks=run.world.prompts, leaves=(run.prompts_path.parent,))


def _write_prompts(run: Experiment) -> dict[str, int]:
    run.world.prompts.collect(run.prompts_path.parent)
    purposes = ((split, purpose) for split in SPLITS for purpose in ("sft", "reward", "ppo"))
    counts = {f"{split}_{purpose}": len(run.prompts(split, purpose)) for split, purpose in purposes}  # type: ignore[arg-type]
    counts["test"] = len(run.prompts("test"))
    if counts["test"] < 2:
        raise DataError(
            f"{run.config.prompts} has {counts['test']} test prompts, but win rates need at least two. Provide more "
            "prompts, or mark some with split: test"
        )
    return counts


def collect_demonstrations(run: Experiment) -> None:
    """Labelers write a response to each SFT prompt [3.4]. A split without one has no file."""
    run.do(
        "demonstrations",
        _write_demonstrations,
        asks=run.world.demonstrators,
        needs={"prompts": run.prompts_path},
        settings=("allow_prompt_overlap",),
        leaves=tuple(map(run.data, ("demonstrations", "demonstrations_valid"))),
    )


def _write_demonstrations(run: Experiment) -> dict[str, int]:
    found = ask_for_each_split(lambda split: run.world.demonstrators.demonstrate(run.prompts(split, "sft"), split))
    require_new_test_prompts(run, found["train"], "demonstrations")
    for split, name in (("train", "demonstrations"), ("valid", "demonstrations_valid")):
        if found[split]:
            write_records(run.data(name), found[split])
    return {split: len(records) for split, records in found.items()}


def require_new_test_prompts(run: Experiment, records: Iterable[Demonstration | Ranking], what: str) -> None:
    """Refuse test prompts that policies or their reward model are trained on, before anything is trained."""
    count_overlap(
        map(prompt_key, run.prompts("test")),
        map(prompt_key, records),
        names=(f"test prompts ({run.config.prompts})", f"prompts of the {what}"),
        is_allowed=run.config.allow_prompt_overlap,
    )


def ask_for_each_split(ask: Callable[[Split], Iterable[R]]) -> dict[str, list[R]]:
    """What labelers made for both splits. Raises a single `Waiting` for everything that is missing."""
    found: dict[str, list[R]] = {}
    missing: list[Waiting] = []
    for split in SPLITS:
        try:
            found[split] = list(ask(split))
        except Waiting as waiting:
            missing.append(waiting)
    if missing:
        raise Waiting(" and ".join(waiting.what for waiting in missing), missing[0].how)
    return found


def sample_for_rankings(run: Experiment) -> None:
    """K completions of each reward prompt: one from the PPO initialization, the others from SFT [3.5]."""
    policies = {"sft": run.model(run.first_sft), "ppo_init": run.model("ppo_init")}
    run.do(
        "completions",
        _write_completions,
        needs={"prompts": run.prompts_path, **policies},
        settings=("completions_per_prompt", "text"),
        leaves=tuple(run.data(f"completions_{split}") for split in SPLITS),
    )


def _write_completions(run: Experiment) -> dict[str, int]:
    fewest, most = run.config.completions_per_prompt
    counts: dict[str, int] = {}
    for split in SPLITS:
        prompts = run.prompts(split, "reward")
        supervised, initial = (
            complete_prompts(run, Arm(name=name, model=run.model(name)), prompts, number)
            for name, number in ((run.first_sft, most - 1), ("ppo_init", 1))
        )
        rng = run.rng("K", split)
        rows = []
        for prompt, own, other in zip(prompts, supervised, initial, strict=True):
            # Drawn for every prompt, so that one without room for a response does not change another's K.
            chosen = own[: rng.randint(fewest, most) - 1] + other
            if chosen:
                rows.append({"prompt": prompt.model_dump(), "completions": [c.model_dump() for c in chosen]})
        counts[split] = write_rows(run.data(f"completions_{split}"), rows)
    return counts


def collect_rankings(run: Experiment) -> None:
    """Labelers rank the completions [3.4]. If a reward model judges at the end, half of the prompts are kept for it.

    A prompt is in one half or the other with all its rankings: the judge is trained on other prompts than the reward
    model that PPO optimizes.
    """
    sampled = [run.data(f"completions_{split}") for split in SPLITS] if run.world.rankers.should_sample else []
    run.do(
        "rankings",
        _write_rankings,
        asks=run.world.rankers,
        needs={"prompts": run.prompts_path, **{path.stem: path for path in sampled}},
        settings=("judge", "allow_prompt_overlap"),
        leaves=tuple(map(run.data, ("rankings", "rankings_valid", "rankings_judge"))),
    )


def _write_rankings(run: Experiment) -> dict[str, int]:
    found = ask_for_each_split(lambda split: run.world.rankers.rank(*_completions(run, split), split))
    require_new_test_prompts(run, found["train"], "rankings")
    if run.has_judge_model:
        found["train"], found["judge"] = part_by_prompt(found["train"], run.seed)
    for part, name in (("train", "rankings"), ("valid", "rankings_valid"), ("judge", "rankings_judge")):
        if found.get(part):
            write_records(run.data(name), found[part])
    counts = {part: len(rankings) for part, rankings in found.items()}
    if min(counts["train"], counts.get("judge", 1)) == 0:
        raise DataError(
            f"there are too few rankings: {counts['train']} for the reward model"
            + (
                f", {counts['judge']} for the one that judges. Provide more, or set judge: nobody"
                if "judge" in counts
                else ""
            )
        )
    return counts


def _completions(run: Experiment, split: Split) -> tuple[list[Prompt], list[list[Completion]]]:
    if not run.world.rankers.should_sample:
        return [], []
    rows = [row for _, row in read_rows(run.data(f"completions_{split}"))]
    prompts = [Prompt.model_validate(row["prompt"]) for row in rows]
    return prompts, [[Completion.model_validate(c) for c in row["completions"]] for row in rows]


def part_by_prompt(rankings: Iterable[Ranking], seed: int) -> tuple[list[Ranking], list[Ranking]]:
    """Split rankings into two halves by prompt, by the seed and the prompt's text, ignoring case and whitespace."""
    halves: tuple[list[Ranking], list[Ranking]] = ([], [])
    for ranking in rankings:
        halves[derived_seed(seed, "half", prompt_key(ranking)) % 2].append(ranking)
    return halves
