"""The `annotations` format: one row per prompt with its completions and each labeler's judgment, of five kinds.

`all_pairs` judges listed pairs, `pairwise` the only pair (0 tie, 1 first, 2 second), `rank` gives ranks (1 best),
`scores` and `score_vs_reference` numbers (higher is better). One annotation becomes one ranking.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, FiniteFloat, model_validator

from tutelage.records import Completion, Message, Prompt, Ranking
from tutelage.store.forms import Row, UnusableRow, UnusedPart
from tutelage.store.meaning import require_usable

_DIALOGUE = re.compile(r"(?:^|\n\n)(User|Assistant): ")
_ROLES = {"User": "user", "Assistant": "assistant"}
_ANONYMOUS = ("unknown",)
Groups = tuple[tuple[str, ...], ...]


class Annotation(BaseModel):
    """One labeler's judgment of the completions of a row."""

    annotator: str | None = None
    group: str | None = None
    kind: Literal["all_pairs", "rank", "pairwise", "scores", "score_vs_reference"]
    pairs: list[tuple[int, int]] = []
    value: FiniteFloat | list[FiniteFloat]


class AnnotatedRow(BaseModel):
    """A prompt, with the passages it asks about, if any, its completions and its annotations."""

    source: str | None = None
    id: str | int | None = None
    prompt_id: str | int | None = None
    prompt: str
    passages: list[list[str]] = []
    completions: list[str]
    systems: list[str | int] | None = None
    annotations: list[Annotation]

    @model_validator(mode="after")
    def _check(self) -> Self:
        size = len(self.completions)
        if self.systems is not None and len(self.systems) != size:
            raise ValueError(f"'systems' has {len(self.systems)} entries for {size} completions")
        for number, annotation in enumerate(self.annotations, start=1):
            if wrong := _misfit(annotation, size):
                raise ValueError(f"annotation {number} ({annotation.kind}): {wrong}")
        return self


def _misfit(annotation: Annotation, size: int) -> str | None:
    values = annotation.value if isinstance(annotation.value, list) else [annotation.value]
    if annotation.kind in ("all_pairs", "pairwise"):
        if any(value not in (0, 1, 2) for value in values):
            return "a value must be 0 (tie), 1 (first) or 2 (second)"
        if annotation.kind == "pairwise":
            return None if len(values) == 1 and size == 2 else f"it needs one value and two completions, not {size}"
        if any(not 0 <= index < size for pair in annotation.pairs for index in pair):
            return f"a pair names a completion that does not exist; there are {size}"
        return (
            None if len(values) == len(annotation.pairs) else f"{len(values)} values for {len(annotation.pairs)} pairs"
        )
    return None if len(values) == size else f"{len(values)} values for {size} completions"


def passages_text(passages: list[list[str]]) -> str:
    """Passages, each [title, sentence, ...], as text: a line with the title, the sentences; a blank line in between."""
    blocks = []
    for title, *sentences in passages:
        body = " ".join(sentence.strip() for sentence in sentences)
        # The first passage of an article already begins with its title.
        blocks.append(body if body.startswith(title) else f"{title}\n{body}")
    return "\n\n".join(blocks)


def _prompt(row: AnnotatedRow) -> dict[str, Any]:
    if (row.source or "").startswith("oasst") and (messages := _dialogue(row.prompt)):
        return {"messages": messages}
    text = f"{passages_text(row.passages)}\n\n{row.prompt}" if row.passages else row.prompt
    return {"prompt": text}


def _dialogue(text: str) -> list[Message]:
    """Parse a dialogue in the form "User: ...", alternating, ending with the user; [] for any other text."""
    before, *parts = _DIALOGUE.split(text)
    speakers, contents = parts[0::2], parts[1::2]
    expected = ["User", "Assistant"] * len(speakers)
    if before or not len(speakers) % 2 or speakers != expected[: len(speakers)]:
        return []
    return [
        Message.model_validate({"role": _ROLES[speaker], "content": content})
        for speaker, content in zip(speakers, contents, strict=True)
    ]


