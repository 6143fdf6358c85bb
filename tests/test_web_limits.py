"""How often an address may ask: one limit for all servers of a database, and a draw instead of a write a request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from fastapi.testclient import TestClient
from sqlalchemy import select

from studio_server import Labeler, Server
from studio_world import Clock, studio_on_both
from tutelage.studio.database import open_database
from tutelage.studio.request_counts import draw_requests
from tutelage.studio.studio import Studio
from tutelage.studio.tables import RequestCount
from tutelage.web.app import create_app
from tutelage.web.limits import RequestLimit

studio = studio_on_both


@pytest.fixture
def second(studio: Studio) -> Iterator[Studio]:
    """The same database, as another server opens it."""
    url = studio.database.engine.url.render_as_string(hide_password=False)
    other = Studio(database=open_database(url), clock=studio.clock)
    yield other
    other.database.close()


def ask(client: TestClient) -> int:
    return client.get("/static/icon.svg").status_code


def test_an_address_that_asks_too_often_has_to_wait(studio: Studio, clock: Clock) -> None:
    app = create_app(studio, requests_per_minute=3)
    client, other = TestClient(app, client=("192.0.2.1", 1)), TestClient(app, client=("192.0.2.2", 1))
    assert [ask(client) for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = client.get("/sign-in")
    assert refused.headers["retry-after"] == "60" and "wait a minute" in refused.text
    assert ask(other) == 200
    clock.move(seconds=60)
    assert ask(client) == 200


def test_two_servers_of_one_database_have_one_limit(studio: Studio, second: Studio, clock: Clock) -> None:
    first, other = (TestClient(create_app(each, requests_per_minute=5)) for each in (studio, second))
    assert [ask(each) for each in (first, other, first, other, first)] == [200] * 5
    assert [ask(other), ask(first), ask(other)] == [429] * 3
    clock.move(seconds=60)
    assert [ask(other), ask(first)] == [200] * 2


def test_of_many_at_once_at_two_servers_exactly_the_limit_is_answered(studio: Studio, second: Studio) -> None:
    clients = [TestClient(create_app(each, requests_per_minute=40)) for each in (studio, second)]
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda number: ask(clients[number % 2]), range(100)))
    assert statuses.count(200) == 40 and statuses.count(429) == 60


def test_what_is_over_is_thrown_away(studio: Studio, clock: Clock) -> None:
    client = TestClient(create_app(studio, requests_per_minute=5))
    for _ in range(4):
        ask(client)
        clock.move(seconds=60)
    with studio.database.read() as session:
        minutes = session.scalars(select(RequestCount.minute).order_by(RequestCount.minute)).all()
    assert minutes == [int(clock().timestamp() // 60) - 2, int(clock().timestamp() // 60) - 1]


def test_a_draw_gives_what_is_left_and_never_more(studio: Studio) -> None:
    drawn = [draw_requests(studio, "a", 7, 4, 10) for _ in range(4)]
    assert drawn == [4, 4, 2, 0]
    assert draw_requests(studio, "b", 7, 4, 10) == draw_requests(studio, "a", 8, 4, 10) == 4
    assert draw_requests(studio, "x" * 200, 8, 4, 10) == 4, "a name that is longer than the column"


def test_few_requests_are_written_down_and_none_of_who_has_spent_all(studio: Studio, clock: Clock) -> None:
    draws: list[int] = []

    def draw(address: str, minute: int, wanted: int, limit: int) -> int:
        draws.append(wanted)
        return draw_requests(studio, address, minute, wanted, limit)

    limit = RequestLimit(per_minute=600, draw=draw, clock=clock)

    def count() -> bool:
        is_reached = limit.is_reached("a")
        return limit.is_reached_after_draw("a") if is_reached is None else is_reached

    assert [count() for _ in range(900)] == [False] * 600 + [True] * 300
    assert draws == [10] * 61, "a sixtieth at once; the last one found that all was spent"


def test_a_draw_that_outlives_its_minute_counts_in_the_next_one_again(clock: Clock) -> None:
    drawn: list[int] = []

    def draw(_address: str, minute: int, wanted: int, _limit: int) -> int:
        drawn.append(minute)
        if len(drawn) == 1:
            clock.move(seconds=60)
            # Another request of the new minute comes before this one is back.
            assert limit.is_reached("b") is None
        return wanted

    limit = RequestLimit(per_minute=1, draw=draw, clock=clock)
    assert limit.is_reached_after_draw("a") is False
    assert drawn == [drawn[0], drawn[0] + 1]


def test_no_limit_asks_no_database(clock: Clock) -> None:
    limit = RequestLimit(per_minute=0, draw=lambda *_: pytest.fail("it was asked"), clock=clock)
    assert [limit.is_reached("a") for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_have_one_limit(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """40 a minute, two of which the servers are asked until they answer; each for itself would answer all 60."""
    options = ["--requests-per-minute", "40"]
    if kind == "postgresql":
        options += ["--database", request.getfixturevalue("postgresql_url")]
    with Server(tmp_path / "studio", *options) as one, Server(tmp_path / "studio", *options) as two:
        if time.time() % 60 > 45:  # all of them in one minute of the clock
            time.sleep(60 - time.time() % 60)
        statuses = []
        for number in range(60):
            with Labeler((one, two)[number % 2].port, "") as labeler:
                statuses.append(labeler.get("/sign-in")[0])
        assert 38 <= statuses.count(200) <= 40 and set(statuses[40:]) == {429}
