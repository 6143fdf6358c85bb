"""The synthetic village as the world of a run: its labelers demonstrate, rank and judge (`workflow.sources`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tutelage.evaluation.completions import is_complete
from tutelage.records import Completion, Demonstration, Prompt, Ranking, Rating, Split
from tutelage.reproduction import village
from tutelage.reproduction.village.labelers import SimulatedLabeler
from tutelage.reproduction.village.world import World
from tutelage.seeds import derived_seed
from tutelage.workflow.sources import Comparison

# Half of the village is data: what its people say and prefer.
VILLAGE_DATA = Path(village.__file__).parent / "data"


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
                yield rank_by(self.world, prompt, own, labeler, self._rng)


def rank_by(
    world: World, prompt: Prompt, completions: Sequence[Completion], labeler: SimulatedLabeler, rng: Random
) -> Ranking:
    """One labeler's ranking of the completions of a prompt."""
    return village.rank(world, prompt, completions, [is_complete(own) for own in completions], labeler, rng)


class VillageJudges:
    """Labelers who judge, by group; held-out ones made no training data. They also rate."""

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
        """See `workflow.sources.Judge`. `number` per group judge all pairs of a prompt; which is shown first is
        drawn for each judgment.
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

    def rate(self, completions: Sequence[tuple[Prompt, Completion]]) -> Iterator[tuple[Completion, Rating]]:
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
                    yield completion, rating.model_copy(update={"labeler_group": group})
