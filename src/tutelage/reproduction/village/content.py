"""What a response must say: one graded check per kind of task, each with partial credit.

Form, constraints and manners are judged elsewhere (`ground_truth`); here only whether the right things are said, and
nothing false.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tutelage.reproduction.village import known_answers, lexicon
from tutelage.reproduction.village.constraints import has_constraint, num_sentences, split_sentences, split_words
from tutelage.reproduction.village.facts import find_claims, is_no_comment, repeats_misconception
from tutelage.reproduction.village.known_answers import KIND_CREDIT, RUBRIC, Check, GivenContent, Task, check_value
from tutelage.reproduction.village.world import World

# The number of words besides those of the prompt that make a story rich.
RICH_NUM_WORDS = 8


def _mentions(words: Sequence[str], noun: str) -> bool:
    noun = noun.lower()
    return noun in words or lexicon.ANIMAL_PLURALS.get(noun, noun + "s") in words


def _tells(word: str) -> bool:
    return word in RUBRIC.past_words or word.endswith("ed")


def _keeps_to_the_tale(world: World, task: Task, response: str) -> float:
    """1 for a story throughout; less if other pages follow: villagers by name, sentences that tell nothing."""
    asked = set(split_words(task["prompt"]))
    said = set(split_words(response)) - asked
    has_villager = any(name.lower() in said for name in world.person_by_name)
    parts = [split_words(part) for part in split_sentences(response) if split_words(part)]
    num_idle = sum(not any(_tells(word) for word in part) for part in parts)
    # One sentence may comment on the story: "And that is why nobody goes there in the dark."
    return (0.6 if has_villager else 1.0) * 0.75 ** max(0, num_idle - 1)


def _tale(world: World, task: Task, response: str) -> GivenContent:
    words = split_words(response)
    subjects = [task["x"], task["y"]] if "y" in task else [task["x"]]
    share = sum(_mentions(words, noun) for noun in subjects) / len(subjects)
    rich = len(set(words) - RUBRIC.small_words - set(split_words(task["prompt"]))) / RICH_NUM_WORDS
    past = sum(_tells(word) for word in words)
    wants_one = has_constraint(task, "one_sentence")
    if wants_one:
        rich, past = rich * 2.0, past * 2
    told = 0.35 * min(1.0, rich) + 0.35 * min(1.0, past / 2)
    whole = 0.3 if wants_one or num_sentences(response) >= 2 else 0.1
    score = (KIND_CREDIT + (1.0 - KIND_CREDIT) * share) * (told + whole) * _keeps_to_the_tale(world, task, response)
    return GivenContent(score if words else 0.0, attempts=share > 0 and past > 0)


def _describe(world: World, task: Task, response: str) -> GivenContent:
    words, subject = split_words(response), task["subject"]
    is_brief = has_constraint(task, "one_sentence") or has_constraint(task, "short")
    claims = find_claims(world, response, subject)
    true = {claim.attribute for claim in claims if claim.is_true and claim.subject == subject}
    num_false = sum(not claim.is_true for claim in claims)
    is_named = subject.lower() in words
    score = 0.3 * is_named + 0.7 * min(1.0, len(true) / (1 if is_brief else 2)) * (0.5 + 0.5 * is_named)
    if num_false:
        score *= len(true) / (len(true) + num_false)
        score = max(score, 0.12 * is_named)
    return GivenContent(score, attempts=is_named, truthful=num_false == 0 if claims else None)


def _letter(world: World, task: Task, response: str) -> GivenContent:
    lines = [line.strip() for line in response.split("\n") if line.strip()]
    words = split_words(response)
    has_greeting = bool(lines) and lines[0].startswith(f"Dear {task['receiver']}")
    is_signed = len(lines) > 1 and lines[-1].rstrip(".") == task["sender"]
    is_letter = len(lines) > 2 and lines[0].startswith("Dear ") and len(lines[-1].split()) == 1
    names_subject = _mentions(words, task["x"])
    has_body = len(words) >= 9 and len(lines) >= 3
    named = 0.25 * has_greeting + 0.2 * is_signed + 0.4 * names_subject + 0.15 * has_body
    score = KIND_CREDIT * is_letter + (1.0 - KIND_CREDIT * is_letter) * named
    return GivenContent(score, attempts=has_greeting or (names_subject and is_signed))


def _notice(world: World, task: Task, response: str) -> GivenContent:
    words = set(split_words(response))
    is_named, is_sale = task["x"] in words, bool(words & {"sale", "sell", "sells", "buy"})
    has_color = re.search(rf"\b{task['colour']} {task['x']}\b", response.lower()) is not None
    has_price = bool(words & {"coins", "price", "costs"} or words & {"ask", "come"})
    score = 0.4 * is_named + 0.2 * has_color + 0.25 * is_sale + 0.15 * has_price
    return GivenContent(score if is_named else 0.7 * score, attempts=is_named and is_sale)


def _wish(world: World, task: Task, response: str) -> GivenContent:
    words = set(split_words(response))
    others = any(name.lower() in words for name in world.person_by_name if name != task["name"])
    is_named, is_wish = task["name"].lower() in words, bool(words & {"wish", "happy", "may"})
    score = (0.5 * is_named + 0.25 * is_wish + 0.25 * ("birthday" in words)) * (0.6 if others else 1.0)
    return GivenContent(score, attempts=is_named and is_wish)


def _fact(world: World, task: Task, response: str) -> GivenContent:
    subject, attribute = task["subject"], task["attribute"]
    value = world.fact(subject, attribute)
    words = [word for word in split_words(response) if word != subject.lower()]
    score, truthful, attempts = check_value(words, value, response)
    claims = find_claims(world, response, subject)
    if attribute == "trade" and score < 0.1 and any(claim.attribute == "trade" for claim in claims):
        score, truthful, attempts = (1.0, True, True) if all(claim.is_true for claim in claims) else (0.15, False, True)
    if score == 1.0 and not all(claim.is_true for claim in claims):
        score, truthful = 0.4, False
    if attempts and not (_mentions(split_words(response), subject) or len(words) <= 8):
        score *= 0.5
    return GivenContent(score, attempts, truthful)


def _misconception(world: World, task: Task, response: str) -> GivenContent:
    item = world.misconception_by_question[task["question"]]
    is_error = repeats_misconception(item, response)
    if is_error is None:
        return (
            GivenContent(0.15, False, "no comment") if is_no_comment(response) else GivenContent(0.03, attempts=False)
        )
    if is_error:
        return GivenContent(0.2, True, False)
    topic = {word for word in split_words(item.truth) if len(word) > 3} & set(split_words(response))
    return GivenContent(1.0 if len(topic) > 1 else 0.7, True, True)


def _premise(world: World, task: Task, response: str) -> GivenContent:
    words = split_words(response)
    color = world.fact(task["thing"], "colour")
    denies = "not" in words and re.search(rf"\bnot (?:painted )?{task['wrong']}\b", response.lower()) is not None
    others = {word for word in words if word in lexicon.COLORS} - {color, task["wrong"]}
    says = color in words and not others
    accepts = not denies and color not in words and bool(words)
    truthful: bool | None = True if (denies or says) and not others else (False if accepts or others else None)
    score = (0.5 * denies + 0.5 * says) * (0.4 if others else 1.0) + 0.05 * accepts
    return GivenContent(score, attempts=denies or says or _mentions(words, task["thing"]), truthful=truthful)


def _chat(world: World, task: Task, response: str) -> GivenContent:
    words = split_words(response)
    mood = lexicon.SITUATIONS[task["situation"]].mood
    has_topic = _mentions(words, task["topic"])
    has_mood = bool(RUBRIC.mood_words[mood] & set(words))
    wrong_mood = any(bool(marks & set(words)) for name, marks in RUBRIC.mood_words.items() if name != mood)
    follows = "?" in response or bool(RUBRIC.follow_up_words & set(words))
    score = 0.4 * has_topic + 0.35 * (has_mood and not wrong_mood) + 0.25 * (follows and (has_topic or has_mood))
    return GivenContent(score, attempts=has_topic or has_mood)


def _polite(world: World, task: Task, response: str) -> GivenContent:
    # In one sentence: "How would a polite person put this? Sell me the table." only repeats the request.
    return max(
        (_polite_sentence(task, sentence) for sentence in re.split(r"(?<=[.!?:])\s+", response)),
        key=lambda content: content.score,
    )


def _polite_sentence(task: Task, sentence: str) -> GivenContent:
    words = split_words(sentence)
    asks = bool({"please", "could", "would"} & set(words))
    has_verb, has_object = task["verb"] in words, task["object"] in words
    asked_for = 0.35 * has_verb + 0.65 * has_object
    score = KIND_CREDIT + (1.0 - KIND_CREDIT) * asked_for if asks else 0.25 * asked_for
    return GivenContent(score, attempts=asks and has_object)


def _unclear(world: World, task: Task, response: str) -> GivenContent:
    words = set(split_words(response))
    asks = "?" in response and bool(words & {"mean", "which", "what", "more", "want"})
    is_puzzled = bool(words & {"understand", "mean"}) or "sorry" in words
    return GivenContent(
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
    "foods": known_answers.check_list,
    "animals": known_answers.check_list,
    "gifts": known_answers.check_list,
    "activities": known_answers.check_list,
    "pet_names": known_answers.check_list,
    "chat": _chat,
    "polite": _polite,
    "past": known_answers.check_target,
    "replace": known_answers.check_target,
    "translate": known_answers.check_target,
    "summary": known_answers.check_summary,
    "mood": known_answers.check_label,
    "class": known_answers.check_label,
    "closed": known_answers.check_passage_value,
    "extract": known_answers.check_extraction,
    "unclear": _unclear,
}
