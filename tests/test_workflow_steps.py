"""A step is done once, and again when its inputs, its settings or its code changed, and not otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tutelage.errors import CheckpointError, Stopped, StorageError
from tutelage.workflow import code_version
from tutelage.workflow.steps import Step, Steps

CODE = ("tutelage.workflow.steps",)


class Kitchen:
    """A run of two steps: one doubles the number of a file, one adds to what that gave. It notes what is done."""

    def __init__(self, folder: Path) -> None:
        self.out, self.number = folder / "run", folder / "number.txt"
        self.number.write_text("3")
        self.done: list[str] = []
        self.addend = 1
        self.fail_at = ""
        self.stop_at: dict[str, BaseException] = {}

    def run(self, **how: Any) -> Any:
        self.done = []
        with Steps(self.out, **how) as steps:
            steps.take(
                Step(
                    name="double",
                    work=self.double,
                    needs={"number": self.number},
                    leaves=("doubled/it.txt",),
                    modules=CODE,
                )
            )
            return steps.take(
                Step(
                    name="add",
                    work=self.add,
                    needs={"doubled": self.out / "doubled/it.txt"},
                    settings={"addend": self.addend, "inner": {"unused": 0}},
                    leaves=("sum.txt",),
                    modules=CODE,
                )
            )

    def double(self) -> None:
        self._note("double")
        (self.out / "doubled").mkdir(exist_ok=True)
        (self.out / "doubled/it.txt").write_text(str(2 * int(float(self.number.read_text()))))

    def add(self) -> dict[str, int]:
        self._note("add")
        total = int((self.out / "doubled/it.txt").read_text()) + self.addend
        (self.out / "sum.txt").write_text(str(total))
        return {"sum": total}

    def _note(self, name: str) -> None:
        self.done.append(name)
        if name in self.stop_at:
            raise self.stop_at[name]
        if name == self.fail_at:
            raise RuntimeError("killed")


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def test_what_is_done_is_not_done_again(kitchen: Kitchen) -> None:
    assert kitchen.run() == {"sum": 7}
    assert kitchen.done == ["double", "add"]
    assert kitchen.run() == {"sum": 7}
    assert kitchen.done == []


def test_a_changed_input_is_done_again_with_what_rests_on_it(kitchen: Kitchen, capsys: pytest.CaptureFixture) -> None:
    kitchen.run()
    kitchen.number.write_text("4")
    assert kitchen.run() == {"sum": 9}
    assert kitchen.done == ["double", "add"]
    assert "[double] again: number changed\n[add] again: doubled changed" in capsys.readouterr().err


def test_where_the_outcome_is_the_same_nothing_further_is_done(kitchen: Kitchen) -> None:
    kitchen.run()
    kitchen.number.write_text("3.0")
    kitchen.run()
    assert kitchen.done == ["double"]


def test_a_changed_setting_is_done_again(kitchen: Kitchen, capsys: pytest.CaptureFixture) -> None:
    kitchen.run()
    kitchen.addend = 2
    assert kitchen.run() == {"sum": 8}
    assert kitchen.done == ["add"]
    assert "[add] again: addend changed" in capsys.readouterr().err


def test_changed_code_is_done_again(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    kitchen.run()
    monkeypatch.setattr("tutelage.workflow.steps.code_version", lambda modules: "another")
    kitchen.run(may_keep_other_code=True)
    assert kitchen.done == []
    kitchen.run()
    assert kitchen.done == ["double", "add"]


def test_what_is_gone_is_done_again(kitchen: Kitchen) -> None:
    kitchen.run()
    (kitchen.out / "sum.txt").unlink()
    kitchen.run()
    assert kitchen.done == ["add"]


def test_what_somebody_changed_is_refused_until_it_is_restored_or_redone(kitchen: Kitchen) -> None:
    kitchen.run()
    (kitchen.out / "doubled/it.txt").write_text("100")
    with pytest.raises(CheckpointError, match=r"doubled/it.txt changed after step 'double'.*--redo double"):
        kitchen.run()
    (kitchen.out / "doubled/it.txt").write_text("6")
    kitchen.run()
    assert kitchen.done == []
    (kitchen.out / "doubled/it.txt").write_text("100")
    assert kitchen.run(redo="double") == {"sum": 7}
    assert kitchen.done == ["double", "add"]


def test_redo_names_a_step_that_is_done(kitchen: Kitchen) -> None:
    kitchen.run()
    with pytest.raises(CheckpointError, match=r"--redo stir: no such step was done.*Finished steps: double, add"):
        kitchen.run(redo="stir")
    kitchen.run(redo="add")
    assert kitchen.done == ["add"]


def test_what_was_interrupted_is_done_from_where_it_was(kitchen: Kitchen) -> None:
    kitchen.fail_at = "add"
    with pytest.raises(RuntimeError):
        kitchen.run()
    (kitchen.out / "sum.txt").write_text("half a ")
    kitchen.fail_at = ""
    assert kitchen.run() == {"sum": 7}
    assert kitchen.done == ["add"]


def test_what_an_interrupted_step_left_goes_when_it_begins_with_other_settings(kitchen: Kitchen) -> None:
    kitchen.run()
    kitchen.fail_at, kitchen.addend = "add", 5
    with pytest.raises(RuntimeError):
        kitchen.run()
    assert not (kitchen.out / "sum.txt").exists()
    kitchen.fail_at, kitchen.addend = "", 1
    assert kitchen.run() == {"sum": 7}
    assert kitchen.done == ["add"], "done before, but it was begun with other settings since"


@pytest.mark.parametrize(
    ("stopped_by", "message", "status"),
    [
        (KeyboardInterrupt(), "stopped in step add; the same command restarts this step", 130),
        (Stopped("saved; --resume continues", 143), "stopped in step add, whose work is saved; the same command", 143),
    ],
)
def test_whoever_stops_it_is_told_how_it_goes_on(
    kitchen: Kitchen, stopped_by: BaseException, message: str, status: int
) -> None:
    """A stage speaks of --resume, which this command has not."""
    kitchen.stop_at["add"] = stopped_by
    with pytest.raises(Stopped, match=message) as stopped:
        kitchen.run()
    assert stopped.value.status == status and "--resume" not in str(stopped.value)
    kitchen.stop_at = {}
    kitchen.run()
    assert kitchen.done == ["add"]


def test_what_is_no_part_of_the_run_any_more_goes(kitchen: Kitchen) -> None:
    kitchen.run()
    with Steps(kitchen.out) as steps:
        steps.drop("add")
        steps.drop("stir")
        assert list(steps.seconds) == ["double"]
    assert not (kitchen.out / "sum.txt").exists()
    kitchen.run()
    assert kitchen.done == ["add"]


def test_a_folder_of_others_is_left_alone(kitchen: Kitchen) -> None:
    kitchen.out.mkdir()
    (kitchen.out / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"thesis\.txt"):
        kitchen.run()
    assert kitchen.done == []


def test_one_process_at_a_time(kitchen: Kitchen) -> None:
    with Steps(kitchen.out), pytest.raises(StorageError, match="is in use by"):
        kitchen.run()
    kitchen.run()


def test_a_damaged_progress_file_is_told(kitchen: Kitchen) -> None:
    kitchen.run()
    path = kitchen.out / "progress.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(CheckpointError, match=r"progress\.json is corrupted"):
        kitchen.run()
    path.write_text(json.dumps({"steps": {"double": 3}}))
    with pytest.raises(CheckpointError, match=r"progress\.json is corrupted"):
        kitchen.run()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of four modules: a imports b and, inside of a function, the package c; nothing imports d."""
    folder = tmp_path / "tutelage"
    (folder / "c").mkdir(parents=True)
    (folder / "a.py").write_text("from tutelage.b import f\n\ndef g():\n    from tutelage import c\n    return c, f\n")
    (folder / "b.py").write_text('"""Says what b is."""\n\ndef f():\n    """Says what f is."""\n    return 1\n')
    (folder / "c/__init__.py").write_text("X = 1\n")
    (folder / "d.py").write_text("Y = 1\n")
    monkeypatch.setattr(code_version, "_PACKAGE", folder)
    code_version._read.cache_clear()
    yield folder
    code_version._read.cache_clear()


@pytest.mark.parametrize(
    ("file", "text", "is_changed"),
    [
        ("a.py", "from tutelage.b import f\n\ndef g():\n    from tutelage import c\n    return f, c\n", True),
        ("b.py", "def f():\n    return 2\n", True),
        ("c/__init__.py", "X = 2\n", True),
        ("d.py", "Y = 2\n", False),
        ("b.py", '"""Another word."""\n\n\ndef f():  # why\n    """Another."""\n    return 1\n', False),
        ("b.py", "def f():\n    return 1\n", False),
    ],
)
def test_the_version_of_code_is_that_of_what_it_does(package: Path, file: str, text: str, is_changed: bool) -> None:
    before = code_version.code_version(["tutelage.a"])
    (package / file).write_text(text)
    code_version._read.cache_clear()
    assert (code_version.code_version(["tutelage.a"]) != before) == is_changed
