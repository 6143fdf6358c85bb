"""Agreement in three published sets of human judgements, against figures computed here another way."""

from __future__ import annotations

import gzip
import json
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from tutelage.statistics import (
    fleiss_kappa,
    kendall_tau_b,
    krippendorff_alpha,
    pairwise_agreement,
    ranking_concordance,
)

DATA = Path(os.environ.get("TUTELAGE_SHARED", Path(__file__).parent.parent.parent / "shared")) / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the shared data, which is not at {DATA}")
CRITERIA = ("RE", "CH", "EM", "SU", "EG", "CX")


def _rows(name):
    with gzip.open(DATA / "preferences" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _alpha_of_table(table, level):
    """Alpha of a full table (items by raters), from numpy's distances between all its cells at once."""
    cells = table.ravel().astype(float)
    if level == "ordinal":
        # The mean rank of a value's judgements is where they stand; equal values share one.
        cells = np.array([(cells < value).sum() + (cells == value).sum() / 2 for value in cells])
    table = cells.reshape(table.shape)
    squared = lambda a, b: (a != b).astype(float) if level == "nominal" else (a - b) ** 2  # noqa: E731
    pairs = list(combinations(range(table.shape[1]), 2))
    observed = np.mean([squared(table[:, first], table[:, second]).mean() for first, second in pairs])
    expected = squared(cells[:, None], cells[None, :]).sum() / (len(cells) * (len(cells) - 1))
    return 1 - observed / expected


# What hanna's raters (three a story, 1,056 stories) reach: (ordinal, interval), as `_alpha_of_table` has it.
HANNA = {
    "RE": (0.1651, 0.1375),
    "CH": (-0.0539, -0.0547),
    "EM": (0.1171, 0.1159),
    "SU": (0.0149, 0.0512),
    "EG": (0.1666, 0.1801),
    "CX": (0.2658, 0.2779),
}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_hanna(criterion):
    rows = _rows("hanna_ratings_notext")
    table = np.array([[note["scores"][criterion] for note in row["annotations"]] for row in rows])
    table = table.transpose(0, 2, 1).reshape(-1, 3)
    items, raters = zip(*np.ndindex(table.shape), strict=True)
    values = table.ravel().tolist()
    for level in ("nominal", "ordinal", "interval"):
        found = krippendorff_alpha(items, raters, values, level=level)
        assert found.value == pytest.approx(_alpha_of_table(table, level), abs=1e-9)
        assert (found.num_items, found.num_judgements) == (96 * 11, 96 * 11 * 3)
    for level, recorded in zip(("ordinal", "interval"), HANNA[criterion], strict=True):
        assert krippendorff_alpha(items, raters, values, level=level).value == pytest.approx(recorded, abs=5e-5)
    # With equally many raters everywhere, kappa differs from nominal alpha only by alpha's correction for few values.
    num_values = len(values)
    kappa = fleiss_kappa(items, raters, values).value
    nominal = krippendorff_alpha(items, raters, values).value
    assert 1 - nominal == pytest.approx((1 - kappa) * (num_values - 1) / num_values, abs=1e-12)


@pytest.mark.parametrize("ties", ["category", "half", "exclude"])
def test_llmfao(ties):
    rows = _rows("llmfao_crowd")
    votes = [
        (row["id"], note["annotator"], {0: 0.5, 1: 1.0, 2: 0.0}[note["value"]], row["prompt_id"])
        for row in rows
        for note in row["annotations"]
    ]
    items, workers, outcomes, prompts = zip(*votes, strict=True)
    found = pairwise_agreement(items, workers, outcomes, clusters=prompts, ties=ties)
    alike, num_pairs = 0.0, 0
    for row in rows:
        counts = {value: sum(note["value"] == value for note in row["annotations"]) for value in (0, 1, 2)}
        tie, first, second = counts[0], counts[1], counts[2]
        same = first * (first - 1) / 2 + second * (second - 1) / 2
        opposed, mixed, both = first * second, tie * (first + second), tie * (tie - 1) / 2
        alike += same + {"category": both, "half": both + mixed / 2, "exclude": 0}[ties]
        num_pairs += same + opposed + (0 if ties == "exclude" else mixed + both)
    assert (found.mean, found.n) == (pytest.approx(alike / num_pairs), num_pairs)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx({"category": 0.5322, "half": 0.6993, "exclude": 0.7013}[ties], abs=5e-5)


def test_squality():
    rows = _rows("squality_humaneval")
    ranks = {(row["id"], note["annotator"]): note["rank"] for row in rows for note in row["annotations"]}
    rankings = {
        key: [[str(place) for place, of_place in enumerate(rank) if of_place == level] for level in sorted(set(rank))]
        for key, rank in ranks.items()
    }
    taus = [
        (kendall_tau_b(rankings[one], rankings[two]).value, kendalltau(ranks[one], ranks[two]).statistic)
        for one, two in combinations(ranks, 2)
        if one[0] == two[0]
    ]
    assert len(taus) == 300
    assert [ours for ours, _ in taus] == pytest.approx([theirs for _, theirs in taus], abs=1e-12)
    items, workers = zip(*rankings, strict=True)
    found = ranking_concordance(items, workers, list(rankings.values()))
    assert (found.mean, found.n) == (pytest.approx(np.mean([theirs for _, theirs in taus])), 300)
    assert found.mean == pytest.approx(0.7422, abs=5e-5) and found.low < found.mean < found.high
    scores = [
        (f"{row['id']} {system}", note["annotator"], value)
        for row in rows
        for note in row["annotations"]
        for system, value in zip(row["systems"], note["value"], strict=True)
    ]
    items, workers, values = zip(*scores, strict=True)
    table = np.array([[value for _, _, value in scores]]).reshape(100, 3, 3).transpose(0, 2, 1).reshape(-1, 3)
    for level in ("ordinal", "interval"):
        expected = _alpha_of_table(table, level)
        assert krippendorff_alpha(items, workers, values, level=level).value == pytest.approx(expected, abs=1e-9)
