"""A run folder such as the quickstart leaves behind, drawn from a seed: what the report is developed and tested on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml

from tutelage.statistics import bounded_mean, likert_mean, win_rate

ARMS = ("base", "prompted", "sft", "ppo", "ppo_ptx")
USE_CASES = ("generation", "open_qa", "brainstorming", "chat", "rewrite", "summarization", "closed_qa", "extract")
# What a fair coin would have to beat, by arm: chance to win, chance to tie, mean rating, share of flags.
CHANCES = {"base": 0.16, "prompted": 0.27, "sft": 0.5, "ppo": 0.60, "ppo_ptx": 0.63}
RATINGS = {"base": 2.4, "prompted": 3.1, "sft": 4.1, "ppo": 4.7, "ppo_ptx": 4.8}
FLAGS = {
    "fails_instruction": {"base": 0.42, "prompted": 0.31, "sft": 0.14, "ppo": 0.08, "ppo_ptx": 0.08},
    "hallucination": {"base": 0.44, "prompted": 0.29, "sft": 0.19, "ppo": 0.14, "ppo_ptx": 0.11},
    "satisfies_constraint": {"base": 0.21, "prompted": 0.27, "sft": 0.38, "ppo": 0.45, "ppo_ptx": 0.44},
}
PRETRAINING_LOSS = {"base": 2.314, "sft": 2.471, "ppo": 2.655, "ppo_ptx": 2.369}
PEOPLE = ("Marta", "Odo", "Wren", "Tobias", "Ilse", "Bram", "Perpetua", "Jonas", "Hanne", "Col")
THINGS = (
    "the blue lantern",
    "a mended net",
    "two loaves of rye",
    "the mill key",
    "an old map of the fen",
    "her best hat",
)
PLACES = ("the mill", "Low Bridge", "the market", "the orchard wall", "the ferry house", "the chapel yard")
OPENINGS = {
    "generation": "Write a short tale about {who} and {thing}.",
    "open_qa": "Who keeps {thing} at {place}?",
    "brainstorming": "List three things that {who} could do with {thing}.",
    "chat": "You are talking with {who}, who is polite. Answer.\n{who}: Good morning! Have you seen {thing}?",
    "rewrite": "Say this more politely: {who}, give me {thing} now.",
    "summarization": "{who} walked from {place} with {thing}. The road was long.\n\nSummarize in one sentence.",
    "closed_qa": "{who} left {thing} near {place} before dawn.\n\nQuestion: where is it?",
    "extract": "Name every person in this note: {who} met nobody at {place}.",
}
NUM_STEPS = {"pretrain": 600, "sft": 120, "ppo_init": 120, "reward": 90, "ppo": 80, "ppo_ptx": 80}
SECONDS = {
    "pretrain": 121.4,
    "sft": 17.9,
    "ppo_init": 19.2,
    "reward": 31.7,
    "ppo": 142.6,
    "ppo_ptx": 168.3,
    "evaluation": 44.1,
}


def write_synthetic_run(
    path: Path, *, seed: int = 7, num_prompts: int = 120, stages: Sequence[str] = tuple(NUM_STEPS)
) -> Path:
    """A finished quickstart under `path` with folders of `stages`; its measurements are those of its rows."""
    generator = np.random.default_rng(seed)
    for stage in stages:
        write_stage(path / stage, stage, generator)
    comparisons, ratings = _write_evaluation(path / "evaluation", generator, num_prompts)
    measurements = _measurements(comparisons, ratings)
    write_lines(path / "evaluation" / "measurements.jsonl", measurements)
    _write_json(path / "summary.json", _summary(seed, measurements))
    return path


def write_stage(path: Path, stage: str, generator: np.random.Generator) -> None:
    """A finished run folder of one stage."""
    rows = [_metrics(stage, step, generator) for step in range(NUM_STEPS[stage] + 1) if step % _every(stage) == 0]
    write_lines(path / "metrics.jsonl", rows)
    write_lines(path / "samples.jsonl", [_sample(stage, step, generator) for step in (0, NUM_STEPS[stage])])
    config = {"seed": 7, "learning_rate": 3e-4, "out": f"runs/quickstart/{stage}", "every_num_steps": _every(stage)}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    versions = {"python": "3.11.9", "torch": "2.13.0", "git_commit": "0123456789abcdef0123456789abcdef01234567"}
    summary = {"stage": stage.removesuffix("_ptx"), "steps": NUM_STEPS[stage], "seed": 7, "versions": versions}
    _write_json(path / "summary.json", summary | {"seconds": SECONDS[stage]})


def _every(stage: str) -> int:
    return 5 if stage == "pretrain" else 1


def _metrics(stage: str, step: int, generator: np.random.Generator) -> dict[str, float]:
    done = step / NUM_STEPS[stage]

    def noisy(value: float, noise: float) -> float:
        return round(float(value + noise * generator.normal()), 5)

    if stage.startswith("ppo") and stage != "ppo_init":
        return {"step": step} | _ppo_metrics(stage, done, noisy)
    if stage == "reward":
        return {
            "step": step,
            "reward/loss": noisy(0.69 - 0.13 * (1 - math.exp(-4 * done)), 0.015),
            "reward/accuracy": noisy(0.5 + 0.23 * (1 - math.exp(-4 * done)), 0.025),
        } | (
            {"reward/validation_accuracy": noisy(0.5 + 0.2 * (1 - math.exp(-4 * done)), 0.008)}
            if step % 15 == 0
            else {}
        )
    name = "pretrain" if stage == "pretrain" else "sft"
    start, fall, rate = (7.2, 4.9, 9) if stage == "pretrain" else (2.6, 1.4, 3)
    row = {"step": step, f"{name}/loss": noisy(start - fall * (1 - math.exp(-rate * done)), 0.05)}
    if step % (50 if stage == "pretrain" else 15) == 0:
        turn = 0.0 if stage == "pretrain" else 0.5 * max(0.0, done - 0.4)
        row[f"{name}/validation_loss"] = noisy(start + 0.1 - fall * (1 - math.exp(-rate * done)) + turn, 0.01)
        if name == "sft":
            row["sft/score"] = noisy(-1.0 + 1.1 * (1 - math.exp(-2 * done)), 0.03)
    return row


def _ppo_metrics(stage: str, done: float, noisy) -> dict[str, float]:
    prefers_ptx = stage == "ppo_ptx"
    drift = 14.0 * done**1.2 * (0.8 if prefers_ptx else 1.0)
    return {
        "ppo/score": noisy(0.02 + (1.35 if prefers_ptx else 1.5) * (1 - math.exp(-2.6 * done)), 0.06),
        "ppo/kl_to_reference": max(0.0, noisy(drift, 0.3 * done)),
        "ppo/kl_to_old_policy": abs(noisy(0.01, 0.003)),
        "ppo/entropy": noisy(2.1 - 0.7 * done, 0.04),
        "ppo/response_tokens": noisy(27 + 12 * done, 1.2),
        "ppo/ended_share": min(1.0, noisy(0.86 + 0.12 * done, 0.01)),
        "ppo/ptx_loss": noisy(2.47 - 0.1 * done if prefers_ptx else 2.47 + 0.19 * done, 0.02),
        "ppo/policy_loss": noisy(-0.01, 0.006),
        "ppo/value_loss": abs(noisy(0.3 * math.exp(-3 * done) + 0.08, 0.02)),
        "ppo/explained_variance": min(1.0, noisy(0.7 * (1 - math.exp(-4 * done)), 0.04)),
        "ppo/clip_fraction": abs(noisy(0.08, 0.02)),
        "ppo/learning_rate": 9e-6,
    }


def _sample(stage: str, step: int, generator: np.random.Generator) -> dict[str, object]:
    use_case = USE_CASES[int(generator.integers(len(USE_CASES)))]
    return {"step": step, "prompt": _prompt(use_case, generator), "response": _response("sft", generator), "score": 0.5}


def _prompt(use_case: str, generator: np.random.Generator) -> str:
    return OPENINGS[use_case].format(
        who=generator.choice(PEOPLE), thing=generator.choice(THINGS), place=generator.choice(PLACES)
    )


def _response(arm: str, generator: np.random.Generator) -> str:
    who, thing, place = generator.choice(PEOPLE), generator.choice(THINGS), generator.choice(PLACES)
    sentences = [
        f"{who} keeps {thing} at {place}.",
        f"It was {who} who carried {thing} past {place}, and nobody else saw.",
        f"I have no comment on {thing}; ask {who} at {place}.",
        f"First, {who} could mend it. Second, sell it at {place}. Third, give it away.",
    ]
    if arm == "base":
        return "\n".join([f"{who}: and then {thing}, {thing}, {thing}", "Market notice. Rye, two pence. Eggs, one."])
    return " ".join(generator.choice(sentences, size=int(generator.integers(1, 4)), replace=False))


def _write_evaluation(path: Path, generator: np.random.Generator, num_prompts: int) -> tuple[list[dict], list[dict]]:
    completions: list[dict] = []
    comparisons: list[dict] = []
    ratings: list[dict] = []
    for number in range(num_prompts):
        prompt_id, use_case = f"p{number:04d}", USE_CASES[number % len(USE_CASES)]
        prompt, lean = _prompt(use_case, generator), 0.6 * generator.normal()
        judges = generator.permutation(12)[:3]
        for arm in ARMS:
            completion = {"prompt_id": prompt_id, "prompt": prompt, "use_case": use_case, "arm": arm}
            completion["distribution"] = "instruct"
            completion |= {"completion_id": f"{prompt_id}-{arm}", "text": _response(arm, generator)}
            completions.append(
                completion | {"is_complete": bool(generator.random() < (0.6 if arm == "base" else 0.96))}
            )
            for judge in judges:
                labeler = {"labeler_id": f"labeler-{judge:02d}"}
                group = "heldout" if judge >= 3 else "training"
                if arm != "sft":
                    comparisons.append(
                        {"prompt_id": prompt_id, "use_case": use_case, "arm": arm, "baseline": "sft"}
                        | {"completion_id": f"{prompt_id}-{arm}", "distribution": "instruct"}
                        | {"baseline_id": f"{prompt_id}-sft", **labeler, "labeler_group": group}
                        | {"outcome": _outcome(CHANCES[arm], lean, generator)}
                    )
                ratings.append(_rating(prompt_id, arm, labeler, lean, generator))
    write_lines(path / "completions.jsonl", completions)
    write_lines(path / "comparisons.jsonl", comparisons)
    write_lines(path / "ratings.jsonl", ratings)
    return comparisons, ratings


def _outcome(chance: float, lean: float, generator: np.random.Generator) -> float:
    if generator.random() < 0.12:
        return 0.5
    return float(generator.random() < 1 / (1 + math.exp(-(math.log(chance / (1 - chance)) + lean))))


def _rating(prompt_id: str, arm: str, labeler: dict, lean: float, generator: np.random.Generator) -> dict:
    overall = int(np.clip(round(RATINGS[arm] + 0.5 * lean + 1.2 * generator.normal()), 1, 7))
    flags = {flag: bool(generator.random() < shares[arm]) for flag, shares in FLAGS.items()}
    record = {"prompt_id": prompt_id, "completion_id": f"{prompt_id}-{arm}", **labeler, "overall": overall}
    return record | {"flags": flags, "arm": arm, "labeler_group": "heldout", "distribution": "instruct"}


def _measurements(comparisons: list[dict], ratings: list[dict]) -> list[dict]:
    """The lines of measurements.jsonl, computed here."""
    judged = {"labelers": "heldout", "distribution": "instruct"}
    lines = []

    def add(measure: str, arm: str, found, condition: dict, source: str, **fields: str) -> None:
        about = {"measure": measure, "arm": arm, "condition": condition, **fields}
        numbers = asdict(found) if not isinstance(found, float) else {"mean": found, "n": 100}
        lines.append(about | numbers | {"source": f"evaluation/{source}.jsonl"})

    for labelers in ("heldout", "training"):
        for arm in (arm for arm in ARMS if arm != "sft"):
            rows = [row for row in comparisons if (row["arm"], row["labeler_group"]) == (arm, labelers)]
            if rows:
                found = win_rate([row["outcome"] for row in rows], [row["prompt_id"] for row in rows])
                add("win_rate", arm, found, judged | {"labelers": labelers}, "comparisons", baseline="sft")
    for arm in ARMS:
        rows = [row for row in ratings if row["arm"] == arm]
        prompts = [row["prompt_id"] for row in rows]
        add("likert", arm, likert_mean([row["overall"] for row in rows], prompts), judged, "ratings")
        for flag in FLAGS:
            share = bounded_mean([float(row["flags"][flag]) for row in rows], prompts)
            add("flag", arm, share, {"flag": flag, **judged}, "ratings")
    for arm, distance in (("ppo", 13.92), ("ppo_ptx", 11.24)):
        add("kl_to_reference", arm, distance, {}, "kl_to_reference")
    for arm, loss in PRETRAINING_LOSS.items():
        add("pretraining_loss", arm, loss, {}, "pretraining_loss")
    for labelers, accuracy in (("training", 0.7183), ("heldout", 0.6951)):
        add("reward_model_accuracy", "", accuracy, {"labelers": labelers}, "reward_model")
    add("labeler_agreement", "", 0.7342, {"labelers": "all"}, "reward_model")
    return lines


def _summary(seed: int, measurements: list[dict]) -> dict[str, object]:
    versions = {"python": "3.11.9", "platform": "Linux-6.1-x86_64", "cpus": "2", "tutelage": "0.1.0", "torch": "2.13.0"}
    decided = [row for row in measurements if row["condition"].get("labelers", "heldout") == "heldout"]
    rates = {row["arm"]: row for row in decided if row["measure"] == "win_rate"}
    return {
        "seed": seed,
        "simulated_labelers": True,
        "versions": versions | {"git_commit": "0123456789abcdef0123456789abcdef01234567"},
        "wall_seconds": SECONDS | {"total": round(sum(SECONDS.values()), 1)},
        "peak_memory_gib": 2.31,
        "win_rate_vs_sft": {arm: {key: row[key] for key in ("mean", "low", "high", "n")} for arm, row in rates.items()},
        "likert": {row["arm"]: row["mean"] for row in decided if row["measure"] == "likert"},
    }


def write_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _write_json(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
