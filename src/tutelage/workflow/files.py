"""Existing prompts and labels: files, folders of files, datasets on the hub, in every supported format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.curation.build import PROMPTS_FILE, build_prompts
from tutelage.prompts.allot import purpose_of
from tutelage.prompts.config import CustomerShares, PromptsConfig, PurposeShares, SplitShares
from tutelage.prompts.split import split_of, user_key
from tutelage.records import Completion, Demonstration, Prompt, Ranking, Split
from tutelage.store.jsonl import write_records
from tutelage.store.sources import load_demonstrations, load_prompts, load_rankings


class FilePrompts:
    """The prompts of a file. One with a split or purpose keeps it; a hash decides for the others, by user."""

    def __init__(
        self, source: Path | str, *, splits: SplitShares, purposes: CustomerShares, seed: int, skip_bad: bool = False
    ) -> None:
        self.source, self.splits, self.purposes, self.seed, self.skip_bad = source, splits, purposes, seed, skip_bad

    @property
    def needs(self) -> Mapping[str, Path | str]:
        return {"prompts": self.source}

    @property
    def settings(self) -> Mapping[str, Any]:
        shares = {"split_shares": self.splits.model_dump(), "purpose_shares": self.purposes.model_dump()}
        return {**shares, "seed": self.seed, "skip_bad": self.skip_bad}

    def collect(self, folder: Path) -> None:
        """See `sources.Prompts`. Of prompts with equal text the first is kept."""
        write_records(folder / PROMPTS_FILE, self._prompts())

    def _prompts(self) -> Iterator[Prompt]:
        shares = PurposeShares(train_customer=self.purposes, valid_customer=self.purposes)
        seen: set[str] = set()
        for prompt in load_prompts(self.source, skip_bad=self.skip_bad):
            key = user_key(Prompt(text=prompt.text, messages=prompt.messages))
            if key in seen:
                continue
            seen.add(key)
            split = prompt.split or split_of(user_key(prompt), self.splits, self.seed)
            purpose = prompt.purpose or purpose_of(key, split, "customer", shares, self.seed)
            yield prompt.model_copy(update={"split": split, "purpose": purpose})


class CuratedPrompts:
    """Raw prompts of a file, curated by the rules of `tutelage prompts build`."""

    def __init__(self, source: Path | str, config: PromptsConfig, *, skip_bad: bool = False) -> None:
        self.source, self.config, self.skip_bad = source, config, skip_bad

    @property
    def needs(self) -> Mapping[str, Path | str]:
        return {"prompts": self.source}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"curation": self.config.model_dump(mode="json"), "skip_bad": self.skip_bad}

    def collect(self, folder: Path) -> None:
        """See `sources.Prompts`. The folder is written atomically."""
        if not folder.exists():
            build_prompts([self.source], folder, self.config, skip_bad=self.skip_bad)


class FileLabels:
    """Existing demonstrations and rankings, used whatever the prompts are."""

    should_sample = False

    def __init__(self, *, training: Path | str, validation: Path | str | None, skip_bad: bool = False) -> None:
        self.source_of: dict[Split, Path | str | None] = {"train": training, "valid": validation}
        self.skip_bad = skip_bad

    @property
    def needs(self) -> Mapping[str, Path | str]:
        return {f"labels ({split})": source for split, source in self.source_of.items() if source is not None}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"skip_bad": self.skip_bad}

    def demonstrate(self, prompts: Sequence[Prompt], split: Split) -> Iterable[Demonstration]:
        """See `sources.Labelers`."""
        source = self.source_of[split]
        return () if source is None else load_demonstrations(source, skip_bad=self.skip_bad)

    def rank(
        self, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]], split: Split
    ) -> Iterable[Ranking]:
        """See `sources.Labelers`."""
        source = self.source_of[split]
        return () if source is None else load_rankings(source, skip_bad=self.skip_bad)
