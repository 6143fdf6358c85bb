"""TRL's formats: prompt + completion, prompt + chosen + rejected, messages; each as text or as lists of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from tutelage.records import Completion, Demonstration, Message, Prompt, Ranking
from tutelage.store.forms import (
    Row,
    Turns,
    UnusableRow,
    UnusedPart,
    dialogue_demonstrations,
    extra_keys,
    identities,
    is_trained,
    prompt_turns,
)

Side = str | tuple[Message, ...]
_NOT_OF_PROMPTS = ("prompt", "completion", "completions", "chosen", "rejected", "response", "ranking", "comparisons")
# Scores of either side, in the spellings in use.
SCORE_KEYS = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
)


class PromptCompletion(BaseModel):
    """`completion` is the demonstration of `prompt`."""

    prompt: Side
    completion: Side


class Dialogue(BaseModel):
    """`messages`: a dialogue whose assistant turns are the demonstrations."""

    messages: tuple[Message, ...]


class PromptOnly(BaseModel):
    """`prompt` alone, or with keys that are irrelevant to a prompt."""

    prompt: Side


class ChosenRejected(BaseModel):
    """A comparison; without `prompt`, the messages that `chosen` and `rejected` share are the prompt."""

    prompt: Side | None = None
    chosen: Side
    rejected: Side


def _as_messages(side: Side, role: str) -> tuple[Message, ...]:
    return (Message.model_validate({"role": role, "content": side}),) if isinstance(side, str) else side


def pair_ranking(
    row: Row, prompt: Mapping[str, object], chosen: str, rejected: str, used: Sequence[str]
) -> list[Ranking]:
    """One comparison as a ranking of two completions, which tie if their scores do.

    Raises `UnusableRow` if both are the same text or `rejected` has the higher score.
    """
    if chosen == rejected:
        raise UnusableRow("chosen and rejected are the same text, so there is no comparison")
    completions = (Completion(id="c1", text=chosen), Completion(id="c2", text=rejected))
    kept = extra_keys(row, Ranking, used=used)
    ranking = (("c1", "c2"),) if _is_tie(row) else (("c1",), ("c2",))
    return [Ranking.model_validate({**prompt, **kept, "completions": completions, "ranking": ranking})]


def _is_tie(row: Row) -> bool:
    """Whether a pair ties, by its scores or explicitly. Raises `UnusableRow` if its scores contradict it."""
    given = [(row.get(chosen), row.get(rejected), f"{chosen!r} and {rejected!r}") for chosen, rejected in SCORE_KEYS]
    given.append((row.get("margin"), 0, "'margin' and 0"))
    known = [(first, second, names) for first, second, names in given if first is not None and second is not None]
    for first, second, names in known:
        if isinstance(first, int | float) and isinstance(second, int | float) and first < second:
            raise UnusableRow(f"{names} say that the rejected side is better; which of them is right is not known")
    return any(first == second for first, second, _ in known) or row.get("tie") is True or row.get("is_tie") is True


def last_messages_ranking(
    row: Row, before: Sequence[Message], chosen: Sequence[Message], rejected: Sequence[Message], used: Sequence[str]
) -> list[Ranking]:
    """Two dialogues that differ in their last assistant turn, as a comparison after `before` and their shared turns."""
    shared = tuple(chosen[:-1])
    for name, side in (("chosen", chosen), ("rejected", rejected)):
        if side and side[-1].role != "assistant":
            raise UnusableRow(f"{name} ends with a turn of the {side[-1].role}, so there is no response to compare")
    if not chosen or not rejected or shared != tuple(rejected[:-1]):
        raise UnusableRow("chosen and rejected differ before their last turn, so they share no prompt")
    if not (is_trained(chosen[-1]) and is_trained(rejected[-1])):
        raise UnusableRow("the last turn of chosen or rejected is marked not to be trained on")
    if not before and not shared:
        raise UnusableRow("there is nothing before the last turn, so there is no prompt")
    messages = {"messages": (*before, *shared)}
    return pair_ranking(row, messages, chosen[-1].content, rejected[-1].content, used)


def _unrepeated(prompt: Side | None, after: Sequence[Message]) -> tuple[Message, ...]:
    """The messages of `prompt` without those that `after` repeats at its start, as in many datasets.

    Raises `UnusableRow` if the user would speak twice, because `after` starts over with other text.
    """
    if prompt is None:
        return ()
    if isinstance(prompt, str) and any(turn.role == "user" and turn.content == prompt for turn in after[:-1]):
        return ()
    messages = _as_messages(prompt, "user")
    for repeated in range(min(len(messages), len(after) - 1), 0, -1):
        if tuple(after[:repeated]) == messages[-repeated:]:
            return messages[:-repeated]
    if messages and after and messages[-1].role == "user" and after[0].role != "assistant":
        raise UnusableRow("what follows 'prompt' neither begins with an assistant turn nor repeats it")
    return messages


def rankings_of_pair(row: Row) -> list[Ranking]:
    """`chosen` + `rejected`, with `prompt` or with a shared beginning of messages."""
    parsed = ChosenRejected.model_validate(row)
    used = ("prompt", "chosen", "rejected")
    if isinstance(parsed.chosen, str) and isinstance(parsed.rejected, str) and isinstance(parsed.prompt, str):
        return pair_ranking(row, {"prompt": parsed.prompt}, parsed.chosen, parsed.rejected, used)
    if parsed.prompt is None and (isinstance(parsed.chosen, str) or isinstance(parsed.rejected, str)):
        raise UnusableRow("chosen and rejected are plain text and there is no 'prompt'")
    chosen, rejected = (_as_messages(side, "assistant") for side in (parsed.chosen, parsed.rejected))
    return last_messages_ranking(row, _unrepeated(parsed.prompt, chosen), chosen, rejected, used)


def demonstrations_of_completion(row: Row, turns: Turns) -> list[Demonstration | UnusedPart]:
    """`prompt` + `completion`: as text one demonstration, as messages those of the completion's assistant turns."""
    parsed = PromptCompletion.model_validate(row)
    kept = extra_keys(row, Demonstration, used=("prompt", "completion"))
    if isinstance(parsed.prompt, str) and isinstance(parsed.completion, str):
        if not parsed.completion.strip():
            raise UnusableRow("the completion is blank, so there is no demonstration")
        return [Demonstration(prompt=parsed.prompt, response=parsed.completion, **kept)]
    completion = _as_messages(parsed.completion, "assistant")
    prompt = _as_messages(parsed.prompt, "user")
    dialogue = (*_unrepeated(parsed.prompt, completion), *completion)
    return dialogue_demonstrations(dialogue, turns, first=len(prompt), **kept)


