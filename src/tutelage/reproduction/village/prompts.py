"""Every distribution of prompts: users' prompts, prompts written for GPT, and prompts held out of fine-tuning.

The users' raw prompts are as messy as those of a real service. A few users send most of them; prompts are repeated
nearly unchanged; some contain an address, a telephone number or an email address; some are in another language. Users
in the validation and test splits have their own wordings, names and facts.

Prompts written for GPT are what people sent to a pure completion model, before there was one that follows instructions
(the "GPT distribution" of Figure 3). Half are the beginning of a document whose first lines say what follows; half are
few-shot prompts with one or two examples before the request.

Held out of fine-tuning are a use case and a language that occur in no demonstration, ranking or rollout (section
4.3). The task behind every prompt is one that users also have, so that the same ground truth judges all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Any, Literal, NamedTuple

from tutelage.records import Prompt, Split, content_id
from tutelage.reproduction.village.corpus import BLOCK_BREAK
from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.lexicon import FOREIGN, STRANGERS
from tutelage.reproduction.village.patterns import chance, expand, fill, pick
from tutelage.reproduction.village.responses import good_response
from tutelage.reproduction.village.tasks import USE_CASE_SHARES, Task, make_task
from tutelage.reproduction.village.text_tasks import PASSAGE_KINDS
from tutelage.reproduction.village.world import World

PROMPTS_PER_USER, FEWEST_USERS = 9, 60
SHARE_NEAR_DUPLICATE, SHARE_DUPLICATE, SHARE_PERSONAL = 0.05, 0.015, 0.03
# The split of a user by rank of activity, so that every split has busy and quiet users: 14 of 20 train, 3 valid, 3
# test.
_SPLIT_OF_RANK: tuple[Split, ...] = (
    *("train",) * 5,
    *("valid", "test"),
    *("train",) * 4,
    *("test", "valid"),
    *("train",) * 4,
    *("valid", "test", "train"),
)
MOST_WORDS = 75  # of a whole prompt for GPT: about the limit of the quick recipe's prompts
NUMBER_WORDS = {2: "two", 3: "three", 4: "four"}
Outside = Literal["use_case", "language"]
# Requests with only one form in the text, so that nothing else teaches them; see `MAKERS` in `tasks`.
HELD_OUT_USE_CASE = "rewrite"


class ForeignSubject(NamedTuple):
    name: str
    english: str


class Language(NamedTuple):
    """Wordings of requests for a story in another language, possible subjects, and the language's "and"."""

    wordings: tuple[str, ...]
    subjects: tuple[ForeignSubject, ...]
    conjunction: str


class PromptData(NamedTuple):
    tails: tuple[str, ...]
    personal_data: tuple[str, ...]
    streets: tuple[str, ...]
    begun_documents: dict[str, str]
    languages: dict[str, Language]


_DATA = load_data("prompts", PromptData)


@dataclass(frozen=True)
class VillageUser:
    """Someone who sends prompts; `weight` is the relative frequency."""

    id: str
    split: Split
    weight: float
    is_labeler: bool


def make_users(num_users: int) -> tuple[VillageUser, ...]:
    """`num_users` users, busiest first: the weight falls with the rank, so that a few send most prompts."""
    found = []
    for rank in range(num_users):
        is_labeler = rank % 7 == 2
        name = f"labeler-{rank:04d}" if is_labeler else f"user-{rank:04d}"
        found.append(VillageUser(name, _SPLIT_OF_RANK[rank % len(_SPLIT_OF_RANK)], 1.0 / (rank + 1.5), is_labeler))
    return tuple(found)


def _source(rng: Random, user: VillageUser) -> str:
    if not user.is_labeler:
        return "api"
    return pick(rng, ("labeler-plain", "labeler-plain", "labeler-user-based"))


def _with_personal_data(rng: Random, text: str) -> str:
    slots = {
        "number": str(rng.randrange(2, 99)),
        "two": f"{rng.randrange(100):02d}",
        "street": pick(rng, _DATA.streets),
        "lower": pick(rng, STRANGERS).lower(),
    }
    return text + " " + expand(rng, pick(rng, _DATA.personal_data), slots)


def _record(text: str, task: dict[str, Any], user: VillageUser, source: str) -> Prompt:
    extra: dict[str, Any] = {"task": task, "split_hint": user.split}
    return Prompt(text=text, user_id=user.id, source=source, use_case=task["use_case"], **extra)


