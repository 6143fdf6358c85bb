"""Demonstrations in other formats: T0, instructions with instances or outputs, questions on passages, dialogues."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, Field

from tutelage.records import Demonstration, Message, Prompt
from tutelage.store.documents import END_OF_TEXT
from tutelage.store.forms import (
    Row,
    Turns,
    UnusableRow,
    UnusedPart,
    dialogue_demonstrations,
    extra_keys,
    identities,
    prompt_turns,
)
from tutelage.store.parquet import without_nulls

_DIALOGUE_KEYS = ("turns", "conversations")


class Instance(BaseModel):
    """An input, possibly blank, with its output."""

    input: str = ""
    output: str = ""


class Instruction(Instance):
    """An instruction with its instances, or with a single input and output."""

    instruction: str
    instances: list[Instance] = []


class PassageQuestion(BaseModel):
    """A question about a passage with one or more responses; the first nonblank one is used."""

    passage: str
    question: str
    answers: list[str] = []


class TurnsRow(BaseModel):
    """A dialogue, under `turns` or `conversations`."""

    turns: list[Message] = Field(validation_alias=AliasChoices(*_DIALOGUE_KEYS))


def is_dialogue(row: Row) -> bool:
    """Whether a row is a dialogue under one of the known keys."""
    return any(isinstance(row.get(key), list) for key in _DIALOGUE_KEYS)


def demonstrations_of_response(row: Row) -> list[Demonstration]:
    """Our own record, without the `<|endoftext|>` that T0 rows end with. Raises `UnusableRow` if nothing is left."""
    response = row["response"]
    if isinstance(response, str) and response.endswith(END_OF_TEXT):
        response = response.removesuffix(END_OF_TEXT)
        if not response.strip():
            raise UnusableRow("the response is blank, so there is no demonstration")
    return [Demonstration.model_validate({**row, "response": response})]


def _instances(row: Row) -> list[tuple[str, str]]:
    parsed = Instruction.model_validate(without_nulls(row))
    return [
        (f"{parsed.instruction}\n\n{one.input}" if one.input.strip() else parsed.instruction, one.output)
        for one in parsed.instances or [parsed]
    ]


def demonstrations_of_instruction(row: Row) -> list[Demonstration | UnusedPart]:
    """`instruction` with `instances`, or with `input` and `output`: one demonstration per nonblank output."""
    used = ("instruction", "instances", "input", "output")
    kept = extra_keys(row, Demonstration, used=used)
    instances = _instances(row)
    if not any(output.strip() for _, output in instances):
        raise UnusableRow("every output is blank, so there is no demonstration")
    return [
        Demonstration(prompt=prompt, response=output, **kept)
        if output.strip()
        else UnusedPart(f"the output of instance {number} is blank, so there is no demonstration")
        for number, (prompt, output) in enumerate(instances, start=1)
    ]


def prompts_of_instruction(row: Row) -> list[Prompt]:
    """`instruction` with each of its inputs."""
    return [Prompt.model_validate({"text": prompt, **identities(row, Prompt)}) for prompt, _ in _instances(row)]


def _question_prompt(parsed: PassageQuestion) -> str:
    # Some published passages separate lines with a carriage return only.
    passage = "\n".join(parsed.passage.splitlines())
    return f"{passage}\n\n{parsed.question}"


def demonstrations_of_question(row: Row) -> list[Demonstration]:
    """`passage`, a blank line and `question` are the prompt, the first of `answers` with text is the response.

    All `answers` are kept with it.
    """
    parsed = PassageQuestion.model_validate(row)
    response = next((answer for answer in parsed.answers if answer.strip()), None)
    if response is None:
        raise UnusableRow("there is no answer, so there is no demonstration")
    kept = extra_keys(row, Demonstration, used=("passage", "question"))
    return [Demonstration(prompt=_question_prompt(parsed), response=response, **kept)]


def prompts_of_question(row: Row) -> list[Prompt]:
    """The passage, a blank line and the question."""
    text = _question_prompt(PassageQuestion.model_validate(row))
    return [Prompt.model_validate({"text": text, **identities(row, Prompt)})]


def _messages(row: Row) -> list[Message]:
    if len([key for key in _DIALOGUE_KEYS if row.get(key)]) > 1:
        raise UnusableRow("'turns' and 'conversations' are both present; which of them is the dialogue is not known")
    return TurnsRow.model_validate(row).turns


def demonstrations_of_dialogue(row: Row, turns: Turns) -> list[Demonstration | UnusedPart]:
    """`turns` or `conversations`: the demonstrations of a dialogue."""
    return dialogue_demonstrations(_messages(row), turns, **extra_keys(row, Demonstration, used=_DIALOGUE_KEYS))


def prompts_of_dialogue(row: Row) -> list[Prompt]:
    """A dialogue up to its last user turn."""
    return [Prompt.model_validate({"messages": prompt_turns(_messages(row)), **identities(row, Prompt)})]
