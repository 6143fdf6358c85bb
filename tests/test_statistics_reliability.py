"""Alpha, kappa and tau: published examples, definitions written out as loops, and what is undefined."""

from __future__ import annotations

import random
from itertools import permutations, product

import krippendorff
import numpy as np
import pytest
from scipy.stats import kendalltau

from tutelage.statistics import (
    fleiss_kappa,
    kendall_tau_b,
    krippendorff_alpha,
    krippendorff_alpha_of_orders,
    ranking_concordance,
)
from tutelage.statistics.reliability import LEVELS

# Krippendorff (2011), section C: four observers, twelve units, a dot where one said nothing.
EXAMPLE = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
# Fleiss (1971) on the table that most texts work through: ten subjects, fourteen raters, five categories; 0.210.
FLEISS = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""


def _example():
    cells = [
        (unit, observer, float(value))
        for observer, row in enumerate(EXAMPLE)
        for unit, value in enumerate(row)
        if value != "."
    ]
    return tuple(list(column) for column in zip(*cells, strict=True))


def alpha_by_loops(items, values, level):
    """1 - D_o / D_e over all ordered pairs, as the definition says it."""
    units = {}
    for item, value in zip(items, values, strict=True):
        units.setdefault(item, []).append(value)
    units = [unit for unit in units.values() if len(unit) > 1]
    everything = [value for unit in units for value in unit]

    def distance(a, b):
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = sorted((a, b))
        if low == high:
            return 0.0
        between = sum(low < value < high for value in everything)
        return (between + everything.count(low) / 2 + everything.count(high) / 2) ** 2

    of_pair = {pair: distance(*pair) for pair in product(set(everything), repeat=2)}
    observed = sum(of_pair[pair] / (len(unit) - 1) for unit in units for pair in permutations(unit, 2))
    expected = sum(of_pair[pair] for pair in permutations(everything, 2)) / (len(everything) - 1)
    return 1 - observed / expected


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level, published):
    found = krippendorff_alpha(*_example(), level=level)
    assert found.value == pytest.approx(published, abs=5e-4)
    # The twelfth unit was seen by one observer only, and its value counts nowhere.
    assert (found.num_items, found.num_judgements) == (11, 40)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_its_definition(level, seed):
    draw = random.Random(seed)
    cells = [(item, name, draw.randint(1, 4)) for item in range(15) for name in range(4) if draw.random() < 0.6]
    items, names, values = (list(column) for column in zip(*cells, strict=True))
    found = krippendorff_alpha(items, names, values, level=level).value
    assert found == pytest.approx(alpha_by_loops(items, values, level), abs=1e-12)


def alpha_of_krippendorff(cells, level):
    """By the package `krippendorff`: a row a labeler, a column an item, nan where somebody said nothing."""
    items, names, _ = zip(*cells, strict=True)
    rows, columns = ({value: place for place, value in enumerate(sorted(set(each)))} for each in (names, items))
    table = np.full((len(rows), len(columns)), np.nan)
    for item, name, value in cells:
        table[rows[name], columns[item]] = value
    return krippendorff.alpha(table, level_of_measurement=level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(10))
