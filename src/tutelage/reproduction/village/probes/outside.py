"""Prompts outside the fine-tuning distribution: a use case and a language that no demonstration, ranking or rollout
had (paper section 4.3: "generalizing to instructions outside of the fine-tuning distribution").
"""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import Any, Literal

from tutelage.records import Prompt, content_id
from tutelage.reproduction.village.tasks import Task, make_task
from tutelage.reproduction.village.templates import FOREIGN
from tutelage.reproduction.village.world import World

Outside = Literal["use_case", "language"]
# Requests that users make in one way only in the text, so that nothing else teaches them; see `MAKERS` in `tasks`.
HELD_OUT_USE_CASE = "rewrite"

# language -> (wordings, (the subject in that language, in English), its "and"); the words are those of `FOREIGN`, put
# together anew: about one subject, and about two.
_LANGUAGES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...], str]] = {
    "de": (
        (
            "Schreibe eine kurze Geschichte über {x}.",
            "Erzähle mir bitte eine Geschichte über {x}.",
            "Schreibe ein Märchen über {x}.",
        ),
        (("eine Katze", "cat"), ("einen Hund", "dog"), ("einen Fuchs", "fox")),
        "und",
    ),
    "fr": (
        (
            "Écris une petite histoire sur {x}.",
            "Écris un conte avec {x}.",
            "Écris une histoire sur {x}.",
            "Raconte-moi une histoire avec {x}.",
            "Raconte-moi un conte sur {x}.",
            "Raconte-moi une petite histoire sur {x}.",
            "Je voudrais un conte sur {x}.",
            "Je voudrais une histoire avec {x}.",
            "Je voudrais un petit conte avec {x}.",
        ),
        (("un chat", "cat"), ("une chèvre", "goat"), ("un loup", "wolf")),
        "et",
    ),
    "es": (
        ("Escribe un cuento corto sobre {x}.", "Cuéntame una historia de {x}."),
        (("un perro", "dog"), ("un ratón", "mouse")),
        "y",
    ),
}


def is_outside(prompt: Prompt, held_out: Outside, *, use_case: str = HELD_OUT_USE_CASE) -> bool:
    """Whether a prompt of the miniature belongs to what fine-tuning is not to see: leave it out of every purpose."""
    task = (prompt.model_extra or {})["task"]
    return bool(task.get("is_foreign")) if held_out == "language" else task["use_case"] == use_case


def use_case_prompts(world: World, *, num_prompts: int, seed: int, use_case: str = HELD_OUT_USE_CASE) -> list[Prompt]:
    """`num_prompts` different prompts of one use case as test users write them; extra key `task`."""
    rng = Random(f"outside-{use_case}-{world.seed}-{seed}")
    found: dict[str, Prompt] = {}
    while len(found) < num_prompts:
        text, task = make_task(world, rng, use_case, is_held_out=True)
        found.setdefault(text, _prompt(text, task))
    return list(found.values())


def foreign_prompts() -> list[Prompt]:
    """Every request for a tale in another language than the village's that no user of the miniature makes."""
    known = {text for _, text, _ in FOREIGN}
    found = []
    for language, (wordings, subjects, conjunction) in _LANGUAGES.items():
        tasks: list[tuple[str, Task]] = [(name, {"kind": "tale", "x": x}) for name, x in subjects]
        for (first, x), (second, y) in combinations(subjects, 2):
            tasks.append((f"{first} {conjunction} {second}", {"kind": "tale_two", "x": x, "y": y}))
        for wording in wordings:
            for foreign, task in tasks:
                text = wording.format(x=foreign)
                if text not in known:
                    extra = {"is_foreign": True, "use_case": "generation", "prompt": text, "constraints": []}
                    found.append(_prompt(text, task | extra, language))
    return found


def _prompt(text: str, task: Task, language: str | None = None) -> Prompt:
    extra: dict[str, Any] = {"task": task}
    return Prompt(id=content_id("outside", text), text=text, use_case=task["use_case"], language=language, **extra)
