"""docs/your-own-data.md: its files are made, its commands are run (with fewer steps), the messages it quotes exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from typer.testing import CliRunner

from tutelage.cli import app

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "your-own-data.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w-]+\.(?:py|yaml))`[^\n]*\n\n```(?:python|yaml)\n(.*?)```", GUIDE, flags=re.DOTALL))
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)).splitlines()
FEWER = {
    "run": [
        *("pretrain.num_steps=2", "sft.num_epochs=1", "ppo_init.num_epochs=1", "best_of_n=2", "ppo.num_episodes=16"),
        *("ppo.episodes_per_step=8", "ppo.episodes_per_minibatch=4", "split_shares={train: 0.5, valid: 0, test: 0.5}"),
    ],
    "pretrain": ["num_steps=2"],
    "sft": ["num_epochs=1"],
    "reward": [],
    "ppo": ["num_episodes=16", "episodes_per_step=8", "episodes_per_minibatch=4"],
}


def test_every_file_and_command_of_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(FILES) == {
        "make_data.py",
        "run.yaml",
        "base.yaml",
        "sft.yaml",
        "reward.yaml",
        "ppo-init.yaml",
        "ppo.yaml",
    }
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if program == "python":
            subprocess.run([sys.executable, *arguments], check=True)
            _require_no_shared_prompts(tmp_path)
            _shorten(tmp_path)
            continue
        assert program == "tutelage"
        fewer = [part for override in FEWER.get(arguments[0], ()) for part in ("--set", override)]
        result = CliRunner().invoke(app, [*arguments, *fewer])
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"
    scored = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert {len(row["completions"]) for row in scored} == {2}
    table = re.findall(r"^\| (\w[\w -]*) \| (?:\d|baseline)", GUIDE.split("```sh")[1], re.MULTILINE)
    assert table == ["Base", "SFT", "DPO", "Best of 8", "PPO", "PPO-ptx"]
    whole = json.loads((tmp_path / "runs/own/summary.json").read_text())
    assert set(whole["win_rate_vs_sft"]) | {"sft"} == {"base", "sft", "dpo", "best_of_n", "ppo", "ppo_ptx"}
    assert (tmp_path / "runs/own/report.html").stat().st_size > 1000
    assert (tmp_path / "runs/ppo/report.html").stat().st_size > 1000


def _require_no_shared_prompts(folder: Path) -> None:
    """PPO refuses prompts that the reward model has seen; of the short files below too few are to notice."""
    files = {name: (folder / f"{name}.jsonl").read_text().splitlines() for name in ("rankings", "prompts")}
    ranked = {json.loads(line)["prompt"] for line in files["rankings"]}
    assert not ranked & {json.loads(line)["text"] for line in files["prompts"]}


def _shorten(folder: Path) -> None:
    """Fewer rows than the guide's, so that the test is quick; enough for both splits."""
    for name, number in (
        ("demonstrations.jsonl", 80),
        ("rankings.jsonl", 80),
        ("prompts.jsonl", 8),
        ("text.jsonl", 300),
    ):
        path = folder / name
        lines = path.read_text().splitlines(keepends=True)
        assert len(lines) > number
        path.write_text("".join(lines[:number]))


def test_the_recipes_that_the_guide_names_are_shipped() -> None:
    named = set(re.findall(r"tutelage \w+ (one-gpu-[\w-]+\.yaml)", GUIDE))
    assert named == {path.name for path in (ROOT / "src/tutelage/recipes").glob("one-gpu-*.yaml")}


def test_messages_that_the_guide_explains_are_in_the_code() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
    joined = re.sub(r'"\s*\n\s*f?"', "", sources)  # messages that are written over several lines
    table = GUIDE.split("## Error messages")[1]
    quoted = re.findall(r"^\|[^|]*\|", table, flags=re.MULTILINE)[2:]
    assert len(quoted) >= 10
    for cell in quoted:
        for fragment in re.split(r"\.\.\.| N | M", " ".join(re.findall(r"`([^`]+)`", cell))):
            assert fragment.strip() in joined, fragment