def raw_prompts(world: World, *, num_prompts: int, seed: int) -> list[Prompt]:
    """`num_prompts` prompts in order of arrival, before any deduplication or filtering.

    Extra keys: `task` (what `judge` needs, JSON-able) and `split_hint` (the split whose wordings and facts the user
    uses). `language`, `split` and `purpose` are left to the prompt pipeline.
    """
    rng = Random(f"prompts-{world.seed}-{seed}")
    everyone = make_users(max(FEWEST_USERS, num_prompts // PROMPTS_PER_USER))
    senders = rng.choices(everyone, [user.weight for user in everyone], k=num_prompts)
    use_cases = rng.choices(tuple(USE_CASE_SHARES), tuple(USE_CASE_SHARES.values()), k=num_prompts)
    last: dict[str, tuple[str, dict[str, Any]]] = {}
    prompts = []
    for user, use_case in zip(senders, use_cases, strict=True):
        draw = rng.random()
        if user.id in last and draw < SHARE_DUPLICATE:
            text, task = last[user.id]
        elif user.id in last and draw < SHARE_DUPLICATE + SHARE_NEAR_DUPLICATE:
            text, task = last[user.id]
            text += pick(rng, _DATA.tails)
        else:
            text, task = make_task(world, rng, use_case, is_held_out=user.split != "train")
            last[user.id] = (text, task)
            if chance(rng, SHARE_PERSONAL):
                text = _with_personal_data(rng, text)
        prompts.append(_record(text, task, user, _source(rng, user)))
    return prompts


def gpt_prompts(world: World, *, num_prompts: int, seed: int, is_held_out: bool = True) -> list[Prompt]:
    """`num_prompts` different prompts with the shares of use cases of Table 1.

    Extra keys: `task`, whose `prompt` is the part that the response replies to, and `style`: "begun" or "few_shot". A
    completion policy continues with the next block after a few-shot prompt: give its arm the block's end as stop text.
    """
    rng = Random(f"gpt-prompts-{world.seed}-{seed}")
    use_cases, shares = tuple(USE_CASE_SHARES), tuple(USE_CASE_SHARES.values())
    found: dict[str, Prompt] = {}
    while len(found) < num_prompts:
        use_case = rng.choices(use_cases, shares)[0]
        text, task, style = _draw_for_gpt(world, rng, use_case, is_held_out)
        if len(text.split()) <= MOST_WORDS and not task.get("is_foreign"):
            extra: dict[str, Any] = {"task": task, "style": style}
            prompt = Prompt(id=content_id("gpt", text), text=text, use_case=use_case, source="gpt", **extra)
            found.setdefault(text, prompt)
    return list(found.values())


def _draw_for_gpt(world: World, rng: Random, use_case: str, is_held_out: bool) -> tuple[str, Task, str]:
    text, task = make_task(world, rng, use_case, is_held_out=is_held_out)
    if task["kind"] in _DATA.begun_documents and chance(rng, 0.6):
        begun = fill(rng, _DATA.begun_documents[task["kind"]], _document_slots(rng, task))
        return begun, {**task, "prompt": begun, "constraints": []}, "begun"
    return _few_shot(world, rng, use_case, text, task), task, "few_shot"


def _document_slots(rng: Random, task: Task) -> dict[str, str]:
    slots = {key: value for key, value in task.items() if isinstance(value, str)}
    if "count" in task:
        slots["count"] = NUMBER_WORDS[task["count"]]
    if "subject" in task:
        slots["topic"] = task["subject"] if task["subject"][0].isupper() else f"the {task['subject']}"
    if task["kind"] == "closed":
        question = next(item for item in PASSAGE_KINDS[task["passage_kind"]].questions if item.slot == task["slot"])
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


def is_outside(prompt: Prompt, held_out: Outside, *, use_case: str = HELD_OUT_USE_CASE) -> bool:
    """Whether a prompt of the miniature is held out of fine-tuning: exclude it from every purpose."""
    task = (prompt.model_extra or {})["task"]
    return bool(task.get("is_foreign")) if held_out == "language" else task["use_case"] == use_case


def use_case_prompts(world: World, *, num_prompts: int, seed: int, use_case: str = HELD_OUT_USE_CASE) -> list[Prompt]:
    """`num_prompts` different prompts of one use case as written by test users; extra key `task`."""
    rng = Random(f"outside-{use_case}-{world.seed}-{seed}")
    found: dict[str, Prompt] = {}
    while len(found) < num_prompts:
        text, task = make_task(world, rng, use_case, is_held_out=True)
        found.setdefault(text, _outside_prompt(text, task))
    return list(found.values())


def foreign_prompts() -> list[Prompt]:
    """Every request for a story in a foreign language that no user of the miniature makes."""
    known = {text for _, text, _ in FOREIGN}
    found = []
    for language, (wordings, subjects, conjunction) in _DATA.languages.items():
        tasks: list[tuple[str, Task]] = [(name, {"kind": "tale", "x": x}) for name, x in subjects]
        for (first, x), (second, y) in combinations(subjects, 2):
            tasks.append((f"{first} {conjunction} {second}", {"kind": "tale_two", "x": x, "y": y}))
        for wording in wordings:
            for foreign, task in tasks:
                text = wording.format(x=foreign)
                if text not in known:
                    extra = {"is_foreign": True, "use_case": "generation", "prompt": text, "constraints": []}
                    found.append(_outside_prompt(text, task | extra, language))
    return found


def _outside_prompt(text: str, task: Task, language: str | None = None) -> Prompt:
    extra: dict[str, Any] = {"task": task}
    return Prompt(id=content_id("outside", text), text=text, use_case=task["use_case"], language=language, **extra)
