"""The paper as one function. Read `quickstart` from top to bottom: it is Figure 2, then Section 4, on the miniature.

Every step writes its files whole or not at all and is noted when it is done: started again after an interruption, the
run goes on where it was.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import Field

from tutelage import miniature
from tutelage.config import Config, config_hash, load_config
from tutelage.curation.build import build_prompts
from tutelage.errors import CheckpointError, UserError
from tutelage.evaluation.completions import Arm, complete, is_complete, score_completions
from tutelage.evaluation.preference import (
    Panel,
    compare_with_baseline,
    ranking_agreement,
    rate_completions,
    score_accuracy,
    win_rates,
)
from tutelage.model.loading import load_policy, load_scalar_model, load_tokenizer
from tutelage.model.measure import kl_to_reference, mean_language_loss
from tutelage.model.packing import Group
from tutelage.model.sampling import SamplingSettings
from tutelage.prompts.config import PromptsConfig
from tutelage.recipes import recipe_path
from tutelage.records import Completion, Demonstration, Prompt, Ranking
from tutelage.seeds import derived_seed
from tutelage.statistics.likert import likert_mean
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import read_records, write_records
from tutelage.store.runs import versions
from tutelage.text.render import Renderer
from tutelage.training.config import PPOConfig, PretrainConfig, RewardConfig, SFTConfig, TextConfig
from tutelage.training.corpus import load_corpora
from tutelage.training.ppo import ppo
from tutelage.training.pretrain import pretrain
from tutelage.training.reward import train_reward
from tutelage.training.sft import sft

Size = Literal["quick"]
# Few-shot blocks of the miniature end so; a base model goes on with the next block instead of stopping.
BLOCK_END = "\n\n###"


class QuickstartConfig(Config):
    """Sizes of the miniature and the stages' settings, paths and seeds left out; see recipes/quickstart.yaml."""

    num_documents: int = Field(gt=0)
    num_raw_prompts: int = Field(gt=0)
    num_training_labelers: int = Field(gt=1)
    num_heldout_labelers: int = Field(gt=1)
    labeler_noise: float = Field(ge=0)
    completions_per_prompt: tuple[int, int]
    num_test_prompts: int = Field(gt=0)
    judgements_per_prompt: int = Field(gt=0)
    prompts: dict[str, Any]
    text: TextConfig
    pretrain: dict[str, Any]
    sft: dict[str, Any]
    ppo_init: dict[str, Any]
    reward: dict[str, Any]
    ppo: dict[str, Any]


