"""How people and models do it less well: slips of a labeler who writes a demonstration, and the worse completions of
a weak policy.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.corpus import pretraining_documents
from tutelage.reproduction.village.phrases import pick
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.slips import Slip, Task, babbling, careless, gruff, hasty, off_topic
from tutelage.reproduction.village.world import World


def rambling(world: World, rng: Random, task: Task) -> str:
    """A good response that runs on with something else."""
    more = next(pretraining_documents(world, num_documents=1, seed=rng.randrange(1_000_000)))
    return good_response(world, rng, task) + " " + more.split("\n")[0]


def unrelated(world: World, rng: Random, task: Task) -> str:
    """A page of the pretraining text, as a base model runs on."""
    return next(pretraining_documents(world, num_documents=1, seed=rng.randrange(1_000_000)))


# What a person does now and then, and what a weak model does as well.
HUMAN_SLIPS: tuple[Slip, ...] = (careless, careless, off_topic, rambling, hasty, gruff)
MODEL_SLIPS: tuple[Slip, ...] = (careless, off_topic, rambling, hasty, gruff, unrelated, babbling)


def slip(world: World, rng: Random, task: Task) -> str:
    """An imperfect response as people write one."""
    return pick(rng, HUMAN_SLIPS)(world, rng, task)
