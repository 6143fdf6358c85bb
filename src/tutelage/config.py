"""Configuration: one strict, frozen pydantic model per stage, read from YAML; all errors are reported together."""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from tutelage.errors import ConfigError


class Config(BaseModel):
    """A frozen configuration that rejects unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="after")
    @classmethod
    def _expand_home(cls, value: Any, info: ValidationInfo) -> Any:
        """A path that begins with ~ begins with the home folder."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if Path in (annotation, *typing.get_args(annotation)) and str(value).startswith("~"):
            return type(value)(Path(value).expanduser())
        return value


Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-5 is a number and duplicate keys are an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Safe YAML that quotes text which `_Loader` would read as a number, and escapes what it would not give back."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes U+0085 as it is, and reads it as the line break that YAML takes it for: a line feed.
    style = '"' if "\x85" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


# YAML 1.1 reads 1e-5 and 1.5e3 as text: it requires a dot and a signed exponent.
_EXPONENT = re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$")
for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        value = _parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. Give the path of a YAML file.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Give the path of a YAML file.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds {_shown(value)}; it must be a mapping, that is, lines of 'key: value'.")
    return value


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _apply_override(values: dict[str, Any], override: str) -> str | None:
    """Set one `dotted.key=value` in `values`; returns what is wrong with it."""
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        return f"--set {override!r}: it must be key=value, with dots for nested keys"
    try:
        value = _parse_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        return f"--set {override!r}: the value is not valid YAML ({' '.join(str(error).split())})"
    for depth, name in enumerate(names[:-1], start=1):
        if values.get(name) is None:
            values[name] = {}
        values = values[name]
        if not isinstance(values, dict):
            return f"--set {override!r}: {'.'.join(names[:depth])} is {_shown(values)}, which has no keys of its own"
    values[names[-1]] = value
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _names_at(model: type[BaseModel], location: Sequence[int | str]) -> set[str]:
    """The field names that are valid at `location` inside `model`."""
    models = [model]
    for part in location:
        if isinstance(part, str):
            fields = [candidate.model_fields[part] for candidate in models if part in candidate.model_fields]
            models = [nested for field in fields for nested in _models_in(field.annotation)] or models
    return {name for candidate in models for name in candidate.model_fields}


def _dotted_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for nested in _models_in(field.annotation):
            yield from _dotted_names(nested, f"{prefix}{name}.")


def _suggestion(model: type[BaseModel], location: Sequence[int | str]) -> str:
    name = str(location[-1])
    if elsewhere := [dotted for dotted in _dotted_names(model) if dotted.rpartition(".")[2] == name]:
        return f"; did you mean {elsewhere[0]!r}?"
    valid = _names_at(model, location[:-1])
    if close := difflib.get_close_matches(name, sorted(valid), n=1):
        return f"; did you mean {'.'.join([*map(str, location[:-1]), close[0]])!r}?"
    return f"; the names here are {', '.join(sorted(valid))}"


def _complaint(model: type[BaseModel], error: Any) -> str:
    location = error["loc"]
    key = ".".join(str(part) for part in location) or "(all)"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown name, value {_shown(error['input'])}{_suggestion(model, location)}"
    rule = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{key}: missing; it has no default"
    return f"{key}: {rule}" if not location else f"{key}: is {_shown(error['input'])}; {rule}"


def load_config(model: type[Model], path: Path | str | None, overrides: Iterable[str] = ()) -> Model:
    """Read a YAML file, set the `key=value` overrides (dots for nested keys, values in YAML), and validate strictly.

    Without a path, start from the defaults.

    Raises one `ConfigError` that lists everything that is wrong: each line has the key, its value and the rule.
    """
    values = {} if path is None else _read_mapping(Path(path))
    complaints = [wrong for override in overrides if (wrong := _apply_override(values, override))]
    config, faults = check_values(model, values)
    if config is None or complaints:
        complaints += faults
        raise ConfigError(
            f"{path or 'what --set says'} cannot be used:\n" + "\n".join(f"  {complaint}" for complaint in complaints)
        )
    return config


def check_values(model: type[Model], values: dict[str, Any]) -> tuple[Model | None, list[str]]:
    """The configuration, or None and everything that is wrong with `values`: the key, its value and the rule."""
    try:
        return _validated(model, values), []
    except TypeError as error:
        return None, [f"(all): every key must be text ({error})"]
    except ValidationError as error:
        return None, [_complaint(model, fault) for fault in _all_faults(model, values, error)]


def _validated(model: type[Model], values: dict[str, Any]) -> Model:
    # As JSON, a strict model takes a list for a tuple and text for a path, but not "3" for 3.
    return model.model_validate_json(json.dumps(values, default=str), strict=True)


def _all_faults(model: type[BaseModel], values: dict[str, Any], error: ValidationError) -> list[Any]:
    """The faults of `error`, and those that pydantic checks only if every name is known: contradictions."""
    faults: list[Any] = list(error.errors())
    if any(fault["type"] != "extra_forbidden" for fault in faults):
        return faults
    known = copy.deepcopy(values)
    for fault in faults:
        *folders, name = fault["loc"]
        place: Any = known
        for folder in folders:
            place = place[folder]
        del place[name]
    try:
        _validated(model, known)
    except ValidationError as further:
        faults += further.errors()
    return faults


def dump_config(config: BaseModel) -> str:
    """The configuration as YAML, every field written out; `load_config` reads the same configuration from it."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def config_hash(config: BaseModel) -> str:
    """Sixteen hexadecimal digits that depend on every value of the configuration and on nothing else."""
    canonical = json.dumps(config.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