def demonstrations_of_messages(row: Row, turns: Turns) -> list[Demonstration | UnusedPart]:
    """`messages`: the demonstrations of a dialogue."""
    kept = extra_keys(row, Demonstration, used=("messages",))
    return dialogue_demonstrations(Dialogue.model_validate(row).messages, turns, **kept)


def prompts_of_prompt(row: Row) -> list[Prompt]:
    """`prompt`, as text or messages, whatever the other keys."""
    prompt = PromptOnly.model_validate(row).prompt
    kept = extra_keys(row, Prompt, used=_NOT_OF_PROMPTS)
    if isinstance(row.get("prompt_id"), (str, int)):
        kept["id"] = str(kept.pop("prompt_id"))
    if isinstance(prompt, str):
        return [Prompt(text=prompt, **kept)]
    return [Prompt(messages=prompt_turns(prompt), **kept)]


def prompts_of_messages(row: Row) -> list[Prompt]:
    """`messages` up to the last user turn; the other keys of a prompt are read unchanged."""
    messages = prompt_turns(Dialogue.model_validate(row).messages)
    kept = {key: value for key, value in row.items() if key not in _NOT_OF_PROMPTS}
    if isinstance(row.get("prompt_id"), (str, int)):
        kept.setdefault("id", str(kept.pop("prompt_id")))
    return [Prompt.model_validate({**kept, "messages": messages})]


def prompts_of_pair(row: Row) -> list[Prompt]:
    """`chosen` as messages: the dialogue up to its last user turn, after `prompt` if that is not repeated."""
    parsed = ChosenRejected.model_validate(row)
    chosen = _as_messages(parsed.chosen, "assistant")
    messages = prompt_turns((*_unrepeated(parsed.prompt, chosen), *chosen))
    return [Prompt.model_validate({"messages": messages, **identities(row, Prompt)})]


def has_shared_prompt(row: Row) -> bool:
    """Whether a row is a comparison of message lists: its prompt may be contained only in them."""
    is_pair = row.get("chosen") is not None and row.get("rejected") is not None
    return is_pair and not isinstance(row["chosen"], str)
