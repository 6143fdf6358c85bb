"""Games and customs in which a word comes back: roll calls, guest books, the memory game, lost and found.

Every line takes up a word of the line before it. It is on such pages that a small model learns to carry a name or a
thing from what it reads into what it writes, which everything that it is asked later needs.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.lexicon import ANIMALS, COLOURS, FOODS, HE_STRANGERS, SHE_STRANGERS, THINGS, TOYS
from tutelage.reproduction.village.phrases import expand, fill, join_and, pick
from tutelage.reproduction.village.world import World

OBJECTS = (*THINGS, *TOYS, *ANIMALS)


def _names(world: World, rng: Random, count: int) -> list[str]:
    everybody = [person.name for person in world.people] + [*SHE_STRANGERS, *HE_STRANGERS]
    return rng.sample(everybody, count)


def roll_call(world: World, rng: Random) -> str:
    """The teacher calls the children, and each answers."""
    presence = "[{name} is here.|{name} is here.|{name} is at home.|{name} is ill today.|{name} comes later.]"
    calls = [f"{name}? {fill(rng, presence, {'name': name})}" for name in _names(world, rng, rng.randint(4, 7))]
    return (
        expand(rng, "[The teacher calls the names.|Who is at school today?|Who came to the feast?]")
        + "\n"
        + "\n".join(calls)
    )


def guest_book(world: World, rng: Random) -> str:
    """Strangers introduce themselves at the inn."""
    meeting = (
        "[Good day, I am {name}.|Hello, my name is {name}.|I am called {name}.] "
        "[Welcome, {name}.|It is good to see you, {name}.|Come in, {name}.|Hello, {name}. Sit by the fire.]"
    )
    return "\n".join(fill(rng, meeting, {"name": name}) for name in _names(world, rng, rng.randint(3, 5)))


def memory_game(world: World, rng: Random) -> str:
    """Each player says all that was said before and adds one thing."""
    opening = expand(rng, "[I went to the market and bought|I packed my bag and took|In the old house there is]")
    pool = FOODS if rng.random() < 0.3 else tuple(f"a {thing}" for thing in OBJECTS)
    things = rng.sample(pool, rng.randint(3, 5))
    return "\n".join(fill(rng, f"{opening} {join_and(things[: n + 1])}.", {}) for n in range(len(things)))


def lost_and_found(world: World, rng: Random) -> str:
    """What was lost, and who has it."""
    names = _names(world, rng, 4)
    things = rng.sample(OBJECTS, 4)
    lines = []
    for name, thing in zip(names, things, strict=True):
        slots = {"name": name, "x": thing, "colour": pick(rng, COLOURS)}
        lines.append(
            fill(
                rng,
                "[Who has the {x}? {name} has the {x}.|Who lost a {x}? {name} lost a {x}.|"
                "Is this your {x}, {name}? Yes, it is my {x}.|Where is my {x}? Ask {name}. {name} has your {x}.|"
                "I found a {colour} {x}. Then the {colour} {x} is mine, said {name}.]",
                slots,
            )
        )
    return "\n".join(lines[: rng.randint(3, 4)])


def song(world: World, rng: Random) -> str:
    """A round that goes from one animal or thing to the next."""
    line = "[The {a} saw a {b}.|The {a} followed the {b}.|The {a} danced with the {b}.]"
    first, *others = rng.sample(ANIMALS, 4)
    lines = []
    for other in others:
        lines.append(fill(rng, line, {"a": first, "b": other}))
        first = other
    ending = fill(rng, "[And the {a} went home.|And so the {a} fell asleep.]", {"a": first})
    return "\n".join([*lines, ending])
