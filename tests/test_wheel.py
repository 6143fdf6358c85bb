"""The wheel as others get it: installed where no checkout is, it serves every page, with templates and migrations."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")
pytest.importorskip("hatchling", reason="hatchling builds the wheel; there is no network in a test to fetch it")

from studio_server import Labeler, Server, hidden

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=ROOT, check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with this one's packages but not its tutelage."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    packages = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    # What a .pth names is looked through after our own folder, and its own .pth files (a checkout) are not read.
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return home / "bin" / "python"


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("tutelage/")}
    listed = subprocess.run(["git", "ls-files", "src/tutelage"], cwd=ROOT, capture_output=True, text=True, check=False)
    tracked = {line.removeprefix("src/") for line in listed.stdout.splitlines() if (ROOT / line).exists()}
    if not tracked:
        pytest.skip("not a git checkout")
    assert sorted(tracked - packed) == []


def test_the_installed_wheel_serves_every_page(python: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [python, "-c", "import tutelage; print(tutelage.__file__)"],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(python.parent.parent) in where, "the wheel's, not the checkout's"
    with Server(tmp_path / "studio", python=python, source=None) as server:
        link = re.search(r"http://[\d.:]+(/invite/\S+)", server.output())[1]
        with Labeler(server.port, "") as visitor:
            session, cookie = _come_in(visitor, link)
        assert session, cookie
        with Labeler(server.port, session) as admin:
            seen = _follow_links(admin)
    assert len(seen) >= 10 and set(seen.values()) == {200}, seen
    assert any(path.startswith("/static/") for path in seen)
    assert any(path.startswith("/lead/guidelines/") for path in seen)


def _come_in(visitor: Labeler, link: str) -> tuple[str, str]:
    """Accept the first invite; returns the session's token."""
    page = visitor.get(link)[1]
    form_cookie = re.search(r"tutelage_form=([^;]+)", visitor.cookies)[1]
    visitor.headers["Cookie"] = f"tutelage_form={form_cookie}"
    visitor.post(link, {**hidden(page), "name": "Root", "password": PASSWORD, "consent": "yes"})
    return re.search(r"tutelage_session=([^;]+)", visitor.cookies)[1], visitor.cookies


def _follow_links(admin: Labeler) -> dict[str, int]:
    """Every page and file that can be reached by links from the first page, with its status."""
    seen: dict[str, int] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        status, text, _ = admin.get(path)
        seen[path] = status
        if not path.startswith("/static/"):
            links = re.findall(r'(?:href|src)="(/[^"#?]*)', text)
            waiting += [link for link in links if link not in seen]
        else:
            waiting += [f"/static/{name}" for name in re.findall(r'from "\./([\w.]+)"', text)]
    return seen
