"""The folder of a quickstart: the configuration that ran stands in it, once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the pipeline trains")

from tutelage.config import config_hash, load_config
from tutelage.errors import CheckpointError
from tutelage.pipeline.run import QuickstartConfig, Run
from tutelage.recipes import recipe_path


def recipe(*overrides: str) -> QuickstartConfig:
    return load_config(QuickstartConfig, recipe_path("quickstart"), overrides)


def test_the_resolved_configuration_stands_in_the_folder(tmp_path: Path) -> None:
    config = recipe("num_test_prompts=9", "ppo.num_episodes=64")
    run = Run(tmp_path / "run", config, 0)
    path = run.out / "config.yaml"
    assert config_hash(load_config(QuickstartConfig, path)) == config_hash(config) != config_hash(recipe())
    assert [file.name for file in run.out.iterdir()] == ["config.yaml"]


def test_it_is_written_once_and_never_by_a_run_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    Run(tmp_path, recipe("num_test_prompts=9"), 0)
    # Nothing was done in the folder yet: another recipe may still take it.
    Run(tmp_path, recipe(), 0).step("nothing", lambda run: 1)
    before = path.stat()
    assert config_hash(load_config(QuickstartConfig, path)) == config_hash(recipe())
    Run(tmp_path, recipe(), 0)
    with pytest.raises(CheckpointError, match="another recipe"):
        Run(tmp_path, recipe("num_test_prompts=9"), 0)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