def quickstart(out: Path, *, size: Size = "quick", seed: int = 0, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Prompts → demonstrations → SFT → rankings → reward model → PPO-ptx → win rate. Returns summary.json's content."""
    run = Run(out, load_config(QuickstartConfig, recipe_path("quickstart"), overrides), seed)
    # The world, its text, and the prompts of its users.
    run.step("world", write_world)
    run.step("prompts", collect_prompts)
    # A base model: GPT.
    run.step("pretrain", lambda r: pretrain(r.stage(PretrainConfig, "pretrain", text=r.text), resume=True))
    # Step 1: demonstrations, supervised fine-tuning.
    run.step("demonstrations", write_demonstrations)
    run.step("sft_first", lambda r: sft(r.sft("sft_first", should_select_checkpoint=False), resume=True))
    run.step("ppo_init", lambda r: sft(r.ppo_init(), resume=True))
    # Step 2: rankings of K completions, the reward model; then the SFT checkpoint that it likes best.
    run.step("completions", sample_for_rankings)
    run.step("rankings", write_rankings)
    run.step("reward", lambda r: train_reward(r.reward(), resume=True))
    run.step("sft", lambda r: sft(r.sft("sft", reward_model=r.model("reward")), resume=True))
    # Step 3: PPO against the reward model, without and with the pretraining mix.
    run.step("ppo", lambda r: ppo(r.ppo("ppo", ptx_coef=0.0), resume=True))
    run.step("ppo_ptx", lambda r: ppo(r.ppo("ppo_ptx"), resume=True))
    # Section 4: everybody answers the test prompts, held-out labelers judge.
    run.step("prompted", choose_prefix)
    run.step("answers", complete_test_prompts)
    run.step("judgements", judge_arms)
    run.step("measurements", measure_arms)
    return summarize(run)


class Run:
    """The folder of a quickstart: where things stand, what is done, how long it took."""

    def __init__(self, out: Path, config: QuickstartConfig, seed: int) -> None:
        self.out, self.config, self.seed = Path(out), config, seed
        self.progress_path = self.out / "progress.json"
        self.progress = self._open_progress()
        self.world = miniature.build_world(derived_seed(seed, "world"))
        labelers = miniature.labelers(
            derived_seed(seed, "labelers"),
            num_training=config.num_training_labelers,
            num_heldout=config.num_heldout_labelers,
            noise=config.labeler_noise,
        )
        self.training_labelers = [labeler for labeler in labelers if labeler.group == "training"]
        self.heldout_labelers = [labeler for labeler in labelers if labeler.group == "heldout"]

    def _open_progress(self) -> dict[str, Any]:
        fresh = {"config_hash": config_hash(self.config), "seed": self.seed, "seconds": {}, "results": {}}
        if not self.progress_path.exists():
            return fresh
        found: dict[str, Any] = json.loads(self.progress_path.read_text())
        if (found["config_hash"], found["seed"]) != (fresh["config_hash"], self.seed):
            raise CheckpointError(
                f"{self.out} holds a quickstart of another recipe or seed ({found['seed']}); choose another --out "
                "or remove it"
            )
        return found

    def step(self, name: str, work: Callable[[Run], Any]) -> None:
        """Do `work` unless it is done; keep its result and seconds. After an interruption the times add up."""
        if name in self.progress["results"]:
            return
        print(f"[{name}]", file=sys.stderr, flush=True)  # noqa: T201
        started = time.monotonic()
        try:
            result = work(self)
        finally:
            seconds = self.progress["seconds"]
            seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - started, 2)
            self._save()
        self.progress["results"][name] = result
        self._save()

    def _save(self) -> None:
        self.progress["peak_memory_gib"] = max(self.progress.get("peak_memory_gib", 0.0), peak_memory_gib())
        with atomic_file(self.progress_path) as handle:
            handle.write(json.dumps(self.progress, indent=1).encode())

    def result(self, name: str) -> Any:
        return self.progress["results"][name]

    @property
    def text(self) -> Path:
        return self.out / "world" / "pretraining.txt"

    @property
    def data(self) -> Path:
        return self.out / "data"

    @property
    def prompts_path(self) -> Path:
        return self.out / "prompts" / "prompts.jsonl"

    def model(self, stage: str) -> Path:
        return self.out / stage / "model"

    def rng(self, *purpose: str) -> Random:
        return Random(derived_seed(self.seed, *purpose))

    def prompts(self, split: str, purpose: str | None = None) -> list[Prompt]:
        records = read_records(self.prompts_path, Prompt)
        return [p for p in records if p.split == split and (purpose is None or p.purpose == purpose)]

    def stage(self, model: type[Any], name: str, /, **paths: Any) -> Any:
        """The stage's settings of the recipe, with its folder, seed and paths."""
        return model.model_validate({**getattr(self.config, name), "out": self.out / name, "seed": self.seed, **paths})

    def sft(self, name: str, **paths: Any) -> SFTConfig:
        settings = {**self.config.sft, "text": self.config.text, "model": self.model("pretrain"), **paths}
        settings |= {"demonstrations": self.data / "demonstrations.jsonl"}
        settings |= {"validation": self.data / "demonstrations_valid.jsonl"}
        return SFTConfig.model_validate({**settings, "out": self.out / name, "seed": self.seed})

    def ppo_init(self) -> SFTConfig:
        """Two epochs with a tenth of pretraining text: where PPO starts, and the reference of its KL penalty [C.3]."""
        mix = {**self.config.ppo_init, "pretraining_text": self.text, "should_select_checkpoint": False}
        return self.sft("ppo_init", **mix)

    def reward(self) -> RewardConfig:
        return self.stage(
            RewardConfig,
            "reward",
            text=self.config.text,
            model=self.model("sft_first"),
            rankings=self.data / "rankings.jsonl",
            validation=self.data / "rankings_valid.jsonl",
            demonstrations=self.data / "demonstrations.jsonl",
        )

    def ppo(self, name: str, *, ptx_coef: float | None = None) -> PPOConfig:
        settings = dict(self.config.ppo)
        settings["ptx"] = {**settings["ptx"], "text": self.text}
        if ptx_coef is not None:
            settings["ptx"] = {**settings["ptx"], "coef": ptx_coef}
        paths = {"policy": self.model("ppo_init"), "reward_model": self.model("reward")}
        paths |= {"prompts": self.prompts_path, "out": self.out / name}
        return PPOConfig.model_validate({**settings, **paths, "text": self.config.text, "seed": self.seed})


