"""The invented village as the world of a run: its labelers demonstrate, rank and judge (`workflow.sources`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tutelage.evaluation.completions import is_complete
from tutelage.prompts.config import PromptsConfig
from tutelage.records import Completion, Demonstration, Prompt, Ranking, Rating, Split
from tutelage.reproduction import village
from tutelage.reproduction.distances import CONTEXT_TOKENS
from tutelage.reproduction.judging import BLOCK_END
from tutelage.reproduction.labels import write_text
from tutelage.reproduction.run import QuickstartConfig
from tutelage.reproduction.village.labelers import SimulatedLabeler
from tutelage.reproduction.village.world import World
from tutelage.seeds import derived_seed
from tutelage.store.jsonl import write_records
from tutelage.workflow.config import RunConfig
from tutelage.workflow.makers import make_world
from tutelage.workflow.sources import Comparison, RunSources

# Half of the village is data: what its people say and like.
VILLAGE_DATA = Path(village.__file__).parent / "data"


def hand_in_village(config: QuickstartConfig, out: Path, *, seed: int, inputs: Path) -> tuple[RunConfig, RunSources]:
    """A quickstart as a run of the paper on any data: its recipe, and the village as its world.

    The base model's text and the users' raw prompts are written to the folder `inputs`, where they are not there yet.
    """
    world = village.build_world(derived_seed(seed, "world"))
    people = village.labelers(
        derived_seed(seed, "labelers"),
        num_training=config.num_training_labelers,
        num_heldout=config.num_heldout_labelers,
        noise=config.labeler_noise,
    )
    groups = {name: [each for each in people if each.group == name] for name in ("heldout", "training")}
    text, raw_prompts = inputs / "pretraining.txt", inputs / "raw_prompts.jsonl"
    if not raw_prompts.exists():
        write_text(world, text, num_documents=config.num_documents, seed=seed)
        raw = village.raw_prompts(world, num_prompts=config.num_raw_prompts, seed=derived_seed(seed, "prompts"))
        write_records(raw_prompts, raw)
    run = RunConfig(
        out=out,
        seed=seed,
        prompts=raw_prompts,
        curation=PromptsConfig.model_validate(config.prompts),
        demonstrations="simulated",
        rankings="simulated",
        pretraining_text=text,
        arms=("base", "prompted", "sft", "ppo", "ppo_ptx"),
        judge="nobody",
        text_window_tokens=CONTEXT_TOKENS,
        num_test_prompts=config.num_test_prompts,
        completions_per_prompt=config.completions_per_prompt,
        prefixes=village.few_shot_prefixes(world),
        prefix_stop=BLOCK_END,
        text=config.text,
        **{stage: getattr(config, stage) for stage in ("pretrain", "sft", "ppo_init", "reward", "ppo")},
    )
    labelers = VillageLabelers(world, groups["training"], seed=seed)
    judges = VillageJudges(world, groups, number=config.judgements_per_prompt, seed=seed)
    prompts = make_world(run).prompts
    return run, RunSources(prompts=prompts, demonstrators=labelers, rankers=labelers, judge=judges, is_simulated=True)


class VillageLabelers:
    """The training labelers. One ranks each training prompt, two each validation prompt, for agreement."""

    should_sample = True

    def __init__(self, world: World, labelers: Sequence[SimulatedLabeler], *, seed: int) -> None:
        self.world, self.labelers, self.seed = world, labelers, seed
        self._rng = Random()

    @property
    def needs(self) -> Mapping[str, Path | str]:
        return {"village": VILLAGE_DATA}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"labelers": [repr(labeler) for labeler in self.labelers], "world": self.seed}

    def demonstrate(self, prompts: Sequence[Prompt], split: Split) -> Iterator[Demonstration]:
        """See `workflow.sources.Labelers`."""
        rng = Random(derived_seed(self.seed, "demonstrations", split))
        for prompt in prompts:
            yield village.demonstrate(self.world, prompt, rng.choice(self.labelers), rng)

    def rank(
        self, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]], split: Split
    ) -> Iterator[Ranking]:
        """See `workflow.sources.Labelers`; the draws of the validation prompts follow those of the training prompts."""
        if split == "train":
            self._rng = Random(derived_seed(self.seed, "rankings"))
        for prompt, own in zip(prompts, completions, strict=True):
            chosen = [self._rng.choice(self.labelers)] if split == "train" else self._rng.sample(self.labelers, 2)
            for labeler in chosen:
                complete = [is_complete(completion) for completion in own]
                yield village.rank(self.world, prompt, own, complete, labeler, self._rng)


class VillageJudges:
    """Labelers who judge, group by group; held-out ones made no training data. They rate, too."""

    def __init__(
        self, world: World, groups: Mapping[str, Sequence[SimulatedLabeler]], *, number: int, seed: int
    ) -> None:
        self.world, self.groups, self.number, self.seed = world, groups, number, seed

    @property
    def needs(self) -> Mapping[str, Path | str]:
        return {"village": VILLAGE_DATA}

    @property
    def settings(self) -> Mapping[str, Any]:
        labelers = {name: [repr(labeler) for labeler in group] for name, group in self.groups.items()}
        return {"labelers": labelers, "judgements_per_prompt": self.number, "world": self.seed}

    def compare(self, pairs: Sequence[tuple[Prompt, Completion, Completion]]) -> Iterator[Comparison]:
        """See `workflow.sources.Judge`. `number` of each group judge all pairs of a prompt; which is shown first is
        drawn for each judgement.
        """
        rng = Random(derived_seed(self.seed, "comparisons"))
        by_prompt: dict[str, list[tuple[Prompt, Completion, Completion]]] = {}
        for pair in pairs:
            by_prompt.setdefault(pair[0].id, []).append(pair)
        for own in by_prompt.values():
            for group, labelers in self.groups.items():
                for labeler in rng.sample(list(labelers), min(self.number, len(labelers))):
                    for prompt, first, second in own:
                        yield Comparison(
                            prompt=prompt,
                            first=first,
                            second=second,
                            labeler_id=labeler.id,
                            labeler_group=group,
                            outcome=self._blind(prompt, first, second, labeler, rng),
                        )

    def _blind(
        self, prompt: Prompt, first: Completion, second: Completion, labeler: SimulatedLabeler, rng: Random
    ) -> float:
        if rng.random() < 0.5:
            return self._prefer(prompt, first, second, labeler, rng)
        return 1.0 - self._prefer(prompt, second, first, labeler, rng)

    def _prefer(
        self, prompt: Prompt, first: Completion, second: Completion, labeler: SimulatedLabeler, rng: Random
    ) -> float:
        complete = (is_complete(first), is_complete(second))
        return village.prefer(self.world, prompt, first, second, labeler, rng, "evaluation", complete=complete)

    def rate(self, completions: Sequence[tuple[Prompt, Completion]]) -> Iterator[Rating]:
        """See `workflow.sources.Judge`. `number` of the first group rate all completions of a prompt."""
        rng = Random(derived_seed(self.seed, "ratings"))
        group, labelers = next(iter(self.groups.items()))
        by_prompt: dict[str, list[tuple[Prompt, Completion]]] = {}
        for prompt, completion in completions:
            by_prompt.setdefault(prompt.id, []).append((prompt, completion))
        for own in by_prompt.values():
            for labeler in rng.sample(list(labelers), min(self.number, len(labelers))):
                for prompt, completion in own:
                    rating = village.rate(self.world, prompt, completion, is_complete(completion), labeler, rng)
                    yield rating.model_copy(update={"labeler_group": group})
