"""How often the package's 95 % intervals hold the truth, over designs that labeling gives; minutes on one core.

    python benchmarks/coverage.py                        # prints the tables
    python benchmarks/coverage.py --write docs/quality.md

Three tables: shares of clustered yes and no, means of skewed bounded numbers, agreement of labelers who differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from tutelage.statistics import bounded_mean, pairwise_agreement

BEGIN, END = "<!-- measured: written by benchmarks/coverage.py -->", "<!-- end of what is measured -->"
Generator = np.random.Generator


def _pairs_of_rankings(num_prompts: int) -> list[int]:
    """Comparisons per prompt where each has one ranking of 2 to 9 completions."""
    sizes = np.random.default_rng(1).integers(2, 10, num_prompts)
    return [int(size * (size - 1) // 2) for size in sizes]


DESIGNS: dict[str, list[int]] = {
    "20 prompts, 3 each": [3] * 20,
    "30 prompts, 1 to 5 each": [1, 2, 3, 4, 5] * 6,
    "12 rankings of 2 to 9 completions": _pairs_of_rankings(12),
    "20 rankings of 2 to 9 completions": _pairs_of_rankings(20),
    "40 rankings of 2 to 9 completions": _pairs_of_rankings(40),
    "42 clusters: 45, 45, and 1 each": [45, 45, *[1] * 40],
    "51 clusters: 200, and 2 each": [200, *[2] * 50],
    "100 clusters: 50, 50, and 2 each": [50, 50, *[2] * 98],
}
SHARES, CORRELATIONS = (0.5, 0.7, 0.9), (0.0, 0.1, 0.3, 1.0)
NUM_CLUSTERS = (5, 10, 20, 50, 100)
SKEWED: dict[str, tuple[Callable[[Generator, int], np.ndarray], float]] = {
    "Beta(2, 2)": (lambda rng, n: rng.beta(2, 2, n), 0.5),
    "Beta(1, 9)": (lambda rng, n: rng.beta(1, 9, n), 0.1),
    "Beta(0.2, 1.8)": (lambda rng, n: rng.beta(0.2, 1.8, n), 0.1),
    "log-normal, median 0.05, sigma 1": (lambda rng, n: np.minimum(1.0, rng.lognormal(-3.0, 1.0, n)), 0.0816),
    "log-normal, median 0.018, sigma 1.5": (lambda rng, n: np.minimum(1.0, rng.lognormal(-4.0, 1.5, n)), 0.0534),
    "0.02, one in ten 0.9": (lambda rng, n: np.where(rng.random(n) < 0.1, 0.9, 0.02), 0.108),
}
# Labelers, items that everybody judged, items that two judged.
PANELS = ((3, 20, 0), (5, 20, 0), (5, 100, 0), (10, 20, 0), (10, 100, 0), (10, 5, 100), (10, 0, 200), (20, 5, 100))
LABELER_SDS = (0.0, 0.05, 0.1)


def clustered_outcomes(rng: Generator, sizes: np.ndarray, share: float, correlation: float) -> np.ndarray:
    """One 0 or 1 a record, by cluster; chances of clusters are beta with the wanted intra-class correlation."""
    if correlation == 0.0:
        chances = np.full(sizes.size, share)
    elif correlation == 1.0:
        chances = (rng.random(sizes.size) < share).astype(float)
    else:
        total = (1.0 - correlation) / correlation
        chances = rng.beta(share * total, (1.0 - share) * total, sizes.size)
    return (rng.random(int(sizes.sum())) < np.repeat(chances, sizes)).astype(float)


def share_covered(draw: Callable[[], np.ndarray], clusters: list[int], truth: float, num_draws: int) -> float:
    found = (bounded_mean(draw().tolist(), clusters) for _ in range(num_draws))
    return sum(own.low <= truth <= own.high for own in found) / num_draws


def outcome_rows(num_draws: int) -> Iterable[list[str]]:
    yield ["", *(f"{share:g}, correlation {correlation:g}" for share in SHARES for correlation in CORRELATIONS)]
    for name, own in DESIGNS.items():
        rng, sizes = np.random.default_rng(0), np.array(own)
        clusters = np.repeat(np.arange(sizes.size), sizes).tolist()
        yield [name] + [
            _percent(share_covered(partial(clustered_outcomes, rng, sizes, p, r), clusters, p, num_draws))
            for p in SHARES
            for r in CORRELATIONS
        ]


def skewed_rows(num_draws: int) -> Iterable[list[str]]:
    yield ["", *(f"{count} clusters" for count in NUM_CLUSTERS)]
    for name, (draw, truth) in SKEWED.items():
        rng = np.random.default_rng(0)
        yield [name] + [
            _percent(share_covered(partial(draw, rng, n), list(range(n)), truth, num_draws)) for n in NUM_CLUSTERS
        ]


def judgements(rng: Generator, panel: tuple[int, int, int], sd: float) -> tuple[list[int], list[int], list[float]]:
    """Labelers find the better one with chances of 0.8 and standard deviation `sd`, on items of like difficulty."""
    num_labelers, num_shared, num_other = panel
    chances = np.clip(0.8 + sd * rng.uniform(-(3**0.5), 3**0.5, num_labelers), 0.0, 1.0)
    items, labelers = [], []
    for item in range(num_shared + num_other):
        who = np.arange(num_labelers) if item < num_shared else rng.choice(num_labelers, 2, replace=False)
        items += [item] * len(who)
        labelers += who.tolist()
    return items, labelers, (rng.random(len(labelers)) < chances[labelers]).astype(float).tolist()


def panel_rows(num_draws: int) -> Iterable[list[str]]:
    yield ["", *(f"labelers differ by {sd:g}" for sd in LABELER_SDS)]
    # Two labelers drawn alike agree with chance m^2 + (1 - m)^2 for the mean m = 0.8, however much they differ.
    truth = 0.8**2 + 0.2**2
    for panel in PANELS:
        cells = []
        for sd in LABELER_SDS:
            rng = np.random.default_rng(0)
            found = (pairwise_agreement(*judgements(rng, panel, sd)) for _ in range(num_draws))
            cells.append(_percent(sum(own.low <= truth <= own.high for own in found) / num_draws))
        yield ["{} labelers; {} items judged by all, {} by two".format(*panel), *cells]


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def table(rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * (lines[0].count("|") - 1) + "|", *lines[1:]])


def measure(num_draws: int) -> str:
    """The three tables in Markdown."""
    return "\n\n".join(
        [
            "Yes and no, by the share of yes and the correlation within a cluster:",
            table(outcome_rows(num_draws)),
            "Numbers from 0 to 1, one a cluster:",
            table(skewed_rows(num_draws)),
            f"Agreement of labelers who are right 80 % of the time ({num_draws // 4} draws a cell):",
            table(panel_rows(num_draws // 4)),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-draws", type=int, default=2000, help="draws a cell")
    parser.add_argument("--write", type=Path, help="the document whose measured part is replaced")
    arguments = parser.parse_args()
    found = measure(arguments.num_draws)
    print(found)
    if arguments.write is not None:
        before, rest = arguments.write.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        arguments.write.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
