"""Prompts, demonstrations and rankings from all supported formats; the format is detected from the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tutelage.errors import DataError, RecordError
from tutelage.records import Demonstration, Prompt, Ranking
from tutelage.store import annotated, hh, hub, instructions, oasst, trl
from tutelage.store.forms import Form, Record, Row, Turns, UnusableRow, UnusedPart, has_keys, validated
from tutelage.store.jsonl import OnSkip, SkipLog, read_rows, record_error
from tutelage.store.meaning import records_of
from tutelage.store.named_source import NamedSource
from tutelage.store.nearest import nearest_form
from tutelage.store.published.arena import ARENA
from tutelage.store.published.joined import JOINED, joined_labels, joined_ratings
from tutelage.store.published.scored import SCORED
from tutelage.store.published.votes import VOTES

NumberedRow = tuple[int, dict[str, Any]]


def _is_ranking(row: Row) -> bool:
    return has_keys("completions")(row) and ("ranking" in row or "comparisons" in row)


# Hub datasets, by columns that no other format has.
PUBLISHED = (*VOTES, *SCORED, *ARENA, *JOINED)
_TREE = "prompt {role, replies} (OASST)"

RANKING_FORMS: tuple[Form[Ranking], ...] = (
    Form(
        name="ranking",
        keys="completions + ranking",
        needs=("prompt", "completions", "ranking"),
        matches=_is_ranking,
        convert=partial(validated, Ranking),
        reads=("prompt", "messages"),
    ),
    Form(
        name="annotations",
        keys="prompt + completions + annotations",
        needs=("prompt", "completions", "annotations"),
        matches=has_keys("completions", "annotations"),
        convert=annotated.rankings_of_annotations,
        reads=("prompt", "passages"),
    ),
    Form(name="OASST", keys=_TREE, matches=oasst.is_tree, convert=oasst.rankings_of_tree, reads=("prompt",)),
    *(form.ranking_form() for form in PUBLISHED),
    Form(
        name="HH",
        keys="chosen + rejected (HH dialogues)",
        needs=("chosen", "rejected"),
        matches=hh.is_dialogue_pair,
        convert=hh.rankings_of_dialogues,
    ),
    Form(
        name="TRL",
        keys="prompt + chosen + rejected (TRL)",
        needs=("prompt", "chosen", "rejected"),
        matches=has_keys("chosen", "rejected"),
        convert=trl.rankings_of_pair,
        reads=("prompt",),
    ),
)


def demonstration_forms(turns: Turns) -> tuple[Form[Demonstration], ...]:
    """The formats of demonstrations; `turns` selects "all" assistant turns of a dialogue or the "last"."""
    return (
        Form(
            name="demonstration",
            keys="prompt or messages + response",
            needs=("prompt", "response"),
            matches=has_keys("response"),
            convert=instructions.demonstrations_of_response,
            reads=("prompt", "messages"),
        ),
        Form(name="OASST", keys=_TREE, matches=oasst.is_tree, convert=oasst.demonstrations_of_tree, reads=("prompt",)),
        Form(
            name="TRL completion",
            keys="prompt + completion (TRL)",
            needs=("prompt", "completion"),
            matches=has_keys("prompt", "completion"),
            convert=partial(trl.demonstrations_of_completion, turns=turns),
            reads=("prompt",),
        ),
        Form(
            name="messages",
            keys="messages (TRL)",
            matches=has_keys("messages"),
            convert=partial(trl.demonstrations_of_messages, turns=turns),
            reads=("messages",),
        ),
        Form(
            name="question",
            keys="passage + question + answers",
            needs=("passage", "question", "answers"),
            matches=has_keys("passage", "question", "answers"),
            convert=instructions.demonstrations_of_question,
        ),
        Form(
            name="instruction",
            keys="instruction + instances, or instruction + output",
            needs=("instruction", "output"),
            matches=lambda row: "instruction" in row and ("instances" in row or "output" in row),
            convert=instructions.demonstrations_of_instruction,
        ),
        Form(
            name="dialogue",
            keys="turns or conversations",
            matches=instructions.is_dialogue,
            convert=partial(instructions.demonstrations_of_dialogue, turns=turns),
            reads=("turns", "conversations"),
        ),
    )


PROMPT_FORMS: tuple[Form[Prompt], ...] = (
    Form(
        name="annotations",
        keys="prompt + completions + annotations",
        matches=has_keys("prompt", "completions", "annotations"),
        convert=annotated.prompts_of_annotations,
        reads=("prompt", "passages"),
    ),
    Form(name="OASST", keys=_TREE, matches=oasst.is_tree, convert=oasst.prompts_of_tree, reads=("prompt",)),
    # KTO's rows are read one at a time, whatever their labels: only the prompt is used.
    *(form.prompt_form() for form in PUBLISHED if form.name != "KTO"),
    Form(
        name="pair",
        keys="chosen + rejected",
        matches=trl.has_shared_prompt,
        convert=trl.prompts_of_pair,
        reads=("prompt",),
    ),
    Form(name="HH", keys="chosen + rejected (HH)", matches=hh.is_dialogue_pair, convert=hh.prompts_of_dialogues),
    # Before `prompt`, which is only its first turn if both are present.
    Form(
        name="messages",
        keys="messages",
        matches=has_keys("messages"),
        convert=trl.prompts_of_messages,
        reads=("messages",),
    ),
    Form(
        name="TRL prompt", keys="prompt", matches=has_keys("prompt"), convert=trl.prompts_of_prompt, reads=("prompt",)
    ),
    Form(
        name="question",
        keys="passage + question",
        matches=has_keys("passage", "question"),
        convert=instructions.prompts_of_question,
    ),
    Form(
        name="instruction",
        keys="instruction",
        matches=has_keys("instruction"),
        convert=instructions.prompts_of_instruction,
    ),
    Form(
        name="dialogue",
        keys="turns or conversations",
        matches=instructions.is_dialogue,
        convert=instructions.prompts_of_dialogue,
        reads=("turns", "conversations"),
    ),
    # Last: next to an instruction or a dialogue, `text` is the whole row written out, including its response.
    Form(name="prompt", keys="text", matches=has_keys("text"), convert=partial(validated, Prompt)),
)

_TRAINED: dict[str, Sequence[Form[Any]]] = {"rankings": RANKING_FORMS, "demonstrations": demonstration_forms("all")}


def load_prompts(
    source: Path | str, *, split: str = "train", skip_bad: bool = False, on_skip: OnSkip | None = None
) -> Iterator[Prompt]:
    """Stream the prompts of a file, a folder or a dataset on the hub, from every format that has prompts.

    `split` selects one if a folder or a dataset has several. Raises `DataError` for an unknown source or format,
    `RecordError` for a bad row unless `skip_bad`. Rows without a usable prompt are skipped and passed to `on_skip`.
    """
    return _load(source, PROMPT_FORMS, "prompts", split, skip_bad, on_skip)


def load_demonstrations(
    source: Path | str,
    *,
    turns: Turns = "all",
    split: str = "train",
    skip_bad: bool = False,
    on_skip: OnSkip | None = None,
) -> Iterator[Demonstration]:
    """Stream demonstrations, like `load_prompts`; `turns` selects "all" assistant turns of a dialogue or the "last"."""
    return _load(source, demonstration_forms(turns), "demonstrations", split, skip_bad, on_skip)


def load_rankings(
    source: Path | str,
    *,
    should_skip_ties: bool = False,
    split: str = "train",
    skip_bad: bool = False,
    on_skip: OnSkip | None = None,
) -> Iterator[Ranking]:
    """Stream rankings, like `load_prompts`; `should_skip_ties` skips, and reports, those without a comparison."""
    return _load(source, RANKING_FORMS, "rankings", split, skip_bad, on_skip, should_skip_ties)


def _load(
    source: Path | str,
    forms: Sequence[Form[Record]],
    noun: str,
    split: str,
    skip_bad: bool,
    on_skip: OnSkip | None,
    should_skip_ties: bool = False,
) -> Iterator[Record]:
    place = NamedSource.parse(source)
    for name, rows, log in _opened(place.source, split, skip_bad, on_skip):
        num_rows = 0
        for num_rows, (number, row) in enumerate(_joined(rows, noun), start=1):
            for record in _converted(row, name, number, forms, noun, log, is_first=num_rows == 1, by=place.by):
                if isinstance(record, UnusedPart):
                    log.leave_out(number, f"{name}, line {number}: {record.reason}")
                elif should_skip_ties and isinstance(record, Ranking) and not record.pairs():
                    log.leave_out(number, f"{name}, line {number}: every completion ties, so there is no comparison")
                else:
                    yield record
        log.close()


def _joined(rows: Iterator[NumberedRow], noun: str) -> Iterator[NumberedRow]:
    """Join rows that belong together: the messages of a tree, the completions of a prompt."""
    rows = oasst.trees_from_messages(rows)
    if noun == "demonstrations":
        return rows
    rows = joined_ratings(rows)
    return joined_labels(rows) if noun == "rankings" else rows


def _opened(
    source: str, split: str, skip_bad: bool, on_skip: OnSkip | None
) -> Iterator[tuple[str, Iterator[NumberedRow], SkipLog]]:
    """Each file or dataset of a source: its name, its rows and the log of what is skipped in it."""
    hub_id, path = hub.parse_hub_id(source), Path(source)
    if hub_id is None and path.is_dir() and not hub.is_saved_dataset(path):
        for file in hub.files_in(path, split):
            log = SkipLog(file, skip_bad=skip_bad, on_skip=on_skip)
            yield str(file), read_rows(file, log), log
        return
    log = SkipLog(source, skip_bad=skip_bad, on_skip=on_skip)
    if hub_id is not None:
        yield str(source), hub.hub_rows(hub_id, split), log
    elif path.is_dir():
        yield str(source), hub.saved_rows(path, split), log
    else:
        yield str(source), read_rows(path, log), log


def _converted(
    row: Row,
    name: str,
    number: int,
    forms: Sequence[Form[Record]],
    noun: str,
    log: SkipLog,
    *,
    is_first: bool,
    by: str | None,
) -> Sequence[Record | UnusedPart]:
    form = next((form for form in forms if form.matches(row)), None)
    try:
        if form is None:
            raise _unknown_form(row, name, number, forms, noun, is_first)
        if by is not None:
            form = form.ranked_by(by)
        return records_of(form, row, is_trained=noun != "prompts")
    except ValidationError as error:
        log.refuse(record_error(name, number, error))
    except UnusableRow as error:
        log.leave_out(number, f"{name}, line {number}: {error}")
    except RecordError as error:
        log.refuse(error)
    return ()


def _unknown_form(
    row: Row, name: str, number: int, forms: Sequence[Form[Record]], noun: str, is_first: bool
) -> DataError | RecordError:
    accepted = "; ".join(form.keys for form in forms)
    others = {other: known for other, known in _TRAINED.items() if other != noun}
    nearest = nearest_form(row, forms, others)
    if is_first:
        seen = ", ".join(sorted(row)) or "none"
        return DataError(
            f"{name} contains no {noun} in a known format.{nearest} Keys seen: {seen}. Formats accepted: {accepted}."
        )
    return RecordError(
        path=name,
        line=number,
        field="(keys)",
        value=sorted(row),
        rule=f"they must be one of: {accepted}",
        remedy=f"Correct the row, or choose to skip bad records.{nearest}",
    )
