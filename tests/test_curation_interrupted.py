from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tutelage.curation.build import build_prompts
from tutelage.prompts.config import PromptsConfig, SplitShares

ANY = PromptsConfig(split_shares=SplitShares(train=1, valid=0, test=0))


@contextmanager
def silent(*_, **__):
    class Silent:
        def advance(self, amount=1, note=""):
            pass

    yield Silent()


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_an_interrupted_build_leaves_nothing(tmp_path):
    @contextmanager
    def interrupted(title, total, **_):
        if title == "write prompts":
            raise KeyboardInterrupt
        with silent() as shown:
            yield shown

    source = write_lines(tmp_path / "source.jsonl", [{"text": "good"}])
    with pytest.raises(KeyboardInterrupt):
        build_prompts([source], tmp_path / "out", ANY, progress=interrupted)
    assert os.listdir(tmp_path) == ["source.jsonl"]


KILLED = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from tutelage.curation.build import build_prompts
from tutelage.prompts.config import PromptsConfig

@contextmanager
def killed(title, total, **_):
    if title == "write prompts":
        os.kill(os.getpid(), signal.SIGKILL)
    class Silent:
        def advance(self, amount=1, note=""): pass
    yield Silent()

config = PromptsConfig(split_shares={"train": 1, "valid": 0, "test": 0})
build_prompts([Path(sys.argv[1])], Path(sys.argv[2]), config, progress=killed)
"""


def test_a_killed_build_leaves_no_folder_and_the_next_one_cleans_up(tmp_path):
    source = write_lines(tmp_path / "source.jsonl", [{"text": f"Prompt {n}", "user_id": f"u{n}"} for n in range(50)])
    done = subprocess.run([sys.executable, "-c", KILLED, str(source), str(tmp_path / "out")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists() and len(os.listdir(tmp_path)) == 2
    build_prompts([source], tmp_path / "out", ANY, progress=silent)
    assert sorted(os.listdir(tmp_path)) == ["out", "source.jsonl"]
