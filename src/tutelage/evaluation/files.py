"""`tutelage sample` and `tutelage score`: files of records in, files of records out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tutelage.errors import DataError, RecordError, RenderError
from tutelage.evaluation.completions import Arm, complete, group_to_score, score_groups
from tutelage.model.loading import device_of, load_tokenizer
from tutelage.model.packing import Group
from tutelage.model.policy import ScoreModel
from tutelage.model.sampling import SamplingSettings
from tutelage.progress import progress
from tutelage.records import Completion, Prompt
from tutelage.store.documents import END_OF_TEXT
from tutelage.store.forms import Form, Row, UnusableRow
from tutelage.store.jsonl import SkipLog, Skipped, read_rows, record_error, write_rows
from tutelage.store.meaning import records_of
from tutelage.store.outputs import require_free_file
from tutelage.store.sources import PROMPT_FORMS, load_prompts
from tutelage.text.prompting import AskedFormat
from tutelage.text.render import Renderer, make_renderer

TooLong = Literal["error", "skip"]
_ANNOTATED = next(form for form in PROMPT_FORMS if form.name == "annotations")
_OF_PROMPTS = ("user_id", "source", "use_case", "language", "split", "purpose")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChoices:
    """The options of both commands; `left_out` collects why lines were skipped.

    `prompt_format` "auto" and `separator` None: as the model was trained, else see `text.prompting.asked_prompting`.
    """

    prompt_format: AskedFormat = "auto"
    separator: str | None = None
    device: str = "auto"
    too_long: TooLong = "error"
    skip_bad: bool = False
    overwrite: bool = False
    left_out: list[str] = field(default_factory=list)

    def note(self, record: Skipped) -> None:
        self.left_out.append(record.message)

    def renderer(self, tokenizer: object) -> Renderer:
        return make_renderer(tokenizer, prompt_format=self.prompt_format, separator=self.separator)

    def refuse_bad(self, message: str) -> None:
        """Raise `DataError`, or record what cannot be rendered if it may be skipped."""
        if not self.skip_bad:
            raise DataError(f"{message}, or skip such records with --skip-bad")
        self.left_out.append(message)

    def refuse_long(self, message: str) -> None:
        """Raise `DataError`, or record what exceeds the context if it may be skipped."""
        if self.too_long == "error":
            raise DataError(f"{message}, or skip such lines with --too-long skip")
        self.left_out.append(message)


def sample_file(
    model: str | Path,
    prompts: str,
    out: Path,
    *,
    k: int,
    name: str,
    settings: SamplingSettings,
    seed: int,
    choices: FileChoices,
) -> int:
    """Write one line per prompt: `prompt_id`, the prompt, its `completions`. Returns the number of prompts."""
    require_free_file(out, inputs=[prompts], overwrite=choices.overwrite)
    records = list(load_prompts(prompts, skip_bad=choices.skip_bad, on_skip=choices.note))
    if not records:
        raise DataError(f"{prompts} has no prompts. Give a file with at least one")
    with progress("sample", len(records) * k, unit="completions") as shown:
        sampled = complete(
            Arm(name=name, model=model),
            records,
            settings=settings,
            seed=seed,
            num_completions=k,
            renderer_of=choices.renderer,
            device=device_of(choices.device),
            on_progress=shown.advance,
            on_too_long=choices.refuse_long,
            on_bad=choices.refuse_bad,
        )
    rows = [
        {"prompt_id": prompt.id, **_prompt_fields(prompt), "completions": [c.model_dump() for c in own]}
        for prompt, own in zip(records, sampled, strict=True)
        if own
    ]
    if not rows:
        raise DataError(f"{prompts} has no prompt that fits. {choices.left_out[0]}")
    write_rows(out, rows)
    return len(rows)


def _prompt_fields(prompt: Prompt) -> dict[str, Any]:
    """The prompt, with its user and purpose if known: labels are split by these later."""
    known = prompt.model_dump(include=set(_OF_PROMPTS), exclude_none=True)
    if prompt.text is not None:
        return {"prompt": prompt.text, **known}
    return {"messages": [message.model_dump() for message in prompt.messages or ()], **known}


def score_file(reward_model: str | Path, source: str, out: Path, *, choices: FileChoices) -> str:
    """Write every line with the score of each completion (`score` next to its text) or response; returns a summary."""
    require_free_file(out, inputs=[source], overwrite=choices.overwrite)
    renderer = choices.renderer(load_tokenizer(reward_model))
    model = ScoreModel.load(reward_model, renderer=renderer, device=device_of(choices.device))
    lines, groups = [], []
    for line in _lines(source, choices):
        try:
            group = group_to_score(renderer, line.prompt, line.completions)
        except RenderError as error:
            choices.refuse_bad(f"{line.name}: {error}")
            continue
        if _fits(line, group, model.context_limit, choices):
            lines.append(line)
            groups.append(group)
    if not lines:
        raise DataError(f"{source} has no line that can be scored; {len(choices.left_out)} were left out")
    scores = score_groups(model, groups)
    write_rows(out, (_scored(line, own) for line, own in zip(lines, scores, strict=True)))
    flat = [score for own in scores for score in own]
    return f"{len(lines)} lines, {len(flat)} scores, mean {sum(flat) / max(1, len(flat)):.4f}: {out}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line to score: its location, its raw content, and the parsed records."""

    name: str
    row: dict[str, Any]
    prompt: Prompt
    completions: list[Completion]


