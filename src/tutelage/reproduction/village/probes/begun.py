"""Prompts written for GPT: what people sent to a model that only continues, before there was one that follows
instructions (the "GPT distribution" of Figure 3).

Half are a begun document whose first lines say what follows; half show the request with its reply once or twice before
they make their own. The task behind each is one that users of the other distribution have too, so that the same ground
truth judges both.
"""

from __future__ import annotations

from random import Random
from typing import Any

from tutelage.records import Prompt, content_id
from tutelage.reproduction.village.forum import BLOCK_BREAK
from tutelage.reproduction.village.passages import KINDS
from tutelage.reproduction.village.phrases import chance, fill, pick
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.tasks import USE_CASE_SHARES, Task, make_task
from tutelage.reproduction.village.world import World

MOST_WORDS = 75  # of a whole prompt: about what the limit of the quick recipe's prompts lets through

# What stands above the text that is to come, for each kind of task.
BEGUN: dict[str, str] = {
    "tale": "[A tale about a {x}, as my grandmother told it|This is a short tale about a {x}.|The tale of the {x}:]",
    "tale_two": "[A tale about a {x} and a {y}|This is the tale of a {x} that met a {y}.]",
    "describe": "[What everybody in the village knows about {topic}:|From the book of the village: {topic}]",
    "letter": "[Here is the letter that {sender} wrote to {receiver} about a {x}:|"
    "{sender} wrote {receiver} a letter about a {x}. It goes like this:]",
    "notice": "[Notice at the market, for the sale of a {colour} {x}:|Somebody wants to sell a {colour} {x}. "
    "This is the notice:]",
    "wish": "[A card for the birthday of {name}:|On the birthday card of {name} one can read this:]",
    "foods": "[Here is a list of {count} good things to eat:|{count} things for the feast:]",
    "animals": "[Here is a list of {count} animals:|{count} animals for a tale:]",
    "gifts": "[Here is a list of {count} gifts for a friend:|{count} gifts for the wedding:]",
    "activities": "[Here is a list of {count} things to do on a {weather} day:|"
    "For a {weather} day, {count} things to do:]",
    "pet_names": "[Here is a list of {count} names for a pet:|{count} names for a new pet:]",
    "past": "[Today: {source}\nLong ago:|Today: {source}\nYesterday:]",
    "summary": "[{passage}\nIn short:|{passage}\nSummary:]",
    "closed": "[{passage}\nQuestion: {question}\nReply:|{passage}\n{question}]",
    "translate": "[Village tongue: {source}\nOld tongue:]",
}
NUMBER_WORDS = {2: "two", 3: "three", 4: "four"}


def gpt_prompts(world: World, *, num_prompts: int, seed: int, is_held_out: bool = True) -> list[Prompt]:
    """`num_prompts` different prompts with the shares of use cases of Table 1.

    Extra keys: `task`, whose `prompt` is the part that the response replies to, and `style`: "begun" or "few_shot". A
    policy that only continues goes on with the next block after a few-shot prompt: give its arm the block's end as
    stop text.
    """
    rng = Random(f"gpt-prompts-{world.seed}-{seed}")
    use_cases, shares = tuple(USE_CASE_SHARES), tuple(USE_CASE_SHARES.values())
    found: dict[str, Prompt] = {}
    while len(found) < num_prompts:
        use_case = rng.choices(use_cases, shares)[0]
        text, task, style = _draw(world, rng, use_case, is_held_out)
        if len(text.split()) <= MOST_WORDS and not task.get("is_foreign"):
            extra: dict[str, Any] = {"task": task, "style": style}
            prompt = Prompt(id=content_id("gpt", text), text=text, use_case=use_case, source="gpt", **extra)
            found.setdefault(text, prompt)
    return list(found.values())


def _draw(world: World, rng: Random, use_case: str, is_held_out: bool) -> tuple[str, Task, str]:
    text, task = make_task(world, rng, use_case, is_held_out=is_held_out)
    if task["kind"] in BEGUN and chance(rng, 0.6):
        begun = fill(rng, BEGUN[task["kind"]], _slots(rng, task))
        return begun, {**task, "prompt": begun, "constraints": []}, "begun"
    return _few_shot(world, rng, use_case, text, task), task, "few_shot"


def _slots(rng: Random, task: Task) -> dict[str, str]:
    slots = {key: value for key, value in task.items() if isinstance(value, str)}
    if "count" in task:
        slots["count"] = NUMBER_WORDS[task["count"]]
    if "subject" in task:
        slots["topic"] = task["subject"] if task["subject"][0].isupper() else f"the {task['subject']}"
    if task["kind"] == "closed":
        question = next(item for item in KINDS[task["passage_kind"]].questions if item.slot == task["slot"])
        slots["question"] = fill(rng, pick(rng, question.wordings), task["slots"])
    return slots


def _few_shot(world: World, rng: Random, use_case: str, text: str, task: Task) -> str:
    """The request of `task` after one or two requests of the same kind with good replies."""
    num_blocks = pick(rng, (1, 2))
    blocks: list[str] = []
    while len(blocks) < num_blocks:
        asked, other = make_task(world, rng, use_case, is_held_out=False)
        if other["kind"] == task["kind"] and asked != text:
            blocks.append(f"{asked}\n\n{good_response(world, rng, other)}")
    return BLOCK_BREAK.join([*blocks, text])
