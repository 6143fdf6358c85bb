"""The environment of a run: versions of everything that can change its results."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = ("tutelage", "torch", "transformers", "tokenizers", "safetensors", "peft", "numpy", "vllm")


def versions() -> dict[str, str]:
    """Python, platform, installed packages and, in a checkout, the git commit ("+changes" if files differ)."""
    facts = {"python": platform.python_version(), "platform": platform.platform(), "cpus": str(os.cpu_count())}
    for package in _PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    commit = git_commit(Path(__file__).parent)
    return facts | ({"git_commit": commit} if commit else {})


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that tracks the files of `folder`, None outside one or without git."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A package installed inside another project is not tracked by that project's commit.
    if not git("ls-files", "."):
        return None
    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changes else commit
