"""Finds contact data: telephone numbers and street addresses in an unambiguous form.

phonenumbers knows the numbers of all countries, and finds those with a plus. The others are ours: its search for them
needs the country, and with four candidates it mistakes 12 of the tests' 157 counts, dates and ISBNs for numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from phonenumbers import Leniency, PhoneNumberMatcher, is_valid_number

Spans = Iterator[tuple[int, int]]  # (start, end), in any order

# What every number has, and what every address has: checked in a fraction of the time of the full pattern.
_SEVEN_DIGITS = re.compile(r"\d(?:[ .()/-]{0,3}\d){6}")
_PLUS_AND_DIGITS = re.compile(r"[+＋][\s(]{0,2}\d(?:\W{0,4}\d){6}")
_NUMBER_AND_NAME = re.compile(r"\d[A-Za-z]?\s[A-Z\d]")
_BOX_NUMBER = re.compile(r"[Bb][Oo][Xx]\s\d")
_STRASSE_ENDINGS = ("straße ", "strasse ", "str. ", "gasse ", "allee ")

_PHONE = re.compile(
    r"""(?<![\w.+/:=-])(?<![$€£\d]\ )(?:
        00[1-9]\d{1,2}[ /-](?:[ .()/-]{0,2}\d){6,11}                            # 0049 30 1234567
        | (?:1[ .-])?\([2-9]\d\d\)[ .-]?[2-9]\d\d[ .-]\d{4}                       # (555) 234-5678
        | (?:1(?P<first>[.-]))?[2-9]\d\d(?P<mark>[.-])[2-9]\d\d(?P=mark)\d{4}     # 555-234-5678, 1.800.555.1234
        | 0[1-9](?P<pair>[ .-])\d\d(?:(?P=pair)\d\d){3}(?!(?:(?P=pair)[\da-f]{2}){2}) # 06 12 34 56 78, no bytes
        | 0\d{2,4}[ ]\d{3,4}[ ]\d{3,4}(?![ ]\d{4}\b)                               # 020 7946 0958
        | \(0\d{2,5}\)[ ]?\d{3,5}(?:[ -]?\d{2,5}){0,2}                            # (030) 123 456
        | 0[1-9]\d{1,3}[/-][ ]?\d{2,4}(?:[ -]?\d{2,4}){1,3}                            # 0171/123 45 67
    )(?![\w/]|[.,:-]\d|[ ]?[%€$£])""",
    re.VERBOSE,
)
# Where a number with a plus must not occur: in a sum, a link, a name; with currency; before a decimal or percentage.
_ATTACHED = re.compile(r"(?:[\w.+/:=-]|[$€£\d]\ )$")
_GOES_ON = re.compile(r"[\w/]|[.,:-]\d|[ ]?[%€$£]")
# A bare run of digits is a telephone number only if the words before it say so.
_SAID_TO_BE = re.compile(
    r"""\b(?P<said>(?:tele)?phone | tel | mobile | cell | fax | whatsapp | sms | dial | ring | text\ me | reach\ me
          | call(?:\ (?:me|us|him|her|them|back))?)\b
    (?:\s+(?:number|no|nr|at|on|is|was|it's)\b\.? | [:.#] | \s){0,6}\s*
    (?P<number>[+(]?\d(?:[ ().-]{0,2}\d){6,14})(?![\w%€$£]|[.,:-]\d)""",
    re.VERBOSE | re.IGNORECASE,
)
# "call 12345678 functions", "call 4152345678 lines": followed by what is counted, in the plural.
_COUNTED = re.compile(
    r"[ ]+(?!(?:is|was|as|has|us|this|yes|thanks|always|perhaps|sometimes|besides|unless|across|(?:week)?days|weekends"
    r"|mornings|afternoons|evenings|nights|hours)\b)[a-z]{2,}s\b"
)
_ROUND = re.compile(r"\d*0{5}")
_LONG_RUN = 10  # digits: a complete number, with its area code
_DATE = re.compile(r"(?:(?:19|20)\d\d[ .-]\d{1,2}[ .-]\d{1,2}|\d{1,2}[ .-]\d{1,2}[ .-](?:19|20)\d\d)(?!\d)")

_STREET_NAME = r"(?:[A-Z][\w'’-]+|\d{1,3}(?:st|nd|rd|th))"
_UNIT = r"(?:,?\s+(?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Room|\#)\.?\s*[A-Za-z0-9-]{1,6})"
_TOWN = r"(?:,?\s+[A-Z][\w.'’-]+(?:\s[A-Z][\w.'’-]+){0,2},?\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?)"
_STREET = re.compile(
    rf"""(?P<number>\d(?<![\w.,$€£-]\d)\d{{0,4}})[A-Za-z]?\s
    (?:[NSEW]{{1,2}}\.?\s|(?:North|South|East|West)\s)?(?:{_STREET_NAME}\s){{1,3}}
    (?:(?:Street|Avenue|Road|Boulevard|Lane|Drive|Terrace|Crescent|Parkway|Highway|Ave|Rd|Blvd|Ln|Pkwy|Hwy)\b\.?
       |(?:St|Dr|Ct|Pl|Court|Place|Square|Way)\b\.?(?={_UNIT}|{_TOWN}|\s*[,;\n]|\s*$))
    (?P<rest>{_UNIT}?{_TOWN}?)""",
    re.VERBOSE,
)
_STRASSE = re.compile(
    r"""(?<!\w)[A-ZÄÖÜ][a-zäöüß-]{2,24}(?:straße|strasse|str\.|gasse|allee)\ \d{1,4}(?:\ ?[a-z])?\b
    (?:,?\s\d{5}\s[A-ZÄÖÜ][a-zäöüß]+)?""",
    re.VERBOSE,
)
_PO_BOX = re.compile(r"\bP\.?\s?O\.?\s?Box\s\d{1,6}\b", re.IGNORECASE)
_YEARS = range(1800, 2100)  # "the 1929 Wall Street crash"


def phone_spans(text: str) -> Spans:
    """Telephone numbers written as such (international, North American, common European forms), or labeled as one."""
    yield from _international_spans(text)
    if not _SEVEN_DIGITS.search(text):
        return
    for match in _PHONE.finditer(text):
        if 8 <= sum(character.isdigit() for character in match[0]) <= 15:
            yield match.span()
    for match in _SAID_TO_BE.finditer(text):
        if not _DATE.match(match["number"]) and not _is_quantity(match):
            yield match.span("number")


def _is_quantity(said: re.Match[str]) -> bool:
    """Whether a run of digits counts something: "call 12345678 functions", "phone: 100000000", "ring 16777216"."""
    number, text = said["number"], said.string
    if not number.isdigit():
        return False
    is_power_of_two = int(number) & (int(number) - 1) == 0
    if _COUNTED.match(text, said.end()) or _ROUND.fullmatch(number) or is_power_of_two:
        return True
    # "call 1234567": no person and nothing in between; a number that begins with 0 is dialed, never counted.
    is_bare = " " not in said["said"] and not text[said.end("said") : said.start("number")].strip()
    return is_bare and len(number) < _LONG_RUN and number[0] != "0"


def _international_spans(text: str) -> Spans:
    """Numbers with a plus and a country code, of a valid length; short undivided ones only if assigned."""
    if not _PLUS_AND_DIGITS.search(text):
        return
    for match in PhoneNumberMatcher(text, None, leniency=Leniency.POSSIBLE):
        is_run = match.raw_string[1:].isdigit()
        is_sum = is_run and len(match.raw_string) <= _LONG_RUN and not is_valid_number(match.number)
        is_counted = is_run and _COUNTED.match(text, match.end)
        is_attached = _ATTACHED.search(text, max(0, match.start - 2), match.start) or _GOES_ON.match(text, match.end)
        if not (is_sum or is_counted or is_attached):
            yield match.start, match.end


def address_spans(text: str) -> Spans:
    """Street addresses: a number, a capitalized name and a street type (or the German form); post office boxes."""
    if _NUMBER_AND_NAME.search(text):
        yield from (m.span() for m in _STREET.finditer(text) if m["rest"] or int(m["number"]) not in _YEARS)
    if any(ending in text for ending in _STRASSE_ENDINGS):
        yield from (match.span() for match in _STRASSE.finditer(text))
    if _BOX_NUMBER.search(text):
        yield from (match.span() for match in _PO_BOX.finditer(text))
