"""The folder of a quickstart: its sizes, where things stand, what is done, how long it took."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Self

from pydantic import Field

from tutelage.config import Config, config_hash, dump_config
from tutelage.errors import CheckpointError, Stopped
from tutelage.records import Prompt
from tutelage.reproduction import village
from tutelage.reproduction.outputs import (
    State,
    code_digest,
    digests_of_step,
    read_state,
    remove_outputs,
    require_unchanged,
)
from tutelage.seeds import derived_seed
from tutelage.store.atomic import atomic_file, clean_partial
from tutelage.store.jsonl import read_records
from tutelage.store.lock import FolderLock
from tutelage.store.ownership import require_own_folder
from tutelage.training.config import PPOConfig, RewardConfig, SFTConfig, TextConfig
from tutelage.workflow.summary import peak_memory_gib

_log = logging.getLogger(__name__)


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


class Run:
    """The folder of a quickstart: where things stand, what is done, how long it took.

    With a `size` it is the view of one model size: its stages stand in a folder of that name and its steps are named
    after it, while world, data and prompts are those of the whole run. `reward_size` is the size whose reward model
    everybody uses.
    """

    size = ""
    reward_size = ""

    def __init__(self, out: Path, config: QuickstartConfig, seed: int, *, redo: str | None = None) -> None:
        self.out, self.config, self.seed = Path(out), config, seed
        self.progress_path = self.out / "progress.json"
        self.lock = FolderLock(self.out)
        try:
            self.progress = self._open(config, redo)
        except BaseException:
            self.lock.release()
            raise
        self.world = village.build_world(derived_seed(seed, "world"))
        labelers = village.labelers(
            derived_seed(seed, "labelers"),
            num_training=config.num_training_labelers,
            num_heldout=config.num_heldout_labelers,
            noise=config.labeler_noise,
        )
        self.training_labelers = [labeler for labeler in labelers if labeler.group == "training"]
        self.heldout_labelers = [labeler for labeler in labelers if labeler.group == "heldout"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.lock.release()

    @property
    def code(self) -> list[str]:
        """Digests of the versions of this program that did the steps; more than one where it changed meanwhile."""
        return sorted(set(self.progress["code"].values()))

    def _open(self, config: Config, redo: str | None) -> dict[str, Any]:
        """What is done here, once it is certain that the folder is ours and as the steps left it."""
        if not self.progress_path.exists():
            require_own_folder(self.out)
        for folder in (self.out, *self.out.glob("*/"), *self.out.glob("*/*/")):
            clean_partial(folder)
        self.progress = self._open_progress(config)
        if redo is not None:
            self._forget(redo)
        require_unchanged(self.out, self.progress["outputs"])
        self._warn_of_other_code()
        self._save()
        self._write_config(config)
        return self.progress

    def _open_progress(self, config: Config) -> dict[str, Any]:
        fresh = {"config_hash": config_hash(config), "seed": self.seed, "seconds": {}, "results": {}, "outputs": {}}
        fresh["code"] = {}
        if not self.progress_path.exists():
            return fresh
        found = _read_progress(self.progress_path, fresh)
        # Nothing was done in the folder yet: another recipe may still take it.
        if not found["results"] and not found["seconds"]:
            return fresh
        if (found["config_hash"], found["seed"]) != (fresh["config_hash"], self.seed):
            raise CheckpointError(
                f"{self.out} holds a quickstart of another recipe or seed ({found['seed']}); choose another --out "
                "or remove it"
            )
        return found

    def _forget(self, step: str) -> None:
        """Undo a step and all that were done after it."""
        done = list(self.progress["results"])
        if step not in done:
            raise CheckpointError(f"--redo {step}: no such step is done in {self.out}. Done are: {', '.join(done)}")
        for name in done[done.index(step) :]:
            remove_outputs(self.out, self.progress["outputs"].pop(name, {}))
            for part in ("results", "seconds", "code"):
                self.progress[part].pop(name, None)

    def _warn_of_other_code(self) -> None:
        own = code_digest()
        others = [step for step, digest in self.progress["code"].items() if digest != own]
        if others:
            _log.warning(
                "%s was done by another version of this program (%s); --redo %s does it and what follows again",
                ", ".join(others),
                self.progress["code"][others[0]],
                others[0],
            )

    def _write_config(self, config: Config) -> None:
        """config.yaml, as in every run folder: the sizes and settings that run, each written out."""
        path, resolved = self.out / "config.yaml", dump_config(config).encode()
        if not path.exists() or path.read_bytes() != resolved:
            with atomic_file(path) as handle:
                handle.write(resolved)

    def step(self, name: str, work: Callable[[Self], Any]) -> None:
        """Do `work` unless it is done; keep its result and seconds. After an interruption the times add up."""
        name = self.key(name)
        if name in self.progress["results"]:
            return
        print(self.announcement(name), file=sys.stderr, flush=True)  # noqa: T201
        started, before = time.monotonic(), read_state(self.out)
        try:
            result = work(self)
        except KeyboardInterrupt:
            raise Stopped(
                f"stopped in step {name}; the same command starts that step again and keeps all before"
            ) from None
        finally:
            seconds = self.progress["seconds"]
            seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - started, 2)
            self._save()
        self._own(name, before)
        self.progress["results"][name] = result
        self.progress["code"][name] = code_digest()
        self._save()

    def _own(self, step: str, before: State) -> None:
        """Note what the step left. A file that two steps wrote is the later one's."""
        outputs = self.progress["outputs"]
        files = digests_of_step(self.out, before, {name for owned in outputs.values() for name in owned})
        for owned in outputs.values():
            for name in files.keys() & owned.keys():
                del owned[name]
        outputs[step] = files

    def announcement(self, name: str) -> str:
        """What is printed when a step begins."""
        return f"[{name}]"

    def key(self, step: str) -> str:
        """A step's name in progress.json."""
        return f"{self.size}/{step}" if self.size else step

    def _save(self) -> None:
        self.progress["peak_memory_gib"] = max(self.progress.get("peak_memory_gib", 0.0), peak_memory_gib())
        with atomic_file(self.progress_path) as handle:
            handle.write(json.dumps(self.progress, indent=1).encode())

    def result(self, name: str) -> Any:
        return self.progress["results"][self.key(name)]

    @property
    def text(self) -> Path:
        return self.out / "world" / "pretraining.txt"

    @property
    def data(self) -> Path:
        return self.out / "data"

    @property
    def prompts_path(self) -> Path:
        return self.out / "prompts" / "prompts.jsonl"

    def folder(self, stage: str) -> Path:
        return self.out / self.size / stage

    def model(self, stage: str) -> Path:
        """The model of a stage; there is one reward model for all sizes."""
        return (self.out / self.reward_size / stage if stage == "reward" else self.folder(stage)) / "model"

    def rng(self, *purpose: str) -> Random:
        return Random(derived_seed(self.seed, *purpose))

    def prompts(self, split: str, purpose: str | None = None) -> list[Prompt]:
        records = read_records(self.prompts_path, Prompt)
        return [p for p in records if p.split == split and (purpose is None or p.purpose == purpose)]

    def stage(self, model: type[Any], name: str, /, **paths: Any) -> Any:
        """The stage's settings of the recipe, with its folder, seed and paths."""
        return model.model_validate(
            {**getattr(self.config, name), "out": self.folder(name), "seed": self.seed, **paths}
        )

    def sft(self, name: str, **paths: Any) -> SFTConfig:
        settings = {**self.config.sft, "text": self.config.text, "model": self.model("pretrain"), **paths}
        settings |= {"demonstrations": self.data / "demonstrations.jsonl"}
        settings |= {"validation": self.data / "demonstrations_valid.jsonl"}
        return SFTConfig.model_validate({**settings, "out": self.folder(name), "seed": self.seed})

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
        paths |= {"prompts": self.prompts_path, "out": self.folder(name)}
        return PPOConfig.model_validate({**settings, **paths, "text": self.config.text, "seed": self.seed})


def _read_progress(path: Path, fresh: dict[str, Any]) -> dict[str, Any]:
    """progress.json, with every key of `fresh`. Raises `CheckpointError`."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict) or any(type(found.get(key)) is not type(fresh[key]) for key in fresh):
        raise CheckpointError(
            f"{path} is corrupted, or of another version of this program. Restore it, or choose another --out"
        )
    return found
