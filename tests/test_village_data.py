"""The village's data: every file is well formed, its order is kept, and a mistake in it is named."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from importlib import resources
from random import Random
from typing import NamedTuple

import pytest
import yaml
from pydantic import ValidationError

from tutelage.reproduction.village import build_world, pretraining_documents, raw_prompts
from tutelage.reproduction.village.data import load_data
from tutelage.reproduction.village.lexicon import Place, Trade
from tutelage.reproduction.village.patterns import expand

FILES = sorted(path for path in resources.files("tutelage.reproduction.village.data").iterdir() if ".yaml" in path.name)
NAMES = [path.name for path in FILES]


class FewWords(NamedTuple):
    she_names: tuple[str, ...]


class Kinds(NamedTuple):
    exempt_kinds: frozenset[str]
    closed_kinds: frozenset[str]
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    greetings: tuple[str, ...]


class Numbers(NamedTuple):
    exempt_kinds: frozenset[int]
    closed_kinds: frozenset[str]
    openings: tuple[str, ...]
    closings: tuple[str, ...]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


class _Slots(dict[str, str]):
    """A value for every slot."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


@pytest.mark.parametrize(
    ("name", "shape", "complaint"),
    [
        ("lexicon", FewWords, "he_names"),
        ("politeness", Kinds, "greetings"),
        ("politeness", Numbers, "exempt_kinds"),
        ("misconceptions", tuple[Place, ...], "question"),
        ("translation", dict[str, Trade], "nouns"),
    ],
)
def test_data_of_another_shape_is_refused_with_file_and_key(name, shape, complaint):
    with pytest.raises(ValidationError) as caught:
        load_data(name, shape)
    assert complaint in str(caught.value)
    assert f"{name}.yaml" in caught.value.__notes__[0]


def test_data_is_read_once():
    assert load_data("translation", dict[str, object]) is load_data("translation", dict[str, object])


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_key_is_written_twice(path):
    def visit(node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert [key for key in keys if keys.count(key) > 1] == [], node.start_mark
            children = [value for _, value in node.value]
        else:
            children = node.value if isinstance(node, yaml.SequenceNode) else []
        for child in children:
            visit(child)

    visit(yaml.compose(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_pattern_can_be_expanded(path):
    """No bracket without its other half, and no brace that is not a slot's: such marks would stand in the text."""
    for text in _texts(yaml.safe_load(path.read_text(encoding="utf-8"))):
        for seed in range(8):
            written = expand(Random(seed), text, _Slots(x="<x>"))
            assert not re.search(r"[\[\]{}]", written), text
        # Slots stand in braces, and bars between brackets only.
        assert sorted(re.findall(r"[{}]", text)) == sorted("{}" * len(re.findall(r"\{\w+\}", text))), text
        if "[" not in text:
            assert "|" not in text, text


def test_the_village_is_the_one_that_the_published_runs_were_measured_on():
    """Random draws follow the order of the data: a word moved in a list is another village. Where one is wanted, put
    the new digest here, and measure again what docs/miniature-results.md shows.
    """
    world = build_world(0)
    documents = list(pretraining_documents(world, num_documents=300, seed=0))
    prompts = [prompt.model_dump(mode="json") for prompt in raw_prompts(world, num_prompts=300, seed=0)]
    text = json.dumps([documents, prompts], ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "b31dec969e7f1d60"
