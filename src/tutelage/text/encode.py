"""From text to token ids without control tokens from text: a special token that is spelled out stays text."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from tutelage.errors import RenderError

# Private-use characters that replace special tokens spelled out in a text while a template processes it.
_STAND_INS = range(0xF0000, 0xFFFFE)


class TextEncoder:
    """Encodes with one tokenizer. Control tokens are its special tokens and the `stop_tokens`, but not `unk`.

    A tokenizer finds special tokens wherever they are spelled out. Even if told not to, one whose vocabulary holds them
    as pieces (Unigram) still finds them. If encoding a text yields a control token, it is encoded again by a copy of
    the tokenizer whose control tokens have names that cannot be typed.
    """

    def __init__(self, tokenizer: Any, stop_tokens: Collection[int]) -> None:
        self.tokenizer = tokenizer
        self.names = _control_names(tokenizer, stop_tokens)
        self.control_tokens = frozenset(self.names.values())

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`. Raises `RenderError` if it cannot be encoded without a control token."""
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        tokens = list(encoded["input_ids"])
        if self.control_tokens.isdisjoint(tokens):
            return tokens
        tokens = self._encode_by_twin(text)
        if not self.control_tokens.isdisjoint(tokens):
            raise RenderError(self._refusal(text))
        return tokens

    def parse(self, text: str) -> list[int]:
        """The tokens of what a template rendered: special tokens that are spelled out are control tokens."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def control_in(self, tokens: Sequence[int]) -> list[int]:
        """The control tokens among `tokens`, in their order."""
        return [token for token in tokens if token in self.control_tokens]

    def with_stand_ins(self, texts: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The texts with each special token replaced by an otherwise unused character; and what each stands for.

        A template cannot truncate, trim or capitalize a single character.
        """
        taken = set("".join(texts))
        free = (chr(code) for code in _STAND_INS if chr(code) not in taken)
        stand_ins: dict[str, str] = {}

        def stand_in(match: re.Match[str]) -> str:
            return stand_ins.setdefault(match[0], next(free))

        replaced = [self._pattern.sub(stand_in, text) for text in texts]
        return replaced, {character: name for name, character in stand_ins.items()}

    def parse_with_stand_ins(self, rendered: str, stand_ins: Mapping[str, str], expected: Sequence[int]) -> list[int]:
        """The tokens of what a template rendered of texts `with_stand_ins`: only its own are control tokens.

        Raises `RenderError` if these are not the `expected` ones: the template assembled others from the texts.
        """
        marked = self._pattern.sub(lambda match: self._twin_names[match[0]], rendered)
        for character, name in stand_ins.items():
            marked = marked.replace(character, name)
        tokens = self._encode_by_twin(marked)
        if self.control_in(tokens) != list(expected):
            raise RenderError(self._refusal(marked))
        return tokens

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Matches any spelled-out control token, longest first, as tokenizers find them."""
        return re.compile("|".join(map(re.escape, sorted(self.names, key=len, reverse=True))) or r"(?!)")

    @cached_property
    def _twin_names(self) -> dict[str, str]:
        secret = secrets.token_hex(16)
        return {name: name + secret for name in self.names}

    @cached_property
    def _twin(self) -> Any:
        """The tokenizer with its control tokens renamed, or None if it is not from the tokenizers library."""
        from tokenizers import Tokenizer

        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            return None
        return Tokenizer.from_str(json.dumps(_renamed(json.loads(backend.to_str()), self._twin_names)))

    def _encode_by_twin(self, text: str) -> list[int]:
        if self._twin is None:
            raise RenderError(self._refusal(text))
        return list(self._twin.encode(text, add_special_tokens=False).ids)

    def _refusal(self, text: str) -> str:
        written = sorted({match[0] for match in self._pattern.finditer(text)})
        return (
            f"the text contains {', '.join(written) or 'what its tokenizer turns into a special token'}, which must "
            "stay text; with this tokenizer it would become a control token. Remove it from the text"
        )


def _control_names(tokenizer: Any, stop_tokens: Collection[int]) -> dict[str, int]:
    added = dict(tokenizer.added_tokens_decoder)
    found = {str(token): number for number, token in added.items() if token.special or number in stop_tokens}
    found |= dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    unknown = tokenizer.unk_token_id
    # Any text may contain characters unknown to the tokenizer.
    return {name: number for name, number in found.items() if number != unknown or number in stop_tokens}


def _renamed(description: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A tokenizer's description (tokenizer.json) with the tokens in `names` renamed throughout."""
    model = description["model"]
    for token in description["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if names.keys().isdisjoint(_pieces(merge))]
    # The rest of a description does not apply to plain text.
    return {**description, "post_processor": None, "truncation": None, "padding": None}


def _pieces(merge: str | Sequence[str]) -> list[str]:
    """The inputs of a merge and its result."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return [left, right, left + right]
