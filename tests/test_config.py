"""Configuration: strict, frozen, and every mistake told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from tutelage.config import Config, config_hash, dump_config, load_config
from tutelage.errors import ConfigError


class Ppo(Config):
    kl_coef: float = Field(0.02, ge=0)
    clip_range: float = 0.2
    every_num_steps: int = 10


class Stage(Config):
    model: str
    out: Path = Path("runs/stage")
    seed: int = 0
    is_resumed: bool = False
    kinds: tuple[Literal["a", "b"], ...] = ("a",)
    ppo: Ppo = Ppo()
    adapter: Ppo | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _check(self):
        if self.adapter is not None and self.seed == 13:
            raise ValueError("adapter and seed 13 do not go together; change one")
        return self


@pytest.fixture
def load(tmp_path):
    def load(text, *overrides):
        (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
        return load_config(Stage, tmp_path / "c.yaml", list(overrides))

    return load


def complaints(load, text, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(text, *overrides)
    first, *lines = str(caught.value).split("\n")
    assert first.endswith("c.yaml cannot be used:")
    return [line.removeprefix("  ") for line in lines]


def test_values_defaults_and_types(load):
    config = load("model: tiny\nout: a/b\nkinds: [b, a]\nppo:\n  kl_coef: 1e-5\n  clip_range: 1\n")
    assert config == Stage(model="tiny", out=Path("a/b"), kinds=("b", "a"), ppo=Ppo(kl_coef=0.00001, clip_range=1.0))
    assert (config.seed, config.adapter) == (0, None)
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1


def test_overrides_reach_nested_keys_and_are_yaml(load):
    config = load(
        "model: tiny\nppo: {clip_range: 0.1}\n",
        "ppo.kl_coef=2E-3",
        "seed=7",
        "kinds=[a, b]",
        "adapter.every_num_steps=3",
        "note=a=b",
        "is_resumed=true",
        "seed=8",
    )
    assert config.ppo == Ppo(kl_coef=0.002, clip_range=0.1)
    assert (config.seed, config.kinds, config.note, config.is_resumed) == (8, ("a", "b"), "a=b", True)
    assert config.adapter == Ppo(every_num_steps=3)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-5", 1e-5), ("-2E+3", -2000.0), ("1.5e3", 1500.0), ("3", 3.0), (".5", 0.5), (".5e1", 5.0), ("2.E2", 200.0)],
)
def test_numbers_as_people_write_them(load, text, value):
    assert load(f"model: m\nppo: {{clip_range: {text}}}").ppo.clip_range == value
    assert load("model: m", f"ppo.clip_range={text}").ppo.clip_range == value


def test_every_mistake_is_told_at_once(load):
    lines = complaints(
        load,
        "seeed: 3\nseed: '3'\nkinds: [a, c]\nppo: {kl_coeff: 0.1, kl_coef: -1}\nkl_coef: 0.5\nis_resumed: 1\n",
        "ppo.zzz=1",
        "seed.x=1",
        "novalue",
        "a..b=1",
        "note=[",
    )
    assert lines[:3] == [
        "--set 'seed.x=1': seed is '3', which has no keys of its own",
        "--set 'novalue': it must be key=value, with dots for nested keys",
        "--set 'a..b=1': it must be key=value, with dots for nested keys",
    ]
    assert lines[3].startswith("--set 'note=[': the value is not valid YAML (")
    assert sorted(lines[4:]) == [
        "is_resumed: is 1; Input should be a valid boolean",
        "kinds.1: is 'c'; Input should be 'a' or 'b'",
        "kl_coef: unknown name, value 0.5; did you mean 'ppo.kl_coef'?",
        "model: missing; it has no default",
        "ppo.kl_coef: is -1; Input should be greater than or equal to 0",
        "ppo.kl_coeff: unknown name, value 0.1; did you mean 'ppo.kl_coef'?",
        "ppo.zzz: unknown name, value 1; the names here are clip_range, every_num_steps, kl_coef",
        "seed: is '3'; Input should be a valid integer",
        "seeed: unknown name, value 3; did you mean 'seed'?",
    ]


def test_rules_between_fields(load):
    assert complaints(load, "model: m\nseed: 13\nadapter: {}\n") == [
        "(all): adapter and seed 13 do not go together; change one"
    ]


def test_a_null_section_takes_its_keys_from_overrides(load):
    assert load("model: m\nadapter:\n", "adapter.kl_coef=1").adapter == Ppo(kl_coef=1.0)


def test_long_values_are_cut(load):
    (line,) = complaints(load, f"model: m\nseed: {'x' * 200}\n")
    assert line == f"seed: is '{'x' * 76}...; Input should be a valid integer"


def test_files_that_are_no_configuration(tmp_path, load):
    with pytest.raises(ConfigError, match=r"none\.yaml does not exist\. Give the path of a YAML file\."):
        load_config(Stage, tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory\."):
        load_config(Stage, tmp_path)
    with pytest.raises(ConfigError, match=r"c\.yaml is not valid YAML: .* line 2"):
        load("model: m\n  seed: [1\n")
    with pytest.raises(
        ConfigError, match=r"c\.yaml holds \['a'\]; it must be a mapping, that is, lines of 'key: value'\."
    ):
        load("- a\n")
    with pytest.raises(ConfigError, match="duplicate key 'seed'"):
        load("model: m\nseed: 1\nseed: 2\n")
    with pytest.raises(ConfigError, match="not valid YAML: could not determine a constructor for the tag"):
        load("model: !!python/object/apply:os.system ['true']\n")
    (tmp_path / "latin.yaml").write_bytes(b"model: \xff\n")
    with pytest.raises(ConfigError, match="is not valid YAML: 'utf-8' codec"):
        load_config(Stage, tmp_path / "latin.yaml")
    assert complaints(load, "") == ["model: missing; it has no default"]


def test_anchors_and_merged_keys_are_yaml_too(load):
    config = load("model: m\nppo: &p {kl_coef: 0.5}\nadapter: {<<: *p, clip_range: 0.3}\n")
    assert config.adapter == Ppo(kl_coef=0.5, clip_range=0.3)


STAGES = st.builds(
    Stage,
    model=st.text(st.characters(codec="utf-8"), max_size=20),
    out=st.sampled_from([Path("a"), Path("runs/é b"), Path("/x")]),
    seed=st.integers(),
    kinds=st.lists(st.sampled_from(["a", "b"]), max_size=3).map(tuple),
    ppo=st.builds(
        Ppo, kl_coef=st.floats(0, allow_infinity=False), clip_range=st.floats(allow_nan=False, allow_infinity=False)
    ),
    note=st.none()
    | st.sampled_from(
        ["no", "1e-5", "1.5e3", ".5E2", "null", "~", "3", "a: b", "2024-01-01", " x ", "é\n\n", "0x1f", "1_000"]
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=STAGES)
@example(config=Stage(model="a\x85b", note="\x85"))
@example(config=Stage(model="a\u2028 b\u2029", note="\r\n \ufeff"))
def test_any_configuration_is_read_as_it_was_dumped(tmp_path, config):
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(Stage, path) == config


def test_the_dump_shows_every_field_in_order():
    assert list(yaml.safe_load(dump_config(Stage(model="m")))) == list(Stage.model_fields)


def test_the_hash_depends_on_every_value_and_on_nothing_else(load):
    config = load("model: m\nseed: 1\n")
    assert config_hash(config) == config_hash(load("seed: 1\nppo: {kl_coef: 0.02}\nmodel: m\n"))
    changed = [{"model": "n"}, {"seed": 2}, {"ppo": Ppo(kl_coef=0.03)}, {"kinds": ("b",)}, {"note": ""}]
    hashes = {config_hash(config.model_copy(update=change)) for change in changed} | {config_hash(config)}
    assert len(hashes) == len(changed) + 1
    assert all(len(digest) == 16 for digest in hashes)
