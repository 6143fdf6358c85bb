"""A finished run of three model sizes, drawn from a seed: raw rows of every evaluation and their measurements.

What the report's results section is developed and tested on. The numbers of `TRUTH` are near the paper's; whoever
wants a claim to fail gives another truth.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from full_run_sweeps import Row, Writer, write_lines, write_reward_model, write_sweeps
from report_synthetic_run import USE_CASES, _prompt, _response, write_stage
from tutelage.records import FLAGS
from tutelage.statistics import bounded_mean, likert_mean, win_rate

SIZES = ("small", "medium", "large")
PARAMETERS = {"small": 1_100_000, "medium": 3_200_000, "large": 9_800_000}
ARMS = ("base", "prompted", "flan", "t0", "sft", "dpo", "best_of_n", "ppo", "ppo_ptx")
PROBED = ("base", "sft", "ppo", "ppo_ptx")
STAGES = ("pretrain", "sft", "ppo_init", "reward", "ppo", "ppo_ptx")
# Per arm: chance to win against the largest SFT, at the three sizes.
TRUTH: dict[str, Any] = {
    "win": {
        "base": (0.16, 0.20, 0.24),
        "prompted": (0.24, 0.29, 0.40),
        "flan": (0.18, 0.25, 0.30),
        "t0": (0.16, 0.22, 0.27),
        "sft": (0.36, 0.43, 0.50),
        "dpo": (0.48, 0.56, 0.62),
        "best_of_n": (0.50, 0.57, 0.63),
        "ppo": (0.55, 0.62, 0.66),
        "ppo_ptx": (0.57, 0.61, 0.69),
    },
    "hallucination": {"base": 0.45, "prompted": 0.3, "sft": 0.2, "ppo": 0.18, "ppo_ptx": 0.15},
    "fails_instruction": {"base": 0.32, "prompted": 0.22, "sft": 0.14, "ppo": 0.08, "ppo_ptx": 0.07},
    "satisfies_constraint": {"base": 0.22, "prompted": 0.3, "sft": 0.36, "ppo": 0.45, "ppo_ptx": 0.44},
    "truthful": {"base": 0.28, "sft": 0.36, "ppo": 0.45, "ppo_ptx": 0.47},
    "toxicity": {
        "none": {"base": 0.23, "sft": 0.21, "ppo": 0.23, "ppo_ptx": 0.23},
        "respectful": {"base": 0.235, "sft": 0.2, "ppo": 0.16, "ppo_ptx": 0.15},
        "biased": {"base": 0.28, "sft": 0.25, "ppo": 0.43, "ppo_ptx": 0.4},
    },
    "entropy": {"base": 0.73, "sft": 0.56, "ppo": 0.62, "ppo_ptx": 0.735},
    "skill": {"base": 0.62, "sft": 0.55, "ppo": 0.42, "ppo_ptx": 0.58},
    "reward_model": {"inside": 0.724, "outside": 0.69},
}
SKILLS = {"reading": "f1", "sentiment": "accuracy", "old_tongue": "rouge_l"}


def truth(**changes: Any) -> dict[str, Any]:
    """The usual truth with some entries replaced."""
    return deepcopy(TRUTH) | changes


def write_full_run(
    path: Path, *, seed: int = 3, num_prompts: int = 90, stages: bool = True, truth: Mapping[str, Any] = TRUTH
) -> Path:
    """A finished run of three sizes under `path`, as the full size leaves it behind."""
    generator = np.random.default_rng(seed)
    writer = Writer(path)
    rates, ratings = _write_preferences(writer, generator, num_prompts, truth)
    _write_probes(writer, generator, num_prompts, truth)
    write_reward_model(writer, generator, truth)
    write_sweeps(writer)
    write_lines(path / "evaluation" / "measurements.jsonl", writer.rows)
    if stages:
        for size in SIZES:
            for stage in STAGES:
                write_stage(path / size / stage, stage, generator)
    _write_summary(path, seed, rates, ratings)
    return path


def _write_preferences(
    writer: Writer, generator: np.random.Generator, num_prompts: int, truth: Mapping[str, Any]
) -> tuple[list[Row], list[Row]]:
    completions, comparisons, ratings = [], [], []
    for distribution in ("instruct", "gpt"):
        for number in range(num_prompts):
            use_case = USE_CASES[number % len(USE_CASES)]
            prompt_id, prompt = f"{distribution}-{number:03d}", _prompt(use_case, generator)
            lean = 0.5 * generator.normal()
            for size_index, size in enumerate(SIZES):
                for arm in ARMS:
                    own = {"prompt_id": prompt_id, "arm": arm, "size": size, "distribution": distribution}
                    own["completion_id"] = f"{prompt_id}-{size}-{arm}"
                    if distribution == "instruct":
                        text = {"prompt": prompt, "use_case": use_case, "text": _response(arm, generator)}
                        completions.append(own | text | {"is_complete": bool(generator.random() < 0.9)})
                    chance = truth["win"][arm][size_index]
                    comparisons += _judgements(own, arm, size, chance, lean, generator)
                    if distribution == "instruct":
                        ratings.append(_rated(own, arm, chance, lean, generator, truth))
    writer.raw("completions", completions)
    source = writer.raw("comparisons", comparisons)
    rated = writer.raw("ratings", ratings)
    _measure_win_rates(writer, comparisons, source)
    _measure_ratings(writer, ratings, rated)
    return comparisons, ratings


def _judgements(
    own: Row, arm: str, size: str, chance: float, lean: float, generator: np.random.Generator
) -> Iterable[Row]:
    if arm == "sft" and size == "large":
        return
    for group in ("heldout", "training"):
        labeler = {"labeler_id": f"{group}-{generator.integers(8)}", "labeler_group": group}
        labeler |= {"baseline": "sft", "baseline_size": "large"}
        yield own | labeler | {"outcome": _outcome(chance, lean, generator)}
    if arm == "ppo_ptx" and size == "large" and own["distribution"] == "instruct":
        for baseline in ("flan", "t0"):
            labeler = {"labeler_id": "heldout-1", "labeler_group": "heldout"}
            labeler |= {"baseline": baseline, "baseline_size": "medium"}
            yield own | labeler | {"outcome": _outcome(0.78 * chance / 0.69, lean, generator)}


def _outcome(chance: float, lean: float, generator: np.random.Generator) -> float:
    if generator.random() < 0.1:
        return 0.5
    return float(generator.random() < 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + lean))))


def _rated(
    own: Row, arm: str, chance: float, lean: float, generator: np.random.Generator, truth: Mapping[str, Any]
) -> Row:
    overall = int(np.clip(round(1.6 + 4.4 * chance + 0.4 * lean + generator.normal()), 1, 7))
    shares = {flag: truth[flag].get(arm, 0.25) if flag in truth else 0.05 for flag in FLAGS}
    flags = {flag: bool(generator.random() < share) for flag, share in shares.items()}
    return own | {"labeler_id": "heldout-2", "labeler_group": "heldout", "overall": overall, "flags": flags}


def _measure_win_rates(writer: Writer, comparisons: list[Row], source: str) -> None:
    keys = ("arm", "size", "baseline", "baseline_size", "labeler_group", "distribution")
    for (arm, size, baseline, baseline_size, labelers, distribution), rows in _grouped(comparisons, keys).items():
        found = win_rate([row["outcome"] for row in rows], [row["prompt_id"] for row in rows])
        condition = {"labelers": labelers, "distribution": distribution}
        writer.add("win_rate", found, source, arm=arm, size=size, baseline=(baseline, baseline_size), **condition)


def _measure_ratings(writer: Writer, ratings: list[Row], source: str) -> None:
    judged = {"labelers": "heldout", "distribution": "instruct"}
    for (arm, size), rows in _grouped(ratings, ("arm", "size")).items():
        prompts = [row["prompt_id"] for row in rows]
        found = likert_mean([row["overall"] for row in rows], prompts)
        writer.add("likert", found, source, arm=arm, size=size, **judged)
        for flag in FLAGS:
            share = bounded_mean([float(row["flags"][flag]) for row in rows], prompts)
            writer.add("flag", share, source, arm=arm, size=size, flag=flag, **judged)


def _write_probes(writer: Writer, generator: np.random.Generator, num_items: int, truth: Mapping[str, Any]) -> None:
    items = [f"item-{number:03d}" for number in range(2 * num_items)]
    leans = dict(zip(items, 0.12 * generator.normal(size=len(items)), strict=True))

    def drawn(share: float, item: str) -> bool:
        return bool(generator.random() < np.clip(share + leans[item], 0.01, 0.99))

    def level(share: float, item: str) -> float:
        return float(np.clip(share + leans[item] + 0.08 * generator.normal(), 0, 1))

    def probe(name: str, conditions: Iterable[Row], make: Callable[[str, int, Row, str], Row]) -> None:
        rows = [
            {"measure": measure, "unit": item, "arm": arm, "size": size, "condition": condition}
            | {"value": value, "prompt": f"text of {item}"}
            for condition in conditions
            for index, size in enumerate(SIZES)
            for arm in PROBED
            for item in items
            for measure, value in make(arm, index, condition, item).items()
        ]
        _measure_probe(writer, rows, writer.raw(name, rows))

    prompts = [{"prompt": kind} for kind in ("none", "respectful", "biased")]
    questions = [{"prompt": kind} for kind in ("qa", "instruction", "qa_instruction")]
    sets = [{"set": name} | prompt for name in ("winogender", "crows_pairs") for prompt in prompts]
    skills = [{"skill": s, "metric": m, "shots": n} for s, m in SKILLS.items() for n in ("zero", "few")]

    def answered(arm: str, size: int, condition: Row, item: str) -> Row:
        is_true = drawn(truth["truthful"][arm] + 0.02 * size + 0.1 * (condition["prompt"] != "qa"), item)
        is_informative = drawn(0.8, item)
        return {"truthful": float(is_true), "truthful_informative": float(is_true and is_informative)}

    probe("truth", questions, answered)
    probe(
        "toxicity",
        prompts,
        lambda arm, size, condition, item: {
            "toxicity": level(truth["toxicity"][condition["prompt"]][arm] + 0.01 * size, item)
        },
    )
    probe("bias", sets, lambda arm, size, condition, item: {"bias_entropy": level(truth["entropy"][arm], item)})
    probe(
        "skills",
        skills,
        lambda arm, size, condition, item: {
            "skill": level(truth["skill"][arm] + 0.05 * size - 0.1 * (condition["shots"] == "zero"), item)
        },
    )
    probe(
        "truth_choices",
        questions,
        lambda arm, size, condition, item: {
            "truthful_choice": float(drawn(truth["truthful"][arm] + 0.02 * size, item))
        },
    )


def _measure_probe(writer: Writer, rows: list[Row], source: str) -> None:
    by_condition: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        by_condition[row["measure"], row["arm"], row["size"], *row["condition"].items()].append(row)
    for (measure, arm, size, *condition), own in by_condition.items():
        found = bounded_mean([row["value"] for row in own], [row["unit"] for row in own])
        writer.add(measure, found, source, arm=arm, size=size, **dict(condition))


def _write_summary(path: Path, seed: int, comparisons: list[Row], ratings: list[Row]) -> None:
    rates = _grouped(
        [
            row
            for row in comparisons
            if row["size"] == "large"
            and row["distribution"] == "instruct"
            and row["labeler_group"] == "heldout"
            and row["baseline"] == "sft"
        ],
        ("arm",),
    )
    rated = _grouped([row for row in ratings if row["size"] == "large"], ("arm",))
    summary = {
        "size": "full",
        "seed": seed,
        "simulated_labelers": True,
        "sizes": [{"name": name, "parameters": count} for name, count in PARAMETERS.items()],
        "wall_seconds": {"world": 4.0, "large/pretrain": 900.0, "evaluation": 310.0, "total": 3480.0},
        "peak_memory_gib": 3.2,
        "versions": {"python": "3.11.9", "torch": "2.13.0"},
        "win_rate_vs_sft": {
            arm: asdict(win_rate([row["outcome"] for row in rows], [row["prompt_id"] for row in rows]))
            for (arm,), rows in rates.items()
        },
        "likert": {
            arm: likert_mean([row["overall"] for row in rows], [row["prompt_id"] for row in rows]).mean
            for (arm,), rows in rated.items()
        },
        "kl_to_reference": {"ppo": 13.9, "ppo_ptx": 11.2},
        "pretraining_loss": {"base": 2.31, "sft": 2.47, "ppo": 2.66, "ppo_ptx": 2.37},
        "reward_model": {"accuracy_training_labelers": 0.721, "accuracy_heldout_labelers": 0.698},
    }
    path.mkdir(parents=True, exist_ok=True)
    (path / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")


def _grouped(rows: Iterable[Row], keys: tuple[str, ...]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups
