"""Finds numbers with a checksum or a rule: IBANs, payment cards, national identification numbers.

python-stdnum validates them. Finding them is ours, because it does not search text; and US social security numbers are
ours, because it rejects those that were printed on sample cards, which occur in texts nevertheless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from stdnum import iban, luhn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer

Spans = Iterator[tuple[int, int]]  # (start, end), in any order

# Patterns that begin with a digit are fast to search; what must precede it is checked afterward.
_CHECK_DIGITS = re.compile(r"\d\d(?<=[A-Za-z]{2}\d\d)(?<![A-Za-z0-9][A-Za-z]{2}\d\d)(?=[ -]?[A-Za-z0-9])")
_GROUPS = re.compile(r"[A-Za-z0-9]+(?:[ -][A-Za-z0-9]+)*")
_GROUP = re.compile(r"[A-Za-z0-9]+")
_MOST_IBAN = 34 + 33  # characters, with a blank between any two

_CARD = re.compile(r"\d(?<![\w.+-]\d)(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
# Issuer prefixes and lengths: Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay, Maestro.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14}|(?:50|6[37])\d{14}"
)

_SSN = re.compile(r"\d(?<![\w.-]\d)\d\d(?<!000)(?<!666)(?<!9\d\d)([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-]|\.\d)")
_SSN_WORDS = re.compile(r"\b(?:ssn|social\s+security)\b[^\n]{0,24}$", re.IGNORECASE)

# Numbers with an unmistakable printed form, each with its validator.
_PRINTED: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"\d{3}\.\d{3}\.\d{3}-\d\d", cpf.is_valid),
    (r"\d\d\.\d\d\.\d\d-\d{3}[.-]\d\d", nn.is_valid),
    (r"756\.\d{4}\.\d{4}\.\d\d", ssn.is_valid),
    (r"\d{17}[\dX]", ric.is_valid),
    (r"[XYZ]-?\d{7}-?[A-Z]", nie.is_valid),
    (r"(?:\d\d)?\d{6}[-+A]\d{3}[0-9A-Y]", lambda number: hetu.is_valid(number) or personnummer.is_valid(number)),
    (r"[12] \d\d \d\d (?:\d\d|2[AB]) \d{3} \d{3} \d\d", nir.is_valid),
    (r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]", codicefiscale.is_valid),
    (r"\d{6}-\d{7}", rrn.is_valid),
    (r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", curp.is_valid),
)
# One search for all of them: the matching group says which.
_FORMS = "|".join(f"({form})" for form, _ in _PRINTED)
_NATIONAL = re.compile(rf"(?<![\w.+-])(?:{_FORMS})(?![\w-]|\.\d)")
# Numbers that could be anything: only if preceded by their name.
_NAMED: dict[str, Callable[[str], bool]] = {
    "aadhaar": aadhaar.is_valid,
    "bsn": bsn.is_valid,
    "dni": dni.is_valid,
    "nhs": nhs.is_valid,
    "pesel": pesel.is_valid,
    "sin": sin.is_valid,
}
_SAID_NATIONAL = re.compile(
    rf"\b(?P<name>{'|'.join(_NAMED)})\b[^\n\d]{{0,24}}(?P<number>\d(?:[ .-]?\d){{6,11}}(?:-?[A-Z])?)(?![\w-]|\.\d)",
    re.IGNORECASE,
)


def iban_spans(text: str) -> Spans:
    """Bank account numbers with a correct checksum and their country's format: length, letters and digits."""
    end = 0
    for match in _CHECK_DIGITS.finditer(text):
        start = match.start() - 2
        if start < end:
            continue
        groups = _GROUPS.match(text, start, start + _MOST_IBAN)
        for group in _GROUP.finditer(text, start, groups.end() if groups else start):
            # An account may be at an unlisted bank: the country-specific check of the bank is not applied.
            if iban.is_valid(text[start : group.end()], check_country=False):
                end = group.end()
                yield start, end
                break


def card_spans(text: str) -> Spans:
    """Payment card numbers: an issuer's prefix and length, evenly separated, and a correct Luhn digit."""
    for match in _CARD.finditer(text):
        digits = re.sub("[ -]", "", match[0])
        separators = set(re.sub(r"\d", "", match[0]))
        if len(separators) <= 1 and _ISSUERS.fullmatch(digits) and luhn.is_valid(digits):
            yield match.span()


def ssn_spans(text: str) -> Spans:
    """US social security numbers that can be issued; separated by spaces only if their name precedes them."""
    for match in _SSN.finditer(text):
        if match[1] == "-" or _SSN_WORDS.search(text, max(0, match.start() - 48), match.start()):
            yield match.span()


def national_spans(text: str) -> Spans:
    """National identification numbers of 17 countries, with a correct check digit or date."""
    for match in _NATIONAL.finditer(text):
        is_valid = _PRINTED[(match.lastindex or 0) - 1][1]
        if is_valid(match[0]):
            yield match.span()
    for match in _SAID_NATIONAL.finditer(text):
        if _NAMED[match["name"].lower()](match["number"]):
            yield match.span("number")
