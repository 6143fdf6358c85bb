from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tutelage.prompts.config import PromptsConfig
from tutelage.prompts.dedupe import (
    Opening,
    beyond_cap,
    common_prefix,
    long_prefix,
    normalised,
    overshadowed,
    repeats,
    text_key,
)

SMALL = PromptsConfig(min_common_prefix=4, min_prefix_share=0.75, max_common_prefix=10)


def openings(texts, config):
    return [
        Opening(number=n, key=text_key(text), start=text[: config.max_common_prefix], length=len(text))
        for n, text in enumerate(texts)
    ]


def dropped(texts, config=SMALL):
    ordered = sorted(openings(texts, config), key=lambda opening: (opening.start, opening.number))
    return {n for pass_ in (ordered, ordered[::-1]) for n in overshadowed(pass_, config)}


def dropped_by_definition(texts, config):
    """Every pair compared: a prompt goes where a longer one (of equal ones, that of greater digest) starts like it."""
    every = openings(texts, config)
    return {
        p.number
        for p in every
        for q in every
        if (q.length, q.key) > (p.length, p.key)
        and len(p.start) >= (needed := long_prefix(p.length, config))
        and q.start[:needed] == p.start[:needed]
    }


def test_normalised_text_has_no_case_no_runs_of_blanks_and_composed_letters():
    assert normalised("  Café\tAU\n\nlait ") == normalised("cafe\u0301 au LAIT") == "café au lait"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Name a bird that swims.", "Name a bird\u200b that swims."),
        ("Name a bird that swims.", "\ufeffName a bird that swims."),
        ("cooperate", "co\u00adoperate\u2060"),
        ("Ἡ σοφία τοῦ Σωκράτους", "ἡ ΣΟΦΊΑ τοῦ ΣΩΚΡΆΤΟΥΣ"),
        ("ΣΟΦΟΣ", "σοφοσ"),
        ("İstanbul", "istanbul"),
        ("I\u0307stanbul", "İSTANBUL"),
        ("e\u200d\u0301", "é"),
        ("STRAẞE", "straße"),
    ],
)
def test_what_looks_the_same_is_the_same(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("in Maßen", "in Massen"), ("die Buße", "die Busse"), ("kısa", "kisa"), ("résumé", "resume")]
)
def test_letters_that_tell_words_apart_stay(one, other):
    assert normalised(one) != normalised(other)


@settings(max_examples=300)
@given(st.text(st.sampled_from("aAßẞſİIıiςΣσǅ\u0307\u0301\u0323\u200b\ufeff \n\u00a0") | st.characters(), max_size=12))
def test_normalising_twice_is_normalising_once(text):
    once = normalised(text)
    assert normalised(once) == once


def test_keys_are_equal_for_exact_repeats_only():
    assert text_key(normalised("A  b")) == text_key(normalised("a B"))
    assert text_key("ab") != text_key("a b")


def test_of_each_key_the_first_stays():
    assert list(repeats([(7, "a"), (3, "a"), (5, "b"), (9, "c"), (1, "c"), (2, "c")])) == [3, 1, 2]


def test_the_cap_counts_each_user_anew():
    by_user = [(1, "u"), (2, "u"), (3, "u"), (4, "v"), (5, "w"), (6, "w"), (7, "w")]
    assert list(beyond_cap(by_user, 2)) == [3, 7]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [("", "", 0), ("", "a", 0), ("abc", "abd", 2), ("abc", "abc", 3), ("ab", "abc", 2), ("xbc", "abc", 0)],
)
def test_common_prefix(first, second, shared):
    assert common_prefix(first, second) == common_prefix(second, first) == shared


@settings(max_examples=200)
@given(st.text("ab", max_size=40), st.text("ab", max_size=40), st.text("ab", max_size=40))
def test_common_prefix_is_where_the_texts_part(start, one, two):
    first, second = start + one, start + two
    shared = common_prefix(first, second)
    assert first[:shared] == second[:shared]
    assert first[shared : shared + 1] != second[shared : shared + 1] or shared == min(len(first), len(second))


@pytest.mark.parametrize(
    ("length", "needed"),
    # The minimum (4) up to length 5; then three quarters, rounded up; from length 13 on the maximum (10).
    [(4, 4), (5, 4), (6, 5), (8, 6), (12, 9), (13, 10), (1000, 10)],
)
def test_how_long_a_shared_prefix_must_be(length, needed):
    assert long_prefix(length, SMALL) == needed


def test_a_share_of_zero_leaves_the_length_alone_to_decide():
    assert long_prefix(1000, PromptsConfig(min_prefix_share=0)) == 200


def test_short_prompts_that_start_alike_all_stay():
    stories = ["write a story about a dragon", "write a story about a frog", "write a story about a dragon who sings"]
    assert dropped(stories, PromptsConfig()) == set()


def test_a_template_with_other_passages_stays_and_its_bare_instruction_goes():
    instruction = "summarize the passage for a child of eight years. " * 5  # 250 characters
    prompts = [instruction + "a" * 600, instruction + "b" * 700, instruction]
    assert dropped(prompts, PromptsConfig()) == {2}
    assert dropped(prompts, PromptsConfig(min_prefix_share=0)) == {0, 2}


def test_the_same_context_with_another_last_line_goes_and_the_longest_stays():
    context = "review: it was fine. sentiment: positive. " * 20  # 840 characters
    prompts = [
        context + "review: bad. sentiment:",
        context + "review: quite bad. sentiment:",
        context + "review: so so.",
    ]
    assert dropped(prompts, PromptsConfig()) == {0, 2}


def test_a_very_long_shared_prefix_counts_whatever_its_share():
    book = "x" * 3_999
    assert dropped([book + "y" + "a" * 9_000, book + "y" + "b" * 9_001], PromptsConfig()) == {0}
    assert dropped([book + "a" * 9_001, book + "b" * 9_002], PromptsConfig()) == set()


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.text("ab", min_size=4, max_size=16), unique=True, max_size=12), st.sampled_from([0.0, 0.5, 0.75, 1.0])
)
@example(["aaaa", "aaaab", "aaaaba", "aaaaa"], 0.75)
def test_two_sorted_passes_find_what_comparing_every_pair_finds(texts, share):
    config = PromptsConfig(min_common_prefix=4, min_prefix_share=share, max_common_prefix=10)
    assert dropped(texts, config) == dropped_by_definition(texts, config)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab", min_size=4, max_size=16), unique=True, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_arrival_decides_nothing_and_every_family_keeps_one(texts, shuffler):
    kept = {text for n, text in enumerate(texts) if n not in dropped(texts)}
    shuffled = shuffler.sample(texts, len(texts))
    assert {text for n, text in enumerate(shuffled) if n not in dropped(shuffled)} == kept
    for text in set(texts) - kept:
        start = text[: long_prefix(len(text), SMALL)]
        assert any(other.startswith(start) and len(other) >= len(text) for other in kept)
