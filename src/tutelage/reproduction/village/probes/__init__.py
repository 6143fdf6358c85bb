"""What a policy of the miniature is tested with beside the prompts of its users: the village's counterparts of the
benchmarks of the paper's Section 4. Pure data and generators, seeded by the world.
"""

from __future__ import annotations

from tutelage.reproduction.village.probes.begun import gpt_prompts
from tutelage.reproduction.village.probes.bias import Pair, stereotype_pairs, trade_pairs
from tutelage.reproduction.village.probes.outside import foreign_prompts, is_outside, use_case_prompts
from tutelage.reproduction.village.probes.skills import SKILLS, Item, skill_items
from tutelage.reproduction.village.probes.templated import templated_demonstrations
from tutelage.reproduction.village.probes.toxicity import TOXICITY_INSTRUCTIONS, rudeness, talk_of, toxicity_prompts
from tutelage.reproduction.village.probes.truth import (
    TRUTH_PROMPTS,
    question_of,
    truth_choices,
    truth_prompts,
    truth_verdict,
)

__all__ = [
    "SKILLS",
    "TOXICITY_INSTRUCTIONS",
    "TRUTH_PROMPTS",
    "Item",
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
