"""The documents say what the code is: fields, metrics, functions, tests, commands, examples and links all exist."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import tutelage

if TYPE_CHECKING:
    from tiny import Tiny

ROOT = Path(__file__).resolve().parent.parent
# Verbs that have verbs of their own.
GROUPS = ("prompts", "label")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))


def _text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def _tables(document: str) -> Iterator[tuple[str, list[str]]]:
    """Every row of every table, without head and rule: the heading it stands under, and its cells."""
    heading, is_body = "", False
    for line in _text(document).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").strip("`")
        if not line.startswith("|"):
            is_body = False
        elif set(line) <= set("|-: "):
            is_body = True
        elif is_body:
            yield heading, [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _fences(document: str) -> Iterator[tuple[str, str]]:
    """Every fenced block: what stands behind its opening fence, and its text."""
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```", _text(document), re.MULTILINE | re.DOTALL):
        yield match[1].strip(), match[2]


# -- docs/configuration.md


def _configurations() -> dict[str, type[BaseModel]]:
    """Every model of the package that refuses unknown names: that is what a configuration is.

    Bodies of requests to the studio refuse them as well; its OpenAPI description holds those.
    """
    pytest.importorskip("torch", reason="the pipeline's configuration is imported with the pipeline")
    found: dict[str, type[BaseModel]] = {}
    for module in pkgutil.walk_packages(tutelage.__path__, "tutelage."):
        if module.name.endswith("__main__") or module.name.startswith("tutelage.web"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            is_model = isinstance(value, type) and issubclass(value, BaseModel)
            if is_model and value.model_config.get("extra") == "forbid" and value.model_fields:
                found[name] = value
    return found


def shown_type(annotation: Any) -> str:
    """A field's type as the document writes it."""
    if annotation is type(None):
        return "null"
    if typing.get_origin(annotation) is typing.Annotated:
        return shown_type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(shown_type, typing.get_args(annotation))))
    if typing.get_origin(annotation) is tuple:
        parts = [part for part in typing.get_args(annotation) if part is not Ellipsis]
        return f"list of {shown_type(parts[0])}"
    if typing.get_origin(annotation) is dict:
        return "mapping"
    names = {Path: "path", str: "text", int: "integer", float: "number", bool: "true or false"}
    return names.get(annotation) or annotation.__name__


