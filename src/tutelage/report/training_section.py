"""The training section: learning curves by stage, and, in a run with several model sizes, by size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.report.curves import curve_groups, first_panels, further_panels, score_against_kl
from tutelage.report.figures.exhibit import Exhibit
from tutelage.report.figures.panels import Panel
from tutelage.report.notation import readable
from tutelage.report.run_folder import RunData, StageRun

_TITLES = {
    "pretrain": "Pretraining of the base model",
    "sft": "Supervised fine-tuning (SFT)",
    "sft_first": "First SFT, which sampled the completions to compare",
    "ppo_init": "Initialization of PPO",
    "reward": "Reward model",
    "ppo": "PPO",
    "ppo_ptx": "PPO-ptx",
    "dpo": "DPO",
}
_SHORT = _TITLES | {"pretrain": "Pretraining", "sft": "SFT", "sft_first": "First SFT", "ppo_init": "PPO init"}


def training_exhibits(run: RunData) -> Iterator[tuple[str, Exhibit]]:
    """Titled figures: one per stage, or, with several sizes, one per size with its stages, largest first."""
    groups = curve_groups(run)
    for (size, name), stages in groups.items():
        if not size:
            yield _title_of(name, stages), _stage_exhibit(stages)
    for size in dict.fromkeys(size for size, _ in groups if size):
        own = {name: stages for (found, name), stages in groups.items() if found == size}
        yield f"{readable(size).capitalize()} models", _size_exhibit(own, is_largest=size == run.largest)


def _title_of(name: str, stages: Sequence[StageRun]) -> str:
    if name == "ppo" and len(stages) > 1:
        return "PPO and PPO-ptx"
    return _TITLES.get(name, readable(name))


def _stage_exhibit(stages: Sequence[StageRun]) -> Exhibit:
    drawn = _shown(stages, "")
    further = further_panels(stages)
    return Exhibit(
        panels=tuple(drawn or further),
        further=tuple(further) if drawn else (),
        caption="Learning curves.",
        source=_source(stages),
    )


def _size_exhibit(groups: dict[str, list[StageRun]], *, is_largest: bool) -> Exhibit:
    """The curves of one size. Additional metrics are shown only for the largest: all would make the page heavy."""
    drawn = [panel for name, stages in groups.items() for panel in _shown(stages, _SHORT.get(name, readable(name)))]
    further = [panel for stages in groups.values() for panel in further_panels(stages)] if is_largest else []
    return Exhibit(
        panels=tuple(drawn),
        further=tuple(further),
        caption="Learning curves of every stage.",
        source=", ".join(_source(stages) for stages in groups.values()),
    )


def _shown(stages: Sequence[StageRun], heading: str) -> list[Panel]:
    frontier = score_against_kl(stages)
    return first_panels(stages, heading) + ([frontier] if frontier else [])


def _source(stages: Sequence[StageRun]) -> str:
    return ", ".join(stage.source("metrics.jsonl") for stage in stages)
