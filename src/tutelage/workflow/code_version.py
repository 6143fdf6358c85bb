"""The code version of a step: a digest of its modules and everything they import from here, without comments."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import tutelage

_PACKAGE = Path(tutelage.__file__).parent


def code_version(modules: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that change with the behavior of these modules and what they import from here.

    Comments, docstrings and layout do not count. Imports inside functions do.
    """
    names: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += _read(name)[1]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0{_read(name)[0]}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """The digest of a module, and the modules of this package that it imports."""
    path = _file_of(name)
    assert path is not None, f"{name} is not a module of this package"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {found for found in _imports(tree) if found != name}
    return hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest(), tuple(sorted(imported))


def _file_of(name: str) -> Path | None:
    place = _PACKAGE.joinpath(*name.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tutelage":
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            # A name in a package is a module, or defined in the package's file.
            yield from (name if _file_of(name) is not None else node.module for name in found)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *others]:
                    node.body = others
    return tree