def shown_default(field: FieldInfo) -> str:
    """A field's default as the document writes it; of a nested configuration, what differs from its own defaults."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_unset=True)
    return f"`{json.dumps(value)}`"


def _documented_fields() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for heading, cells in _tables("docs/configuration.md"):
        found.setdefault(heading.split("`")[0], {})[cells[0].strip("`")] = cells[1:]
    return found


def _inherited(model: type[BaseModel]) -> set[str]:
    """Fields that a stage has from `TrainingConfig`: documented once, there."""
    shared = ("TrainingConfig",)
    return {
        name
        for base in model.__mro__[1:]
        if any(own in base.__name__ for own in shared)
        for name in getattr(base, "model_fields", ())
    }


def test_every_configuration_field_is_documented_with_its_type_and_default() -> None:
    documented = _documented_fields()
    configurations = _configurations()
    assert set(documented) == set(configurations)
    for name, model in configurations.items():
        own = {field: info for field, info in model.model_fields.items() if field not in _inherited(model)}
        assert list(documented[name]) == list(own), name
        for field, info in own.items():
            kind, default, meaning = documented[name][field]
            assert kind == shown_type(info.annotation), f"{name}.{field}"
            assert default == shown_default(info), f"{name}.{field}"
            assert meaning, f"{name}.{field} needs its reason or source"


# -- docs/metrics.md


def _logged(tiny: Tiny, out: Path) -> set[str]:
    """The names in metrics.jsonl of one short run of every stage, with all that can be measured switched on."""
    from tutelage.training.config import DPOConfig, PPOConfig, PretrainConfig, RewardConfig, SFTConfig
    from tutelage.training.dpo import dpo
    from tutelage.training.ppo import ppo
    from tutelage.training.pretrain import pretrain
    from tutelage.training.reward import train_reward
    from tutelage.training.sft import sft

    text = {"max_prompt_tokens": 40, "max_response_tokens": 12}
    optimizer = {"learning_rate": 1e-4}
    shape = {"vocab_size": 300, "width": 16, "num_layers": 1, "num_heads": 2, "context_tokens": 64}
    pretrain_settings = {"text": tiny.text, "num_steps": 2, "tokens_per_step": 256, "new_model": shape}
    pretrain_settings |= {"evaluate_every_num_steps": 1, "validation_share": 0.2}
    sft_settings = {"model": tiny.policy, "demonstrations": tiny.demonstrations, "text": text, "num_epochs": 1}
    sft_settings |= {
        "validation": tiny.demonstrations,
        "allow_prompt_overlap": True,
        "reward_model": tiny.reward_model,
        "optimizer": optimizer,
    }
    sft_settings |= {"pretraining_text": tiny.text, "pretraining_share": 0.1, "validation_prompts": 4}
    reward_settings = {
        "model": tiny.policy,
        "rankings": tiny.rankings,
        "validation": tiny.rankings,
        "allow_prompt_overlap": True,
        "text": text,
    }
    reward_settings |= {"demonstrations": tiny.demonstrations, "evaluate_every_num_steps": 1, "optimizer": optimizer}
    dpo_settings = {
        "policy": tiny.policy,
        "rankings": tiny.rankings,
        "validation": tiny.rankings,
        "allow_prompt_overlap": True,
        "text": text,
    }
    dpo_settings |= {"evaluate_every_num_steps": 1, "optimizer": optimizer}
    ppo_settings = {"policy": tiny.policy, "reward_model": tiny.reward_model, "prompts": tiny.prompts, "text": text}
    ppo_settings |= {"num_episodes": 8, "episodes_per_step": 4, "episodes_per_minibatch": 2}
    ppo_settings |= {"evaluate_every_num_steps": 1}
    ppo_settings |= {"ptx": {"text": tiny.text, "context_tokens": 16, "sequences_per_episode": 1}}
    stages: list[tuple[Callable[[Any], Any], type[BaseModel], dict[str, Any]]] = [
        (pretrain, PretrainConfig, pretrain_settings),
        (sft, SFTConfig, sft_settings),
        (train_reward, RewardConfig, reward_settings),
        (ppo, PPOConfig, ppo_settings),
        (dpo, DPOConfig, dpo_settings),
    ]
    names: set[str] = set()
    for run, model, settings in stages:
        folder = out / model.__name__
        run(model.model_validate({**settings, "out": folder, "device": "cpu"}))
        for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            names |= set(json.loads(line))
    return names - {"step"}


def test_every_metric_is_documented_and_every_documented_metric_is_logged(tiny: Tiny, tmp_path: Path) -> None:
    documented = [cells[0].strip("`") for heading, cells in _tables("docs/metrics.md") if "metrics.jsonl" in heading]
    assert len(set(documented)) == len(documented)
    assert set(documented) == _logged(tiny, tmp_path)


def test_keys_of_the_summary_that_are_documented_are_written() -> None:
    words: set[str] = set()
    rooms = (ROOT / "src/tutelage" / name for name in ("reproduction", "workflow"))
    for path in (path for room in rooms for path in room.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    documented = [cells[0].strip("`") for heading, cells in _tables("docs/metrics.md") if "summary.json" in heading]
    assert documented
    assert set(documented) <= words


# -- docs/details.md


def _resolved(dotted: str) -> Any:
    """`room.file.name.attribute` below the package; a field of a configuration counts as its attribute."""
    parts = dotted.split(".")
    for number in range(len(parts), 0, -1):
        name = ".".join(["tutelage", *parts[:number]])
        if _is_module(name):
            value: Any = importlib.import_module(name)
            for part in parts[number:]:
                fields = getattr(value, "model_fields", {})
                value = fields[part] if part in fields else getattr(value, part)
            return value
    raise AttributeError(f"the package has no {dotted}")


def _is_module(name: str) -> bool:
    path = ROOT / "src" / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _test_names(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_functions_and_tests_that_the_details_name_exist() -> None:
    pytest.importorskip("torch", reason="the functions are imported")
    rows = [cells for _, cells in _tables("docs/details.md")]
    assert len(rows) > 40
    for detail, _, functions, tests, *_ in rows:
        assert _quoted(functions), f"{detail}: names no function"
        assert _quoted(tests), f"{detail}: names no test"
        for function in _quoted(functions):
            _resolved(function)
        for test in _quoted(tests):
            file, _, name = test.partition("::")
            assert name in _test_names(ROOT / "tests" / file), f"{detail}: there is no {test}"


def test_every_choice_of_the_algorithm_stands_in_the_details() -> None:
    """All fields of the PPO terms are the paper's or what it leaves open; each has its row."""
    from tutelage.training.config import OptimizerConfig, PPOTermsConfig, PTXConfig

    named = {
        name.rpartition(".")[2] for _, cells in _tables("docs/details.md") for cell in cells for name in _quoted(cell)
    }
    for model in (PPOTermsConfig, PTXConfig, OptimizerConfig):
        assert set(model.model_fields) - {"text"} <= named, model.__name__


# -- docs/records.md


def _read(kind: str, path: Path) -> int:
    from tutelage.records import Rating
    from tutelage.store.documents import load_text_documents
    from tutelage.store.jsonl import read_records
    from tutelage.store.sources import load_demonstrations, load_prompts, load_rankings

    loaders: dict[str, Callable[[Path], Any]] = {
        "prompts": load_prompts,
        "demonstrations": load_demonstrations,
        "rankings": load_rankings,
        "ratings": lambda source: read_records(source, Rating),
        "documents": load_text_documents,
    }
    return len(list(loaders[kind](path)))


