"""Personal data and secrets, found by pattern and checksum and replaced by their type: [EMAIL], [PHONE], [CARD], ...

The paper filters its training prompts for personal data without saying how [3.2, A.2]. These recognizers need no model,
and favor missing something over corrupting a prompt about numbers, dates or versions. Names of people are not found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

from tutelage.prompts.accounts import card_spans, iban_spans, national_spans, ssn_spans
from tutelage.prompts.contacts import address_spans, phone_spans
from tutelage.prompts.network import credential_spans, email_spans, ip_spans, secret_spans

PiiType = Literal["SECRET", "CREDENTIALS", "EMAIL", "IBAN", "CARD", "SSN", "NATIONAL_ID", "IP", "PHONE", "ADDRESS"]
PII_TYPES: tuple[PiiType, ...] = get_args(PiiType)
Spans = Callable[[str], Iterable[tuple[int, int]]]

# In this order: longer and more certain types first, so that no telephone number is found inside an IBAN.
_RECOGNIZERS: dict[PiiType, Spans] = {
    "SECRET": secret_spans,
    "CREDENTIALS": credential_spans,
    "EMAIL": email_spans,
    "IBAN": iban_spans,
    "CARD": card_spans,
    "SSN": ssn_spans,
    "NATIONAL_ID": national_spans,
    "IP": ip_spans,
    "PHONE": phone_spans,
    "ADDRESS": address_spans,
}
# The shortest number of these types has seven digits; counting digits costs a fifth of one search.
_NUMERIC: frozenset[PiiType] = frozenset(("IBAN", "CARD", "SSN", "NATIONAL_ID", "PHONE"))
_LEAST_DIGITS = 7
_DIGIT = re.compile(r"\d")
_KEPT_AS_THEY_ARE = frozenset(("id", "split", "purpose", "language", "source", "use_case", "split_hint", "role"))


def scrub(text: str, types: Iterable[PiiType] = PII_TYPES) -> tuple[str, Counter[str]]:
    """The text with a typed placeholder instead of each finding, and the number of findings by type.

    Scrubbing is idempotent.
    """
    counts: Counter[str] = Counter()
    num_digits = _num_digits(text)
    # Every finding has a digit, an @ or a private key's header; most prompts have none of them and are skipped at once.
    if not (num_digits or "@" in text or "PRIVATE KEY" in text):
        return text, counts
    chosen = set(types) if num_digits >= _LEAST_DIGITS else set(types) - _NUMERIC
    before = None
    while text != before:
        before = text
        for kind, spans_of in _RECOGNIZERS.items():
            if kind in chosen:
                text, number = _replaced(text, spans_of(text), f"[{kind}]")
                counts[kind] += number
    return text, +counts


def _num_digits(text: str) -> int:
    if not text.isascii():
        return len(_DIGIT.findall(text))
    return len(text) - len(text.encode().translate(None, b"0123456789"))


def _replaced(text: str, spans: Iterable[tuple[int, int]], placeholder: str) -> tuple[str, int]:
    """The text with each span replaced; of overlapping spans, the one that begins first."""
    parts: list[str] = []
    position = 0
    for start, end in sorted(spans):
        if start >= position:
            parts += (text[position:start], placeholder)
            position = end
    return ("".join([*parts, text[position:]]), len(parts) // 2) if parts else (text, 0)


def scrub_record(
    values: Mapping[str, Any], types: Iterable[PiiType] = PII_TYPES
) -> tuple[dict[str, Any], Counter[str]]:
    """A record's values with every text scrubbed, nested ones and unknown keys too, and the findings by type.

    Our own fields (id, split, purpose, language, source, use_case) are kept. A `user_id` is not changed here.
    """
    counts: Counter[str] = Counter()
    types = tuple(types)

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            text, found = scrub(value, types)
            counts.update(found)
            return text
        if isinstance(value, dict):
            return {key: item if key in _KEPT_AS_THEY_ARE else cleaned(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [cleaned(item) for item in value]
        return value

    kept = _KEPT_AS_THEY_ARE | {"user_id"}
    return {key: item if key in kept else cleaned(item) for key, item in values.items()}, counts
