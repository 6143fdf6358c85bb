"""Builds the sources of a run's prompts and labels, as configured: files or people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.errors import UserError
from tutelage.prompts.config import CustomerShares
from tutelage.workflow.config import PEOPLE, RunConfig, is_by_people
from tutelage.workflow.files import CuratedPrompts, FileLabels, FilePrompts
from tutelage.workflow.sources import Labelers, PromptSource, RunSources

if TYPE_CHECKING:
    from tutelage.workflow.people import People


def make_world(config: RunConfig) -> RunSources:
    """Prompts from a file; labels from files, or from people in the studio. Raises `UserError` if it is missing."""
    skip_bad = bool(config.all_stages.get("skip_bad", False))
    if config.curation is not None:
        curation = config.curation.model_copy(update={"seed": config.seed})
        prompts: PromptSource = CuratedPrompts(config.prompts, curation, skip_bad=skip_bad)
    else:
        prompts = _allotted(config, skip_bad)

    def labelers(source: Path | str, validation: Path | str | None) -> Labelers:
        if is_by_people(source):
            return _people(config)
        return FileLabels(training=source, validation=validation, skip_bad=skip_bad)

    return RunSources(
        prompts=prompts,
        demonstrators=labelers(config.demonstrations, config.demonstrations_validation),
        rankers=labelers(config.rankings, config.rankings_validation),
        judge=_people(config) if config.judge == PEOPLE else None,
    )


def _allotted(config: RunConfig, skip_bad: bool) -> FilePrompts:
    purposes = config.purpose_shares or CustomerShares(
        sft=float(is_by_people(config.demonstrations)), reward=float(is_by_people(config.rankings)), ppo=1.0
    )
    return FilePrompts(
        config.prompts, splits=config.split_shares, purposes=purposes, seed=config.seed, skip_bad=skip_bad
    )


def _people(config: RunConfig) -> People:
    try:
        from tutelage.workflow.people import People
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed. Labels by people need the labeling studio: pip install 'tutelage[studio]'"
        ) from None
    return People(
        config.studio or config.out / "studio", address=config.studio_address, labels_per_task=config.labels_per_task
    )