def _prompts(row: Row) -> list[Prompt]:
    text, messages = row.get("prompt", row.get("text")), row.get("messages")
    return [Prompt.model_validate({"text": text} if messages is None else {"messages": messages})]


_LINE: Form[Prompt] = Form(
    name="line",
    keys="prompt + completions, or prompt + response",
    matches=lambda row: True,
    convert=_prompts,
    reads=("prompt", "messages"),
)


def _lines(source: str, choices: FileChoices) -> Iterator[_Line]:
    log = SkipLog(source, skip_bad=choices.skip_bad, on_skip=choices.note)
    for number, row in read_rows(source, log):
        try:
            prompt, completions = _prompt_and_completions(source, number, row)
            yield _Line(name=f"{source}, line {number}", row=row, prompt=prompt, completions=completions)
        except ValidationError as error:
            log.refuse(record_error(source, number, error))
        except UnusableRow as error:
            log.leave_out(number, f"{source}, line {number}: {error}")
        except RecordError as error:
            log.refuse(error)


def _prompt_and_completions(source: str, number: int, row: dict[str, Any]) -> tuple[Prompt, list[Completion]]:
    text, messages = row.get("prompt", row.get("text")), row.get("messages")
    if (text is None and messages is None) or not ("completions" in row or "response" in row):
        raise RecordError(
            path=source,
            line=number,
            field="(keys)",
            value=sorted(row),
            rule="a line to score needs 'prompt' (or 'messages') and 'completions' or 'response'",
            remedy="Add what is missing.",
        )
    # As in training: everything that changes the prompt's meaning is part of it, including passages and dialogues.
    form = _ANNOTATED if _is_annotated(row) else _LINE
    prompt = next(each for each in records_of(form, row, is_trained=False) if isinstance(each, Prompt))
    if "completions" not in row:
        return prompt, [_response(row)]
    # Completions are records or bare text.
    found = [{"id": f"c{i}", "text": c} if isinstance(c, str) else c for i, c in enumerate(row["completions"], start=1)]
    return prompt, [Completion.model_validate(completion) for completion in found]


def _is_annotated(row: dict[str, Any]) -> bool:
    """Whether the reader of rankings would treat this row as its `annotations` format."""
    is_ranking = "ranking" in row or "comparisons" in row
    return not is_ranking and {"prompt", "completions", "annotations"} <= set(row)


def _response(row: dict[str, Any]) -> Completion:
    """The response of a demonstration, or of a row of samples.jsonl, which says whether it ended by itself."""
    text = row["response"]
    if isinstance(text, str):
        text = text.removesuffix(END_OF_TEXT)
    return Completion.model_validate({"id": "response", "text": text, "is_complete": row.get("is_complete", True)})


def _fits(line: _Line, group: Group, context: int, choices: FileChoices) -> bool:
    num_tokens = len(group.prompt) + max(map(len, group.responses), default=0)
    if num_tokens <= context:
        return True
    choices.refuse_long(
        f"{line.name}: the prompt with its longest completion has {num_tokens} tokens; the reward model's context is "
        f"{context}. Shorten it"
    )
    return False


def _scored(line: _Line, scores: list[float]) -> dict[str, Any]:
    if "completions" not in line.row:
        return {**line.row, "score": scores[0]}
    own = zip(line.completions, scores, strict=True)
    return {**line.row, "completions": [{**completion.model_dump(), "score": score} for completion, score in own]}
