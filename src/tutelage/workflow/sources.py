"""What a run needs from outside: prompts that users wrote, labelers, and a judge. Three protocols.

Implementations: files with existing labels, people in the labeling studio, and a simulated world.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tutelage.records import Completion, Demonstration, Prompt, Ranking, Rating, Split


class Waiting(Exception):
    """People still have to label `what`; `how` says how they can. Not an error."""

    def __init__(self, what: str, how: str) -> None:
        super().__init__(what, how)
        self.what, self.how = what, how

    def __str__(self) -> str:
        return f"waiting for {self.what}\n{self.how}"


class Source(Protocol):
    """Common to all three: what determines their output, so that a step is redone when that changes."""

    @property
    def needs(self) -> Mapping[str, Path | str]:
        """The files, folders and hub ids that it reads, by name."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything else."""


class PromptSource(Source, Protocol):
    """Where prompts come from."""

    def collect(self, folder: Path) -> None:
        """Create the folder with `prompts.jsonl`: every prompt once, its split and, but for test prompts, purpose."""


class Labelers(Source, Protocol):
    """Who writes demonstrations and rankings. `should_sample`: they rank completions of this run's policies."""

    should_sample: bool

    def demonstrate(self, prompts: Sequence[Prompt], split: Split) -> Iterable[Demonstration]:
        """Demonstrations for `prompts`; if labels already exist, those. Raises `Waiting`."""

    def rank(
        self, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]], split: Split
    ) -> Iterable[Ranking]:
        """Rankings of the completions of each prompt, as above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Which of two completions of a prompt one labeler preferred: `outcome` 1 the first, 0.5 neither, 0 the second."""

    prompt: Prompt
    first: Completion
    second: Completion
    labeler_id: str
    labeler_group: str
    outcome: float


class Judge(Source, Protocol):
    """A judge of completions."""

    def compare(self, pairs: Sequence[tuple[Prompt, Completion, Completion]]) -> Iterable[Comparison]:
        """At least one comparison per pair, blind to which policy wrote which. Raises `Waiting`."""

    def rate(self, completions: Sequence[tuple[Prompt, Completion]]) -> Iterable[tuple[Completion, Rating]]:
        """Ratings from 1 to 7 with flags, each with the completion rated; none, where this judge gives none.

        Raises `Waiting`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSources:
    """The sources of one run. `judge` None: nobody judges, or a reward model trained by the run does.

    `is_simulated`: a program replaces people, and everything that shows the numbers says so.
    """

    prompts: PromptSource
    demonstrators: Labelers
    rankers: Labelers
    judge: Judge | None = None
    is_simulated: bool = False
