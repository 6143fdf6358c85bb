"""Guessing passwords is slow and bounded, from one place and from many; and no stranger keeps a labeler out."""

from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("fastapi", reason="the labeling studio is an extra")

from sqlalchemy import select

from studio_world import PASSWORD, Browser, person
from tutelage.studio.people import set_active
from tutelage.studio.sign_in import sign_in, wait_after
from tutelage.studio.studio import Refusal, Settings
from tutelage.studio.tables import FailedSignIn, KnownDevice

WRONG, WAIT = "name or the password is wrong", "Too many wrong passwords"


def attempt(studio, address, password="not the password", name="Ada", device=""):
    """What a sign-in says; "in" where it succeeds."""
    try:
        sign_in(studio, name=name, password=password, address=address, device=device)
    except Refusal as refusal:
        return str(refusal)
    return "in"


def test_after_five_wrong_passwords_the_address_waits_even_with_the_right_one(studio, clock):
    person(studio, "Ada")
    browser = Browser(studio)
    for _ in range(5):
        assert WRONG in browser.sign_in("ADA", "not the password").text
    assert "Wait 1 minute," in browser.sign_in(" ada ").text
    clock.move(seconds=29)
    assert WAIT in browser.sign_in("Ada").text
    clock.move(seconds=1)
    assert browser.sign_in("Ada").url.path == "/"
    browser.client.cookies.clear()
    assert WRONG in browser.sign_in("Ada", "not the password").text, "who came in begins anew"


def test_who_is_overtaken_by_another_attempt_of_the_same_moment_need_not_wait(studio, clock):
    person(studio, "Ada")
    assert WRONG in attempt(studio, "192.0.2.1")
    clock.move(seconds=-1)  # the clock of another server, or one that was read before a place in the queue was had
    assert WRONG in attempt(studio, "192.0.2.1") and attempt(studio, "192.0.2.1", PASSWORD) == "in"


def test_the_wait_doubles_up_to_an_hour():
    settings = Settings()
    seconds = [wait_after(settings, number).total_seconds() for number in (0, 4, 5, 6, 7, 11, 12, 500)]
    assert seconds == [0, 0, 30, 60, 120, 1920, 3600, 3600]


def test_a_stranger_keeps_nobody_out(studio):
    person(studio, "Ada")
    stranger, ada = Browser(studio, address="198.51.100.9"), Browser(studio, address="192.0.2.1")
    for _ in range(6):
        stranger.sign_in("Ada", "not the password")
    assert WAIT in stranger.page.text
    assert ada.sign_in("Ada").url.path == "/"


def test_a_browser_that_is_known_is_let_in_where_others_wait(studio):
    """In an office all have one address, and a stranger with a thousand of them wears out what strangers have."""
    person(studio, "Ada")
    person(studio, "Bob")
    known, office = Browser(studio), Browser(studio)
    known.sign_in("Ada")
    known.send("/sign-out")
    for _ in range(6):
        office.sign_in("Ada", "not the password")
    assert WAIT in office.page.text and known.sign_in("Ada").url.path == "/"
    known.send("/sign-out")
    for number in range(100):
        attempt(studio, f"10.0.0.{number}")
    assert "many places" in Browser(studio, address="203.0.113.5").sign_in("Ada").text
    assert known.sign_in("Ada").url.path == "/"
    office.sign_in("Bob")
    office.send("/sign-out")
    assert WAIT in office.sign_in("Ada").text, "a browser is known to be somebody's, and no more"


def test_a_known_browser_cannot_guess_either(studio):
    person(studio, "Ada")
    device = sign_in(studio, name="Ada", password=PASSWORD).device
    told = [attempt(studio, f"10.0.0.{number}", device=device) for number in range(7)]
    assert [WAIT in each for each in told] == [False] * 5 + [True] * 2


@pytest.mark.parametrize("places", [1, 500])
def test_a_day_of_guessing_is_a_hundred_guesses_at_most(studio, clock, places):
    person(studio, "Ada")
    told = []
    for second in range(0, 24 * 3600, 120):
        told.append(attempt(studio, f"10.0.{second // 120 % places}.1"))
        clock.move(seconds=120)
    guesses = sum(WRONG in each for each in told)
    assert guesses == 100 if places == 500 else 25 < guesses < 40
    clock.move(hours=24)
    assert attempt(studio, "10.9.9.9", PASSWORD) == "in", "the next day is another"
    with studio.database.read() as session:
        assert session.scalars(select(FailedSignIn)).all() == [], "what is over is thrown away"


def test_names_that_nobody_has_wait_in_the_same_words(studio):
    person(studio, "Ada")
    told = {name: [attempt(studio, "10.0.0.1", name=name) for _ in range(6)] for name in ("Ada", "Nobody", "n" * 300)}
    assert told["Ada"] == told["Nobody"] == told["n" * 300] and WAIT in told["Ada"][-1]


def test_one_network_of_ipv6_is_one_place(studio):
    person(studio, "Ada")
    for number in range(5):
        Browser(studio, address=f"2001:db8:1:2::{number + 1:x}").sign_in("Ada", "not the password")
    assert WAIT in Browser(studio, address="2001:db8:1:2:ffff::1").sign_in("Ada").text
    assert Browser(studio, address="2001:db8:1:3::1").sign_in("Ada").url.path == "/"


def test_an_admin_lets_somebody_in_at_once(studio):
    ada, root = person(studio, "Ada"), person(studio, "Root", role="admin")
    for _ in range(5):
        attempt(studio, "10.0.0.1")
    assert WAIT in attempt(studio, "10.0.0.1", PASSWORD)
    set_active(studio, ada.id, True, by=root.id)
    assert attempt(studio, "10.0.0.1", PASSWORD) == "in"


def test_browsers_are_forgotten_and_their_tokens_are_ours(studio, clock):
    person(studio, "Ada")
    first = sign_in(studio, name="Ada", password=PASSWORD, device="chosen by somebody else")
    assert first.device != "chosen by somebody else"
    assert sign_in(studio, name="Ada", password=PASSWORD, device=first.device).device == first.device
    clock.move(days=(Settings().device + timedelta(days=1)).days)
    assert sign_in(studio, name="Ada", password=PASSWORD, device=first.device).device != first.device
    with studio.database.read() as session:
        assert len(session.scalars(select(KnownDevice)).all()) == 1


@pytest.mark.parametrize("written", ["Ärzte", "ÄRZTE", "ärzte"])
def test_a_name_with_letters_beyond_ascii_signs_in_however_it_is_written(studio, written):
    person(studio, "Ärzte")
    assert Browser(studio).sign_in(written).url.path == "/"
    with pytest.raises(Refusal):
        person(studio, written)
