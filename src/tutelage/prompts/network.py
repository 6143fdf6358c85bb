"""Finds credentials and network identifiers: email addresses, secrets, URL credentials, IP addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

Spans = Iterator[tuple[int, int]]  # (start, end), in any order

_EMAIL = re.compile(
    r"(?<![\w.+@/-])[^\W_](?:[\w.+%'-]{0,63}[\w+-])?@(?:[^\W_](?:[\w-]{0,62}[^\W_])?\.){1,8}(?P<tld>[^\W\d_]{2,24})(?![\w@])"
)
_NOT_TLDS = frozenset(("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js"))  # icon@2x.png

_SECRET = re.compile(
    r"""-----BEGIN\ (?:[A-Z]+\ ){0,3}PRIVATE\ KEY-----
        (?:.*?-----END\ (?:[A-Z]+\ ){0,3}PRIVATE\ KEY-----|[A-Za-z0-9+/=\s]+)
    |(?<![\w-])(?:
        sk-(?:[a-z]+-)?[A-Za-z0-9_-]{20,} | [rs]k_(?:live|test)_[A-Za-z0-9]{16,}  # OpenAI and like it; Stripe
        | gh[oprsu]_[A-Za-z0-9]{36,} | github_pat_\w{22,} | glpat-[\w-]{20,}      # GitHub, GitLab
        | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[\w-]{35}                               # Amazon, Google
        | xox[abeoprs]-[\w-]{10,} | SG\.[\w-]{16,}\.[\w-]{16,}                    # Slack, SendGrid
        | hf_[A-Za-z0-9]{30,} | npm_[A-Za-z0-9]{36} | pypi-[\w-]{50,}             # Hugging Face, npm, PyPI
        | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}                                   # JSON Web Token
    )(?![\w-])""",
    re.VERBOSE | re.DOTALL,
)
# Searched first, because plain text is far faster to find than patterns.
_SECRET_MARKS = (
    *("PRIVATE KEY", "sk-", "k_live_", "k_test_", "ghp_", "gho_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-"),
    *("AKIA", "ASIA", "AIza", "xox", "SG.", "hf_", "npm_", "pypi-", "eyJ"),
)
_ASSIGNED_MARKS = ("password", "passwd", "pwd", "passphrase", "secret", "key", "token", "bearer")
# password = "hunter2!", api_key: 9f8e...; the value must have a digit and may not be a call, a placeholder or a phrase.
_ASSIGNED = re.compile(
    r"""\b(?:password|passwd|pwd|passphrase|secret(?:[_-]key)?|api[_-]?key|(?:access|auth|refresh|bearer)[_-]?token|bearer)["']?
    (?:\s*(?:=|:|\bis\b)\s*|(?<=bearer)\s+)["']?(?P<value>(?=[^\s"',;&<>()\[\]{}]*\d)[^\s"',;&<>()\[\]{}$]{8,}[^\s"',;&<>()\[\]{}$.?!])(?![\w(\[])""",
    re.VERBOSE | re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://(?P<user>[^\s/:@\[\]<>{}]+:[^\s/@\[\]<>{}]+)@", re.IGNORECASE)

# Begins with a digit, which is fast to search; what must precede it is checked afterward.
_IPV4 = re.compile(r"\d(?<![\w.-]\d)\d{0,2}\.(?:\d{1,3}\.){2}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"[23](?<![\w:.][23])[0-9a-f]{3}:[0-9a-f:]{3,34}(?![\w:])", re.IGNORECASE)
# What precedes numbers that are not addresses: "version 1.2.3.4", version="1.2.3.4", torch==2.10.1.3, ^18.11.9.2,
# nginx/1.24.0.1, libssl 3.0.2.15.
_NUMBERED = re.compile(
    r"""(?:\b(?:versions?|ver|v|sections?|sect?|chapters?|releases?|builds?|rules?|table|figure|fig|oid|firmware|driver
            |kernel|lib\w{1,12}|python|java|oracle|firefox|chrome|safari|ios|android|macos|windows)|§)[.:]?\s*$
    |version(?:__)?["']?\s{0,2}[:=(]\s{0,2}["']?$
    |(?:[=<>~!]=|[\^~<>]|[A-Za-z]/)\s?$""",
    re.IGNORECASE | re.VERBOSE,
)
_BEFORE = 24  # number of preceding characters searched


def email_spans(text: str) -> Spans:
    """Email addresses; not `icon@2x.png`, nor the `git@host:` of a repository."""
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        is_repository = match[0].startswith("git@") and text[match.end() : match.end() + 1] == ":"
        if match["tld"].lower() not in _NOT_TLDS and not is_repository:
            yield match.span()


def secret_spans(text: str) -> Spans:
    """Keys and tokens of a known form, private keys, and values with a digit that are labeled as a password or key."""
    if any(mark in text for mark in _SECRET_MARKS):
        yield from (match.span() for match in _SECRET.finditer(text))
    lowered = text.lower()
    if any(mark in lowered for mark in _ASSIGNED_MARKS):
        yield from (match.span("value") for match in _ASSIGNED.finditer(text))


def credential_spans(text: str) -> Spans:
    """The `user:password` of a URL; scheme and host are kept."""
    if "://" in text:
        yield from (match.span("user") for match in _CREDENTIALS.finditer(text))


def ip_spans(text: str) -> Spans:
    """Public IP addresses. Private, local and documentation ones identify nobody; 1.2.3.4 is a version or a section,
    and so is anything after a comparison (torch==2.10.1.3) or the name of a program.
    """
    for match in _IPV4.finditer(text):
        if (
            len(match[0]) > 7
            # A network address, or a version: 12.1.0.0.
            and not match[0].endswith(".0")
            and _is_public(match[0])
            and not _NUMBERED.search(text[max(0, match.start() - _BEFORE) : match.start()])
        ):
            yield match.span()
    if ":" in text:
        yield from (match.span() for match in _IPV6.finditer(text) if _is_public(match[0]))


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
