"""Access: invites, accounts, sessions, API tokens; and the audit log."""

from __future__ import annotations

import secrets as random_source
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tutelage.labeling.assignment import GROUPS, Group
from tutelage.studio.secrets import hash_password, new_token, token_hash
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import ApiToken, AuditEntry, BrowserSession, FailedSignIn, Invite, User

# A candidate can only take the screening test until accepted.
Role = Literal["candidate", "admin", "researcher", "labeler"]
ROLES: tuple[Role, ...] = get_args(Role)
MIN_PASSWORD = 10
MAX_PASSWORD = 200
MAX_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """The user making a request. `csrf_token` is None for scripts: no browser sends their token by itself."""

    user: User
    csrf_token: str | None = None


def record_action(studio: Studio, session: Session, user_id: str | None, action: str, subject: str) -> None:
    """Add to the audit log, in the transaction of the action it records."""
    session.add(AuditEntry(happened_at=studio.clock(), user_id=user_id, action=action, subject=subject))


def invite(
    studio: Studio,
    *,
    role: Role = "labeler",
    group: Group = "training",
    quota: int | None = None,
    invited_by: str | None = None,
) -> str:
    """Create an invite that one person can use once; returns its token, which is shown only this once."""
    if role not in ROLES or group not in GROUPS:
        raise Refusal(f"role {role!r}, group {group!r}: roles are {', '.join(ROLES)}; groups are {', '.join(GROUPS)}.")
    token, now = new_token(), studio.clock()
    with studio.database.write() as session:
        session.add(
            Invite(
                token_hash=token_hash(token),
                role=role,
                labeler_group=group,
                quota=quota,
                created_at=now,
                expires_at=now + studio.settings.invite,
            )
        )
        record_action(studio, session, invited_by, "invite", f"{role}, {group}")
    return token


def _open_invite(studio: Studio, session: Session, token: str) -> Invite:
    found = session.scalar(select(Invite).where(Invite.token_hash == token_hash(token)))
    if found is None or found.used_by is not None or found.expires_at <= studio.clock():
        raise Refusal("This invite link is invalid, already used, or expired. Ask for a new one.")
    return found


def invited_role(studio: Studio, token: str) -> str:
    """The role that an invite grants. Raises Refusal for one that cannot be used."""
    with studio.database.read() as session:
        return _open_invite(studio, session, token).role


def accept_invite(studio: Studio, token: str, *, name: str, password: str, has_consented: bool) -> User:
    """Create the user that an invite is for. `has_consented`: their labels may be used to train models.

    Raises Refusal for a bad invite, name or password, or missing consent if it is required; the invite stays valid.
    """
    name = _checked_name(name)
    _check_password(password, name)
    if studio.settings.is_consent_required and not has_consented:
        raise Refusal("To create an account you must agree that your labels may be used to train and evaluate models.")
    password_hash = hash_password(password)
    with studio.database.write() as session:
        # One link creates one account and names are unique, even if two browsers submit at once.
        studio.database.take_turn(session, "accounts")
        used = _open_invite(studio, session, token)
        if session.scalar(select(User.id).where(func.lower(User.name) == name.lower())) is not None:
            raise Refusal(f"The name {name!r} is taken. Choose another.")
        user = User(
            id=random_source.token_hex(8),
            name=name,
            password_hash=password_hash,
            role=used.role,
            labeler_group=used.labeler_group,
            quota=used.quota,
            created_at=studio.clock(),
            consented_at=studio.clock() if has_consented else None,
        )
        session.add(user)
        session.flush()
        used.used_by = user.id
        record_action(studio, session, user.id, "accept invite", f"invite {used.id}")
    return user


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 2 <= len(name) <= MAX_NAME or not name.isprintable():
        raise Refusal(f"The name has {len(name)} characters; it must have 2 to {MAX_NAME}, all visible.")
    return name


def _check_password(password: str, name: str) -> None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Refusal(f"The password has {len(password)} characters; it must have {MIN_PASSWORD} to {MAX_PASSWORD}.")
    if password.lower() == name.lower() or len(set(password)) < 4:
        raise Refusal("The password is your name, or repeats three characters. Choose one that is hard to guess.")


