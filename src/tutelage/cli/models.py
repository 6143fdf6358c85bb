"""Commands that use trained models: sample, score, chat."""

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
