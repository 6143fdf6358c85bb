"""The facts of the world in words: how people state them and how they ask for them.

The same sentences stand in the chronicle, in the question columns and in demonstrations, each in several wordings.
"""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.phrases import expand, pick
from tutelage.reproduction.village.world import Person, Thing, World

# attribute of a person -> statements; {he} works as subject because the pronoun is singular
PERSON_STATEMENTS: dict[str, tuple[str, ...]] = {
    "trade": (
        "{name} is a {trade}.",
        "{name} is a {trade} and {work}.",
        "{name} works as a {trade}.",
        "{name}, the {trade}, {work}.",
    ),
    "home": (
        "{name} lives near the {home}.",
        "{name} has a small house near the {home}.",
        "{name} lives in a house near the {home}.",
    ),
    "pet": (
        "{name} has a {pet}.",
        "{name} keeps a {pet}.",
        "{name} has a {pet} [that follows {him} everywhere|at home].",
    ),
    "food": (
        "{name} likes {food} best.",
        "{name} likes {food} more than any other food.",
        "{name} loves {food}.",
    ),
}

THING_STATEMENTS: dict[str, tuple[str, ...]] = {
    "colour": (
        "The {thing} is {colour}.",
        "The {thing} of {owner} is {colour}.",
        "{owner} painted the {thing} {colour}.",
    ),
    "place": ("The {thing} is {where}.", "The {thing} stays {where}.", "You will find the {thing} {where}."),
    "owner": ("The {thing} belongs to {owner}.", "{owner} owns the {thing}.", "{owner} is the owner of the {thing}."),
}

# the wordings of training prompts and of the pretraining text, and those that only validation and test prompts use
PERSON_QUESTIONS: dict[str, tuple[str, ...]] = {
    "trade": ("What is the trade of {name}?", "What work does {name} do?", "What does {name} do?"),
    "home": ("Where does {name} live?", "Near what place does {name} live?"),
    "pet": ("What pet does {name} have?", "What animal does {name} keep?"),
    "food": ("What food does {name} like best?", "What does {name} like to eat?"),
}
PERSON_QUESTIONS_HELD_OUT: dict[str, tuple[str, ...]] = {
    "trade": ("How does {name} earn a living?", "What is {name}?"),
    "home": ("Where is the house of {name}?", "Where can I find {name} at home?"),
    "pet": ("What animal lives with {name}?", "What is the pet of {name}?"),
    "food": ("What should I cook for {name}?", "What is the best food for {name}?"),
}
THING_QUESTIONS: dict[str, tuple[str, ...]] = {
    "colour": ("What colour is the {thing}?", "What is the colour of the {thing}?"),
    "place": ("Where is the {thing}?", "Where can I find the {thing}?"),
    "owner": ("Who owns the {thing}?", "Who is the owner of the {thing}?"),
}
THING_QUESTIONS_HELD_OUT: dict[str, tuple[str, ...]] = {
    "colour": ("Which colour does the {thing} have?", "How is the {thing} painted?"),
    "place": ("In what place is the {thing}?", "Where do people keep the {thing}?"),
    "owner": ("Who has the {thing}?", "To whom does the {thing} belong?"),
}


def state_person(rng: Random, person: Person, attribute: str, with_pronoun: bool = False) -> str:
    """One sentence that states `attribute`; begins with the pronoun where asked for."""
    pattern = pick(rng, PERSON_STATEMENTS[attribute])
    slots = person.slots()
    if with_pronoun and not pattern.startswith("{name},"):
        slots["name"] = person.pronoun
    return expand(rng, pattern, slots)


def state_thing(rng: Random, thing: Thing, attribute: str, with_pronoun: bool = False) -> str:
    """One sentence that states `attribute`; says "it" for the thing where asked for."""
    pattern = pick(rng, THING_STATEMENTS[attribute])
    if with_pronoun:
        pattern = (
            pattern.replace("The {thing} of {owner}", "It").replace("The {thing}", "It").replace("the {thing}", "it")
        )
    return expand(rng, pattern, thing.slots())


def question_about(rng: Random, world: World, subject: str, attribute: str, is_held_out: bool = False) -> str:
    """A question for one fact, in the wordings of training prompts or in the held-out ones."""
    if subject in world.person_by_name:
        table = PERSON_QUESTIONS_HELD_OUT if is_held_out else PERSON_QUESTIONS
        return expand(rng, pick(rng, table[attribute]), {"name": subject})
    table = THING_QUESTIONS_HELD_OUT if is_held_out else THING_QUESTIONS
    return expand(rng, pick(rng, table[attribute]), {"thing": subject})


def statement_about(rng: Random, world: World, subject: str, attribute: str) -> str:
    """A true sentence that answers the question for one fact."""
    if subject in world.person_by_name:
        return state_person(rng, world.person_by_name[subject], attribute)
    return state_thing(rng, world.thing_by_name[subject], attribute)
