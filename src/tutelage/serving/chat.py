"""A conversation with one model in one process."""

from __future__ import annotations

from pathlib import Path

import torch

from tutelage.errors import DataError, RenderError
from tutelage.model.generator import LocalGenerator
from tutelage.model.loading import device_of, load_tokenizer
from tutelage.model.policy import Policy
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Message, Prompt
from tutelage.seeds import derived_seed
from tutelage.text.prompting import AskedFormat
from tutelage.text.render import make_renderer


class NotSentError(DataError):
    """The user's message cannot be sent to the model; the conversation is unchanged."""


class Conversation:
    """Turns of a user and a model. In the plain format each turn is independent; in "chat" the dialogue continues.

    `prompt_format` "auto" and `separator` None: as the model was trained, else see `text.prompting.asked_prompting`.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        temperature: float,
        max_response_tokens: int,
        prompt_format: AskedFormat = "auto",
        separator: str | None = None,
        seed: int,
        device: str = "auto",
    ) -> None:
        renderer = make_renderer(load_tokenizer(model), prompt_format=prompt_format, separator=separator)
        self.policy, self.seed = Policy.load(model, renderer=renderer, device=device_of(device)), seed
        self.temperature, self.max_response_tokens = temperature, max_response_tokens
        self.messages: list[Message] = []
        self.num_turns = 0

    def reply(self, text: str) -> str:
        """The model's response to what the user said; both are kept. Raises `NotSentError` and keeps neither."""
        said = Message(role="user", content=text)
        has_turns = self.policy.renderer.prompt_format == "chat"
        prompt = Prompt(messages=(*self.messages, said)) if has_turns else Prompt(text=text)
        try:
            tokens = self.policy.renderer.prompt_tokens(prompt)
        except RenderError as error:
            raise NotSentError(str(error)) from error
        room = self.policy.context_limit - len(tokens)
        if room < 1:
            raise NotSentError(
                f"the prompt has {len(tokens)} tokens and fills the model's context of {self.policy.context_limit}; "
                "write less, or start a new conversation"
            )
        self.num_turns += 1
        sampled = LocalGenerator(self.policy).generate(
            [tokens],
            settings=SamplingSettings(
                max_response_tokens=min(self.max_response_tokens, room), temperature=self.temperature
            ),
            draws=torch.Generator().manual_seed(derived_seed(self.seed, "chat", self.num_turns)),
        )
        response = self.policy.renderer.shown(sampled[0][0].tokens)
        self.messages += [said, Message(role="assistant", content=response)]
        return response
