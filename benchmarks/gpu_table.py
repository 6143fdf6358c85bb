"""The one table of the GPU script, from what its sections wrote."""

from __future__ import annotations

from typing import Any

COLUMNS = ("model", "what", "figure", "share of the card's", "peak GiB", "ours / peer", "more")


def table(found: dict[str, Any]) -> str:
    """Checks first, then figures; shares are of the product rate and the copy bandwidth measured in the same run."""
    sections = found["sections"]
    rows = [row | {"section": name} for name, one in sections.items() for row in one["rows"]]
    card = next((row for row in rows if row.get("what") == "card"), {})
    lines = [f"# {card.get('name', 'card not measured')}", ""]
    lines += [f"{key}: {value}" for key, value in card.items() if key not in ("what", "section")]
    checks = [row for row in rows if "is_ok" in row]
    if checks:
        lines += ["", *_aligned(("check", "found", "at most", ""), [_check(row) for row in checks])]
    figures = [row for row in rows if "value" in row]
    if figures:
        lines += ["", *_aligned(COLUMNS, [_figure(row, card, figures) for row in figures])]
    for name, one in sections.items():
        if one["status"] != "done":
            lines += ["", f"{name}: {one['status']} after {one['seconds']} s", *(f"    {x}" for x in one["last_lines"])]
    lines += ["", " ".join(f"{name} {one['seconds']:.0f}" for name, one in sections.items())]
    lines += [f"{found.get('seconds', 0):.0f} s in all"]
    return "\n".join(lines)


def _check(row: dict[str, Any]) -> tuple[str, ...]:
    found, limit = row["found"], row["limit"]
    return (row["check"], f"{found:.3g}", f"{limit:.3g}", "" if row["is_ok"] else "FAILED")


def _figure(row: dict[str, Any], card: dict[str, Any], figures: list[dict[str, Any]]) -> tuple[str, ...]:
    peak, share, ratio = row.get("peak_gib"), "", ""
    for kind, rate in (("flop", "product"), ("bytes", "copy")):
        if f"{kind}_per_second" in row and f"{rate}_rate" in card:
            share = f"{row[f'{kind}_per_second'] / card[f'{rate}_rate']:.1%} {rate}"
    peers = [other for other in figures if other.get("peer_of") == (row.get("model"), row["what"])]
    peers += [other for other in figures if other.get("peer_of") == [row.get("model"), row["what"]]]
    if peers:
        ratio = f"{row['value'] / peers[0]['value']:.2f}"
    more = ", ".join(f"{key} {_number(value)}" for key, value in row.get("more", {}).items())
    return (
        row.get("model", ""),
        row["what"],
        f"{_number(row['value'])} {row['unit']}",
        share,
        "" if peak is None else f"{peak:.2f}",
        ratio,
        more,
    )


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _aligned(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows]]
    return [lines[0], "-|-".join("-" * width for width in widths), *lines[1:]]
