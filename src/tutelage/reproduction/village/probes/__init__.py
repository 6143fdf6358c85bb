"""Benchmarks for policies of the miniature, besides its users' prompts: the village's counterparts of those in the
paper's Section 4. Pure data and generators, seeded by the world.
"""

from __future__ import annotations

from tutelage.reproduction.village.probes.behavior import (
    TOXICITY_INSTRUCTIONS,
    TRUTH_PROMPTS,
    Pair,
    question_of,
    rudeness,
    stereotype_pairs,
    talk_of,
    toxicity_prompts,
    trade_pairs,
    truth_choices,
    truth_prompts,
    truth_verdict,
)
from tutelage.reproduction.village.probes.skills import SKILLS, ProbeItem, skill_items
from tutelage.reproduction.village.probes.templated import templated_demonstrations
from tutelage.reproduction.village.prompts import foreign_prompts, gpt_prompts, is_outside, use_case_prompts

__all__ = [
    "SKILLS",
    "TOXICITY_INSTRUCTIONS",
    "TRUTH_PROMPTS",
    "ProbeItem",
    "Pair",
    "foreign_prompts",
    "gpt_prompts",
    "is_outside",
    "question_of",
    "skill_items",
    "stereotype_pairs",
    "talk_of",
    "templated_demonstrations",
    "rudeness",
    "toxicity_prompts",
    "trade_pairs",
    "truth_choices",
    "truth_prompts",
    "truth_verdict",
    "use_case_prompts",
]
