"""The data of the miniature: its world and prompts, what its labelers write, and the completions that they rank."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from tutelage.curation.build import build_prompts
from tutelage.evaluation.completions import Arm, is_complete
from tutelage.prompts.config import PromptsConfig
from tutelage.records import Completion, Demonstration, Prompt, Ranking
from tutelage.reproduction import village
from tutelage.reproduction.models import complete_prompts
from tutelage.reproduction.run import Run
from tutelage.seeds import derived_seed
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_rows, write_records, write_rows


def write_world(run: Run) -> dict[str, int]:
    """The text that the base model reads, and what users sent in."""
    num_documents = write_text(run.world, run.text, num_documents=run.config.num_documents, seed=run.seed)
    raw = village.raw_prompts(run.world, num_prompts=run.config.num_raw_prompts, seed=derived_seed(run.seed, "prompts"))
    write_records(run.data / "raw_prompts.jsonl", raw)
    return {"documents": num_documents, "raw_prompts": len(raw)}


def write_text(world: village.World, path: Path, *, num_documents: int, seed: int) -> int:
    """The village's pages, as a base model reads them; returns how many there are."""
    documents = village.pretraining_documents(world, num_documents=num_documents, seed=derived_seed(seed, "documents"))
    with atomic_file(path) as handle:
        return sum(bool(handle.write(f"{document}\n<|endoftext|>\n".encode())) for document in documents)


def collect_prompts(run: Run) -> dict[str, Any]:
    """The prompt pipeline of Section 3.2: deduplicate, cap, scrub, split by user, allot."""
    config = PromptsConfig.model_validate({**run.config.prompts, "seed": run.seed})
    if not run.prompts_path.exists():
        build_prompts([run.data / "raw_prompts.jsonl"], run.prompts_path.parent, config)
    purposes = ((split, purpose) for split in ("train", "valid") for purpose in ("sft", "reward", "ppo"))
    counts = {f"{split}_{purpose}": len(run.prompts(split, purpose)) for split, purpose in purposes}
    return {**counts, "test": len(run.prompts("test"))}


def write_demonstrations(run: Run) -> dict[str, int]:
    """Training labelers write a response to each SFT prompt."""
    counts = {}
    for split, name in (("train", "demonstrations"), ("valid", "demonstrations_valid")):
        rng = run.rng("demonstrations", split)
        records: list[Demonstration] = [
            village.demonstrate(run.world, prompt, rng.choice(run.training_labelers), rng)
            for prompt in run.prompts(split, "sft")
        ]
        counts[split] = write_records(run.data / f"{name}.jsonl", records)
    return counts


def sample_for_rankings(run: Run) -> dict[str, int]:
    """K completions of each reward prompt: one from the PPO initialisation, the others from SFT [3.5]."""
    fewest, most = run.config.completions_per_prompt
    counts = {}
    for split in ("train", "valid"):
        prompts = run.prompts(split, "reward")
        supervised = complete_prompts(run, Arm(name="sft_first", model=run.model("sft_first")), prompts, most - 1)
        initial = complete_prompts(run, Arm(name="ppo_init", model=run.model("ppo_init")), prompts, 1)
        rng = run.rng("K", split)
        rows = [
            {
                "prompt": prompt.model_dump(),
                "completions": [c.model_dump() for c in own[: rng.randint(fewest, most) - 1] + other],
            }
            for prompt, own, other in zip(prompts, supervised, initial, strict=True)
        ]
        counts[split] = write_rows(run.data / f"completions_{split}.jsonl", rows)
    return counts


def write_rankings(run: Run) -> dict[str, int]:
    """One training labeler ranks each training prompt; two of each group rank each validation prompt, for agreement."""
    rng = run.rng("rankings")
    training = [
        _rank(run, row, rng.choice(run.training_labelers), rng)
        for _, row in read_rows(run.data / "completions_train.jsonl")
    ]
    write_records(run.data / "rankings.jsonl", training)
    counts = {"train": len(training)}
    for name, group in (("rankings_valid", run.training_labelers), ("rankings_heldout", run.heldout_labelers)):
        ranked = [
            _rank(run, row, labeler, rng)
            for _, row in read_rows(run.data / "completions_valid.jsonl")
            for labeler in rng.sample(group, 2)
        ]
        counts[name] = write_records(run.data / f"{name}.jsonl", ranked)
    return counts


def _rank(run: Run, row: dict[str, Any], labeler: Any, rng: Random) -> Ranking:
    prompt = Prompt.model_validate(row["prompt"])
    completions = [Completion.model_validate(c) for c in row["completions"]]
    return village.rank(run.world, prompt, completions, [is_complete(c) for c in completions], labeler, rng)
