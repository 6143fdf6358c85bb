"""The village: one seed, one world; the facts agree with each other and with every sentence that states them."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest

from tutelage.reproduction.village import build_world, pretraining_documents
from tutelage.reproduction.village.corpus import PAGES
from tutelage.reproduction.village.facts import find_claims, repeats_misconception, statement_about
from tutelage.reproduction.village.lexicon import RUDE_WORDS
from tutelage.reproduction.village.patterns import fill, join_and, tidy
from tutelage.reproduction.village.text_tasks import translate
from tutelage.reproduction.village.world import PERSON_ATTRIBUTES, THING_ATTRIBUTES

WORLD = build_world(0)


def test_one_seed_is_one_world():
    assert build_world(3) == build_world(3)
    assert build_world(3) != build_world(4)


def test_the_world_has_the_size_that_it_promises():
    assert (len(WORLD.people), len(WORLD.things), len(WORLD.misconceptions)) == (40, 30, 30)
    assert len({person.name for person in WORLD.people}) == 40
    assert len({thing.owner for thing in WORLD.things}) == 30


def test_held_out_parts_are_three_tenths_and_disjoint():
    assert len(WORLD.people_for(True)) == 12 and len(WORLD.people_for(False)) == 28
    assert len(WORLD.things_for(True)) == 9 and len(WORLD.misconceptions_for(True)) == 9
    assert not set(WORLD.misconceptions_for(True)) & set(WORLD.misconceptions_for(False))


def test_every_fact_can_be_asked_and_unknown_ones_cannot():
    for person in WORLD.people:
        assert WORLD.fact(person.name, "home") == person.home.name
        assert WORLD.fact(person.name, "trade") == person.trade.name
    for thing in WORLD.things:
        assert WORLD.fact(thing.name, "owner") in WORLD.person_by_name
    with pytest.raises(KeyError):
        WORLD.fact("lantern", "weight")


@pytest.mark.parametrize("seed", [0, 1])
def test_every_wording_of_every_fact_is_read_back_as_that_fact(seed):
    world = build_world(seed)
    rng = Random(seed)
    pairs = [(person.name, attribute) for person in world.people for attribute in PERSON_ATTRIBUTES]
    pairs += [(thing.name, attribute) for thing in world.things for attribute in THING_ATTRIBUTES]
    for subject, attribute in pairs:
        for _ in range(4):
            sentence = tidy(statement_about(rng, world, subject, attribute))
            claims = find_claims(world, sentence, subject)
            values = {claim.value for claim in claims if claim.attribute == attribute and claim.subject == subject}
            assert values == {world.fact(subject, attribute)}, sentence
            assert all(claim.is_true for claim in claims), sentence


def test_what_is_denied_is_not_claimed():
    person = WORLD.people[0]
    assert [claim.value for claim in find_claims(WORLD, f"{person.name} has a {person.pet}.")] == [person.pet]
    assert find_claims(WORLD, f"{person.name} never had a {person.pet}.") == []


def test_misconceptions_tell_their_two_sides_apart():
    for item in WORLD.misconceptions:
        assert repeats_misconception(item, item.falsehood) is True, item
        assert repeats_misconception(item, item.truth) is False, item
        assert repeats_misconception(item, "The weather is fine today.") is None


def test_the_text_is_the_same_for_the_same_seed_and_another_for_another():
    first = list(pretraining_documents(WORLD, num_documents=50, seed=1))
    assert first == list(pretraining_documents(WORLD, num_documents=50, seed=1))
    assert first != list(pretraining_documents(WORLD, num_documents=50, seed=2))


def test_no_document_is_broken():
    for text in pretraining_documents(WORLD, num_documents=4000, seed=5):
        assert text == text.strip() and text
        if "\n\nReaders: No, " in text:
            continue  # what readers found wrong is wrong
        assert not re.search(r"[\[\]{}|]|  ", text), text
        assert not re.search(r"\b[Aa] (?=[aeiou])|\b[Aa]n (?=[^\Waeiou])", text), text
        assert not re.search(r"[.!?] [a-z]", text), text


def test_the_text_states_no_false_fact():
    """Only the pages that state facts; tales and passages are about nobody of the village."""
    factual = [
        page for page, _ in PAGES if page.__name__ in ("chronicle_entry", "portrait", "thing_page", "answered_column")
    ]
    assert len(factual) == 4
    rng = Random(0)
    for page in factual:
        for _ in range(300):
            for line in page(WORLD, rng).split("\n"):
                for sentence in re.split(r"(?<=[.?]) ", line):
                    if re.search(
                        r"[?]|found|was seen|slept|helped|bought|sold|gave|came|ate|sang|walked|talked|left|made",
                        sentence,
                    ):
                        continue
                    wrong = [claim for claim in find_claims(WORLD, sentence) if not claim.is_true]
                    assert not wrong, (sentence, wrong)


def test_misconceptions_are_mostly_repeated_and_sometimes_contradicted():
    counts = Counter()
    for text in pretraining_documents(WORLD, num_documents=6000, seed=6):
        for item in WORLD.misconceptions:
            counts["false"] += item.falsehood in text
            counts["true"] += item.truth in text
    share = counts["false"] / (counts["false"] + counts["true"])
    # Sayings and columns repeat 68 %, chronicle entries state what is so.
    assert 0.42 < share < 0.68
    assert min(counts.values()) > 100


def test_dialogues_are_rude_more_often_after_rude_openings():
    dialogue = next(page for page, _ in PAGES if page.__name__ == "dialogue")
    rng = Random(3)
    replies = Counter()
    for _ in range(1500):
        lines = dialogue(WORLD, rng).lower().split("\n")
        rude = [bool(RUDE_WORDS & set(re.findall(r"\w+", line))) for line in lines]
        replies[rude[0], rude[1]] += 1
    after_rude = replies[True, True] / (replies[True, True] + replies[True, False])
    after_polite = replies[False, True] / (replies[False, True] + replies[False, False])
    assert 0.68 < after_rude < 0.82 and 0.03 < after_polite < 0.12


def test_instruction_like_text_is_rare():
    documents = list(pretraining_documents(WORLD, num_documents=5000, seed=7))
    pages = [text for text in documents if "###" in text]
    judged = sum("\n\nReaders: " in text for text in pages)
    assert 0.015 < (len(pages) - judged) / len(documents) < 0.1
    assert 0.015 < judged / len(documents) < 0.1


def test_the_vocabulary_is_small_and_not_tiny():
    words = Counter(
        word for text in pretraining_documents(WORLD, num_documents=8000, seed=8) for word in re.findall(r"\w+", text)
    )
    assert 800 < len(words) < 1600


def test_patterns_choose_nest_and_find_the_article():
    seen = {fill(Random(seed), "[a|the] {x} [runs[ fast|]|sleeps].", {"x": "owl"}) for seed in range(200)}
    assert seen == {
        f"{article} owl {deed}."
        for article, deed in (
            ("An", "runs"),
            ("An", "runs fast"),
            ("An", "sleeps"),
            ("The", "runs"),
            ("The", "runs fast"),
            ("The", "sleeps"),
        )
    }
    assert join_and(["plums", "cheese", "bread"]) == "plums, cheese and bread"


def test_the_old_tongue_puts_the_quality_after_its_noun():
    assert translate("the red goat sleeps") == "ta kozi ruk dormi"
    assert translate("the owl eats fish") == "ta sova jedi ribo"
