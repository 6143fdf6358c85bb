"""Reward against KL: proxy and gold, with the fit of Gao, Schulman and Hilton (2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from markupsafe import Markup

from tutelage.report.figures.exhibit import Along, Exhibit, source_of
from tutelage.report.figures.lines import Fitted, Series, distance_panel
from tutelage.report.measured import Measured
from tutelage.report.notation import fixed, with_interval
from tutelage.report.tables import Table

_METHODS = {"rl": ("PPO", "ppo", "^"), "best_of_n": ("best of n", "best-of-n", ">")}
_SCORES = {"proxy": "reward model", "gold": "ground truth"}


def overoptimisation_figure(measured: Measured) -> Exhibit | None:
    """The optimized score and the true quality against the KL."""
    found = dict(_overoptimisation(measured))
    if not found:
        return None
    series = [
        Series(
            label=f"{_METHODS.get(method, (method,))[0]}, {_SCORES.get(metric, metric)}",
            role=_METHODS.get(method, ("", "other", "P"))[1],
            mark=_METHODS.get(method, ("", "other", "P"))[2],
            points=tuple((kl, row.estimate) for kl, row in rows),
            is_hollow=metric == "proxy",
        )
        for (method, metric), rows in found.items()
    ]
    rows = [row for own in found.values() for _, row in own] + measured.where("overoptimisation_fit")
    return Exhibit(
        name="overoptimisation",
        title="Reward against KL",
        after="Gao, Schulman and Hilton (2022)",
        saw="The paper does not show it and warns of it (4.3); Gao et al. find the true score as d(α − β log d) for RL "
        "and d(α − βd) for best of n, d the root of the KL: it rises, peaks and falls while the proxy keeps rising.",
        here=_peaks(found),
        panels=(
            distance_panel(
                "overoptimisation", "Score above the initial policy", series, _fits(measured, found), fixed(1)
            ),
        ),
        caption="Hollow: the optimized reward model. Filled: the ground truth. Dotted: the fitted curve.",
        source=source_of(rows),
        table=_distance_table(found),
    )


Paths = Mapping[tuple[str, str], Along]


def _overoptimisation(measured: Measured) -> Iterator[tuple[tuple[str, str], Along]]:
    for method in map(str, measured.values("overoptimisation", "method")):
        for metric in map(str, measured.values("overoptimisation", "metric", {"method": method})):
            rows = measured.where("overoptimisation", {"method": method, "metric": metric})
            own = [row for row in rows if "kl" in row.condition]
            found = sorted(((max(0.0, float(row.condition["kl"])), row) for row in own), key=lambda pair: pair[0])
            if found:
                yield (method, metric), found


def _peaks(found: Paths) -> Markup:
    parts = []
    for (method, metric), rows in found.items():
        kl, best = max(rows, key=lambda pair: pair[1].estimate.mean)
        told = Markup("{}, {}: highest {} at {} nats").format(
            _METHODS.get(method, (method,))[0],
            _SCORES.get(metric, metric),
            with_interval(best.estimate, fixed(2)),
            f"{kl:.1f}",
        )
        last_kl, last = rows[-1]
        falls = Markup(", then {} at {} nats").format(with_interval(last.estimate, fixed(2)), f"{last_kl:.1f}")
        parts.append(told + falls if last_kl > kl else told)
    return Markup("; ").join(parts) + "."


def _fits(measured: Measured, found: Paths) -> list[Fitted]:
    curves = []
    for method in dict.fromkeys(method for method, _ in found):
        alpha, beta = (
            measured.one("overoptimisation_fit", {"method": method, "coefficient": name}) for name in ("alpha", "beta")
        )
        if alpha is not None and beta is not None:
            largest = max(kl for (own, _), rows in found.items() if own == method for kl, _ in rows)
            role = _METHODS.get(method, ("", "other"))[1]
            curves.append(_fitted(method, alpha.estimate.mean, beta.estimate.mean, largest, role))
    return curves


def _fitted(method: str, alpha: float, beta: float, largest: float, role: str) -> Fitted:
    distance = np.sqrt(np.linspace(1e-6, largest, 160))
    values = distance * (alpha - beta * (distance if method == "best_of_n" else np.log(distance)))
    return Fitted(role=role, places=np.square(distance), values=values)


def _distance_table(found: Paths) -> Table:
    rows = tuple(
        (
            f"{_METHODS.get(method, (method,))[0]}, {_SCORES.get(metric, metric)}",
            f"{kl:.2f}",
            with_interval(row.estimate, fixed(3)),
        )
        for (method, metric), own in found.items()
        for kl, row in own
    )
    return Table(columns=("Score", "KL, nats", "Value"), rows=rows)
