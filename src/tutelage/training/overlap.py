"""Prompts on both sides of a split: results on trained-on prompts say nothing about new ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from tutelage.errors import DataError
from tutelage.prompts.dedupe import normalised_prompt, text_key
from tutelage.records import Demonstration, Prompt, Ranking
from tutelage.store.atomic import atomic_file

_log = logging.getLogger(__name__)
# Any large collection has a few repeats, which change a metric by less than its interval; more is a mistake.
MAX_OVERLAP = 1 / 20
# In a reward model's folder: the keys of the prompts whose rankings it was trained on, one per line.
TRAINING_PROMPTS = "training_prompts.txt"


def prompt_key(record: Prompt | Demonstration | Ranking) -> str:
    """A key of the prompt, ignoring case and whitespace; the same for text and a dialogue of one user turn."""
    text = record.text if isinstance(record, Prompt) else record.prompt
    return text_key(normalised_prompt(text, record.messages))


def count_overlap(
    prompts: Iterable[str], trained_on: Iterable[str], *, names: tuple[str, str], is_allowed: bool
) -> int:
    """How many distinct `prompts` are in `trained_on`, both as keys; `names` are those of the two sets.

    Any overlap is logged as a warning. Raises `DataError` if it exceeds `MAX_OVERLAP` of `prompts` and is not allowed.
    """
    distinct = set(prompts)
    num_shared = len(distinct & set(trained_on))
    if num_shared == 0:
        return 0
    message = f"{num_shared} of {len(distinct)} {names[0]} ({num_shared / len(distinct):.0%}) are also {names[1]}"
    if num_shared > MAX_OVERLAP * len(distinct) and not is_allowed:
        raise DataError(
            f"{message}; at most {MAX_OVERLAP:.0%} may be. Results on prompts that were trained on do not "
            "hold for new ones. Provide other prompts, or set allow_prompt_overlap: true"
        )
    _log.warning("%s; results on them do not hold for new prompts", message)
    return num_shared


def write_training_prompts(model: Path, keys: Iterable[str]) -> None:
    """Record in a reward model's folder which prompts it was trained on, for `read_training_prompts`."""
    with atomic_file(model / TRAINING_PROMPTS) as handle:
        handle.writelines(f"{key}\n".encode() for key in sorted(set(keys)))


def read_training_prompts(model: Path | str) -> set[str] | None:
    """The keys of the prompts that a reward model was trained on; None if its folder does not say."""
    path = Path(model) / TRAINING_PROMPTS
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else None