def write_world(run: Run) -> dict[str, int]:
    """The text that the base model reads, and what users sent in."""
    documents = miniature.pretraining_documents(
        run.world, num_documents=run.config.num_documents, seed=derived_seed(run.seed, "documents")
    )
    with atomic_file(run.text) as handle:
        num_documents = sum(bool(handle.write(f"{d}\n<|endoftext|>\n".encode())) for d in documents)
    raw = miniature.raw_prompts(
        run.world, num_prompts=run.config.num_raw_prompts, seed=derived_seed(run.seed, "prompts")
    )
    write_records(run.data / "raw_prompts.jsonl", raw)
    return {"documents": num_documents, "raw_prompts": len(raw)}


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
            miniature.demonstrate(run.world, prompt, rng.choice(run.training_labelers), rng)
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
        supervised = _complete(run, Arm(name="sft_first", model=run.model("sft_first")), prompts, most - 1)
        initial = _complete(run, Arm(name="ppo_init", model=run.model("ppo_init")), prompts, 1)
        rng = run.rng("K", split)
        rows = [
            {
                "prompt": prompt.model_dump(),
                "completions": [c.model_dump() for c in own[: rng.randint(fewest, most) - 1] + other],
            }
            for prompt, own, other in zip(prompts, supervised, initial, strict=True)
        ]
        _write_rows(run.data / f"completions_{split}.jsonl", rows)
        counts[split] = len(rows)
    return counts


def write_rankings(run: Run) -> dict[str, int]:
    """One training labeler ranks each training prompt; two of each group rank each validation prompt, for agreement."""
    rng = run.rng("rankings")
    training = [
        _rank(run, row, rng.choice(run.training_labelers), rng) for row in _rows(run.data / "completions_train.jsonl")
    ]
    write_records(run.data / "rankings.jsonl", training)
    counts = {"train": len(training)}
    for name, group in (("rankings_valid", run.training_labelers), ("rankings_heldout", run.heldout_labelers)):
        ranked = [
            _rank(run, row, labeler, rng)
            for row in _rows(run.data / "completions_valid.jsonl")
            for labeler in rng.sample(group, 2)
        ]
        counts[name] = write_records(run.data / f"{name}.jsonl", ranked)
    return counts


def _rank(run: Run, row: dict[str, Any], labeler: Any, rng: Random) -> Ranking:
    prompt = Prompt.model_validate(row["prompt"])
    completions = [Completion.model_validate(c) for c in row["completions"]]
    return miniature.rank(run.world, prompt, completions, [is_complete(c) for c in completions], labeler, rng)


