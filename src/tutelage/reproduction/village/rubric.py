"""The tables by which the judge measures: lengths in words, words that tell a tale, classes of details. Pure data."""

from __future__ import annotations

from tutelage.reproduction.village import lexicon
from tutelage.reproduction.village.passages import GARMENTS, PASSAGE_PETS, SHELTERS

# Numbers of words: below the first and above the last a response is worth nothing, between the middle two it loses
# nothing.
LENGTHS: dict[str, tuple[int, int, int, int]] = {
    "tale": (3, 11, 44, 75),
    "tale_two": (3, 12, 48, 80),
    "describe": (1, 3, 28, 60),
    "letter": (4, 10, 36, 70),
    "notice": (3, 7, 26, 50),
    "wish": (2, 5, 24, 50),
    "fact": (0, 1, 16, 40),
    "misconception": (0, 1, 18, 40),
    "premise": (2, 4, 18, 40),
    "foods": (1, 2, 16, 40),
    "animals": (1, 2, 18, 40),
    "gifts": (1, 2, 18, 40),
    "activities": (2, 4, 26, 50),
    "pet_names": (1, 2, 16, 40),
    "chat": (3, 6, 26, 50),
    "polite": (2, 4, 12, 24),
    "past": (2, 4, 12, 24),
    "replace": (2, 4, 12, 24),
    "summary": (3, 5, 15, 26),
    "mood": (0, 1, 8, 20),
    "class": (0, 1, 8, 20),
    "closed": (0, 1, 12, 26),
    "extract": (0, 1, 10, 24),
    "translate": (1, 2, 8, 16),
    "unclear": (2, 4, 20, 40),
}

PAST_WORDS = frozenset(
    lexicon.listed(
        "sat fought told rang was were had ran sang ate saw found lost brought took made hid sold bought broke "
        "carried lived came "
        "walked loved wanted looked stole fell heard met shared asked laughed waited danced slept knew gave "
        "stood began went passed shone left worked could became followed lay painted missed washed stood "
        "sailed"
    )
)
SMALL_WORDS = frozenset(
    lexicon.listed(
        "a an the it its of in on at by to and but or so that who was were is are had has he she his her him "
        "they them there then for with from not no as all one very"
    )
)
RICH_NUM_WORDS = 8
MOOD_WORDS = {
    "sorry": frozenset({"sorry", "sad"}),
    "glad": frozenset({"glad", "nice", "wonderful", "happy"}),
    "welcome": frozenset({"hello", "welcome", "morning"}),
}
FOLLOW_UP = frozenset(
    lexicon.listed(
        "hope ask look help tell find mended mend kind well buy good can friends friend together want soon welcome wish"
    )
)
DETAILS: tuple[frozenset[str], ...] = (
    frozenset(
        name.lower() for name in lexicon.SHE_STRANGERS + lexicon.HE_STRANGERS + lexicon.SHE_NAMES + lexicon.HE_NAMES
    ),
    frozenset(place.name for place in lexicon.PLACES),
    frozenset(day.lower() for day in lexicon.DAYS),
    frozenset(lexicon.COLOURS),
    frozenset(lexicon.FOODS),
    frozenset(lexicon.NUMBERS),
    frozenset(lexicon.TOYS + GARMENTS),
    frozenset(PASSAGE_PETS + lexicon.ANIMALS),
    frozenset(SHELTERS),
    frozenset(lexicon.THINGS),
    frozenset(trade.name for trade in lexicon.TRADES),
)
ANY_DETAIL = frozenset().union(*DETAILS)
