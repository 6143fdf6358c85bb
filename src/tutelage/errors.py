"""One tree of errors; each class also derives from the standard exception that it refines.

A `UserError` is an error the user can fix. Its message says what is wrong, the value seen, the rule and the remedy,
and the command line exits with status 2. Every other exception is an internal error: status 1 and a traceback.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any


class TutelageError(Exception):
    """Root of everything that this package raises on purpose."""


class UserError(TutelageError, ValueError):
    """An error the user can fix; shown without a traceback, exit status 2."""


class ConfigError(UserError):
    """A configuration with unknown, missing, malformed or contradictory keys; lists them all."""


class RecordError(UserError):
    """A record that breaks the rules of its file: file and line, the field, its value, the rule and the remedy."""

    def __init__(self, *, path: Path | str, line: int, field: str, value: object, rule: str, remedy: str) -> None:
        self.path, self.line, self.field = str(path), line, field
        self.value, self.rule, self.remedy = value, rule, remedy
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{path}, line {line}: field {field!r} is {shown}; {rule}. {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling between processes: rebuilt from its fields, which are not among its `args`."""
        fields = {name: getattr(self, name) for name in ("path", "line", "field", "value", "rule", "remedy")}
        return partial(type(self), **fields), (), self.__dict__


class DataError(UserError):
    """Data that is well formed but cannot be used: an empty split, a prompt that is longer than the context."""


class RenderError(DataError):
    """A record whose text cannot be turned into tokens: its chat template refuses it, or no tokens are left for it."""


class ModelError(UserError):
    """A model folder that cannot be used: no tokenizer, a different vocabulary, an unsupported architecture."""


class CheckpointError(UserError):
    """A checkpoint that cannot be resumed from: made with another configuration, or corrupted."""


class StorageError(UserError, OSError):
    """A write to disk failed (full, read-only); what was saved before is intact."""


class NonFiniteLossError(UserError, ArithmeticError):
    """A loss became NaN or infinite; training stopped before the update."""


class Stopped(Exception):
    """A run was stopped from outside (Ctrl-C, SIGTERM); the message says what was kept. Not an error.

    `status` is the exit status: 128 plus the signal number, as in shells.
    """

    def __init__(self, message: str, status: int = 130) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])
