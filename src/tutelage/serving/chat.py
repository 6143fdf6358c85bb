"""A conversation with one model in one process."""

from __future__ import annotations

from pathlib import Path

import torch

from tutelage.errors import DataError, RenderError
from tutelage.model.context import context_limit
from tutelage.model.loading import device_of, load_policy, load_tokenizer
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.records import Message, Prompt
from tutelage.seeds import derived_seed
from tutelage.text.prompting import PromptFormat
from tutelage.text.render import make_renderer


class NotSentError(DataError):
    """What the user said cannot be sent to the model; the conversation stands as it was before."""


class Conversation:
    """Turns of a user and a model. In the plain format each turn stands alone; in "chat" the dialogue goes on.

    `prompt_format` and `separator` None: as the model was trained.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        temperature: float,
        max_response_tokens: int,
        prompt_format: PromptFormat | None = None,
        separator: str | None = None,
        seed: int,
        device: str = "auto",
    ) -> None:
        self.policy, self.seed = load_policy(model, device=device_of(device)), seed
        self.renderer = make_renderer(load_tokenizer(model), prompt_format=prompt_format, separator=separator)
        self.temperature, self.max_response_tokens = temperature, max_response_tokens
        self.messages: list[Message] = []
        self.num_turns = 0

    def reply(self, text: str) -> str:
        """The model's response to what the user said; both are kept. Raises `NotSentError`, and keeps nothing."""
        said = Message(role="user", content=text)
        has_turns = self.renderer.prompt_format == "chat"
        prompt = Prompt(messages=(*self.messages, said)) if has_turns else Prompt(text=text)
        try:
            tokens = self.renderer.prompt_tokens(prompt)
        except RenderError as error:
            raise NotSentError(str(error)) from error
        room = context_limit(self.policy) - len(tokens)
        if room < 1:
            raise NotSentError(
                f"the prompt has {len(tokens)} tokens and fills the model's context of {context_limit(self.policy)}; "
                "write less, or start a new conversation"
            )
        self.num_turns += 1
        sampled = sample_responses(
            self.policy,
            [tokens],
            settings=SamplingSettings(
                max_response_tokens=min(self.max_response_tokens, room), temperature=self.temperature
            ),
            stop_tokens=self.renderer.stop_tokens,
            generator=torch.Generator().manual_seed(derived_seed(self.seed, "chat", self.num_turns)),
        )
        response = self.renderer.shown(sampled[0][0].tokens)
        self.messages += [said, Message(role="assistant", content=response)]
        return response
