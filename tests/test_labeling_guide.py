"""Every command of docs/labeling.md that needs no server and no model runs as it stands there, on its own files."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

import typer
from typer.testing import CliRunner

from tutelage.cli import app

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "labeling.md"
# These wait for people, or train; other tests run them.
ELSEWHERE = ("label serve", "reward")


def test_the_guides_commands_run_on_the_guides_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text(encoding="utf-8")
    for name, content in re.findall(r"^`([\w-]+\.jsonl)`\n\n```json\n(.*?)```", text, re.MULTILINE | re.DOTALL):
        Path(name).write_text(content)
    pair = {"data": {"prompt": "Hi", "answer1": "a", "answer2": "b"}, "annotations": []}
    result = {"type": "pairwise", "from_name": "pw", "to_name": "pw", "value": {"selected": "left"}}
    Path("interface.xml").write_text(
        '<View><Text name="asked" value="$prompt"/><Pairwise name="pw" toName="left,right"/>'
        '<Text name="left" value="$answer1"/><Text name="right" value="$answer2"/></View>'
    )
    Path("label-studio.json").write_text(
        json.dumps([pair | {"annotations": [{"completed_by": 1, "result": [result]}]}])
    )
    commands = [
        line for block in re.findall(r"^```sh\n(.*?)```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()
    ]
    outputs = {}
    for command in commands:
        verb = command.removeprefix("tutelage ")
        if not verb.startswith(ELSEWHERE):
            done = CliRunner().invoke(app, shlex.split(verb))
            assert done.exit_code == 0, (command, done.output, done.exception)
            outputs[command] = done.output
    assert len(outputs) >= 6
    assert sum("1 tasks queued, 0 already" in output for output in outputs.values()) == 2
    assert any("1 labels imported" in output for output in outputs.values())
    assert json.loads(Path("labels/manifest.json").read_text())["batches"] == {"pilot": 1}
    known = typer.main.get_command(app)
    for command in commands:
        assert shlex.split(command)[1] in known.commands
