"""A room imports only rooms on lower floors; rooms on one floor do not know each other; nothing goes in a circle."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "tutelage"
CONTRIBUTING = Path(__file__).parent.parent / "CONTRIBUTING.md"
# The table of CONTRIBUTING.md is the rule: `| floor | rooms |`.
FLOORS = {
    int(floor): set(re.findall(r"`(\w+)`", rooms))
    for floor, rooms in re.findall(r"^\| (\d) \| (.*) \|$", CONTRIBUTING.read_text(encoding="utf-8"), re.MULTILINE)
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
EXCEPTIONS = {("__main__", "cli")}
# What reads or writes files, sockets, clocks or the global random state: not for rooms of pure rules.
PURE = ("objectives", "statistics", "labeling", "prompts", "reproduction/village", "records", "errors", "seeds")
IMPURE = {"os", "io", "pathlib", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "urllib", "sqlite3"}
IMPURE |= {"asyncio", "http", "requests", "httpx", "sqlalchemy", "secrets", "logging", "importlib"}
# What a pure file may import all the same: a type of the errors, and the village's own data.
PURE_EXCEPTIONS = {("errors.py", "pathlib"), ("reproduction/village/data/__init__.py", "importlib")}


def room_of(path: Path, package: Path) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def imports_of(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, wherever in it; our own names begin with `tutelage`."""
    inside = ("tutelage", *path.relative_to(package).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = inside[: len(inside) - node.level + 1] if node.level else ()
            module = ".".join([*origin, *([node.module] if node.module else [])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names if module == "tutelage")


def edges(package: Path) -> Iterator[tuple[str, str, str]]:
    """(room, room that it imports, where)."""
    for path in sorted(package.rglob("*.py")):
        for line, name in imports_of(path, package):
            parts = name.split(".")
            if parts[0] == "tutelage" and len(parts) > 1:
                other = parts[1] if parts[1] in FLOOR or (package / parts[1]).exists() else None
                other = other or (parts[1] if (package / f"{parts[1]}.py").exists() else "__init__")
                yield room_of(path, package), other, f"{path.relative_to(package)}:{line} imports {name}"


def violations(package: Path) -> list[str]:
    found = []
    for room, other, where in edges(package):
        # The package's own file has nothing but the version.
        if other in (room, "__init__") or (room, other) in EXCEPTIONS:
            continue
        if room not in FLOOR or other not in FLOOR:
            found.append(f"{where}: {room if room not in FLOOR else other} is on no floor")
        elif FLOOR[other] >= FLOOR[room]:
            found.append(f"{where}: floor {FLOOR[room]} imports floor {FLOOR[other]}")
    return sorted(set(found))


def circles(package: Path) -> list[list[str]]:
    """Circles among modules, by imports at the top of a file (one inside a function is made when it runs)."""
    names = {}
    for path in package.rglob("*.py"):
        parts = ("tutelage", *path.relative_to(package).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    needs = {
        name: {
            target
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.ImportFrom) and node.module and not node.level
            for target in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
            if target in names and target != name
        }
        for name, path in names.items()
    }
    found, done = [], set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append([*trail[trail.index(name) :], name])
        elif name not in done:
            for target in sorted(needs[name]):
                # A package's own __init__ names its parts; its parts do not need it.
                if not name.startswith(f"{target}."):
                    visit(target, [*trail, name])
            done.add(name)

    for name in sorted(names):
        visit(name, [])
    return found


def allowed(path: Path) -> set[str]:
    return {name for file, name in PURE_EXCEPTIONS if file == path.as_posix()}


def impurities(package: Path) -> list[str]:
    return [
        f"{path.relative_to(package)}:{line} imports {name}"
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).as_posix().removesuffix(".py").startswith(PURE)
        for line, name in imports_of(path, package)
        if name.split(".")[0] in IMPURE - allowed(path.relative_to(package))
    ]


def test_floors():
    assert violations(PACKAGE) == []


def test_no_circles():
    assert circles(PACKAGE) == []


def test_pure_rooms_touch_neither_files_nor_clocks():
    assert impurities(PACKAGE) == []


def test_the_package_itself_imports_nothing():
    assert list(imports_of(PACKAGE / "__init__.py", PACKAGE)) in ([], [(1, "__future__")])


def test_every_room_is_on_a_floor():
    rooms = {room_of(path, PACKAGE) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert sorted(rooms - FLOOR.keys()) == []
    assert sum(len(rooms) for rooms in FLOORS.values()) == len(FLOOR), "a room stands on two floors"


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("objectives/ppo.py", "import tutelage.model.packing", "floor 1 imports floor 3"),
        ("store/jsonl.py", "from tutelage.text.render import Renderer", "floor 2 imports floor 2"),
        ("model/loading.py", "from tutelage.training import ppo", "floor 3 imports floor 4"),
        ("model/loading.py", "from tutelage import training", "floor 3 imports floor 4"),
        ("training/ppo.py", "def late():\n    from tutelage.reproduction import quickstart", "floor 4 imports floor 7"),
        ("training/ppo.py", "from ..cli import main", "floor 4 imports floor 8"),
        ("attic/__init__.py", "from tutelage.records import Prompt", "attic is on no floor"),
        ("cli/__init__.py", "from tutelage.cellar import wine", None),
    ],
)
def test_planted_violations_are_seen(file, line, expected, tmp_path):
    package = shutil.copytree(PACKAGE, tmp_path / "tutelage", ignore=shutil.ignore_patterns("__pycache__"))
    path = package / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text(encoding="utf-8") if path.exists() else "") + f"\n{line}\n", encoding="utf-8")
    (package / "cellar.py").write_text("wine = 1\n")
    found = violations(package)
    assert any(text.startswith(file) and (expected or "cellar is on no floor") in text for text in found)


def test_planted_circle_and_impurity_are_seen(tmp_path):
    package = shutil.copytree(PACKAGE, tmp_path / "tutelage", ignore=shutil.ignore_patterns("__pycache__"))
    path = package / "model" / "packing.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nfrom tutelage.model.sampling import SampledResponse\n")
    assert any("tutelage.model.packing" in circle for circle in circles(package))
    path = package / "objectives" / "ppo.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nimport time\n")
    planted = [f"objectives/ppo.py:{len(path.read_text().splitlines())} imports time"]
    assert impurities(package) == planted
    path = package / "reproduction" / "village" / "facts.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nfrom importlib import resources\n")
    planted.append(f"reproduction/village/facts.py:{len(path.read_text().splitlines())} imports importlib")
    assert impurities(package) == planted


def public_classes(package: Path) -> dict[str, list[str]]:
    """Where each public class is defined, by its name."""
    found: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.relative_to(package).as_posix())
    return found


def test_one_name_is_one_class():
    classes = public_classes(PACKAGE)
    assert len(classes) > 200
    assert {name: places for name, places in classes.items() if len(places) > 1} == {}


def test_a_second_class_of_a_name_is_seen(tmp_path):
    for room in ("one", "two"):
        (tmp_path / f"{room}.py").write_text("class Judge:\n    pass\n\n\nclass _Judge:\n    pass\n")
    assert public_classes(tmp_path) == {"Judge": ["one.py", "two.py"]}
