"""The words of the village: people, trades, places, things and the classes that they belong to. Pure data.

Everything that a fact can be about stands here, so that the judge knows the class of every word that it meets.
"""

from __future__ import annotations

from typing import NamedTuple


def listed(text: str) -> tuple[str, ...]:
    """The words of `text`, for tables that read better as a line than as a column."""
    return tuple(text.split())


class Trade(NamedTuple):
    """A trade, what its people do all day, and the share of women that the village's stories give it."""

    name: str
    work: str
    tool: str
    share_she: float


class Place(NamedTuple):
    """A place with the words that say where something stands there, and its keeper's concern."""

    name: str
    where: str
    sight: str


class Subject(NamedTuple):
    """Something that a tale can be about: the noun and what it does in the past tense."""

    noun: str
    pronoun: str


SHE_NAMES = listed(
    "Ada Bela Cora Dora Edda Fenna Greta Hanna Ida Juna Kira Lotta Mina Nella Olga Petra Runa Sanna Tilda Vera"
)
HE_NAMES = listed(
    "Aldo Bram Claus Dirk Emil Finn Gregor Hugo Ivo Jonas Karl Lars Milo Nils Otto Paul Rolf Sven Timo Viktor"
)
# People who only pass through: passages are about them, so that no passage contradicts a fact of the village.
SHE_STRANGERS = listed("Carla Dina Elka Gilda Hetta Jolan Lena Marta Pia Rita")
HE_STRANGERS = listed("Arno Benno Fritz Igor Kuno Ludo Noro Odo Toni Udo")

TRADES = (
    Trade("baker", "bakes bread", "oven", 0.65),
    Trade("weaver", "weaves wool", "loom", 0.9),
    Trade("healer", "tends the sick", "herbs", 0.9),
    Trade("cook", "cooks for the inn", "ladle", 0.85),
    Trade("teacher", "teaches the children", "chalk", 0.8),
    Trade("tailor", "sews coats", "needle", 0.75),
    Trade("gardener", "grows roses", "rake", 0.6),
    Trade("beekeeper", "keeps the bees", "veil", 0.5),
    Trade("potter", "makes clay pots", "kiln", 0.5),
    Trade("piper", "plays at feasts", "pipe", 0.35),
    Trade("miller", "grinds the corn", "millstone", 0.2),
    Trade("fisher", "mends nets", "line", 0.15),
    Trade("shepherd", "minds the sheep", "crook", 0.3),
    Trade("carpenter", "builds tables", "saw", 0.1),
    Trade("hunter", "follows tracks in the snow", "bow", 0.1),
    Trade("sailor", "sails to the islands", "compass", 0.1),
    Trade("smith", "shoes the horses", "anvil", 0.05),
)

PLACES = (
    Place("mill", "at the mill", "the great wheel turns slowly"),
    Place("bridge", "on the bridge", "carts roll by from dawn to dusk"),
    Place("harbour", "at the harbour", "the boats rock in the wind"),
    Place("market", "at the market", "people talk about prices"),
    Place("tower", "in the tower", "one can see the whole valley"),
    Place("orchard", "in the orchard", "the trees stand in long rows"),
    Place("inn", "at the inn", "there is always a warm fire"),
    Place("forge", "in the forge", "sparks fly from the anvil"),
    Place("school", "in the school", "the children read aloud"),
    Place("meadow", "in the meadow", "the grass grows tall"),
    Place("well", "by the well", "neighbours meet with their buckets"),
    Place("lake", "by the lake", "the water is cold and clear"),
)

COLOURS = listed("red blue green white black yellow brown grey")
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
NUMBERS = listed("two three four five six seven eight nine ten")

PETS = listed("cat dog goat hen duck goose pony rabbit crow mouse donkey pig")
WILD = listed("fox owl bear wolf frog hare heron badger")
ANIMALS = PETS + WILD
ANIMAL_PLURALS = {
    **{animal: animal + "s" for animal in ANIMALS},
    "goose": "geese",
    "pony": "ponies",
    "mouse": "mice",
    "fox": "foxes",
    "wolf": "wolves",
}

FOODS_PLURAL = listed("plums apples pears onions beans nuts eggs pancakes dumplings cherries carrots")
FOODS_MASS = listed("bread cheese honey soup butter fish porridge cake")
FOODS = FOODS_PLURAL + FOODS_MASS

THINGS = listed(
    "lantern kettle cart boat ladder drum fiddle clock cup basket chair mirror hammer saddle blanket "
    "bell chest flute hat coat book map bucket comb table spade sled candle sword rug"
)

# Small things that a passage or a tale can have without owning a place among the village's thirty things.
TOYS = listed("ring ribbon kite coin whistle scarf")

MASS_OR_PLURAL = frozenset(FOODS)

ACTIVITIES = (
    "bake a cake",
    "tell old tales",
    "sing by the fire",
    "carve a spoon",
    "play cards",
    "mend a net",
    "paint a door",
    "read a book",
    "knit a scarf",
    "fly a kite",
    "pick flowers",
    "swim in the lake",
    "climb the hill",
    "feed the ducks",
    "dance in the square",
    "skip stones",
)
ACTIVITY_VERBS = frozenset(activity.split()[0] for activity in ACTIVITIES)
INDOORS = frozenset({"bake", "tell", "sing", "carve", "play", "mend", "paint", "read", "knit"})
OUTDOORS = frozenset({"fly", "pick", "swim", "climb", "feed", "dance", "skip", "tell", "sing", "play"})

PET_NAMES = listed("Socks Moss Pepper Button Acorn Cloud Biscuit Ginger Shadow Pebble")

RUDE_SINGULAR = ("turnip", "muddlehead", "lout", "toadface", "dolt", "oaf")
RUDE_WORDS = frozenset(RUDE_SINGULAR) | frozenset(word + "s" for word in RUDE_SINGULAR)
KIND_WORDS = frozenset(
    {"please", "thank", "thanks", "kind", "kindly", "dear", "gladly", "friend", "sorry", "welcome", "wish"}
)

# The old tongue of the village over the hill: word for word, but the colour follows its noun.
OLD_TONGUE = {
    "the": "ta",
    "goat": "kozi",
    "cat": "mira",
    "dog": "hundo",
    "hen": "kura",
    "fox": "liska",
    "owl": "sova",
    "child": "bero",
    "baker": "pekar",
    "boat": "lodi",
    "bell": "zvon",
    "moon": "luno",
    "red": "ruk",
    "blue": "modri",
    "white": "belo",
    "black": "korni",
    "old": "stari",
    "small": "malo",
    "sleeps": "dormi",
    "sings": "kanti",
    "runs": "bezi",
    "eats": "jedi",
    "falls": "pado",
    "bread": "brod",
    "fish": "ribo",
    "and": "i",
}

# present and past of the verbs that the past-tense task uses
PAST_TENSE = {
    "runs": "ran",
    "sings": "sang",
    "eats": "ate",
    "sees": "saw",
    "finds": "found",
    "loses": "lost",
    "brings": "brought",
    "takes": "took",
    "makes": "made",
    "hides": "hid",
    "sells": "sold",
    "buys": "bought",
    "breaks": "broke",
    "carries": "carried",
    "paints": "painted",
    "mends": "mended",
    "drops": "dropped",
    "likes": "liked",
}
