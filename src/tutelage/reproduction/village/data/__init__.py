"""The village's data: words, wordings, misconceptions, patterns and tables in YAML.

`load_data` is their only reader. Random draws depend on the order of every list and mapping in these files: a different
order gives a different village.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from importlib import resources
from typing import Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

Shape = TypeVar("Shape")


def load_data(name: str, shape: type[Shape]) -> Shape:
    """The content of `name`.yaml as `shape`: a named tuple whose fields are the file's keys, or a tuple of those.

    Lists become tuples. Raises pydantic's `ValidationError`, which names the file and the key, if a key is unknown or
    missing or a value does not have its field's type.
    """
    data: Shape = _load(name, cast("Hashable", shape))
    return data


@cache
def _load(name: str, shape: Any) -> Any:
    text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    try:
        return TypeAdapter(shape).validate_python(yaml.safe_load(text))
    except ValidationError as error:
        error.add_note(f"in {name}.yaml of the village's data")
        raise
