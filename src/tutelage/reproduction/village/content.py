"""What a response must say: one graded check per kind of task, each with partial credit.

Form, constraints and manners are judged elsewhere (`truth`); here only whether the right things are said, and
nothing false.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tutelage.reproduction.village import closed_domain, lexicon
from tutelage.reproduction.village.claims import believes, claims_of, is_no_comment
from tutelage.reproduction.village.constraints import num_sentences, words_of
from tutelage.reproduction.village.credit import KIND_CREDIT, Check, Content, Task, value_content
from tutelage.reproduction.village.listing import items_of
from tutelage.reproduction.village.rubric import FOLLOW_UP, MOOD_WORDS, PAST_WORDS, RICH_NUM_WORDS, SMALL_WORDS
from tutelage.reproduction.village.templates import SITUATIONS
from tutelage.reproduction.village.world import World


def _mentions(words: Sequence[str], noun: str) -> bool:
    noun = noun.lower()
    return noun in words or lexicon.ANIMAL_PLURALS.get(noun, noun + "s") in words


def _tells(word: str) -> bool:
    return word in PAST_WORDS or word.endswith("ed")


def _keeps_to_the_tale(world: World, task: Task, response: str) -> float:
    """1 for a tale throughout; less where other pages follow: villagers by name, sentences that tell nothing."""
    asked = set(words_of(task["prompt"]))
    said = set(words_of(response)) - asked
    has_villager = any(name.lower() in said for name in world.person_by_name)
    parts = [words_of(part) for part in re.split(r"(?<=[.!?])\s+|\n+", response) if words_of(part)]
    num_idle = sum(not any(_tells(word) for word in part) for part in parts)
    # One sentence may stand back from the tale: "And that is why nobody goes there in the dark."
    return (0.6 if has_villager else 1.0) * 0.75 ** max(0, num_idle - 1)


def _tale(world: World, task: Task, response: str) -> Content:
    words = words_of(response)
    subjects = [task["x"], task["y"]] if "y" in task else [task["x"]]
    share = sum(_mentions(words, noun) for noun in subjects) / len(subjects)
    rich = len(set(words) - SMALL_WORDS - set(words_of(task["prompt"]))) / RICH_NUM_WORDS
    past = sum(_tells(word) for word in words)
    wants_one = any(item["type"] == "one_sentence" for item in task["constraints"])
    if wants_one:
        rich, past = rich * 2.0, past * 2
    told = 0.35 * min(1.0, rich) + 0.35 * min(1.0, past / 2)
    whole = 0.3 if wants_one or num_sentences(response) >= 2 else 0.1
    score = (KIND_CREDIT + (1.0 - KIND_CREDIT) * share) * (told + whole) * _keeps_to_the_tale(world, task, response)
    return Content(score if words else 0.0, attempts=share > 0 and past > 0)


def _describe(world: World, task: Task, response: str) -> Content:
    words, subject = words_of(response), task["subject"]
    is_brief = any(item["type"] in ("one_sentence", "short") for item in task["constraints"])
    claims = claims_of(world, response, subject)
    true = {claim.attribute for claim in claims if claim.is_true and claim.subject == subject}
    num_false = sum(not claim.is_true for claim in claims)
    is_named = subject.lower() in words
    score = 0.3 * is_named + 0.7 * min(1.0, len(true) / (1 if is_brief else 2)) * (0.5 + 0.5 * is_named)
    if num_false:
        score *= len(true) / (len(true) + num_false)
        score = max(score, 0.12 * is_named)
    return Content(score, attempts=is_named, truthful=num_false == 0 if claims else None)


def _letter(world: World, task: Task, response: str) -> Content:
    lines = [line.strip() for line in response.split("\n") if line.strip()]
    words = words_of(response)
    has_greeting = bool(lines) and lines[0].startswith(f"Dear {task['receiver']}")
    is_signed = len(lines) > 1 and lines[-1].rstrip(".") == task["sender"]
    is_letter = len(lines) > 2 and lines[0].startswith("Dear ") and len(lines[-1].split()) == 1
    names_subject = _mentions(words, task["x"])
    has_body = len(words) >= 9 and len(lines) >= 3
    named = 0.25 * has_greeting + 0.2 * is_signed + 0.4 * names_subject + 0.15 * has_body
    score = KIND_CREDIT * is_letter + (1.0 - KIND_CREDIT * is_letter) * named
    return Content(score, attempts=has_greeting or (names_subject and is_signed))


def _notice(world: World, task: Task, response: str) -> Content:
    words = set(words_of(response))
    is_named, is_sale = task["x"] in words, bool(words & {"sale", "sell", "sells", "buy"})
    has_colour = re.search(rf"\b{task['colour']} {task['x']}\b", response.lower()) is not None
    has_price = bool(words & {"coins", "price", "costs"} or words & {"ask", "come"})
    score = 0.4 * is_named + 0.2 * has_colour + 0.25 * is_sale + 0.15 * has_price
    return Content(score if is_named else 0.7 * score, attempts=is_named and is_sale)


def _wish(world: World, task: Task, response: str) -> Content:
    words = set(words_of(response))
    others = any(name.lower() in words for name in world.person_by_name if name != task["name"])
    is_named, is_wish = task["name"].lower() in words, bool(words & {"wish", "happy", "may"})
    score = (0.5 * is_named + 0.25 * is_wish + 0.25 * ("birthday" in words)) * (0.6 if others else 1.0)
    return Content(score, attempts=is_named and is_wish)


def _fact(world: World, task: Task, response: str) -> Content:
    subject, attribute = task["subject"], task["attribute"]
    value = world.fact(subject, attribute)
    words = [word for word in words_of(response) if word != subject.lower()]
    score, truthful, attempts = value_content(words, value, response)
    claims = claims_of(world, response, subject)
    if attribute == "trade" and score < 0.1 and any(claim.attribute == "trade" for claim in claims):
        score, truthful, attempts = (1.0, True, True) if all(claim.is_true for claim in claims) else (0.15, False, True)
    if score == 1.0 and not all(claim.is_true for claim in claims):
        score, truthful = 0.4, False
    if attempts and not (_mentions(words_of(response), subject) or len(words) <= 8):
        score *= 0.5
    return Content(score, attempts, truthful)


def _misconception(world: World, task: Task, response: str) -> Content:
    item = world.misconception_by_question[task["question"]]
    is_error = believes(item, response)
    if is_error is None:
        return Content(0.15, False, "no comment") if is_no_comment(response) else Content(0.03, attempts=False)
    if is_error:
        return Content(0.2, True, False)
    topic = {word for word in words_of(item.true) if len(word) > 3} & set(words_of(response))
    return Content(1.0 if len(topic) > 1 else 0.7, True, True)


def _premise(world: World, task: Task, response: str) -> Content:
    words = words_of(response)
    colour = world.fact(task["thing"], "colour")
    denies = "not" in words and re.search(rf"\bnot (?:painted )?{task['wrong']}\b", response.lower()) is not None
    others = {word for word in words if word in lexicon.COLOURS} - {colour, task["wrong"]}
    says = colour in words and not others
    accepts = not denies and colour not in words and bool(words)
    truthful: bool | None = True if (denies or says) and not others else (False if accepts or others else None)
    score = (0.5 * denies + 0.5 * says) * (0.4 if others else 1.0) + 0.05 * accepts
    return Content(score, attempts=denies or says or _mentions(words, task["thing"]), truthful=truthful)


def _listing(world: World, task: Task, response: str) -> Content:
    valid, half, num_wrong = items_of(task, response)
    count = task["count"]
    score = min(1.0, (valid + 0.5 * half) / count) - 0.15 * num_wrong - 0.15 * max(0, valid + half - count)
    return Content(max(0.0, score), attempts=valid + half > 0)


def _chat(world: World, task: Task, response: str) -> Content:
    words = words_of(response)
    mood = SITUATIONS[task["situation"]].mood
    has_topic = _mentions(words, task["topic"])
    has_mood = bool(MOOD_WORDS[mood] & set(words))
    wrong_mood = any(bool(marks & set(words)) for name, marks in MOOD_WORDS.items() if name != mood)
    follows = "?" in response or bool(FOLLOW_UP & set(words))
    score = 0.4 * has_topic + 0.35 * (has_mood and not wrong_mood) + 0.25 * (follows and (has_topic or has_mood))
    return Content(score, attempts=has_topic or has_mood)


def _polite(world: World, task: Task, response: str) -> Content:
    # In one sentence: "How would a polite person put this? Sell me the table." only repeats what was asked.
    return max(
        (_polite_sentence(task, sentence) for sentence in re.split(r"(?<=[.!?:])\s+", response)),
        key=lambda content: content.score,
    )


def _polite_sentence(task: Task, sentence: str) -> Content:
    words = words_of(sentence)
    asks = bool({"please", "could", "would"} & set(words))
    has_verb, has_object = task["verb"] in words, task["object"] in words
    asked_for = 0.35 * has_verb + 0.65 * has_object
    score = KIND_CREDIT + (1.0 - KIND_CREDIT) * asked_for if asks else 0.25 * asked_for
    return Content(score, attempts=asks and has_object)


def _label(world: World, task: Task, response: str) -> Content:
    named = {label for label in task["labels"] if label in words_of(response)}
    if named == {task["label"]}:
        return Content(1.0, True, True)
    return Content(KIND_CREDIT if len(named) == 1 else 0.1 * len(named), bool(named), False if named else None)


def _unclear(world: World, task: Task, response: str) -> Content:
    words = set(words_of(response))
    asks = "?" in response and bool(words & {"mean", "which", "what", "more", "want"})
    is_puzzled = bool(words & {"understand", "mean"}) or "sorry" in words
    return Content(
        1.0 if asks and words & {"mean", "more", "want", "you"} else 0.4 * is_puzzled, attempts=asks or is_puzzled
    )


CONTENT: dict[str, Check] = {
    "tale": _tale,
    "tale_two": _tale,
    "describe": _describe,
    "letter": _letter,
    "notice": _notice,
    "wish": _wish,
    "fact": _fact,
    "misconception": _misconception,
    "premise": _premise,
    "foods": _listing,
    "animals": _listing,
    "gifts": _listing,
    "activities": _listing,
    "pet_names": _listing,
    "chat": _chat,
    "polite": _polite,
    "past": closed_domain.target,
    "replace": closed_domain.target,
    "translate": closed_domain.target,
    "summary": closed_domain.summary,
    "mood": _label,
    "class": _label,
    "closed": closed_domain.closed,
    "extract": closed_domain.extract,
    "unclear": _unclear,
}