def test_every_example_of_the_records_is_read(tmp_path: Path) -> None:
    examples = [(info.split()[1:], block) for info, block in _fences("docs/records.md") if info.startswith("json")]
    assert len(examples) > 15
    for number, (kinds, block) in enumerate(examples):
        assert kinds, f"an example must say what it is read as: {block}"
        path = tmp_path / f"{number}.jsonl"
        path.write_text(block, encoding="utf-8")
        for kind in kinds:
            assert _read(kind, path) >= len(block.splitlines()), f"not read as {kind}: {block}"


def _rows_under(header: str) -> list[list[str]]:
    """The rows of that table of docs/records.md whose first column is called `header`."""
    text = _text("docs/records.md").replace("\\|", "/")
    table = text.split(f"\n| {header} |")[1].split("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_the_table_of_forms_has_every_form_in_its_order() -> None:
    from tutelage.store.sources import PROMPT_FORMS, RANKING_FORMS, demonstration_forms

    kinds = {"rankings": RANKING_FORMS, "demonstrations": demonstration_forms("all"), "prompts": PROMPT_FORMS}
    written = [(_quoted(cells[0])[0], cells[2].split(", ")) for cells in _rows_under("form")]
    for kind, forms in kinds.items():
        told = [name for name, gives in written if kind in gives]
        assert told == [form.name for form in forms], kind
    assert {kind for _, gives in written for kind in gives} == set(kinds)


def test_the_table_of_keys_has_every_key_that_turns_the_meaning() -> None:
    from tutelage.store import forms, meaning, trl, turns

    told = {name for cells in _rows_under("keys") for name in _quoted(cells[0])}
    known = {*meaning.BEFORE_KEYS, *meaning.UNREAD_KEYS, *forms.PROMPT_KEYS, *turns.TRAIN_KEYS, *turns.MASK_KEYS}
    known |= {key for pair in trl.SCORE_KEYS for key in pair} | {"deleted", "label", "margin", "tie", "is_tie"}
    # Those that only a turn can have stand with the roles, below the table.
    assert told == known - {"train_detail", "training_detail"}
    text = _text("docs/records.md")
    roles = {*turns.ROLES, *turns.CALL_ROLES, "train_detail", "training_detail", "tool_calls"}
    assert all(f"`{name}`" in text for name in roles)


def test_every_field_of_the_records_is_named() -> None:
    from tutelage import records

    text = _text("docs/records.md")
    for model in (records.Prompt, records.Demonstration, records.Ranking, records.Completion, records.Rating):
        for field in model.model_fields:
            assert f"`{field}`" in text, f"{model.__name__}.{field}"
    assert all(f"`{flag}`" in text for flag in records.FLAGS)


# -- commands, files and links in all documents


def _commands() -> dict[str, Any]:
    """Every verb with its click command."""
    import typer

    from tutelage.cli import app

    root: Any = typer.main.get_command(app)
    verbs = dict(root.commands)
    for group in GROUPS:
        verbs |= {f"{group} {name}": command for name, command in verbs.pop(group).commands.items()}
    return verbs


def _command_lines() -> Iterator[tuple[str, str]]:
    """Every command in a fenced block, in an indented one or in backticks."""
    for document in DOCUMENTS:
        text = _text(document).replace("\\\n", " ")
        for line in re.findall(r"^ *(tutelage .*)$|`(tutelage [^`\n]+)`", text, re.MULTILINE):
            command = "".join(line).split(" #")[0].strip()
            if command.split()[1] not in GROUPS or len(command.split()) > 2:
                yield document, command


def test_commands_in_the_documents_exist_with_their_options() -> None:
    verbs, lines = _commands(), list(_command_lines())
    assert len(lines) > 20
    for document, line in lines:
        words = line.split()[1:]
        verb = " ".join(words[:2]) if words[0] in GROUPS else words[0]
        assert verb in verbs, f"{document}: {line}"
        known = {option for parameter in verbs[verb].params for option in parameter.opts} | {"--help"}
        for word in words:
            if re.match(r"--?[a-z]", word):
                assert word.split("=")[0] in known, f"{document}: {line}: {word}"


def test_the_readme_lists_the_verbs_that_exist() -> None:
    listed = [name.removeprefix("tutelage ") for heading, cells in _tables("README.md") for name in _quoted(cells[0])]
    verbs = _commands()
    assert sorted(name for name in listed if " ".join(name.split()[:2]) in verbs or name in verbs) == sorted(verbs)


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", _text("Makefile"), re.MULTILINE))
    for document in DOCUMENTS:
        for target in re.findall(r"(?:^ {4}|`)make ([a-z0-9]+)", _text(document), re.MULTILINE):
            assert target in targets, f"{document}: make {target}"


def test_links_and_paths_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text, folder = _text(document), (ROOT / document).parent
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in link:
                assert (folder / link).exists(), f"{document}: {link}"
        for path in re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]+)`", text):
            assert (ROOT / path).exists(), f"{document}: {path}"
