"""What can be determined from one prompt alone: its comparison key, reasons to drop it, its output form."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from tutelage.errors import DataError
from tutelage.prompts.allot import Writer, writer_of
from tutelage.prompts.config import PromptsConfig
from tutelage.prompts.dedupe import Opening, normalised, text_key
from tutelage.prompts.language import language_of
from tutelage.prompts.privacy import scrub, scrub_record
from tutelage.prompts.split import SPLITS, user_key
from tutelage.records import Prompt, Purpose, Split, content_id

Reason = Literal["too_long", "language", "repeat", "shared_prefix", "user_cap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the rules over many prompts need of one. Produced by `examine`, stored in the ledger of a build."""

    id: str
    line: str  # the record as JSON: language filled in, user pseudonymized if needed, text not yet scrubbed
    key: str  # digest of the scrubbed, normalized text: equal for exact repeats
    length: int  # characters of that text
    start: str  # its first characters, `min_common_prefix` of them
    tie: str  # digest of `line`: which of several exact repeats is kept
    user: str
    writer: Writer
    hint: Split | None
    is_private: bool  # personal data or secrets were found
    rejected: Reason | None


def examine(prompt: Prompt, config: PromptsConfig) -> Examined:
    """Detect the language and personal data, and derive the comparison keys.

    Raises `DataError` if the extra key `split_hint` is not the name of a split.
    """
    hint = split_hint(prompt)
    text = prompt.flat
    rejected: Reason | None = "too_long" if len(text) > config.max_characters else None
    updates = {"user_id": pseudonym(prompt.user_id, config)} if prompt.user_id else {}
    if rejected is None and not prompt.language:
        updates["language"] = _language(text, config)
    prompt = prompt.model_copy(update=updates)
    if rejected is None and config.languages is not None and prompt.language not in config.languages:
        rejected = "language"
    return _described(prompt, text, hint, rejected, config)


def _described(
    prompt: Prompt, text: str, hint: Split | None, rejected: Reason | None, config: PromptsConfig
) -> Examined:
    values = prompt.model_dump(exclude_none=True)
    line = json.dumps(values, ensure_ascii=False, default=str)
    is_private = rejected is None and bool(scrub_record(values, config.pii)[1])
    normal = compared_text(text, is_private, config)
    return Examined(
        id=prompt.id,
        line=line,
        key=text_key(normal),
        length=len(normal),
        start=normal[: config.min_common_prefix],
        tie=hashlib.sha256(line.encode()).hexdigest()[:16],
        user=user_key(prompt),
        writer=writer_of(prompt.source),
        hint=hint,
        is_private=is_private,
        rejected=rejected,
    )


def compared_text(text: str, is_private: bool, config: PromptsConfig) -> str:
    """The text compared for repeats: prompts that differ only in case, spaces or a telephone number are equal."""
    return normalised(scrub(text, config.pii)[0] if is_private else text)


def opening_of(number: int, key: str, line: str, is_private: bool, config: PromptsConfig) -> Opening:
    """The beginning of the prompt of an `Examined` line, as compared by the prefix rule."""
    normal = compared_text(Prompt.model_validate_json(line).flat, is_private, config)
    return Opening(number=number, key=key, start=normal[: config.max_common_prefix], length=len(normal))


def finished(
    line: str, *, split: Split, purpose: Purpose | None, is_private: bool, config: PromptsConfig
) -> tuple[Prompt, Counter[str]]:
    """The prompt as written: scrubbed if its split requires it, with split and purpose; and the findings by type.

    An id that was the digest of the text becomes that of the scrubbed text; a given id is kept.
    """
    values = json.loads(line)
    findings: Counter[str] = Counter()
    if is_private and split in config.scrub_splits:
        was_derived = values["id"] == content_id(Prompt.model_validate(values).flat)
        values, findings = scrub_record(values, config.pii)
        if was_derived:
            del values["id"]
    return Prompt.model_validate(values | {"split": split, "purpose": purpose}), findings


def split_hint(prompt: Prompt) -> Split | None:
    """The split requested by the extra key `split_hint`. Raises `DataError` if it is not a split."""
    hint = (prompt.model_extra or {}).get("split_hint")
    if hint is not None and hint not in SPLITS:
        raise DataError(
            f"prompt {prompt.id!r}: 'split_hint' is {hint!r}; it must be one of {', '.join(SPLITS)}. "
            "Correct it, or choose to skip bad records."
        )
    return hint


def pseudonym(user_id: str, config: PromptsConfig) -> str:
    """The user's id, or a pseudonym derived from it if it is personal data, such as an email address."""
    return f"user-{content_id(user_id)}" if scrub(user_id, config.pii)[1] else user_id


def _language(text: str, config: PromptsConfig) -> str:
    return language_of(text, min_confidence=config.min_language_confidence, characters=config.language_characters)
