"""From the workers' numbers to the table in docs/speed.md: medians, ranges, ratios, shares of the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from statistics import median
from typing import Any

from shapes import ROWS, Shape, row_named
from work import work_per_unit

COLUMNS = (
    "",
    "ours",
    "peer",
    "ratio",
    "share of a matrix product, ours / peer",
    "peak memory, ours / peer",
    "response tokens, ours / peer",
    "threads",
    "repeats",
)
BEGIN, END = "<!-- measured: written by benchmarks/run.py -->", "<!-- end of what is measured -->"


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    model = platform.processor() or platform.machine()
    flags: set[str] = set()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        known = {name.strip(): value.strip() for name, value in fields.items()}
        model, flags = known.get("model name", model), set(known.get("flags", "").split())
    widest = next((name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags), "unknown")
    return {"processor": model, "instructions": widest, "cores": os.cpu_count(), "load_before": os.getloadavg()[0]}


def rate(result: dict[str, Any], clock: str) -> float:
    """Units per second of one repeat: the median over its steps."""
    counts = result.get("counts") or [result["count"]] * len(result[clock])
    return median(count / seconds for count, seconds in zip(counts, result[clock], strict=True))


def summary_of(shape: Shape, row: dict[str, Any]) -> dict[str, Any]:
    """Median, least and greatest of each figure; ratios are taken repeat by repeat."""
    found: dict[str, Any] = {"title": shape.title, "unit": shape.unit}
    for clock, name in (("seconds", "rate"), ("cpu_seconds", "cpu_rate")):
        rates = {side: [rate(result, clock) for result in row[side]] for side in ("ours", "peer")}
        found |= {f"{side}_{name}": spread(values) for side, values in rates.items()}
        found[f"{name}_ratio"] = spread([a / b for a, b in zip(rates["ours"], rates["peer"], strict=True)])
    peaks = {side: [result["peak_bytes"] for result in row[side]] for side in ("ours", "peer")}
    found |= {f"{side}_peak_bytes": spread(values) for side, values in peaks.items()}
    found["peak_ratio"] = spread([a / b for a, b in zip(peaks["ours"], peaks["peer"], strict=True)])
    for side in ("ours", "peer"):
        lengths = [result["response_tokens"] for result in row[side] if "response_tokens" in result]
        found[f"{side}_response_tokens"] = median(lengths) if lengths else float(shape.response_tokens)
        shares = [
            rate(result, "seconds") * work_per_unit(shape, found[f"{side}_response_tokens"]) / result["product_rate"]
            for result in row[side]
        ]
        found[f"{side}_share_of_product"] = spread(shares)
        found[f"{side}_product_rate"] = spread([result["product_rate"] for result in row[side]])
    return found


def spread(values: list[float]) -> list[float]:
    """[median, least, greatest]"""
    return [median(values), min(values), max(values)]


def write_table(rows: dict[str, Any], path: Path) -> None:
    """Put the tables between their marks; what people wrote around them stays."""
    text = path.read_text() if path.exists() else f"# Speed\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    path.write_text(f"{before}{BEGIN}\n{tables(rows)}\n{END}{after}")


def tables(rows: dict[str, Any]) -> str:
    some = next(iter(rows.values()))
    lines = [
        f"{some['processor']} ({some['instructions']}), {some['cores']} cores, float32. "
        "Median [least, greatest] of alternating repeats, each a process of its own.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    lines += [_line(shape.name, rows[shape.name]) for shape in ROWS if shape.name in rows]
    return "\n".join(lines)


def _line(name: str, row: dict[str, Any]) -> str:
    shape = row_named(name, is_quick=False)
    cells = [
        f"{shape.title} ({shape.unit})",
        _figure(row["ours_rate"]),
        _figure(row["peer_rate"]),
        f"**{_figure(row['rate_ratio'])}**",
        f"{row['ours_share_of_product'][0]:.0%} / {row['peer_share_of_product'][0]:.0%}",
        f"{row['ours_peak_bytes'][0] / 1e9:.2f} / {row['peer_peak_bytes'][0] / 1e9:.2f} GB",
        f"{row['ours_response_tokens']:.0f} / {row['peer_response_tokens']:.0f}",
        str(row["threads"]),
        str(len(row["ours"])),
    ]
    return "| " + " | ".join(cells) + " |"


def _figure(values: list[float]) -> str:
    middle, least, greatest = (f"{value:.3g}" if value < 1000 else f"{value:,.0f}" for value in values)
    return f"{middle} [{least}, {greatest}]"