def tie_groups(ids: list[str], scores: list[float]) -> Groups:
    """The ids in groups of equal score, highest score first."""
    groups: dict[float, list[str]] = {}
    for identity, score in zip(ids, scores, strict=True):
        groups.setdefault(score, []).append(identity)
    return tuple(tuple(groups[score]) for score in sorted(groups, reverse=True))


def _judgement(annotation: Annotation, ids: list[str]) -> dict[str, Any]:
    """The `ranking` or `comparisons` of one annotation; judged pairs that tied are under the extra key `ties`."""
    values = annotation.value if isinstance(annotation.value, list) else [annotation.value]
    if annotation.kind == "rank":
        return {"ranking": tie_groups(ids, [-value for value in values])}
    if annotation.kind in ("scores", "score_vs_reference"):
        return {"ranking": tie_groups(ids, values)}
    pairs = annotation.pairs if annotation.kind == "all_pairs" else [(0, 1)]
    judged = [
        ((ids[i], ids[j]) if value == 1 else (ids[j], ids[i]), value)
        for (i, j), value in zip(pairs, values, strict=True)
    ]
    judgement: dict[str, Any] = {"comparisons": [pair for pair, value in judged if value]}
    if ties := [(ids[i], ids[j]) for (i, j), value in zip(pairs, values, strict=True) if not value]:
        judgement["ties"] = ties
    if annotation.kind == "pairwise":
        # For two completions, one vote is also an order.
        judgement["ranking"] = tie_groups(ids, [{0.0: 0.0, 1.0: 1.0, 2.0: -1.0}[values[0]], 0.0])
    return judgement


def rankings_of_annotations(row: Row) -> list[Ranking | UnusedPart]:
    """One ranking per labeler; `policy` is the system's name. Raises `UnusableRow` if there is nothing to rank."""
    parsed = AnnotatedRow.model_validate(row)
    if len(parsed.completions) < 2:
        raise UnusableRow(f"there are {len(parsed.completions)} completions, so there is nothing to rank")
    if not parsed.annotations:
        raise UnusableRow("there are no annotations, so there is no ranking")
    ids = [f"c{number}" for number in range(1, len(parsed.completions) + 1)]
    policies: Sequence[str | int | None] = parsed.systems or [None] * len(ids)
    shared = _prompt(parsed) | {
        "completions": [
            Completion(id=identity, text=text, policy=None if policy is None else str(policy))
            for identity, text, policy in zip(ids, parsed.completions, policies, strict=True)
        ],
        "prompt_id": _prompt_id(parsed),
    }
    if parsed.source is not None:
        shared["source"] = parsed.source
    found: list[Ranking | UnusedPart] = []
    for number, (one, said) in enumerate(zip(parsed.annotations, row["annotations"], strict=True), start=1):
        try:
            require_usable(said, is_trained=True)
        except UnusableRow as error:
            found.append(UnusedPart(f"annotation {number}: {error}"))
        else:
            found.append(Ranking.model_validate({**shared, **_labeler(one), **_judgement(one, ids)}))
    return found


def _labeler(annotation: Annotation) -> dict[str, Any]:
    known = annotation.annotator not in _ANONYMOUS
    group = {"labeler_group": annotation.group} if annotation.group is not None else {}
    return {"labeler_id": annotation.annotator if known else None, **group}


def _prompt_id(row: AnnotatedRow) -> str | None:
    identity = row.id if row.prompt_id is None else row.prompt_id
    if identity is None:
        return None
    return f"{row.source}:{identity}" if row.source else str(identity)


def prompts_of_annotations(row: Row) -> list[Prompt]:
    """The prompt of a row, whatever the judgments of its completions."""
    parsed = AnnotatedRow.model_validate(row)
    fields = _prompt(parsed)
    identity = _prompt_id(parsed)
    prompt = {"text": fields.get("prompt"), "messages": fields.get("messages"), "source": parsed.source}
    return [Prompt.model_validate(prompt | ({"id": identity} if identity else {}))]
