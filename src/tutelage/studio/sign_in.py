"""Signing in: guessing passwords is slow and limited, and nobody can lock out another user by failing in their name.

Failures are counted by name and origin: the address, or a browser in which that person has signed in before, which has
a device token (OWASP, "Slow down online guessing attacks with device cookies"). Each origin waits longer and longer, as
NIST SP 800-63B, section 5.2.2, advises; all unknown ones together have its 100 tries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tutelage.studio.people import MAX_NAME, record_action
from tutelage.studio.secrets import is_password, new_token, token_hash
from tutelage.studio.studio import Refusal, Settings, Studio
from tutelage.studio.tables import BrowserSession, FailedSignIn, KnownDevice, User

_WRONG = "The name or the password is wrong."
_STRANGE, _KNOWN = "address ", "device "


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """The cookies of a browser: the token of its session, and the device token that identifies it later."""

    session: str
    device: str


def sign_in(studio: Studio, *, name: str, password: str, address: str = "", device: str = "") -> Entrance:
    """Start a session for a sign-in from `address` in a browser with the token `device`.

    Raises Refusal, with the same message for everything that can be wrong; during a wait even for the right password.
    """
    name = " ".join(name.split())
    origin = _attempted(studio, name.lower()[:MAX_NAME], address, device)
    with studio.database.read() as session:
        user = session.scalar(select(User).where(func.lower(User.name) == name.lower(), User.is_active))
    # Intentionally slow, and outside any transaction.
    is_right = is_password(password, user.password_hash if user else None)
    if not is_right or user is None:
        raise Refusal(_WRONG)
    with studio.database.write() as session:
        studio.database.take_turn(session, f"sign in {name.lower()}")
        # The account may have been disabled while the password was checked.
        if session.scalar(select(User.id).where(User.id == user.id, User.is_active).with_for_update()) is None:
            raise Refusal(_WRONG)
        session.execute(delete(FailedSignIn).where(FailedSignIn.name == name.lower(), FailedSignIn.origin == origin))
        record_action(studio, session, user.id, "sign in", user.name)
        return Entrance(session=_start_session(studio, session, user), device=_know(studio, session, user, device))


def _attempted(studio: Studio, name: str, address: str, device: str) -> str:
    """Count an attempt before checking it, so that a hundred concurrent ones count as a hundred.

    Returns its origin. Raises Refusal, counting nothing, if it comes too early.
    """
    settings = studio.settings
    with studio.database.write() as session:
        studio.database.take_turn(session, f"sign in {name}")
        # Only once the turn is held: otherwise a later request that went first would be a failure in the future.
        now = studio.clock()
        session.execute(delete(FailedSignIn).where(FailedSignIn.failed_at <= now - settings.failures_count_for))
        origin = _origin(session, name, address, device)
        rows = session.execute(
            select(FailedSignIn.origin, FailedSignIn.failed_at).where(FailedSignIn.name == name)
        ).tuples()
        failures = sorted(rows, key=lambda row: row[1])
        own = [failed_at for each, failed_at in failures if each == origin]
        strange = [failed_at for each, failed_at in failures if each.startswith(_STRANGE)]
        _refuse_early(settings, now, own, [] if origin.startswith(_KNOWN) else strange)
        session.add(FailedSignIn(name=name, origin=origin, failed_at=now))
    return origin


def _origin(session: Session, name: str, address: str, device: str) -> str:
    hashed = token_hash(device)
    is_known = select(KnownDevice.user_id).join(User).where(KnownDevice.token_hash == hashed)
    if device and session.scalar(is_known.where(func.lower(User.name) == name)) is not None:
        return f"{_KNOWN}{hashed}"
    return f"{_STRANGE}{address}"[:80]


def _refuse_early(settings: Settings, now: datetime, own: list[datetime], strange: list[datetime]) -> None:
    wait = wait_after(settings, len(own))
    until = own[-1] + wait if wait else now
    if until > now:
        minutes = -(-int((until - now).total_seconds()) // 60)
        told = f"{minutes} {'minute' if minutes == 1 else 'minutes'}"
        raise Refusal(f"Too many wrong passwords for this name. Wait {told}, or ask an admin.")
    if len(strange) >= settings.failures_of_strangers:
        raise Refusal(
            "Too many wrong passwords for this name, from many places. Use a browser you have signed in with before, "
            "or ask an admin."
        )


def wait_after(settings: Settings, num_failures: int) -> timedelta:
    """How long an origin waits after `num_failures` for a name: at first not at all, then doubling each time."""
    if num_failures < settings.failures_until_wait:
        return timedelta()
    # More doublings would overflow, and are far beyond the longest wait.
    doublings = min(num_failures - settings.failures_until_wait, 20)
    return min(settings.first_wait * 2**doublings, settings.longest_wait)


def _start_session(studio: Studio, session: Session, user: User) -> str:
    token, now = new_token(), studio.clock()
    session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= now))
    session.add(
        BrowserSession(
            token_hash=token_hash(token),
            user_id=user.id,
            csrf_token=new_token(),
            created_at=now,
            expires_at=now + studio.settings.session,
        )
    )
    return token


def _know(studio: Studio, session: Session, user: User, device: str) -> str:
    """The device token of this browser from now on: its current one if this studio issued it, else a new one."""
    now = studio.clock()
    session.execute(delete(KnownDevice).where(KnownDevice.seen_at <= now - studio.settings.device))
    is_ours = select(KnownDevice.user_id).where(KnownDevice.token_hash == token_hash(device)).limit(1)
    token = device if device and session.scalar(is_ours) is not None else new_token()
    session.merge(KnownDevice(user_id=user.id, token_hash=token_hash(token), seen_at=now))
    return token