def signed_in(studio: Studio, token: str) -> SignedIn | None:
    """The user of a session cookie; None if it is unknown or expired, or its user is no longer active."""
    with studio.database.read() as session:
        found = session.execute(
            select(User, BrowserSession.csrf_token)
            .join(BrowserSession, BrowserSession.user_id == User.id)
            .where(
                BrowserSession.token_hash == token_hash(token),
                BrowserSession.expires_at > studio.clock(),
                User.is_active,
            )
        ).first()
    return SignedIn(user=found[0], csrf_token=found[1]) if found else None


def sign_out(studio: Studio, token: str) -> None:
    """End a session; unknown ones are ignored."""
    with studio.database.write() as session:
        session.execute(delete(BrowserSession).where(BrowserSession.token_hash == token_hash(token)))


def make_api_token(studio: Studio, user: User, name: str) -> str:
    """Create an API token with the permissions of `user`; it is shown only this once."""
    name = _checked_name(name)
    token = new_token()
    with studio.database.write() as session:
        session.add(ApiToken(token_hash=token_hash(token), user_id=user.id, name=name, created_at=studio.clock()))
        record_action(studio, session, user.id, "make api token", name)
    return token


def user_of_api_token(studio: Studio, token: str) -> SignedIn | None:
    """The user of an API token; None if it is unknown or revoked, or the user is no longer active."""
    with studio.database.read() as session:
        user = session.scalar(
            select(User)
            .join(ApiToken, ApiToken.user_id == User.id)
            .where(ApiToken.token_hash == token_hash(token), ApiToken.revoked_at.is_(None), User.is_active)
        )
    return SignedIn(user=user) if user else None


def api_tokens(studio: Studio, user: User) -> list[ApiToken]:
    """All tokens of a user, newest first."""
    with studio.database.read() as session:
        return list(session.scalars(select(ApiToken).where(ApiToken.user_id == user.id).order_by(ApiToken.id.desc())))


def revoke_api_token(studio: Studio, user: User, token_id: int) -> None:
    """Revoke a token of `user`. Raises Refusal if they have none with this id."""
    with studio.database.write() as session:
        token = session.get(ApiToken, token_id)
        if token is None or token.user_id != user.id:
            raise Refusal(f"Your account has no token with the id {token_id}.")
        token.revoked_at = token.revoked_at or studio.clock()
        record_action(studio, session, user.id, "revoke api token", token.name)


def audit_log(studio: Studio, *, limit: int) -> list[tuple[AuditEntry, str | None]]:
    """The newest entries with the name of the actor; None is the server or its command line."""
    newest = select(AuditEntry, User.name).outerjoin(User, User.id == AuditEntry.user_id)
    with studio.database.read() as session:
        return list(session.execute(newest.order_by(AuditEntry.id.desc()).limit(limit)).tuples())


def people(studio: Studio) -> list[User]:
    """All users, by name."""
    with studio.database.read() as session:
        return list(session.scalars(select(User).order_by(User.name)))


def set_consent(studio: Studio, user: User, has_consented: bool) -> None:
    """Give or withdraw consent to the use of a user's labels; earlier exports cannot be recalled."""
    with studio.database.write() as session:
        # Locked, so that the current state is what the newest entry of the log says.
        found = session.get_one(User, user.id, with_for_update=True)
        found.consented_at = (found.consented_at or studio.clock()) if has_consented else None
        record_action(studio, session, user.id, "give consent" if has_consented else "withdraw consent", user.name)


def set_active(studio: Studio, user_id: str, is_active: bool, *, by: str) -> None:
    """Enable or disable an account; its sessions end, and its failed sign-ins are forgotten.

    Raises Refusal for an unknown user, and if the acting admin has been disabled meanwhile: two admins who disabled
    each other would leave nobody to undo it.
    """
    with studio.database.write() as session:
        studio.database.take_turn(session, "accounts")
        user, actor = session.get(User, user_id), session.get(User, by)
        if user is None:
            raise Refusal(f"No user with the id {user_id!r}.")
        if actor is None or not actor.is_active:
            raise Refusal("Your own account is not active. Ask another admin.")
        user.is_active = is_active
        session.execute(delete(BrowserSession).where(BrowserSession.user_id == user_id))
        session.execute(delete(FailedSignIn).where(FailedSignIn.name == user.name.lower()))
        record_action(studio, session, by, "activate" if is_active else "deactivate", user.name)