def test_alpha_is_that_of_the_package_krippendorff(level, seed):
    draw = random.Random(100 + seed)
    cells = [(item, name, draw.randint(1, 7)) for item in range(25) for name in range(5) if draw.random() < 0.5]
    found = krippendorff_alpha(*map(list, zip(*cells, strict=True)), level=level).value
    assert found == pytest.approx(alpha_of_krippendorff(cells, level), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_alpha_of_orders_is_that_of_the_package_on_both_sides(seed):
    draw = random.Random(200 + seed)
    cells = [(item, name, draw.choice([0.0, 0.5, 1.0, 1.0])) for item in range(20) for name in "ABC"]
    both = [*cells, *((item + 20, name, 1 - value) for item, name, value in cells)]
    found = krippendorff_alpha_of_orders(*map(list, zip(*cells, strict=True))).value
    assert found == pytest.approx(alpha_of_krippendorff(both, "nominal"), abs=1e-12)


def test_alpha_is_about_zero_where_everybody_guesses_and_one_where_all_agree():
    draw = random.Random(0)
    items, names = zip(*product(range(2000), "AB"), strict=True)
    guessed = [draw.randint(1, 7) for _ in items]
    for level in LEVELS:
        assert abs(krippendorff_alpha(items, names, guessed, level=level).value) < 0.05
        assert krippendorff_alpha("aabb", "ABAB", [1, 1, 0, 0], level=level).value == 1.0


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_says_why_it_is_undefined(level):
    """Full agreement on one value is neither 0 nor 1: chance would have agreed as well."""
    same = krippendorff_alpha("aabb", "ABAB", [1, 1, 1, 1], level=level)
    assert same.value is None and "all judgments are the same" in same.reason and same.num_items == 2
    once = krippendorff_alpha("ab", "AB", [1, 0], level=level)
    assert once.value is None and "two labelers" in once.reason and once.num_items == 0


def test_alpha_of_orders_by_hand():
    """40 comparisons by two labelers, 36 alike; from both sides 160 values, half of them 1.

    D_o = 8/80 = 0.1, D_e = 2 * 80 * 80 / (160 * 159) = 80/159, so that alpha = 1 - 0.1 * 159/80 = 0.80125.
    """
    outcomes = [value for number in range(40) for value in (1.0, 0.0 if number < 4 else 1.0)]
    items = [number for number in range(40) for _ in "AB"]
    found = krippendorff_alpha_of_orders(items, "AB" * 40, outcomes)
    assert found.value == pytest.approx(0.80125, abs=1e-12)
    assert (found.num_items, found.num_judgements) == (40, 80)


@pytest.mark.parametrize("seed", range(5))
def test_alpha_of_orders_does_not_depend_on_which_side_is_first(seed):
    draw = random.Random(seed)
    cells = [(item, name, draw.choice([0.0, 0.5, 1.0, 1.0])) for item in range(20) for name in "ABC"]
    items, names, values = (list(column) for column in zip(*cells, strict=True))
    turned = {item for item in range(20) if draw.random() < 0.5}
    others = [1 - value if item in turned else value for item, value in zip(items, values, strict=True)]
    found = [krippendorff_alpha_of_orders(items, names, seen).value for seen in (values, others)]
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    both = [(item, side) for side in (0, 1) for item in items], values + [1 - value for value in values]
    assert found[0] == pytest.approx(alpha_by_loops(*both, "nominal"), abs=1e-12)


def test_alpha_of_orders_is_one_where_all_prefer_the_same_side_and_undefined_where_all_tie():
    assert krippendorff_alpha_of_orders("aabb", "ABAB", [1, 1, 1, 1]).value == 1.0
    tied = krippendorff_alpha_of_orders("aabb", "ABAB", [0.5] * 4)
    assert tied.value is None and "all judgments are the same" in tied.reason and tied.num_items == 2


def test_alpha_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="level is 'ratio'"):
        krippendorff_alpha("aa", "AB", [1, 2], level="ratio")
    with pytest.raises(ValueError, match="judged item 'a' twice"):
        krippendorff_alpha("aa", "AA", [1, 2])


def test_kappa_of_the_published_example():
    rows = [list(map(int, line.split())) for line in FLEISS.strip().splitlines()]
    cells = [
        (subject, rater, category)
        for subject, row in enumerate(rows)
        for rater, category in enumerate(category for category, count in enumerate(row) for _ in range(count))
    ]
    found = fleiss_kappa(*(list(column) for column in zip(*cells, strict=True)))
    assert found.value == pytest.approx(0.20993, abs=5e-6)
    assert (found.num_items, found.num_judgements) == (10, 140)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("aab", "ABA", [1, 1, 1]), "items have 1 to 2 judgments"),
        (("aabb", "ABAB", [1, 1, 1, 1]), "all judgments are the same"),
        (("ab", "AB", [1, 1]), "two labelers"),
        (("", "", []), "two labelers"),
    ],
)
def test_kappa_says_why_it_is_undefined(arguments, reason):
    found = fleiss_kappa(*arguments)
    assert found.value is None and reason in found.reason


def _ranks(ranking):
    return [rank for _, rank in sorted((name, rank) for rank, group in enumerate(ranking) for name in group)]


def test_tau_by_hand():
    # Pairs ab: same order; ac: same; bc: tied in the second only. (2 - 0) / sqrt(3 * 2).
    assert kendall_tau_b([["a"], ["b"], ["c"]], [["a"], ["b", "c"]]).value == pytest.approx(2 / 6**0.5)
    assert kendall_tau_b([["a"], ["b"], ["c"]], [["c"], ["b"], ["a"]]).value == -1.0
    assert kendall_tau_b([["a", "b"], ["c"]], [["b", "a"], ["c"]]).value == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_tau_is_that_of_scipy(seed):
    draw = random.Random(seed)
    rankings = []
    for _ in range(2):
        of_name = {name: draw.randint(0, 3) for name in "abcdefg"}
        groups = [[name for name, rank in of_name.items() if rank == level] for level in range(4)]
        rankings.append([group for group in groups if group])
    expected = kendalltau(_ranks(rankings[0]), _ranks(rankings[1]), variant="b").statistic
    assert kendall_tau_b(*rankings).value == pytest.approx(expected, abs=1e-12)


def test_tau_is_undefined_where_a_ranking_ties_everything():
    found = kendall_tau_b([["a", "b"]], [["a"], ["b"]])
    assert found.value is None and "ties everything" in found.reason
    assert kendall_tau_b([["a"]], [["a"]]).value is None
    with pytest.raises(ValueError, match="not of the same completions"):
        kendall_tau_b([["a"], ["b"]], [["a"], ["c"]])


def test_concordance_is_the_mean_of_the_pairs_that_have_a_tau():
    first, reverse, tied = [["a"], ["b"]], [["b"], ["a"]], [["a", "b"]]
    found = ranking_concordance("xxxyyz", "ABCABA", [first, first, tied, first, reverse, first])
    assert (found.mean, found.n) == (0.0, 2)
    assert found.low >= -1.0 and found.high <= 1.0
    assert ranking_concordance("xxy", "ABA", [first, tied, first]) is None
