"""Prompt and response to token ids. Nothing else in the system decides where a response begins or ends."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tutelage.errors import ModelError, RenderError
from tutelage.records import Demonstration, Message, Prompt, Ranking
from tutelage.text.encode import TextEncoder
from tutelage.text.prompting import (
    AskedFormat,
    PromptFormat,
    Prompting,
    asked_prompting,
    read_prompting,
    read_stop_tokens,
)
from tutelage.text.template import check_template, closing_text, render

_log = logging.getLogger(__name__)
ROLES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
_HARMFUL = re.compile(r"\S")  # what a special token can be written with
_PROBE = "a"  # a text with known tokens, to see what a tokenizer puts before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Renders records for one tokenizer.

    `prompt_format` "plain": the prompt's text, then `separator`; a dialogue becomes "User: ..." turns. "chat": the
    tokenizer's own chat template. `system_prompt` precedes every prompt that has none: as a turn of the dialogue, or as
    text and an empty line before a plain prompt. The paper has none, and does not state its separators. A response is
    its text and then a stop token, which ends it in training and when sampled; it is never a padding token, because
    nothing here is padded. Text stays text: it never produces a control token, whichever format is used.

    `stop_tokens`: what ends a response when it is sampled; the first ends it in training. In "chat" that is the token
    with which the template closes an assistant's turn, else the tokenizer's end of sequence.

    Created for a model by `make_renderer`, which reads from its tokenizer how the model was prompted in training.
    """

    tokenizer: Any
    prompt_format: PromptFormat = "plain"
    separator: str = "\n\n"
    system_prompt: str = ""
    stop_tokens: tuple[int, ...] = field(init=False)
    opening: list[int] = field(init=False)  # what the tokenizer puts before a text (a BOS token, usually nothing)
    _encoder: TextEncoder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "the tokenizer has no end-of-sequence token, so a response could not end; "
                "set `eos_token` in tokenizer_config.json"
            )
        if self.prompt_format == "chat":
            check_template(self.tokenizer, has_system_prompt=bool(self.system_prompt))
        stop_tokens = _stop_tokens(self.tokenizer, self.prompt_format)
        object.__setattr__(self, "stop_tokens", stop_tokens)
        object.__setattr__(self, "opening", _opening(self.tokenizer))
        object.__setattr__(self, "_encoder", TextEncoder(self.tokenizer, stop_tokens))

    @property
    def stop_token(self) -> int:
        """The token that ends a response in training."""
        return self.stop_tokens[0]

    @property
    def prompting(self) -> Prompting:
        return Prompting(prompt_format=self.prompt_format, separator=self.separator, system_prompt=self.system_prompt)

    def prompt_tokens(self, record: Prompt | Demonstration | Ranking) -> list[int]:
        """A prompt, up to where its response begins. Raises `RenderError` for one that cannot be rendered."""
        text = record.text if isinstance(record, Prompt) else record.prompt
        messages = record.messages or (Message(role="user", content=text or ""),)
        if messages[-1].role == "assistant":
            raise RenderError(
                "the last turn of the prompt is the assistant's, so there is nothing to respond to; end the prompt "
                "with a user's turn"
            )
        has_own = messages[0].role == "system"
        if self.system_prompt and not has_own:
            messages = (Message(role="system", content=self.system_prompt), *messages)
        if self.prompt_format == "chat":
            return self._chat(messages)
        before = f"{self.system_prompt}\n\n" if self.system_prompt else ""
        rendered = f"{before}{text}{self.separator}" if text is not None else self._dialogue(messages)
        return self.opening + self._encoder.encode(rendered)

    def response_tokens(self, text: str) -> list[int]:
        return [*self._encoder.encode(text), self.stop_token]

    def truncated_response_tokens(self, text: str, *, is_complete: bool) -> list[int]:
        """A sampled response as it is: without a stop token if it did not end by itself."""
        return self.response_tokens(text) if is_complete else self._encoder.encode(text) or [self.stop_token]

    def document_tokens(self, text: str) -> list[int]:
        """A document of pretraining text, between its opening tokens and the tokenizer's end of sequence."""
        end = int(self.tokenizer.eos_token_id)
        return [*(self.opening or [end]), *self._encoder.encode(text), end]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a response, without its stop token and other special tokens."""
        own = tokens[:-1] if tokens and tokens[-1] in self.stop_tokens else tokens
        return str(self.tokenizer.decode(own, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def shown(self, tokens: Sequence[int]) -> str:
        """A response as it is shown, labeled and scored: its text, stripped of surrounding whitespace."""
        return self.decode(tokens).strip()

    def _chat(self, messages: Sequence[Message]) -> list[int]:
        """The template's own tokens, if no control token comes from a message; else the same with those as text.

        The template's own control tokens are those it renders for messages that cannot contain any.
        """
        contents = [message.content for message in messages]
        rendered, harmless = self._apply_template(messages, contents), [_HARMFUL.sub("x", said) for said in contents]
        expected = self._encoder.control_in(self._encoder.parse(self._apply_template(messages, harmless)))
        tokens = self._encoder.parse(rendered)
        if self._encoder.control_in(tokens) == expected:
            return tokens
        marked, stand_ins = self._encoder.with_stand_ins(contents)
        return self._encoder.parse_with_stand_ins(self._apply_template(messages, marked), stand_ins, expected)

    def _apply_template(self, messages: Sequence[Message], contents: Sequence[str]) -> str:
        turns = [{"role": m.role, "content": content} for m, content in zip(messages, contents, strict=True)]
        return render(self.tokenizer, turns, with_generation_prompt=True)

    def _dialogue(self, messages: Sequence[Message]) -> str:
        turns = [f"{ROLES[message.role]}: {message.content}" for message in messages]
        return "\n\n".join([*turns, "Assistant:"])


def make_renderer(
    tokenizer: Any,
    *,
    prompt_format: AskedFormat = "auto",
    separator: str | None = None,
    system_prompt: str | None = None,
) -> Renderer:
    """The renderer of a model's tokenizer: as the model was prompted in training, else see `asked_prompting`.

    Explicit arguments take precedence; a contradiction causes a warning.
    """
    trained = read_prompting(tokenizer)
    asked = asked_prompting(tokenizer, prompt_format, separator, system_prompt)
    if trained is not None and not asked.is_like(trained):
        _log.warning(
            "prompts are rendered as %s, but this model was trained with %s: its responses and scores are unreliable. "
            "Omit the prompt format and the separator to prompt it as it was trained",
            asked,
            trained,
        )
    return Renderer(tokenizer=tokenizer, **asdict(asked))


def _stop_tokens(tokenizer: Any, prompt_format: PromptFormat) -> tuple[int, ...]:
    found = [int(tokenizer.eos_token_id), *read_stop_tokens(tokenizer)]
    if prompt_format == "chat":
        # A template may put text before it, such as a newline.
        added = {number for number, token in tokenizer.added_tokens_decoder.items() if str(token).strip()}
        tail = tokenizer(closing_text(tokenizer), add_special_tokens=False)["input_ids"]
        found = [*[token for token in tail if token in added][:1], *found]
    return tuple(dict.fromkeys(found))


def _opening(tokenizer: Any) -> list[int]:
    whole, bare = (tokenizer(_PROBE, add_special_tokens=wanted)["input_ids"] for wanted in (True, False))
    places = range(len(whole) - len(bare) + 1)
    start = next((place for place in places if whole[place : place + len(bare)] == bare), 0)
    return list(whole[:start])


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Prefix error messages with the record's `name`."""
    try:
        yield
    except RenderError as error:
        raise RenderError(f"{name}: {error}") from error


def documents_to_windows(tokens: Sequence[int], context_tokens: int) -> Iterator[Sequence[int]]:
    """Split a tokenized document into windows of at most `context_tokens` + 1 tokens; neighbors share one token."""
    for start in range(0, len(tokens) - 1, context_tokens):
        yield tokens[start : start + context_tokens + 1]
