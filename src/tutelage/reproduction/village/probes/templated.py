"""Skills as templated demonstrations, for fine-tunes like FLAN (Wei et al. 2021) and T0 (Sanh et al. 2021).

Both cover tasks that are easy to score, and both want short responses: a label, a value, one sentence. That is why the
paper finds them far from what users ask for (section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Literal

from tutelage.records import Demonstration
from tutelage.reproduction.village.facts import question_about
from tutelage.reproduction.village.lexicon import ANIMALS, PAST_TENSE, PLACES, THINGS
from tutelage.reproduction.village.passages import KINDS, mood_notice, passage, questions_in
from tutelage.reproduction.village.phrases import chance, expand, fill, pick, tidy
from tutelage.reproduction.village.tongue import sentence, translate
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES, World

Style = Literal["flan", "t0"]
Filling = tuple[dict[str, str], str]  # the slots of a template, and the response
MOST_DRAWS_PER_DEMONSTRATION = 50


def _closed(world: World, rng: Random) -> Filling:
    item = passage(rng, world.strangers_for(False))
    question = pick(rng, questions_in(item))
    asked = tidy(expand(rng, pick(rng, question.wordings), item.slots))
    return {"passage": item.text, "question": asked}, item.slots[question.slot]


def _mood(world: World, rng: Random) -> Filling:
    mood = pick(rng, ("glad", "sad"))
    return {"notice": mood_notice(rng, mood)}, mood


def _translation(world: World, rng: Random) -> Filling:
    text = sentence(rng)
    return {"text": text}, translate(text)


def _summary(world: World, rng: Random) -> Filling:
    item = passage(rng, world.strangers_for(False))
    return {"passage": item.text}, fill(rng, pick(rng, KINDS[item.kind].summaries), item.slots)


def _class(world: World, rng: Random) -> Filling:
    x = pick(rng, world.animals_for(False) if chance(rng, 0.5) else world.thing_names_for(False))
    return {"x": x}, "animal" if x in ANIMALS else "thing"


def _past(world: World, rng: Random) -> Filling:
    present = pick(rng, tuple(PAST_TENSE)[2:])
    x, thing = pick(rng, world.animals_for(False)), pick(rng, (*THINGS, "fish", "bread"))
    text = f"The {x} {present} the {thing} {pick(rng, PLACES).where}."
    return {"text": text}, text.replace(present, PAST_TENSE[present])


def _conclusion(world: World, rng: Random) -> Filling:
    """Whether a summary belongs to a passage."""
    item = passage(rng, world.strangers_for(False))
    other = item if chance(rng, 0.5) else passage(rng, world.strangers_for(False), item.kind)
    claim = fill(rng, pick(rng, KINDS[item.kind].summaries), other.slots)
    follows = all(item.slots[slot] == other.slots[slot] for slot in KINDS[item.kind].summary_slots)
    return {"passage": item.text, "claim": claim}, "yes" if follows else "no"


def _names(world: World, rng: Random) -> Filling:
    item = passage(rng, world.strangers_for(False), pick(rng, ("lost", "runaway", "race")))
    both = sorted((item.slots["who"], item.slots["other"]), key=item.text.index)
    return {"passage": item.text}, " and ".join(both)


def _knowledge(world: World, rng: Random) -> Filling:
    if chance(rng, 0.6):
        subject, attribute = pick(rng, world.people_for(False)).name, pick(rng, PERSON_ATTRIBUTES)
    else:
        subject, attribute = pick(rng, world.things_for(False)).name, pick(rng, THING_ATTRIBUTES)
    return {"question": question_about(rng, world, subject, attribute)}, world.fact(subject, attribute)


MAKERS: dict[str, Callable[[World, Random], Filling]] = {
    "closed_qa": _closed,
    "mood": _mood,
    "translation": _translation,
    "summary": _summary,
    "class": _class,
    "past": _past,
    "conclusion": _conclusion,
    "names": _names,
    "knowledge": _knowledge,
}

FLAN: dict[str, tuple[str, ...]] = {
    "closed_qa": (
        "Read the text and reply to the question.\n\n{passage}\n\n{question}",
        "{passage}\n\nFrom this text: {question}",
        "Text: {passage}\nQuestion: {question}\nReply with one word.",
        "Here is a question on a text: {question}\nText: {passage}",
    ),
    "mood": (
        "{notice}\n\nIs the mood of this notice glad or sad?",
        "Notice: {notice}\nMood (glad or sad):",
        "Tell whether the following notice is glad or sad.\n\n{notice}",
        "Choose a mood for this text, glad or sad: {notice}",
    ),
    "translation": (
        "{text}\n\nTranslate this sentence to the old tongue.",
        "Village tongue: {text}\nOld tongue:",
        "Give the words of the old tongue for: {text}",
        "Write in the old tongue: {text}",
    ),
    "summary": (
        "{passage}\n\nWrite a summary of this text.",
        "Text: {passage}\nSummary in one sentence:",
        "Tell this text in one short sentence: {passage}",
        "{passage}\nIn short:",
    ),
}

T0: dict[str, tuple[str, ...]] = {
    "closed_qa": (
        "Given this text: {passage}\nWhat would you reply to this? {question}",
        "{question}\n\nYou may look at this: {passage}",
        "I read this: {passage} My question is: {question}",
    ),
    "mood": (
        "{notice} Did the guest like the inn? Say glad or sad.",
        "How does the guest feel who wrote this, glad or sad? {notice}",
        "{notice}\nWould you call this glad or sad?",
    ),
    "translation": (
        "How would the people over the hill say this? {text}",
        'What is "{text}" in the old tongue?',
        "If I speak the old tongue, what do I say for: {text}",
    ),
    "summary": (
        "{passage}\n\nHow would you tell this in one sentence?",
        "What happened here? {passage}",
        "Can you say the following with few words? {passage}",
    ),
    "class": (
        "Does a {x} belong to the animals or to the things? Say animal or thing.",
        "Choose: animal or thing? {x}",
        "Given the word {x}, is it an animal or a thing?",
    ),
    "past": (
        "{text} How was this yesterday?",
        "What would you write if this was long ago? {text}",
        "Can you tell this in the past? {text}",
    ),
    "conclusion": (
        "{passage}\nIs this so, yes or no? {claim}",
        "Given this text: {passage} Can I say this? {claim} Yes or no?",
        "{claim} Is that what the text says? {passage}",
    ),
    "names": (
        "Which people are in this text? {passage}",
        "{passage}\nWho was there?",
        "Whom does this text name? {passage}",
    ),
    "knowledge": (
        "Reply with a word or two. {question}",
        "{question} One word will do.",
        "What is right here? {question}",
    ),
}
TEMPLATES: dict[Style, dict[str, tuple[str, ...]]] = {"flan": FLAN, "t0": T0}


def templated_demonstrations(world: World, style: Style, *, num_demonstrations: int, seed: int) -> list[Demonstration]:
    """`num_demonstrations` different demonstrations, as many of every task, each in one of its templates.

    Content is that of training users. Extra keys: `skill` and `template`. A task that has no more to ask (there are
    only so many facts) leaves its turns to the others.
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
        slots, response = MAKERS[skill](world, rng)
        prompt = template.format(**slots)
        if prompt not in seen:
            seen.add(prompt)
            extra: dict[str, Any] = {"skill": skill, "template": template}
            found.append(Demonstration(prompt=prompt, response=response, **extra))
    return found
