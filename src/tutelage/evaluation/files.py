"""`tutelage sample` and `tutelage score`: files of records in, files of records out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tutelage.errors import DataError
from tutelage.evaluation.completions import Arm, complete, score_completions
from tutelage.model.loading import load_scalar_model, load_tokenizer
from tutelage.model.sampling import SamplingSettings
from tutelage.progress import progress
from tutelage.records import Completion, Prompt
from tutelage.store.atomic import atomic_file
from tutelage.store.jsonl import SkipLog, Skipped, read_rows
from tutelage.store.sources import load_prompts
from tutelage.text.render import PromptFormat, Renderer


def sample_file(
    model: str | Path,
    prompts: str,
    out: Path,
    *,
    k: int,
    name: str,
    settings: SamplingSettings,
    prompt_format: PromptFormat,
    seed: int,
    skip_bad: bool,
) -> int:
    """One line a prompt: `prompt_id`, the prompt, its `completions`. Returns the number of prompts."""
    skipped: list[Skipped] = []
    records = list(load_prompts(prompts, skip_bad=skip_bad, on_skip=skipped.append))
    if not records:
        raise DataError(f"{prompts} has no prompts. Give a file with at least one")
    with progress("sample", len(records) * k, unit="completions") as shown:
        sampled = complete(
            Arm(name=name, model=model),
            records,
            settings=settings,
            seed=seed,
            num_completions=k,
            renderer_of=lambda tokenizer: Renderer(tokenizer=tokenizer, prompt_format=prompt_format),
            on_progress=shown.advance,
        )
    rows = (
        {"prompt_id": prompt.id, **_prompt_fields(prompt), "completions": [c.model_dump() for c in own]}
        for prompt, own in zip(records, sampled, strict=True)
    )
    with atomic_file(out) as handle:
        handle.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    return len(records)


def _prompt_fields(prompt: Prompt) -> dict[str, Any]:
    if prompt.text is not None:
        return {"prompt": prompt.text}
    return {"messages": [message.model_dump() for message in prompt.messages or ()]}


def score_file(reward_model: str | Path, source: str, out: Path, *, prompt_format: PromptFormat, skip_bad: bool) -> str:
    """Every line with the score of each completion (`score` by its text) or of its response; returns what it did."""
    model, tokenizer = load_scalar_model(reward_model), load_tokenizer(reward_model)
    renderer = Renderer(tokenizer=tokenizer, prompt_format=prompt_format)
    skipped: list[Skipped] = []
    log = SkipLog(source, skip_bad=skip_bad, on_skip=skipped.append)
    rows = [row for _, row in read_rows(source, log)]
    pairs = [_prompt_and_completions(source, number, row) for number, row in enumerate(rows, start=1)]
    scores = score_completions(model, renderer, [p for p, _ in pairs], [c for _, c in pairs])
    with atomic_file(out) as handle:
        handle.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in _scored(rows, scores))
    flat = [score for own in scores for score in own]
    return f"{len(rows)} lines, {len(flat)} scores, mean {sum(flat) / max(1, len(flat)):.4f}: {out}"


def _prompt_and_completions(source: str, number: int, row: dict[str, Any]) -> tuple[Prompt, list[Completion]]:
    text, messages = row.get("prompt", row.get("text")), row.get("messages")
    if (text is None and messages is None) or ("completions" not in row and "response" not in row):
        raise DataError(
            f"{source}, line {number}: has the keys {', '.join(sorted(row))}; a line to score needs 'prompt' (or "
            "'messages') and 'completions' or 'response'. Add what is missing"
        )
    prompt = Prompt.model_validate({"text": text} if messages is None else {"messages": messages})
    if "completions" in row:
        return prompt, [Completion.model_validate(c) for c in row["completions"]]
    return prompt, [Completion(id="response", text=row["response"])]


def _scored(rows: list[dict[str, Any]], scores: list[list[float]]) -> Iterator[dict[str, Any]]:
    for row, own in zip(rows, scores, strict=True):
        if "completions" in row:
            completions = [{**c, "score": s} for c, s in zip(row["completions"], own, strict=True)]
            yield {**row, "completions": completions}
        else:
            yield {**row, "score": own[0]}
