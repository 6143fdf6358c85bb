"""Prompt and response to token ids. Nothing else in the system decides where a response begins or ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.errors import DataError, ModelError
from tutelage.records import Demonstration, Message, Prompt, Ranking

PromptFormat = Literal["plain", "chat"]
ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Renders records for one tokenizer.

    `prompt_format` "plain": the prompt's text, then `separator`; a dialogue becomes "User: ..." turns. "chat": the
    tokenizer's own chat template. The paper does not give the separators of its prompts. A response is its text and
    then the stop token, which ends it in training and when sampled; it is never a padding token, because nothing here
    is padded.
    """

    tokenizer: Any
    prompt_format: PromptFormat = "plain"
    separator: str = "\n\n"

    def __post_init__(self) -> None:
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer has no end-of-sequence token, so a response could not end; "
                "set `eos_token` in tokenizer_config.json"
            )
        if self.prompt_format == "chat" and not self.tokenizer.chat_template:
            raise ModelError(
                "prompt_format is 'chat', but the tokenizer has no chat template; use prompt_format: plain"
            )

    @property
    def stop_token(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def opening(self) -> list[int]:
        """What the tokenizer puts before a text (a BOS token, usually nothing)."""
        ids = list(self.tokenizer("")["input_ids"])
        return ids[:-1] if len(ids) > 1 and ids[-1] == self.stop_token else ids

    def prompt_tokens(self, record: Prompt | Demonstration | Ranking) -> list[int]:
        text = record.text if isinstance(record, Prompt) else record.prompt
        messages = record.messages or (Message(role="user", content=text or ""),)
        if self.prompt_format == "chat":
            turns = [{"role": m.role, "content": m.content} for m in messages]
            ids = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
            return [int(token) for token in ids]
        rendered = f"{text}{self.separator}" if text is not None else self._dialogue(messages)
        return self.opening + self._encode(rendered)

    def response_tokens(self, text: str) -> list[int]:
        return [*self._encode(text), self.stop_token]

    def truncated_response_tokens(self, text: str, *, is_complete: bool) -> list[int]:
        """A sampled response as it came: without the stop token where it did not end by itself."""
        return self.response_tokens(text) if is_complete else self._encode(text) or [self.stop_token]

    def document_tokens(self, text: str) -> list[int]:
        """A document of pretraining text, between what opens it and the stop token."""
        return [*(self.opening or [self.stop_token]), *self._encode(text), self.stop_token]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a response, its stop token and other special tokens left out."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _encode(self, text: str) -> list[int]:
        # Special tokens written out in a user's text are text, not control.
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return list(encoded["input_ids"])

    def _dialogue(self, messages: Sequence[Message]) -> str:
        turns = [f"{ROLES[message.role]}: {message.content}" for message in messages]
        return "\n\n".join([*turns, "Assistant:"])


def documents_to_windows(tokens: Sequence[int], context_tokens: int) -> Iterator[Sequence[int]]:
    """One tokenized document in windows of at most `context_tokens` + 1 tokens; each opens with the last one's end."""
    for start in range(0, len(tokens) - 1, context_tokens):
        yield tokens[start : start + context_tokens + 1]


def check_fits(name: str, num_tokens: int, limit: int, remedy: str) -> None:
    """Refuse what is longer than the model's context."""
    if num_tokens > limit:
        raise DataError(f"{name} has {num_tokens} tokens; the limit is {limit}. {remedy}")
