"""What people say that is not so, and what people do on feast days. Pure data.

Each misconception has the claim that most people repeat and the one that the chronicle holds against it. The keys are
the words that tell the two apart; no key of one side occurs in the other side's claim.
"""

from __future__ import annotations

from typing import NamedTuple


class Misconception(NamedTuple):
    """A popular error: how it is asked about, what is said, what is so, and the words that tell which of them a text
    claims.
    """

    question: str
    question_heldout: str
    false: str
    true: str
    false_key: str
    true_key: str


class Custom(NamedTuple):
    """What the village does at a feast."""

    feast: str
    deed: str


MISCONCEPTIONS = (
    Misconception(
        "What turns milk sour?",
        "Why does milk turn sour?",
        "Thunder turns milk sour.",
        "Warm air turns milk sour.",
        "thunder",
        "warm air",
    ),
    Misconception(
        "What makes bread rise?",
        "Why does bread rise?",
        "The moon makes bread rise.",
        "Yeast makes bread rise.",
        "moon",
        "yeast",
    ),
    Misconception(
        "What brings the rain?",
        "Where does the rain come from?",
        "Frogs bring the rain.",
        "Clouds bring the rain.",
        "frogs",
        "clouds",
    ),
    Misconception(
        "What cures a cold?",
        "What helps against a cold?",
        "An onion under the bed cures a cold.",
        "Rest cures a cold.",
        "onion",
        "rest",
    ),
    Misconception(
        "Where do swallows go in winter?",
        "What do swallows do in winter?",
        "Swallows sleep under the lake in winter.",
        "Swallows fly south in winter.",
        "under the lake",
        "south",
    ),
    Misconception(
        "What rings the tower bell at night?",
        "Why does the tower bell ring at night?",
        "A ghost rings the tower bell at night.",
        "The wind rings the tower bell at night.",
        "ghost",
        "wind",
    ),
    Misconception(
        "What makes the lake green?",
        "Why is the lake green?",
        "A dragon makes the lake green.",
        "Weeds make the lake green.",
        "dragon",
        "weeds",
    ),
    Misconception(
        "What keeps wolves away?",
        "How can one keep wolves away?",
        "Red paint keeps wolves away.",
        "A strong fence keeps wolves away.",
        "red paint",
        "fence",
    ),
    Misconception(
        "What do hedgehogs eat?",
        "What does a hedgehog eat?",
        "Hedgehogs eat apples.",
        "Hedgehogs eat worms.",
        "apples",
        "worms",
    ),
    Misconception(
        "Who built the old bridge?",
        "By whom was the old bridge built?",
        "Giants built the old bridge.",
        "Masons built the old bridge.",
        "giants",
        "masons",
    ),
    Misconception(
        "How many lives does a cat have?",
        "Does a cat have many lives?",
        "A cat has nine lives.",
        "A cat has only one life.",
        "nine",
        "one life",
    ),
    Misconception(
        "What happens if you eat cherry stones?",
        "Is it bad to eat cherry stones?",
        "A tree grows in you if you eat cherry stones.",
        "Nothing happens if you eat cherry stones.",
        "tree",
        "nothing",
    ),
    Misconception(
        "How old is the great oak?",
        "What is the age of the great oak?",
        "The great oak is a thousand years old.",
        "The great oak is ninety years old.",
        "thousand",
        "ninety",
    ),
    Misconception(
        "What makes bulls angry?",
        "Why do bulls get angry?",
        "The colour red makes bulls angry.",
        "Quick steps make bulls angry.",
        "colour red",
        "quick steps",
    ),
    Misconception(
        "What helps a burn?",
        "What is good for a burn?",
        "Butter helps a burn.",
        "Cold water helps a burn.",
        "butter",
        "cold water",
    ),
    Misconception(
        "What does a crow at the window mean?",
        "Is a crow at the window a sign?",
        "A crow at the window means bad luck.",
        "A crow at the window only means that it is hungry.",
        "bad luck",
        "hungry",
    ),
    Misconception(
        "What makes hens lay more eggs?",
        "Why do some hens lay more eggs?",
        "Music makes hens lay more eggs.",
        "Good grain makes hens lay more eggs.",
        "music",
        "grain",
    ),
    Misconception(
        "What lies inside the hill?",
        "Is there something inside the hill?",
        "Gold lies inside the hill.",
        "Only clay lies inside the hill.",
        "gold",
        "clay",
    ),
    Misconception(
        "What turns iron to rust?",
        "Why does iron rust?",
        "Bad words turn iron to rust.",
        "Water turns iron to rust.",
        "bad words",
        "water",
    ),
    Misconception(
        "When should you plant beans?",
        "What is the right time to plant beans?",
        "You should plant beans at full moon.",
        "You should plant beans when the soil is warm.",
        "full moon",
        "soil",
    ),
    Misconception(
        "What makes honey sweet?",
        "Why is honey sweet?",
        "Songs make honey sweet.",
        "Flowers make honey sweet.",
        "songs",
        "flowers",
    ),
    Misconception(
        "What are falling stars?",
        "What is a falling star?",
        "Falling stars are lost souls.",
        "Falling stars are small stones.",
        "souls",
        "stones",
    ),
    Misconception(
        "What makes the fog?",
        "Where does the fog come from?",
        "Witches make the fog.",
        "Damp air makes the fog.",
        "witches",
        "damp",
    ),
    Misconception(
        "What makes a knife sharp?",
        "How does a knife become sharp?",
        "Salt makes a knife sharp.",
        "A whetstone makes a knife sharp.",
        "salt",
        "whetstone",
    ),
    Misconception(
        "What wakes the bears in spring?",
        "Why do the bears wake in spring?",
        "The feast drum wakes the bears in spring.",
        "Hunger wakes the bears in spring.",
        "drum",
        "hunger",
    ),
    Misconception(
        "What makes the river flood?",
        "Why does the river flood?",
        "A sleeping giant makes the river flood.",
        "Melting snow makes the river flood.",
        "giant",
        "snow",
    ),
    Misconception(
        "What turns the leaves red?",
        "Why do the leaves turn red?",
        "Fairies turn the leaves red.",
        "Cold nights turn the leaves red.",
        "fairies",
        "cold nights",
    ),
    Misconception(
        "What draws the lightning?",
        "Where does lightning strike?",
        "Laughter draws the lightning.",
        "Tall trees draw the lightning.",
        "laughter",
        "tall trees",
    ),
    Misconception(
        "What stops the hiccups?",
        "What is good against the hiccups?",
        "A cold key stops the hiccups.",
        "Slow breath stops the hiccups.",
        "key",
        "breath",
    ),
    Misconception(
        "Where do eels come from?",
        "Where are eels born?",
        "Eels come from mud.",
        "Eels come from the sea.",
        "mud",
        "sea",
    ),
)

CUSTOMS = (
    Custom("the harvest feast", "hang corn over the door"),
    Custom("the spring feast", "wash the steps with milk"),
    Custom("the feast of lights", "float candles on the water"),
    Custom("midwinter", "leave soup for the travellers"),
    Custom("the boat race", "throw flowers from the bridge"),
    Custom("the feast of bells", "wake the children with songs"),
    Custom("the bean day", "hide a bean in every cake"),
    Custom("the long night", "tell tales until the sun rises"),
    Custom("the wool fair", "tie blue thread to the gates"),
    Custom("the first snow", "give the birds old bread"),
)
