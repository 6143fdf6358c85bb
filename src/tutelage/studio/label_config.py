"""What a labeling tool showed and asked, from its own configuration: Label Studio's XML, Argilla's settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tutelage.errors import DataError

_KEY = re.compile(r"\$(\w+)")
_TEXT_TAGS = ("text", "header", "paragraphs", "chat", "list", "markdown")
_PARTS_OF_CONTROLS = ("label", "choice", "bucket", "shortcut")


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A tag that asks something: its kind in lowercase, and the object tags that it refers to."""

    kind: str
    objects: tuple[str, ...]
    is_per_region: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStudioConfig:
    """Label Studio's XML. `key_of`: object tag to key of the data; `shown`: keys that the labeler reads, in order.

    `unread`: what it shows that is not text under a single key.
    """

    controls: Mapping[str, Control]
    key_of: Mapping[str, str]
    shown: tuple[str, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgillaSettings:
    """Argilla's `settings.json`: types by field and by question, and how many submitted answers complete a record.

    `ranked`: the names that a question ranks.
    """

    fields: Mapping[str, str]
    questions: Mapping[str, str]
    ranked: Mapping[str, frozenset[str]]
    min_submitted: int


def read_label_config(path: Path) -> LabelStudioConfig | ArgillaSettings:
    """The configuration of either tool. Raises DataError for a file that is neither."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}. Give the labeling configuration as a file.") from None
    try:
        if text.lstrip().startswith("<"):
            return _of_xml(ElementTree.fromstring(text))
        return _of_settings(json.loads(text))
    except (ElementTree.ParseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a labeling configuration: {error}. Give Label Studio's XML (Settings, Labeling Interface, "
            "Code), or the settings.json of an Argilla dataset."
        ) from None


def _of_xml(root: ElementTree.Element) -> LabelStudioConfig:
    controls: dict[str, Control] = {}
    key_of: dict[str, str] = {}
    shown: list[str] = []
    unread: list[str] = []
    for tag, given in _tags(root):
        if "toname" in given:
            objects = tuple(name.strip() for name in given["toname"].split(","))
            is_per_region = given.get("perregion", "").lower() == "true"
            controls[given["name"]] = Control(kind=tag, objects=objects, is_per_region=is_per_region)
        elif "$" in given.get("value", "") and tag not in _PARTS_OF_CONTROLS:
            key = _KEY.fullmatch(given["value"])
            if key is None or tag not in _TEXT_TAGS:
                unread.append(f"<{tag} value={given['value']!r}>")
                continue
            shown.append(key[1])
            if "name" in given:
                key_of[given["name"]] = key[1]
    return LabelStudioConfig(controls=controls, key_of=key_of, shown=tuple(dict.fromkeys(shown)), unread=tuple(unread))


def _tags(root: ElementTree.Element) -> Iterator[tuple[str, dict[str, str]]]:
    for element in root.iter():
        yield element.tag.lower(), {name.lower(): value for name, value in element.attrib.items()}


def _of_settings(settings: dict[str, Any]) -> ArgillaSettings:
    return ArgillaSettings(
        fields={field["name"]: field["settings"]["type"] for field in settings["fields"]},
        questions={question["name"]: question["settings"]["type"] for question in settings["questions"]},
        ranked={
            question["name"]: frozenset(option["value"] for option in question["settings"]["options"])
            for question in settings["questions"]
            if question["settings"]["type"] == "ranking"
        },
        min_submitted=int((settings.get("distribution") or {}).get("min_submitted") or 1),
    )
