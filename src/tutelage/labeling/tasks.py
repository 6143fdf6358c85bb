"""What a labeler is given: a task of one kind about one prompt, for training or for evaluation."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import model_validator

from tutelage.records import Completion, Prompt, Record

# In the order of the labeler's page.
Kind = Literal["demonstrate", "evaluate", "compare", "prompt", "toxicity"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Training puts helpfulness first, evaluation truthfulness and harmlessness (paper 3.4): their guidelines differ.
Purpose = Literal["training", "evaluation"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
PromptKind = Literal["plain", "few-shot", "user-based"]

MAX_COMPLETIONS = 9
# The paper ranks 4 to 9; an order needs at least two.
_NUM_COMPLETIONS: dict[Kind, tuple[int, int]] = {
    "demonstrate": (0, 0),
    "evaluate": (2, MAX_COMPLETIONS),
    "compare": (2, 2),
    "prompt": (0, 0),
    "toxicity": (1, MAX_COMPLETIONS),
}


class Task(Record):
    """One task, as queued and stored; completions are blinded when it is shown (`labeling.display`).

    `prompt` is missing only if the labeler is to write one: `prompt_kind` then says which kind, `use_case` for what.
    `instruction` is what the models were told in a toxicity task, if it is not part of the prompt.
    """

    kind: Kind
    prompt: Prompt | None = None
    completions: tuple[Completion, ...] = ()
    prompt_kind: PromptKind | None = None
    use_case: str = ""
    instruction: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "prompt") == (self.prompt is not None):
            raise ValueError("a task of kind 'prompt' has no 'prompt'; all others need one")
        if (self.kind == "prompt") == (self.prompt_kind is None):
            raise ValueError("'prompt_kind' is for tasks of kind 'prompt', which require it")
        fewest, most = _NUM_COMPLETIONS[self.kind]
        if not fewest <= len(self.completions) <= most:
            raise ValueError(
                f"a task of kind {self.kind!r} has {fewest} to {most} completions, not {len(self.completions)}"
            )
        ids = [completion.id for completion in self.completions]
        if len(set(ids)) != len(ids):
            raise ValueError("completion ids must be unique within a task")
        return self
