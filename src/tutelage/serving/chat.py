"""A conversation with one model in one process."""

from __future__ import annotations

from pathlib import Path

import torch

from tutelage.errors import DataError
from tutelage.model.loading import context_limit, device_of, load_policy, load_tokenizer
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.records import Message, Prompt
from tutelage.seeds import derived_seed
from tutelage.text.render import PromptFormat, Renderer


class ContextFullError(DataError):
    """What the user said has no room in the model's context; the conversation stands as it was before."""


class Conversation:
    """Turns of a user and a model. In the plain format each turn stands alone; in "chat" the dialogue goes on."""

    def __init__(
        self,
        model: str | Path,
        *,
        temperature: float,
        max_response_tokens: int,
        prompt_format: PromptFormat,
        seed: int,
        device: str = "auto",
    ) -> None:
        self.policy, self.prompt_format, self.seed = load_policy(model, device=device_of(device)), prompt_format, seed
        self.renderer = Renderer(tokenizer=load_tokenizer(model), prompt_format=prompt_format)
        self.temperature, self.max_response_tokens = temperature, max_response_tokens
        self.messages: list[Message] = []
        self.num_turns = 0

    def reply(self, text: str) -> str:
        """The model's response to what the user said; both are kept. Raises `ContextFullError`, and keeps nothing."""
        said = Message(role="user", content=text)
        prompt = Prompt(messages=(*self.messages, said)) if self.prompt_format == "chat" else Prompt(text=text)
        tokens = self.renderer.prompt_tokens(prompt)
        room = context_limit(self.policy) - len(tokens)
        if room < 1:
            raise ContextFullError(
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
            stop_token=self.renderer.stop_token,
            generator=torch.Generator().manual_seed(derived_seed(self.seed, "chat", self.num_turns)),
        )
        response = self.renderer.decode(sampled[0][0].tokens).strip()
        self.messages += [said, Message(role="assistant", content=response)]
        return response
