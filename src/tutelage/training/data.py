"""From records to groups of token ids, within the limits of the configuration and the model's context."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from tutelage.errors import DataError, RenderError
from tutelage.model.packing import Group
from tutelage.records import Demonstration, Prompt, Ranking, content_id, flat_text
from tutelage.store.jsonl import Skipped
from tutelage.store.reasons import Reasons
from tutelage.text.render import Renderer, naming
from tutelage.training.config import TextConfig
from tutelage.training.overlap import count_overlap, prompt_key

_log = logging.getLogger(__name__)
# In prompts. On 30 of them an accuracy of 0.7 has a 95 % interval of plus or minus 0.16: wider than most differences
# between two checkpoints.
FEW_FOR_A_DECISION = 30
_NUM_REASONS_TOLD = 5
R = TypeVar("R", Demonstration, Prompt, Ranking)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedExample(Generic[R]):
    """A record and its tokens. For a ranking, `responses` are its completions in the record's order."""

    record: R
    group: Group

    @property
    def name(self) -> str:
        return name_of(self.record)


@dataclass(slots=True)
class SkippedRecords:
    """Why records were skipped, one line each; whether malformed ones may be; how many completions were truncated.

    And, since it concerns the same records: how many validation prompts are also training prompts.
    """

    skip_bad: bool
    messages: list[str] = field(default_factory=list)
    num_cut_completions: int = 0
    num_overlapping_prompts: int = 0

    def note(self, record: Skipped) -> None:
        self.messages.append(record.message)

    def load(self, load: Callable[..., Iterable[T]], source: Path | str) -> list[T]:
        """All records of `source`; malformed ones raise `RecordError` unless they may be skipped."""
        return list(load(source, skip_bad=self.skip_bad, on_skip=self.note))

    def summary(self) -> dict[str, Any]:
        return {
            "num_skipped": len(self.messages),
            "skipped": self.messages[:100],
            "skipped_by_reason": Reasons(self.messages).lines(_NUM_REASONS_TOLD),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthLimits:
    """What fits into a model; anything longer is an error, or recorded in `left_out`."""

    text: TextConfig
    context: int
    left_out: SkippedRecords

    def accepts(self, name: str, what: str, num_tokens: int, limit: int) -> bool:
        limit = min(limit, self.context)
        if num_tokens <= limit:
            return True
        if self.text.too_long == "error":
            raise DataError(
                f"{name}: its {what} has {num_tokens} tokens; the limit is {limit} (text.max_prompt_tokens, "
                "text.max_response_tokens and the model's context). Raise the limit, shorten the record, or set "
                "text.too_long: skip"
            )
        self.left_out.messages.append(f"{name}: {what} of {num_tokens} tokens, limit {limit}")
        return False

    def rendered(self, records: Iterable[R], render: Callable[[R], T]) -> Iterator[tuple[R, T]]:
        """Each record with the result of `render`; one that cannot be rendered is an error, or skipped."""
        for record in records:
            try:
                with naming(name_of(record)):
                    made = render(record)
            except RenderError as error:
                if not self.left_out.skip_bad:
                    raise DataError(f"{error}, or skip such records with skip_bad: true") from error
                self.left_out.messages.append(str(error))
            else:
                yield record, made


def name_of(record: Demonstration | Prompt | Ranking) -> str:
    identity = record.id if isinstance(record, Prompt) else record.prompt_id
    return f"prompt {identity or content_id(flat_prompt(record))}"


def flat_prompt(record: Demonstration | Prompt | Ranking) -> str:
    if isinstance(record, Prompt):
        return record.flat
    return flat_text(record.prompt, record.messages)


def encode_prompts(
    records: Iterable[Prompt], renderer: Renderer, limits: LengthLimits
) -> list[TokenizedExample[Prompt]]:
    """Prompts with room for a response after them."""
    room = limits.context - limits.text.max_response_tokens
    if room < 1:
        raise DataError(
            f"text.max_response_tokens is {limits.text.max_response_tokens}, which leaves no room for a prompt in the "
            f"model's context of {limits.context} tokens; lower it"
        )
    encoded = []
    for record, tokens in limits.rendered(records, renderer.prompt_tokens):
        if limits.accepts(name_of(record), "prompt", len(tokens), min(limits.text.max_prompt_tokens, room)):
            encoded.append(TokenizedExample(record=record, group=Group(prompt=tokens, responses=[])))
    return encoded


def encode_demonstrations(
    records: Iterable[Demonstration], renderer: Renderer, limits: LengthLimits
) -> list[TokenizedExample[Demonstration]]:
    """Demonstrations: prompt, response, stop token."""

    def render(record: Demonstration) -> tuple[list[int], list[int]]:
        return renderer.prompt_tokens(record), renderer.response_tokens(record.response)

    encoded = []
    for record, (prompt, response) in limits.rendered(records, render):
        name = name_of(record)
        if (
            limits.accepts(name, "prompt", len(prompt), limits.text.max_prompt_tokens)
            and limits.accepts(name, "response", len(response), limits.text.max_response_tokens)
            and limits.accepts(name, "prompt with its response", len(prompt) + len(response), limits.context)
        ):
            encoded.append(TokenizedExample(record=record, group=Group(prompt=prompt, responses=[response])))
    return encoded


def encode_rankings(
    records: Iterable[Ranking], renderer: Renderer, limits: LengthLimits
) -> list[TokenizedExample[Ranking]]:
    """Rankings: a prompt and its K completions.

    A completion marked `is_complete: false` has no stop token; one longer than the limit is truncated, and so has none
    either.
    """

    def render(record: Ranking) -> tuple[list[int], list[list[int]]]:
        return renderer.prompt_tokens(record), [
            renderer.truncated_response_tokens(c.text, is_complete=(c.model_extra or {}).get("is_complete", True))
            for c in record.completions
        ]

    encoded = []
    for record, (prompt, responses) in limits.rendered(records, render):
        if not limits.accepts(
            name_of(record), "prompt", len(prompt), min(limits.text.max_prompt_tokens, limits.context - 1)
        ):
            continue
        limit = min(limits.text.max_response_tokens, limits.context - len(prompt))
        limits.left_out.num_cut_completions += sum(len(response) > limit for response in responses)
        cut = [response[:limit] for response in responses]
        encoded.append(TokenizedExample(record=record, group=Group(prompt=prompt, responses=cut)))
    return encoded


def hold_out(records: Sequence[R], *, every: int = 20) -> tuple[list[R], list[R]]:
    """Training and validation records: one prompt in `every`, chosen by its key, with all its records."""
    training: list[R] = []
    validation: list[R] = []
    for record in records:
        is_held_out = int(prompt_key(record), 16) % every == 0
        (validation if is_held_out else training).append(record)
    return training, validation


def require_some(records: Sequence[object], what: str, remedy: str) -> None:
    """Refuse an empty split."""
    if not records:
        raise DataError(f"{what} is empty; it needs at least one record. {remedy}")


def warn_of_few(number: int, decision: str, remedy: str = "give a larger file under `validation`") -> None:
    """Warn if a `decision` is based on fewer than `FEW_FOR_A_DECISION` prompts."""
    if number < FEW_FOR_A_DECISION:
        _log.warning(
            "%s is based on %d prompt%s; with fewer than %d, it may be decided by chance: %s",
            decision,
            number,
            "" if number == 1 else "s",
            FEW_FOR_A_DECISION,
            remedy,
        )


def training_and_validation(
    load: Callable[..., Iterable[R]],
    training: Path | str,
    validation: Path | str | None,
    what: str,
    left_out: SkippedRecords,
    *,
    is_overlap_allowed: bool,
) -> tuple[list[R], list[R]]:
    """Both splits, validation from its own file or held out from training; neither may be empty.

    Raises `DataError` if validation prompts are in training: see `overlap.count_overlap`.
    """
    records = left_out.load(load, training)
    held_out: list[R]
    if validation is None:
        records, held_out = hold_out(records)
    else:
        held_out = left_out.load(load, validation)
    require_some(records, f"the training split of {what} ({training})", "Give a file with records.")
    require_some(
        held_out, f"the validation split of {what} ({validation or training})", "Give a file under `validation`."
    )
    left_out.num_overlapping_prompts = count_overlap(
        map(prompt_key, held_out),
        map(prompt_key, records),
        names=(f"validation prompts of {what} ({validation})", f"training prompts ({training})"),
        is_allowed=is_overlap_allowed,
    )
    return records, held_out
