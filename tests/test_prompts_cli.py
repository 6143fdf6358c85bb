from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tutelage.cli.prompts import app
from tutelage.errors import ConfigError, StorageError

SHARES = ["--set", "split_shares.valid=0", "--set", "split_shares.test=0"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.jsonl"
    rows = [
        {
            "text": f"Prompt number {n}: tell me more about it and write to a@b.org",
            "user_id": f"u{n}",
            "use_case": "Chat",
        }
        for n in range(9)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": 7}]))
    return path


def test_build_and_stats_say_what_they_did(tmp_path, source):
    done = run("build", source, "--out", tmp_path / "out", "--skip-bad", *SHARES)
    assert done.exit_code == 0
    assert "9 prompts read, 9 of 9 users kept" in done.stdout
    assert "replaced in 9 prompts: EMAIL 9" in done.stdout
    assert "left out: 1 records" in done.stdout and "line 10: field 'text' is 7" in done.stdout
    shown = run("stats", tmp_path / "out")
    assert shown.exit_code == 0
    assert "Table 9" in shown.stdout and "9 prompts of 9 users; languages: en 9" in shown.stdout


def test_choices_come_from_a_file_and_the_command_line_and_wrong_ones_are_named(tmp_path, source):
    config = tmp_path / "prompts.yaml"
    config.write_text("max_prompts_per_user: 1\nsplit_shares: {train: 1, valid: 0, test: 0}\n")
    run("build", source, "--out", tmp_path / "out", "--skip-bad", "--config", config, "--set", "pii=[]")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["config"]["max_prompts_per_user"] == 1 and manifest["placeholders"] == {}
    with pytest.raises(ConfigError, match=r"what --set says cannot be used:\n  max_prompt: unknown name.*did you mean"):
        run("build", source, "--out", tmp_path / "other", "--set", "max_prompt=3")


@pytest.mark.parametrize("verb", ["build", "stats"])
def test_help_has_an_example(verb):
    assert "Example: tutelage prompts" in " ".join(run(verb, "--help").stdout.split())


def test_stats_do_not_replace_a_file_that_they_did_not_write(tmp_path, source):
    out = tmp_path / "out"
    assert run("build", source, "--out", out, "--skip-bad", *SHARES).exit_code == 0
    assert run("stats", out).exit_code == 0
    assert run("stats", out).exit_code == 0
    (out / "stats.json").write_text('{"hello": 1}')
    with pytest.raises(StorageError, match=r"stats\.json"):
        run("stats", out)
    assert (out / "stats.json").read_text() == '{"hello": 1}'
