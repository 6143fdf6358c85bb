"""The rules that need all prompts, in order: repeats, shared prefixes, the cap, splits and purposes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from tutelage.curation.ledger import KeptPrompt, Ledger
from tutelage.errors import DataError
from tutelage.prompts.allot import purpose_of
from tutelage.prompts.config import PromptsConfig
from tutelage.prompts.dedupe import beyond_cap, overshadowed, repeats
from tutelage.prompts.examine import Examined, examine, finished
from tutelage.prompts.split import SPLITS, split_of
from tutelage.records import Prompt, Split

PROMPTS_PER_BATCH = 1_000
NUM_STEPS = 6  # of `decide`
Advance = Callable[[int], None]


def _ignore(_: int) -> None:
    pass


def enter(
    ledger: Ledger,
    prompts: Iterable[Prompt],
    config: PromptsConfig,
    *,
    refuse: Callable[[DataError], None] | None = None,
) -> Iterator[int]:
    """Examine prompts and add them to the ledger, batch by batch; yields the size of each batch.

    An error in one of them is raised, or passed to `refuse`, and that prompt is skipped.
    """
    prompts = iter(prompts)
    while batch := list(islice(prompts, PROMPTS_PER_BATCH)):
        ledger.add(_examined(batch, config, refuse), config)
        yield len(batch)


def _examined(
    batch: list[Prompt], config: PromptsConfig, refuse: Callable[[DataError], None] | None
) -> Iterator[Examined]:
    for prompt in batch:
        try:
            yield examine(prompt, config)
        except DataError as error:
            if refuse is None:
                raise
            refuse(error)


def decide(ledger: Ledger, config: PromptsConfig, advance: Advance = _ignore) -> int:
    """Reject repeats and prompts beyond the cap; returns how many users' split hints are ignored.

    Raises `DataError` if a split would be empty, an id is shared by several prompts, or a user's split hints differ.
    `advance` is called after each of the `NUM_STEPS` steps.
    """
    ledger.reject(repeats(ledger.by_key()), "repeat")
    advance(1)
    ledger.collect_openings(config)
    advance(1)
    for descending in (False, True):
        ledger.reject(overshadowed(ledger.openings(descending=descending), config), "shared_prefix")
        advance(1)
    by_user = ledger.by_user(only_customers=config.exempt_labelers)
    ledger.reject(beyond_cap(by_user, config.max_prompts_per_user), "user_cap")
    advance(1)
    ignored = _settle_hints(ledger)
    _require_unique_ids(ledger)
    _require_full_splits(ledger, config)
    advance(1)
    return ignored


def kept_prompts(ledger: Ledger, config: PromptsConfig) -> Iterator[tuple[KeptPrompt, Prompt, Counter[str]]]:
    """The kept prompts as written (split, purpose, scrubbed text), and the findings by type."""
    for kept in ledger.kept():
        split = kept.hint or split_of(kept.user, config.split_shares, config.seed)
        purpose = purpose_of(kept.key, split, kept.writer, config.purpose_shares, config.seed)
        prompt, findings = finished(kept.line, split=split, purpose=purpose, is_private=kept.is_private, config=config)
        yield kept, prompt, findings


def curate(prompts: Iterable[Prompt], config: PromptsConfig) -> Iterator[Prompt]:
    """The kept prompts, in memory and without files: the same rules, in the same order, as `build_prompts`.

    For up to about ten thousand prompts. Raises `DataError` like `decide`.
    """
    with Ledger() as ledger:
        for _ in enter(ledger, prompts, config):
            pass
        decide(ledger, config)
        for _, prompt, _ in kept_prompts(ledger, config):
            yield prompt


def _settle_hints(ledger: Ledger) -> int:
    ignored, conflict = ledger.settle_hints()
    if conflict is not None:
        user, split, other = conflict
        raise DataError(
            f"{user.replace(':', ' ', 1)} has prompts with 'split_hint' {split!r} and others with {other!r}; "
            "all prompts of a user are in one split. Give all of them the same hint, or none."
        )
    return ignored


def _require_unique_ids(ledger: Ledger) -> None:
    repeated = ledger.repeated_id()
    if repeated is not None:
        identity, number = repeated
        raise DataError(
            f"the id {identity!r} is shared by {number} different prompts; ids must be unique. "
            "Give each its own, or omit ids: they become digests of the text."
        )


def _require_full_splits(ledger: Ledger, config: PromptsConfig) -> None:
    missing: set[Split] = {split for split in SPLITS if getattr(config.split_shares, split) > 0}
    num_users = 0
    for user, hint in ledger.users():
        num_users += 1
        missing.discard(hint or split_of(user, config.split_shares, config.seed))
        if not missing:
            return
    if num_users == 0:
        raise DataError(
            "no prompts are left, or there were none. Check the sources and the limits in the configuration."
        )
    shares = ", ".join(f"{split} {getattr(config.split_shares, split):g}" for split in SPLITS)
    raise DataError(
        f"the split {sorted(missing)[0]!r} is empty: prompts of {num_users} users were split by user, in proportion to "
        f"{shares}. A split with a share needs a user. Use prompts of more users, another seed, or the share 0."
    )
