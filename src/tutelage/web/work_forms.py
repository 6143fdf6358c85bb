"""What a task page's form carries: the labeler's entries, and fields that only the studio needs."""

from __future__ import annotations

from collections.abc import Mapping

from tutelage.studio.studio import Studio

_CARRIED = ("lease_token", "client_uuid", "opened_at", "active_seconds", "guideline_version", "go")


def entries_of(form: Mapping[str, str]) -> dict[str, str]:
    """What the labeler entered."""
    return {name: value for name, value in form.items() if name not in _CARRIED}


def guideline_version_of(form: Mapping[str, str]) -> int | None:
    """The version of the guideline that the page showed; None if the form does not say."""
    text = form.get("guideline_version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else None


def seconds_of(studio: Studio, form: Mapping[str, str]) -> float:
    """Seconds worked on the page: as measured by its script, or without one the time since the page was opened."""
    measured, opened_at = form.get("active_seconds", ""), form.get("opened_at", "")
    try:
        return float(measured) if measured else studio.clock().timestamp() - float(opened_at or "nan")
    except ValueError:
        return 0.0
