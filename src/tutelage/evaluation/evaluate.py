"""`tutelage evaluate`: benchmarks on a model, in one folder. An interrupted run continues where it stopped.

DIR/responses/NAME.jsonl    what the model said or how probable it found each choice: one line per request, added
                            as soon as it is computed
DIR/evaluation/NAME.jsonl   the rows: one number of one item
DIR/evaluation/measurements.jsonl   their means, with intervals
DIR/evaluate.json           the model, its fingerprint, versions, items and seconds of every task
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm
from tutelage.evaluation.likelihood import Likelihood
from tutelage.evaluation.records import FOLDER, MEASUREMENTS, Measurement, SizedArm, TaskRow
from tutelage.evaluation.task import Batching, Choose, EvaluationTask, Request, TaskResponse, responses_to
from tutelage.evaluation.tasks import read_tasks
from tutelage.model.loading import device_of
from tutelage.model.policy import Policy
from tutelage.progress import progress
from tutelage.records import Completion, content_id
from tutelage.store.atomic import atomic_file, clean_partial
from tutelage.store.fingerprints import fingerprint, is_same
from tutelage.store.journal import Journal
from tutelage.store.jsonl import read_records, write_records
from tutelage.store.lock import FolderLock
from tutelage.store.versions import versions

_ABOUT = "evaluate.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationChoices:
    """The options of the command. `limit`: so many items of each task, the same for every model; 0 for all."""

    name: str = ""
    limit: int = 0
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    batching: Batching = field(default_factory=Batching)


def evaluate(
    model: str | Path, names: Sequence[str], *, data: Path, out: Path, choices: EvaluationChoices
) -> Iterator[list[Measurement]]:
    """Measure the tasks `names` on a model; yields the measurements of each name as soon as they are on the disk.

    Raises `DataError` if `out` holds an evaluation of another model or with other choices, and for missing files.
    """
    tasks = {name: [_limited(task, choices.limit) for task in own] for name, own in read_tasks(names, data).items()}
    lock = FolderLock(out)
    try:
        clean_partial(out)
        about = _opened(out, model, choices)
        policy = Policy.load(model, device=device_of(choices.device), dtype=choices.precision)
        for name, own in tasks.items():
            rows, measurements, facts = _measure(name, own, policy, out, choices, arm=about["arm"])
            write_records(out / FOLDER / f"{name}.jsonl", rows)
            _replace_measurements(out, name, measurements)
            about["tasks"][name] = facts
            _write_about(out, about)
            yield measurements
    finally:
        lock.release()


def _measure(
    name: str, tasks: Sequence[EvaluationTask[Any]], policy: Policy, out: Path, choices: EvaluationChoices, *, arm: str
) -> tuple[list[TaskRow], list[Measurement], dict[str, Any]]:
    """The rows and measurements of one name, and how long its responses took, those of earlier runs included."""
    journal = Journal(out / "responses" / f"{name}.jsonl")
    rows: list[TaskRow] = []
    measurements: list[Measurement] = []
    seconds, num_items = 0.0, 0
    for task in tasks:
        items = list(task.items)
        answered = _answered([task.request(item) for item in items], policy, journal, choices, arm=arm, title=name)
        own = []
        for item, line in zip(items, answered, strict=True):
            own += [row.about(SizedArm(arm), task.condition) for row in task.score(item, _response(line))]
            seconds += line["seconds"]
        rows += own
        measurements += task.aggregate(own, source=f"{FOLDER}/{name}.jsonl")
        num_items += len(items)
    return rows, measurements, {"num_items": num_items, "seconds": round(seconds, 1)}


def _answered(
    requests: Sequence[Request],
    policy: Policy,
    journal: Journal,
    choices: EvaluationChoices,
    *,
    arm: str,
    title: str,
) -> list[dict[str, Any]]:
    """The journal's line for every request; what it does not have yet is asked, and added to it."""
    keys = [_key(request, choices.seed, place) for place, request in enumerate(requests)]
    lines = {line["key"]: line for line in journal.rows()}
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    known = {place for place, key in enumerate(keys) if key in lines or first[key] != place}
    with progress(title, len(requests), done=len(known), unit="items") as shown:
        batches = responses_to(
            requests,
            policy,
            arm=Arm(name=arm, model=""),
            seed=choices.seed,
            batching=choices.batching,
            known=known,
            title=title,
        )
        for batch, seconds in _timed(batches):
            new = [_line(keys[place], response, seconds / len(batch)) for place, response in batch.items()]
            journal.append(new)
            lines |= {line["key"]: line for line in new}
            shown.advance(len(batch))
    return [lines[key] for key in keys]


