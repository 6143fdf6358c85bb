"""Shared by the readers of Label Studio and Argilla: what an annotation yields, and how a task's texts form a prompt.

Nothing uncertain becomes a label: everything else is `NotRead`, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pydantic import ValidationError

from tutelage.records import Completion, Demonstration, Message, Prompt, Ranking
from tutelage.store.forms import PROMPT_KEYS, Form, Row, UnusableRow
from tutelage.store.meaning import records_of
from tutelage.store.turns import is_absent, plain_turns

Record = Ranking | Demonstration
Groups = tuple[tuple[str, ...], ...]
CONFIG_HINT = "give the labeling configuration with --label-config"
_ASKS = ("prompt", "instruction", "question", "query", "input", "inputs")
_PASSAGES = ("passage", "passages", "context", "contexts", "document", "documents", "article", "background")
_DIALOGUES = ("messages", "conversations", "conversation", "turns", "dialogue", "dialog", "chat", "history")
# Keys that say where a task comes from, if the value is a number or a single word.
_ORIGINS = ("id", "uid", "uuid", "idx", "index", "source", "url", "dataset", "split", "model", "language", "lang")
# An existing response: a text that someone writes next to it may be about it.
RESPONSE_KEYS = ("response", "answer", "completion", "demonstration", "output", "reply")
RIVALS = "the same completions are ranked more than once; which of the orders counts is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One labeler's judgment or text.

    `label_id` is the tool's own id of it, unique everywhere, None if the tool gives none. `labeler` is the tool's id of
    its labeler, `labeler_name` the display name.
    """

    record: Record
    label_id: str | None
    labeler: str | None
    labeler_name: str | None = None
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRead:
    """An annotation, or a part of one, that yields no label."""

    reason: str
    where: str


class Reader(Protocol):
    """Reads the rows of one tool's export."""

    @property
    def tool(self) -> str:
        """The tool's name, for people."""
        ...

    def read(self, row: Row) -> list[Given | NotRead]:
        """What each annotation of a row yields. Raises UnusableRow if the row as a whole yields nothing."""
        ...

    def num_annotations(self, row: Row) -> int:
        """How many annotations a row holds."""
        ...


def ranking_of(texts: Mapping[str, str], order: Groups, prompt: Prompt) -> Ranking:
    """The ranking of completions by id, with their prompt."""
    completions = tuple(Completion(id=identity, text=text) for identity, text in texts.items())
    return Ranking(prompt=prompt.text, messages=prompt.messages, completions=completions, ranking=order)


def without_rivals(found: Sequence[Given | NotRead]) -> list[Given | NotRead]:
    """One labeler's results, without rankings that are of the same completions."""
    judged = [
        {(one.id, one.text) for one in each.record.completions}
        if isinstance(each, Given) and isinstance(each.record, Ranking)
        else set()
        for each in found
    ]
    return [
        NotRead(reason=RIVALS, where=each.where) if own and judged.count(own) > 1 else each
        for each, own in zip(found, judged, strict=True)
    ]


def prompt_of(texts: Row, *, are_all_shown: bool) -> Prompt:
    """The prompt in the texts of a task: dialogues and passages before the question. Raises UnusableRow.

    `are_all_shown`: it is known that the labeler saw each of `texts`; otherwise keys that say where a task comes from
    are ignored. A text without a question is not a prompt: the instruction may be outside the data.
    """
    # A dialogue under `history` is one of turns here; pairs are read where every format's are.
    named = {"turns" if key == "history" and _is_dialogue(value) else key: value for key, value in texts.items()}
    form: Form[Prompt] = Form(
        name="task",
        keys="",
        matches=lambda _: True,
        convert=partial(_composed, are_all_shown=are_all_shown),
        reads=PROMPT_KEYS,
    )
    try:
        (prompt,) = records_of(form, named, is_trained=True)
    except ValidationError as error:
        raise UnusableRow(f"its prompt cannot be read: {error.errors()[0]['msg']}") from None
    if not isinstance(prompt, Prompt):
        raise UnusableRow(prompt.reason)
    return prompt


def _composed(row: Row, *, are_all_shown: bool) -> list[Prompt]:
    texts = {key: value for key, value in row.items() if not is_absent(value)}
    dialogues = [key for key, value in texts.items() if _is_dialogue(value)]
    if len(dialogues) > 1:
        raise UnusableRow(f"{_names(dialogues)} are all dialogues; their order is not known")
    asks = _asks([key for key in texts if key not in dialogues], are_all_shown)
    passages = [key for key in texts if key in (*_PASSAGES, "text") and key not in dialogues]
    known = (*asks, *passages, *dialogues)
    others = [key for key in texts if key not in known and (are_all_shown or not _is_origin(key, texts[key]))]
    if others:
        hint = "name it 'prompt' if it was answered, 'passage' if it comes before" if are_all_shown else CONFIG_HINT
        raise UnusableRow(f"whether {_names(others)} is part of the prompt is not known; {hint}")
    written = "\n\n".join(_text(key, texts[key]) for key in (*passages, *asks))
    if not dialogues:
        if passages and not asks:
            raise UnusableRow(
                f"{_names(passages)} is not a prompt without a question about it; name the question 'prompt'"
            )
        if not asks:
            raise UnusableRow(f"there is no prompt; it is looked for under {', '.join(_ASKS)}")
        return [Prompt(text=written)]
    if passages and not asks:
        raise UnusableRow(f"where {_names(passages)} belongs in the dialogue {dialogues[0]!r} is not known")
    return [Prompt(messages=_turns(dialogues[0], texts[dialogues[0]], written if asks else None))]


def _asks(keys: Sequence[str], are_all_shown: bool) -> list[str]:
    """Which of the texts is the question: one, or an instruction with its input."""
    asks = [key for key in _ASKS if key in keys]
    if len(asks) > 1 and asks != ["instruction", "input"]:
        raise UnusableRow(f"{_names(asks)} are all present; which of them is the prompt is not known")
    if "text" in keys and asks and not are_all_shown and asks[0] not in ("question", "query"):
        raise UnusableRow(f"whether 'text' is a passage before {asks[0]!r} is not known; {CONFIG_HINT}")
    return asks


def _is_origin(key: str, value: object) -> bool:
    if isinstance(value, str):
        # In some languages whole passages have no spaces.
        is_short = value.isascii() and len(value.split()) == 1
    else:
        is_short = isinstance(value, int | float)
    return is_short and (key in _ORIGINS or key.endswith("_id"))


def _is_dialogue(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, Mapping) and ("role" in turn or "from" in turn) for turn in value)
    )


def _text(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(value)
    raise UnusableRow(f"{key!r} is neither text nor a dialogue of turns with a role")


def _turns(key: str, dialogue: Any, asked: str | None) -> tuple[Message, ...]:
    """The turns of a dialogue, then the question after it; it must end with the user."""
    turns = [
        Message.model_validate({"role": turn.get("role"), "content": turn.get("content")})
        for turn in plain_turns("messages", dialogue)
    ]
    if asked is None:
        if turns[-1].role != "user":
            raise UnusableRow(f"the dialogue {key!r} does not end with the user; what was answered is not known")
        return tuple(turns)
    if turns[-1].role == "user" or key not in _DIALOGUES:
        if turns[-1].role == "user" and turns[-1].content.strip() == asked.strip():
            return tuple(turns)
        raise UnusableRow(f"the dialogue {key!r} and a prompt next to it are both asked; which is last is not known")
    return (*turns, Message(role="user", content=asked))


def _names(keys: Sequence[str]) -> str:
    return " and ".join(map(repr, keys))
