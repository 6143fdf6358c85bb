"""Skills as templated demonstrations, for fine-tunes like FLAN (Wei et al. 2021) and T0 (Sanh et al. 2021).

Both cover tasks that are easy to score, and both want short responses: a label, a value, one sentence. That is why the
paper finds them far from what users request (section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Literal

from tutelage.records import Demonstration
from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.facts import pick_fact, question_about
from tutelage.reproduction.village.lexicon import ANIMALS, PAST_TENSE, PLACES, THINGS
from tutelage.reproduction.village.patterns import chance, expand, fill, pick, tidy
from tutelage.reproduction.village.text_tasks import (
    PASSAGE_KINDS,
    answerable_questions,
    draw_notice,
    draw_passage,
    draw_sentence,
    translate,
)
from tutelage.reproduction.village.world import World

Style = Literal["flan", "t0"]
Filling = tuple[dict[str, str], str]  # the slots of a template, and the response
MOST_DRAWS_PER_DEMONSTRATION = 50
TEMPLATES = load_data("skill_templates", dict[Style, dict[str, tuple[str, ...]]])


def _ask_passage(world: World, rng: Random) -> Filling:
    item = draw_passage(rng, world.strangers_for(False))
    question = pick(rng, answerable_questions(item))
    asked = tidy(expand(rng, pick(rng, question.wordings), item.slots))
    return {"passage": item.text, "question": asked}, item.slots[question.slot]


def _ask_mood(world: World, rng: Random) -> Filling:
    mood = pick(rng, ("glad", "sad"))
    return {"notice": draw_notice(rng, mood)}, mood


def _ask_translation(world: World, rng: Random) -> Filling:
    text = draw_sentence(rng)
    return {"text": text}, translate(text)


def _ask_summary(world: World, rng: Random) -> Filling:
    item = draw_passage(rng, world.strangers_for(False))
    return {"passage": item.text}, fill(rng, pick(rng, PASSAGE_KINDS[item.kind].summaries), item.slots)


def _ask_class(world: World, rng: Random) -> Filling:
    x = pick(rng, world.animals_for(False) if chance(rng, 0.5) else world.thing_names_for(False))
    return {"x": x}, "animal" if x in ANIMALS else "thing"


def _ask_past(world: World, rng: Random) -> Filling:
    present = pick(rng, tuple(PAST_TENSE)[2:])
    x, thing = pick(rng, world.animals_for(False)), pick(rng, (*THINGS, "fish", "bread"))
    text = f"The {x} {present} the {thing} {pick(rng, PLACES).where}."
    return {"text": text}, text.replace(present, PAST_TENSE[present])


def _ask_conclusion(world: World, rng: Random) -> Filling:
    """Whether a summary belongs to a passage."""
    item = draw_passage(rng, world.strangers_for(False))
    other = item if chance(rng, 0.5) else draw_passage(rng, world.strangers_for(False), item.kind)
    claim = fill(rng, pick(rng, PASSAGE_KINDS[item.kind].summaries), other.slots)
    follows = all(item.slots[slot] == other.slots[slot] for slot in PASSAGE_KINDS[item.kind].summary_slots)
    return {"passage": item.text, "claim": claim}, "yes" if follows else "no"


def _ask_names(world: World, rng: Random) -> Filling:
    item = draw_passage(rng, world.strangers_for(False), pick(rng, ("lost", "runaway", "race")))
    both = sorted((item.slots["who"], item.slots["other"]), key=item.text.index)
    return {"passage": item.text}, " and ".join(both)


def _ask_fact(world: World, rng: Random) -> Filling:
    subject, attribute = pick_fact(rng, world.people_for(False), world.things_for(False), share_people=0.6)
    return {"question": question_about(rng, world, subject, attribute)}, world.fact(subject, attribute)


FILLINGS: dict[str, Callable[[World, Random], Filling]] = {
    "closed_qa": _ask_passage,
    "mood": _ask_mood,
    "translation": _ask_translation,
    "summary": _ask_summary,
    "class": _ask_class,
    "past": _ask_past,
    "conclusion": _ask_conclusion,
    "names": _ask_names,
    "knowledge": _ask_fact,
}


def templated_demonstrations(world: World, style: Style, *, num_demonstrations: int, seed: int) -> list[Demonstration]:
    """`num_demonstrations` different demonstrations, equally many per task, each in one of its templates.

    Content is that of training users. Extra keys: `skill` and `template`. A task that runs out of questions (the number
    of facts is limited) leaves its turns to the others.
    """
    templates = TEMPLATES[style]
    rng = Random(f"templated-{style}-{world.seed}-{seed}")
    seen: set[str] = set()
    found: list[Demonstration] = []
    for number in range(MOST_DRAWS_PER_DEMONSTRATION * num_demonstrations):
        if len(found) == num_demonstrations:
            break
        skill = tuple(templates)[number % len(templates)]
        template = pick(rng, templates[skill])
        slots, response = FILLINGS[skill](world, rng)
        prompt = template.format(**slots)
        if prompt not in seen:
            seen.add(prompt)
            extra: dict[str, Any] = {"skill": skill, "template": template}
            found.append(Demonstration(prompt=prompt, response=response, **extra))
    return found
