"""Where a text has numbers with a checksum or a rule: IBANs, payment cards, US social security numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

Spans = Iterator[tuple[int, int]]  # (start, end), in any order

# Patterns that begin with a digit are looked for fast; what must stand before it is asked afterwards.
_CHECK_DIGITS = re.compile(r"\d\d(?<=[A-Za-z]{2}\d\d)(?<![A-Za-z0-9][A-Za-z]{2}\d\d)(?=[ -]?[A-Za-z0-9])")
# The length of each country's numbers, from the ISO 13616 registry.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC",
    }.items()
    for country in countries.split()
}  # fmt: skip

_CARD = re.compile(r"\d(?<![\w.+-]\d)(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
# Issuer prefixes and lengths: Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay, Maestro.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14}|(?:50|6[37])\d{14}"
)

_SSN = re.compile(r"\d(?<![\w.-]\d)\d\d(?<!000)(?<!666)(?<!9\d\d)([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-]|\.\d)")
_SSN_WORDS = re.compile(r"\b(?:ssn|social\s+security)\b[^\n]{0,24}$", re.IGNORECASE)


def iban_spans(text: str) -> Spans:
    """Bank account numbers with their country's length and a right checksum (ISO 13616, remainder 1 modulo 97)."""
    end = 0
    for match in _CHECK_DIGITS.finditer(text):
        start = match.start() - 2
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        if length is None or start < end:
            continue
        whole = re.compile(rf"[A-Z]{{2}}\d\d(?:[ -]?[A-Z0-9]){{{length - 4}}}(?![A-Z0-9])", re.IGNORECASE).match(
            text, start
        )
        if whole and is_iban(re.sub("[ -]", "", whole[0])):
            yield whole.span()
            end = whole.end()


def is_iban(compact: str) -> bool:
    """Whether the checksum of an IBAN without blanks holds: head moved to the end, base 36, remainder 1 modulo 97."""
    rotated = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in rotated)) % 97 == 1


def card_spans(text: str) -> Spans:
    """Payment card numbers: an issuer's prefix and length, evenly separated, and a right Luhn digit."""
    for match in _CARD.finditer(text):
        digits = re.sub("[ -]", "", match[0])
        separators = set(re.sub(r"\d", "", match[0]))
        if len(separators) <= 1 and _ISSUERS.fullmatch(digits) and is_luhn(digits):
            yield match.span()


def is_luhn(digits: str) -> bool:
    """Whether the last digit is right (ISO/IEC 7812): every second one doubled, digit sum 0 modulo 10."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


def ssn_spans(text: str) -> Spans:
    """US social security numbers that can be issued; separated by blanks only where the words stand before them."""
    for match in _SSN.finditer(text):
        if match[1] == "-" or _SSN_WORDS.search(text, max(0, match.start() - 48), match.start()):
            yield match.span()
