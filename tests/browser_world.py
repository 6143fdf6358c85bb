"""A real browser for tests: Debian's Chromium, driven by Playwright, before a studio that is really served.

No request may leave the machine: the browser can resolve nothing else, and every request's host is looked at.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from studio_world import PASSWORD
from tutelage.studio.studio import Studio
from tutelage.web.app import create_app

CHROMIUM = os.environ.get("TUTELAGE_CHROMIUM") or shutil.which("chromium") or ""
# Seconds; more on a machine that is busy.
PATIENCE = float(os.environ.get("TUTELAGE_BROWSER_PATIENCE", "30"))
_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).is_file():
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=_ARGUMENTS, timeout=max(60.0, PATIENCE) * 1000
        )
        yield browser
        browser.close()


@pytest.fixture
def address(studio: Studio) -> Iterator[str]:
    """Where `studio` is served for the length of a test."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(studio, requests_per_minute=0), log_level="error", ws="none", lifespan="off", http="h11"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=PATIENCE)


@pytest.fixture
def open_page(chromium: Browser, address: str) -> Iterator[OpenPage]:
    """Opens a browser of its own for somebody: nothing is shared between two calls but the studio."""
    contexts: list[BrowserContext] = []
    hosts: set[str] = set()
    faults: list[str] = []
    expect.set_options(timeout=PATIENCE * 1000)

    def opened(name: str | None = None, **options: Any) -> Page:
        context = chromium.new_context(base_url=address, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        context.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        if name:
            sign_in(page, name)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert hosts <= {urlsplit(address).netloc}, "a page asked for something from elsewhere"
    assert not faults, "a script of a page failed"


def sign_in(page: Page, name: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def start(page: Page, kind_title: str, *, has_script: bool = True) -> None:
    """From anywhere to the first open page of a task of this kind."""
    page.goto("/")
    page.get_by_role("button", name=f"Start: {kind_title}").click()
    page.wait_for_url("**/task/*/*")
    if has_script:
        wait_for_script(page)


def wait_for_script(page: Page) -> None:
    """Until the page's script has taken hold of it."""
    page.locator("#show-keys:not([hidden])").wait_for(state="attached")


def ranks(page: Page) -> dict[str, str]:
    """The value of every select, which is what is sent."""
    found = page.locator("#cards select").evaluate_all("all => all.map(each => [each.name.slice(5), each.value])")
    return dict(sorted(found))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def wait_for_rest(page: Page) -> None:
    """Wait until the page lies still: a flick goes on by itself, and a finger that comes down on it only stops it."""
    page.evaluate(
        """() => new Promise((resolve) => {
            let place = scrollY, still = 0;
            const look = () => {
                still = scrollY === place ? still + 1 : 0;
                place = scrollY;
                if (still >= 15) resolve(); else requestAnimationFrame(look);
            };
            look();
        })"""
    )


class Finger:
    """One finger on a touch screen, as the device tells of it: the browser decides what is scrolling."""

    def __init__(self, page: Page) -> None:
        self._touch = page.context.new_cdp_session(page)

    def down(self, x: float, y: float) -> None:
        self._send("touchStart", x, y)

    def move(self, x: float, y: float) -> None:
        self._send("touchMove", x, y)

    def up(self) -> None:
        self._touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def _send(self, kind: str, x: float, y: float) -> None:
        self._touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
