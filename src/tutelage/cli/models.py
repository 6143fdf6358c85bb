"""Commands that use trained models: sample, score, evaluate, chat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

ModelFolder = Annotated[str, typer.Argument(help="A model folder (from tutelage or save_pretrained), or a hub id.")]
PromptFormat = Annotated[
    Literal["auto", "plain", "chat"],
    typer.Option(
        help="plain: the prompt's text; chat: the tokenizer's template; auto: as the model was trained, or, for a "
        "model that does not say, chat if it has a template."
    ),
]
Separator = Annotated[
    str | None,
    typer.Option(help="Text between a plain prompt and its response. Default: as in the model's training."),
]

Device = Annotated[str, typer.Option(help="auto (a GPU if available), cpu, cuda:0, ...")]
TooLong = Annotated[
    Literal["error", "skip"], typer.Option("--too-long", help="What to do with lines that exceed the model's context.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip malformed records, and list them.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file at --out if it exists.")]
_LEFT_OUT_SHOWN = 5


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Judge")(sample)
    app.command(rich_help_panel="Judge")(score)
    app.command(rich_help_panel="Judge")(evaluate)
    app.command(rich_help_panel="Serve")(chat)


def sample(
    model: ModelFolder,
    prompts: Annotated[str, typer.Option(help="A file of prompts.")],
    out: Annotated[Path, typer.Option(help="The JSONL file to write, one line per prompt.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Completions per prompt.")] = 4,
    name: Annotated[str, typer.Option(help="The policy's name in the file.")] = "",
    temperature: Annotated[float, typer.Option(min=0.0, help="0: greedy decoding.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0)] = 1.0,
    max_response_tokens: Annotated[int, typer.Option(min=1)] = 256,
    prompt_format: PromptFormat = "auto",
    separator: Separator = None,
    seed: Annotated[int, typer.Option()] = 0,
    device: Device = "auto",
    too_long: TooLong = "error",
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
) -> None:
    """Sample K completions of each prompt, for the labeling queue or for evaluation.

    Example: tutelage sample runs/sft/model --prompts prompts.jsonl -k 4 --out completions.jsonl
    """
    from tutelage.evaluation.files import FileChoices, sample_file
    from tutelage.model.sampling import SamplingSettings

    settings = SamplingSettings(max_response_tokens=max_response_tokens, temperature=temperature, top_p=top_p)
    choices = FileChoices(
        prompt_format=prompt_format,
        separator=separator,
        device=device,
        too_long=too_long,
        skip_bad=skip_bad,
        overwrite=overwrite,
    )
    count = sample_file(
        model,
        prompts,
        out,
        k=k,
        name=name or str(model),
        settings=settings,
        seed=seed,
        choices=choices,
    )
    typer.echo(f"{count} prompts, {count * k} completions: {out}")
    _show_left_out(choices.left_out)


def score(
    reward_model: ModelFolder,
    input: Annotated[str, typer.Option("--input", help="A file of completions, rankings or demonstrations.")],
    out: Annotated[Path, typer.Option(help="The file to write: the same lines, with scores.")],
    prompt_format: PromptFormat = "auto",
    separator: Separator = None,
    device: Device = "auto",
    too_long: TooLong = "error",
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
) -> None:
    """Score the responses in a file with a reward model.

    Example: tutelage score runs/reward/model --input completions.jsonl --out scored.jsonl
    """
    from tutelage.evaluation.files import FileChoices, score_file

    choices = FileChoices(
        prompt_format=prompt_format,
        separator=separator,
        device=device,
        too_long=too_long,
        skip_bad=skip_bad,
        overwrite=overwrite,
    )
    typer.echo(score_file(reward_model, input, out, choices=choices))
    _show_left_out(choices.left_out)


def evaluate(
    model: ModelFolder,
    tasks: Annotated[str, typer.Option(help="Names with commas: truthfulqa, crows_pairs, winogender, sst2, ...")],
    out: Annotated[Path, typer.Option(help="The folder to write; an interrupted evaluation in it is continued.")],
    data: Annotated[Path, typer.Option(help="The folder of the benchmarks' published files.")] = Path("data"),
    name: Annotated[str, typer.Option(help="The policy's name in the files.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Items per task and prompt type, drawn once; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="For responses that are drawn at random.")] = 0,
    device: Device = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="In which the layers multiply.")
    ] = "float32",
    tokens_per_batch: Annotated[int, typer.Option(min=1, help="Tokens of prompts and choices at once.")] = 8192,
    rows_per_batch: Annotated[int, typer.Option(min=1, help="Responses that are sampled at once.")] = 32,
) -> None:
    """Measure a model on public benchmarks, with intervals; call it again to continue after an interruption.

    Example: tutelage evaluate runs/sft/model --tasks truthfulqa,crows_pairs --data benchmarks --out runs/sft-evaluated
    """
    from tutelage.evaluation.evaluate import EvaluationChoices
    from tutelage.evaluation.evaluate import evaluate as measure
    from tutelage.evaluation.task import Batching

    choices = EvaluationChoices(
        name=name,
        limit=limit,
        seed=seed,
        device=device,
        precision=precision,
        batching=Batching(tokens_per_microbatch=tokens_per_batch, rows_per_batch=rows_per_batch),
    )
    names = [own.strip() for own in tasks.split(",") if own.strip()]
    for found in (own for group in measure(model, names, data=data, out=out, choices=choices) for own in group):
        about = ", ".join(f"{key} {value}" for key, value in found.condition.items())
        interval = "" if found.low is None else f" [{found.low:.4f}, {found.high:.4f}]"
        typer.echo(f"{found.measure:<18} {about:<36} {found.mean:.4f}{interval} of {found.n}")
    typer.echo(f"rows, measurements and responses: {out}")


def _show_left_out(messages: list[str]) -> None:
    if messages:
        from tutelage.store.reasons import Reasons

        typer.echo(f"  left out: {len(messages):,} records; the first:")
        for reason in Reasons(messages).lines(_LEFT_OUT_SHOWN):
            typer.echo(f"    {reason}")


def chat(
    model: ModelFolder,
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.7,
    max_response_tokens: Annotated[int, typer.Option(min=1)] = 256,
    prompt_format: PromptFormat = "auto",
    separator: Separator = None,
    seed: Annotated[int, typer.Option()] = 0,
    device: Device = "auto",
) -> None:
    """Talk to a model in the terminal; an empty line or Ctrl-D ends it.

    With the plain format each line is a prompt of its own; with the chat format the dialogue continues.
    Example: tutelage chat runs/quickstart/ppo_ptx/model
    """
    from tutelage.serving.chat import Conversation, NotSentError

    conversation = Conversation(
        model,
        temperature=temperature,
        max_response_tokens=max_response_tokens,
        prompt_format=prompt_format,
        separator=separator,
        seed=seed,
        device=device,
    )
    while True:
        try:
            line = typer.prompt("you", prompt_suffix="> ", default="", show_default=False)
        except (EOFError, typer.Abort):
            line = ""
        if not line.strip():
            break
        try:
            typer.echo(conversation.reply(line) + "\n")
        except NotSentError as error:
            typer.echo(f"not sent: {error}", err=True)
