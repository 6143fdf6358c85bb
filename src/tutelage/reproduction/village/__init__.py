"""The miniature: a small village with ground truth, in which the paper's whole pipeline runs on a laptop.

Pure and seeded: no files except its own `data`, no clock, no global random state. Read `world` (facts), `corpus`
(pretraining text), `tasks` and `prompts`, `ground_truth` (the judge), `labelers` (simulated people), `probes`
(benchmarks).
"""

from __future__ import annotations

from tutelage.reproduction.village.corpus import few_shot_prefixes, pretraining_documents
from tutelage.reproduction.village.ground_truth import Judgment, judge
from tutelage.reproduction.village.labelers import (
    SimulatedLabeler,
    demonstrate,
    labelers,
    prefer,
    quality,
    rank,
    rate,
    task_of,
    true_flags,
)
from tutelage.reproduction.village.prompts import raw_prompts
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.world import World, build_world

__all__ = [
    "Judgment",
    "SimulatedLabeler",
    "World",
    "build_world",
    "demonstrate",
    "few_shot_prefixes",
    "good_response",
    "judge",
    "labelers",
    "prefer",
    "pretraining_documents",
    "quality",
    "rank",
    "rate",
    "raw_prompts",
    "task_of",
    "true_flags",
]
