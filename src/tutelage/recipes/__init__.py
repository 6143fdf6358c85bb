"""Shipped YAML files: each is a complete run."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def recipe_path(name: str) -> Path:
    """The file of the shipped recipe `name`, without its suffix."""
    return Path(str(resources.files("tutelage.recipes") / f"{name}.yaml"))
