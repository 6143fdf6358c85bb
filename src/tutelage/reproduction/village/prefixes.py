"""Few-shot prefixes for the "GPT prompted" arm: requests with good replies, in the layout of the letters page."""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.forum import BLOCK_BREAK
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.tasks import make_task
from tutelage.reproduction.village.world import World

# name -> the use cases of its blocks
PREFIXES: dict[str, tuple[str, ...]] = {
    "tale": ("generation",),
    "tale-and-fact": ("generation", "open_qa"),
    "facts": ("open_qa", "open_qa", "open_qa"),
    "list-and-fact": ("brainstorming", "open_qa"),
    "chat-and-tale": ("chat", "generation"),
    "mixed": ("open_qa", "brainstorming", "chat"),
}
MOST_WORDS = 22


def few_shot_prefixes(world: World) -> dict[str, str]:
    """Candidate prefixes by name; put one before a prompt. Blocks are prompts of training users with good responses."""
    rng = Random(f"prefixes-{world.seed}")
    found = {}
    for name, use_cases in PREFIXES.items():
        blocks = []
        for use_case in use_cases:
            prompt, response = "", ""
            while (
                not prompt
                or "\n" in prompt
                or len(f"{prompt} {response}".split()) > MOST_WORDS + 12 * (use_case == "generation")
            ):
                prompt, task = make_task(world, rng, use_case, is_held_out=False)
                response = good_response(world, rng, task)
            blocks.append(f"{prompt}\n\n{response}{BLOCK_BREAK}")
        found[name] = "".join(blocks)
    return found