def choose_prefix(run: Run) -> dict[str, Any]:
    """GPT prompted: the few-shot prefix whose completions of validation prompts score highest [C.5]."""
    prompts = run.prompts("valid", "ppo")[:100]
    scores = {}
    for name, prefix in miniature.few_shot_prefixes(run.world).items():
        arm = Arm(name="gpt_prompted", model=run.model("pretrain"), prefix=prefix, stop_text=BLOCK_END)
        completions = _complete(run, arm, prompts, 1)
        scores[name] = _mean(score for own in _scores(run, prompts, completions) for score in own)
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
        completions = [own[0] for own in _complete(run, arm, prompts, 1)]
        shares[arm.name] = _mean(float(is_complete(c)) for c in completions)
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
    _write_rows(run.out / "evaluation" / "completions.jsonl", rows)
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
    _write_rows(run.out / "evaluation" / "comparisons.jsonl", comparisons)
    _write_rows(run.out / "evaluation" / "ratings.jsonl", ratings)
    by_arm = {arm: [row for row in ratings if row["arm"] == arm] for arm in completions}
    return {
        "win_rate_vs_sft": _intervals(win_rates(comparisons, labeler_group="heldout")),
        "win_rate_vs_sft_training_labelers": _intervals(win_rates(comparisons, labeler_group="training")),
        "likert": {
            arm: likert_mean([r["overall"] for r in rows], [r["prompt_id"] for r in rows]).mean
            for arm, rows in by_arm.items()
        },
        "flags": {
            arm: {flag: _mean(float(r["flags"][flag]) for r in rows) for flag in rows[0]["flags"]}
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
        "accuracy_training_labelers": score_accuracy(training, _scores_of_rankings(run, training)),
        "accuracy_heldout_labelers": score_accuracy(heldout, _scores_of_rankings(run, heldout)),
        "labeler_agreement": ranking_agreement(training + heldout).mean,
        "labeler_agreement_training": ranking_agreement(training).mean,
        "labeler_agreement_heldout": ranking_agreement(heldout).mean,
        "mean_score_on_demonstrations": run.result("reward")["mean_score_on_demonstrations"],
    }


def summarize(run: Run) -> dict[str, Any]:
    """summary.json: what the run found, in one file."""
    judged, measured = run.result("judgements"), run.result("measurements")
    seconds = dict(run.progress["seconds"])
    summary = {
        "size": "quick",
        "seed": run.seed,
        "simulated_labelers": True,
        "wall_seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
        "peak_memory_gib": run.progress["peak_memory_gib"],
        "versions": versions(),
        **judged,
        **measured,
        "num_prompts": run.result("prompts"),
        "prompt_prefix": run.result("prompted"),
        "ended_share": run.result("answers"),
    }
    with atomic_file(run.out / "summary.json") as handle:
        handle.write(json.dumps(summary, indent=2, ensure_ascii=False).encode())
    return summary


def peak_memory_gib() -> float:
    """Highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**30 if sys.platform == "darwin" else 2**20), 3)


def _complete(run: Run, arm: Arm, prompts: Sequence[Prompt], number: int) -> list[list[Completion]]:
    settings = SamplingSettings(max_response_tokens=run.config.text.max_response_tokens)
    return complete(arm, prompts, settings=settings, seed=run.seed, num_completions=number)


def _scores(run: Run, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]]) -> list[list[float]]:
    reward_model, tokenizer = load_scalar_model(run.model("reward")), load_tokenizer(run.model("reward"))
    return score_completions(reward_model, Renderer(tokenizer=tokenizer), prompts, completions)


def _scores_of_rankings(run: Run, rankings: Sequence[Ranking]) -> list[list[float]]:
    prompts = [Prompt(id=r.prompt_id or "", text=r.prompt, messages=r.messages) for r in rankings]
    return _scores(run, prompts, [r.completions for r in rankings])


def _tokens(renderer: Renderer, completion: Completion) -> list[int]:
    return renderer.truncated_response_tokens(completion.text, is_complete=is_complete(completion))


def _test_completions(run: Run) -> tuple[list[Prompt], dict[str, list[Completion]]]:
    prompts: dict[str, Prompt] = {}
    completions: dict[str, list[Completion]] = {}
    for row in _rows(run.out / "evaluation" / "completions.jsonl"):
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


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    if not numbers:
        raise UserError("there is nothing to average; the run has an empty split. Raise num_raw_prompts")
    return sum(numbers) / len(numbers)


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with atomic_file(path) as handle:
        handle.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
