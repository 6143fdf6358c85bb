"""Importing what was labeled elsewhere: as tasks for our labelers, or as finished labels with their labelers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from tutelage.errors import DataError
from tutelage.labeling.assignment import Group
from tutelage.labeling.forms import PROMPT_MARKS
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Purpose, Task
from tutelage.records import Demonstration, Prompt, Ranking
from tutelage.store.forms import Row, UnusableRow
from tutelage.store.jsonl import OnSkip, SkipLog, read_rows
from tutelage.store.sources import load_demonstrations, load_rankings
from tutelage.studio.argilla import ArgillaReader, is_argilla, questions_seen, records_in
from tutelage.studio.foreign import NotRead, Reader, Record
from tutelage.studio.imported import Imported, Stored, Storing
from tutelage.studio.label_config import ArgillaSettings, LabelStudioConfig, read_label_config
from tutelage.studio.label_studio import LabelStudioReader, controls_seen, is_label_studio, is_label_studio_min
from tutelage.studio.queue import Queued, enqueue
from tutelage.studio.studio import Studio

_LABELS_PER_TRANSACTION = 200
# One of these first rows must identify the tool: an unanswered record may not look like one of its records.
_NUM_ROWS_LOOKED_AT = 1000


def read_imported(
    path: Path, *, label_config: Path | None = None, skip_bad: bool = False, on_skip: OnSkip | None = None
) -> Iterator[Imported]:
    """Stream the labels of a file: Label Studio's or Argilla's export, OASST trees, HH, and all formats of the trainer.

    What yields neither a complete ranking nor a demonstration is skipped and passed to `on_skip`. `label_config` is the
    tool's own configuration file. Raises DataError for an unknown format, RecordError for a bad row unless `skip_bad`.
    """
    log = SkipLog(path, skip_bad=skip_bad, on_skip=on_skip)
    reader = _reader(path, None if label_config is None else read_label_config(label_config))
    if reader is not None:
        yield from _of_tool(path, log, reader)
    else:
        for number, record in enumerate(_of_trainer(path, skip_bad, on_skip), start=1):
            try:
                task, label = _task_and_label(record)
            except UnusableRow as error:
                log.leave_out(number, f"{path}, record {number}: {error}")
            else:
                yield Imported(task=task, label=label, labeler=record.labeler_id)
    log.close()


def _rows(path: Path, log: SkipLog | None = None) -> Iterator[tuple[int, Row]]:
    """The rows of a tool's file; without a log, only those that can be read."""
    log = log or SkipLog(path, skip_bad=True, on_skip=lambda _: None)
    for number, row in read_rows(path, log):
        records = records_in(row)
        yield from ((number if len(records) == 1 else place, each) for place, each in enumerate(records, start=1))


def _reader(path: Path, config: LabelStudioConfig | ArgillaSettings | None) -> Reader | None:
    """The reader for a file of a labeling tool, None for any other file."""
    first = [row for _, row in islice(_rows(path), _NUM_ROWS_LOOKED_AT)]
    if first and is_label_studio_min(first[0]):
        raise DataError(
            f"{path} is Label Studio's JSON-MIN, which does not say what is a prompt and what an answer. "
            "Export the project as JSON."
        )
    seen = (row for _, row in _rows(path))
    if any(map(is_label_studio, first)) and not isinstance(config, ArgillaSettings):
        return LabelStudioReader(controls=controls_seen(seen), config=config)
    if any(map(is_argilla, first)) and not isinstance(config, LabelStudioConfig):
        return ArgillaReader(questions=questions_seen(seen), settings=config)
    if config is not None:
        raise DataError(
            f"{path} is not an export of the tool whose labeling configuration was given. "
            "Give the XML with Label Studio's JSON, settings.json with Argilla's records, and neither with other files."
        )
    return None


def _of_tool(path: Path, log: SkipLog, reader: Reader) -> Iterator[Imported]:
    for number, row in _rows(path, log):
        where = f"{path}, line {number}"
        try:
            found = reader.read(row)
        except UnusableRow as error:
            log.leave_out(number, f"{where}: {error}", reader.num_annotations(row))
            continue
        for each in dict.fromkeys(found):
            place = f"{where}, {each.where.replace(':', ' ')}"
            if isinstance(each, NotRead):
                log.leave_out(number, f"{place}: {each.reason}", 1)
                continue
            try:
                task, label = _task_and_label(each.record)
            except UnusableRow as error:
                log.leave_out(number, f"{place}: {error}", 1)
                continue
            yield Imported(
                task=task,
                label=label,
                labeler=each.labeler,
                labeler_name=each.labeler_name,
                label_id=each.label_id,
                tool=reader.tool,
            )


def _of_trainer(path: Path, skip_bad: bool, on_skip: OnSkip | None) -> Iterator[Record]:
    try:
        yield from load_rankings(path, skip_bad=skip_bad, on_skip=on_skip)
    except DataError as error:
        try:
            yield from load_demonstrations(path, skip_bad=skip_bad, on_skip=on_skip)
        except DataError:
            raise DataError(f"{error} Label Studio's and Argilla's JSON exports are read too.") from None


def _task_and_label(record: Record) -> tuple[Task, Label]:
    prompt = Prompt(id=record.prompt_id or "", text=record.prompt, messages=record.messages)
    try:
        if isinstance(record, Demonstration):
            entries = {**{mark.name: False for mark in PROMPT_MARKS}, "response": record.response, "note": ""}
            return Task(kind="demonstrate", prompt=prompt), Label(fields=entries)
        kind = "compare" if len(record.completions) == 2 else "evaluate"
        return Task(kind=kind, prompt=prompt, completions=record.completions), Label(ranking=_order(record))
    except ValidationError as error:
        raise UnusableRow(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def _order(ranking: Ranking) -> tuple[tuple[str, ...], ...]:
    if ranking.ranking:
        return ranking.ranking
    if len(ranking.completions) == 2 and ranking.comparisons:
        chosen, rejected = ranking.comparisons[0]
        return ((chosen,), (rejected,))
    raise UnusableRow("its labeler judged some pairs and gave no order of all completions")


def import_tasks(
    studio: Studio, found: Iterator[Imported], *, name: str, purpose: Purpose = "training", overlap: int = 1
) -> Queued:
    """Queue what was labeled elsewhere, to be labeled here: the labels are not imported."""
    return enqueue(studio, (each.task for each in found), purpose=purpose, overlap=overlap, name=name)


def import_labels(
    studio: Studio,
    found: Iterator[Imported],
    *,
    name: str,
    purpose: Purpose = "training",
    group: Group = "training",
    origin: str = "",
) -> Stored:
    """Store finished labels. Their labelers become users of `group` who cannot sign in.

    Labels and labelers are identified by the tool's ids, never by `name`, the batch: a copy of a file, or a second
    export, adds only what is new in it. A label that its labeler has changed since is replaced, and the old version
    kept. `origin` distinguishes two sources that use the same ids or names for different people. Labels without a
    labeler are assigned to "unknown 1", "unknown 2", ... for each task.
    """
    storing = Storing(studio=studio, name=name, purpose=purpose, group=group, origin=origin)
    while part := list(islice(found, _LABELS_PER_TRANSACTION)):
        # Without slots: each label creates its own.
        enqueue(studio, (each.task for each in storing.waiting(part)), purpose=purpose, overlap=0, name=name)
        storing.store(part)
    return storing.stored()