def _timed(batches: Iterator[dict[int, TaskResponse]]) -> Iterator[tuple[dict[int, TaskResponse], float]]:
    start = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - start
        start = time.perf_counter()


def _key(request: Request, seed: int, place: int) -> str:
    """The same for the same request only; of responses that are drawn at random, also for the same draw."""
    prompt = request.prompt.model_dump(exclude_none=True) if request.prompt else None
    if isinstance(request, Choose):
        asked: dict[str, Any] = {"choices": request.choices}
    else:
        asked = {"settings": asdict(request.settings), "num_responses": request.num_responses}
        if request.settings.temperature > 0:
            asked |= {"seed": seed, "place": place}
    return content_id(json.dumps({**asked, "prompt": prompt, "is_literal": request.is_literal}, sort_keys=True))


def _line(key: str, response: TaskResponse, seconds: float) -> dict[str, Any]:
    said: dict[str, Any] = {"likelihoods": response.likelihoods}
    if response.completions:
        said = {"completions": [completion.model_dump() for completion in response.completions]}
    return {"key": key, **said, "seconds": round(seconds, 6)}


def _response(line: dict[str, Any]) -> TaskResponse:
    return TaskResponse(
        completions=tuple(Completion.model_validate(own) for own in line.get("completions", ())),
        likelihoods=tuple(Likelihood(*own) for own in line.get("likelihoods", ())),
    )


def _limited(task: Any, limit: int) -> Any:
    """The task with `limit` of its items, drawn without a look at the model; those of a lower limit are among them."""
    if not limit or limit >= len(task.items):
        return task
    order = list(range(len(task.items)))
    Random(0).shuffle(order)
    return replace(task, items=[task.items[place] for place in sorted(order[:limit])])


def _opened(out: Path, model: str | Path, choices: EvaluationChoices) -> dict[str, Any]:
    """What the folder is about. Raises `DataError` if that is not this model, measured in this way."""
    about: dict[str, Any] = {
        "model": str(model),
        "fingerprint": fingerprint(model),
        "arm": choices.name or str(model),
        "precision": choices.precision,
        "seed": choices.seed,
        "versions": versions(),
        "tasks": {},
    }
    path = out / _ABOUT
    if not path.exists():
        _write_about(out, about)
        return about
    before = json.loads(path.read_bytes())
    if not is_same(before["fingerprint"], about["fingerprint"]):
        raise DataError(
            f"{out} holds an evaluation of {before['model']}, whose files differ from those of {model}. Nothing was "
            "changed. Choose another --out"
        )
    for key in ("arm", "precision", "seed"):
        if before[key] != about[key]:
            raise DataError(
                f"{out} holds an evaluation with {key} {before[key]!r}, not {about[key]!r}. Nothing was changed. "
                "Choose another --out, or the same option"
            )
    return {**about, "tasks": before["tasks"]}


def _write_about(out: Path, about: dict[str, Any]) -> None:
    with atomic_file(out / _ABOUT) as handle:
        handle.write(json.dumps(about, ensure_ascii=False, indent=2).encode() + b"\n")


def _replace_measurements(out: Path, name: str, measurements: Sequence[Measurement]) -> None:
    """Those of other tasks in the folder stay."""
    path, source = out / MEASUREMENTS, f"{FOLDER}/{name}.jsonl"
    others = [own for own in read_records(path, Measurement) if own.source != source] if path.exists() else []
    write_records(path, [*others, *measurements])
