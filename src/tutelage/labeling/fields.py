"""The fields of forms. Each parses its own entry from what a browser submitted, or says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Submitted = Mapping[str, str]
"""Names and text as an HTML form sends them; an unticked box is absent."""
Entry = int | str | bool
MAX_CHARACTERS = 50_000


class EntryError(ValueError):
    """An entry that may not be saved: the message is shown to the labeler next to the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Whole numbers from `lowest` to `highest`, one of which must be chosen; `anchors` say what some of them mean."""

    name: str
    label: str
    lowest: int
    highest: int
    anchors: Mapping[int, str] = field(default_factory=dict)
    hint: str = ""
    kind = "scale"

    @property
    def steps(self) -> range:
        return range(self.lowest, self.highest + 1)

    def read(self, submitted: Submitted) -> int:
        text = submitted.get(self.name, "").strip()
        if not text:
            raise EntryError(f"Choose a number from {self.lowest} to {self.highest}.")
        if text not in map(str, self.steps):
            raise EntryError(f"{text!r} is not a number from {self.lowest} to {self.highest}.")
        return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A checkbox; False if unchecked."""

    name: str
    label: str
    hint: str = ""
    kind = "flag"

    def read(self, submitted: Submitted) -> bool:
        return submitted.get(self.name, "") not in ("", "false", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several named options; a choice is required."""

    name: str
    label: str
    options: Mapping[str, str]
    hint: str = ""
    kind = "choice"

    def read(self, submitted: Submitted) -> str:
        value = submitted.get(self.name, "")
        if not value:
            raise EntryError("Choose one.")
        if value not in self.options:
            raise EntryError(f"{value!r} is not one of the choices.")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text of one or more lines. Line endings become \\n; blank text counts as empty."""

    name: str
    label: str
    is_required: bool = False
    num_rows: int = 3
    hint: str = ""
    kind = "text"

    def read(self, submitted: Submitted) -> str:
        text = submitted.get(self.name, "").replace("\r\n", "\n").replace("\r", "\n")
        if not text.strip():
            if self.is_required:
                raise EntryError("Write something here.")
            return ""
        if len(text) > MAX_CHARACTERS:
            raise EntryError(f"This has {len(text):,} characters; the maximum is {MAX_CHARACTERS:,}.")
        return text


Field = Scale | Flag | Choice | Text
