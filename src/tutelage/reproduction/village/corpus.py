"""The pretraining text: which kinds of pages there are, and how often each occurs."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random

from tutelage.reproduction.village import chronicle, echoes, forum, pages, reviews, tales, talk, wordbook
from tutelage.reproduction.village.world import World

Page = Callable[[World, Random], str]

# Weights; only their proportion counts. Requests with replies (the letters page) are under a tenth of the documents:
# more than on the web, since a model that reads two million tokens in all would else never learn what a request is.
PAGES: tuple[tuple[Page, float], ...] = (
    (chronicle.chronicle_entry, 9.0),
    (chronicle.portrait, 8.0),
    (chronicle.thing_page, 8.0),
    (chronicle.inventory, 3.0),
    (chronicle.place_page, 3.0),
    (chronicle.saying, 7.0),
    (chronicle.custom_page, 2.0),
    (chronicle.village_letter, 7.0),
    (chronicle.price_list, 2.0),
    (chronicle.colour_rhyme, 1.0),
    (tales.tale_page, 10.0),
    (talk.dialogue, 8.0),
    (talk.recipe, 1.5),
    (talk.trade_page, 4.0),
    (talk.diary, 3.0),
    (talk.proverb, 1.5),
    (talk.weather_page, 1.0),
    (pages.passage_page, 4.0),
    (pages.summary_page, 2.0),
    (pages.mood_page, 2.0),
    (pages.tongue_page, 2.0),
    (pages.list_page, 2.0),
    (pages.question_column, 3.0),
    (pages.answered_column, 2.0),
    (forum.open_requests, 3.0),
    (forum.letters_page, 14.0),
    (forum.pinboard, 5.0),
    (reviews.reviews_page, 7.0),
    (wordbook.wordbook_page, 4.0),
    (echoes.roll_call, 4.0),
    (echoes.guest_book, 4.0),
    (echoes.memory_game, 7.0),
    (echoes.lost_and_found, 8.0),
    (echoes.song, 7.0),
)
_CUMULATIVE = list(accumulate(weight for _, weight in PAGES))


def pretraining_documents(world: World, *, num_documents: int, seed: int) -> Iterator[str]:
    """`num_documents` plain texts, each one document, without any end marker (the trainer adds EOS)."""
    rng = Random(f"corpus-{world.seed}-{seed}")
    for _ in range(num_documents):
        page = PAGES[bisect(_CUMULATIVE, rng.random() * _CUMULATIVE[-1])][0]
        yield page(world, rng)
