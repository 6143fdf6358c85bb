"""Verbs on trained models: sample, score, chat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

ModelFolder = Annotated[
    str, typer.Argument(help="A model folder written by this program or save_pretrained, or a hub id.")
]
PromptFormat = Annotated[
    Literal["plain", "chat"], typer.Option(help="plain: the prompt's text; chat: the tokenizer's template.")
]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Judge")(sample)
    app.command(rich_help_panel="Judge")(score)
    app.command(rich_help_panel="Serve")(chat)


def sample(
    model: ModelFolder,
    prompts: Annotated[str, typer.Option(help="A file of prompts.")],
    out: Annotated[Path, typer.Option(help="Where the completions go, JSONL, one line a prompt.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Completions of each prompt.")] = 4,
    name: Annotated[str, typer.Option(help="The policy's name in the file.")] = "",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the most likely token.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1.0)] = 1.0,
    max_response_tokens: Annotated[int, typer.Option(min=1)] = 256,
    prompt_format: PromptFormat = "plain",
    seed: Annotated[int, typer.Option()] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out malformed records, and list them.")] = False,
) -> None:
    """Sample K completions of each prompt, for the labeling queue or for evaluation.

    Example: tutelage sample runs/sft/model --prompts prompts.jsonl -k 4 --out completions.jsonl
    """
    from tutelage.evaluation.files import sample_file
    from tutelage.model.sampling import SamplingSettings

    settings = SamplingSettings(max_response_tokens=max_response_tokens, temperature=temperature, top_p=top_p)
    count = sample_file(
        model,
        prompts,
        out,
        k=k,
        name=name or str(model),
        settings=settings,
        prompt_format=prompt_format,
        seed=seed,
        skip_bad=skip_bad,
    )
    typer.echo(f"{count} prompts, {count * k} completions: {out}")


def score(
    reward_model: ModelFolder,
    input: Annotated[str, typer.Option("--input", help="A file of completions, rankings or demonstrations.")],
    out: Annotated[Path, typer.Option(help="The same lines with scores.")],
    prompt_format: PromptFormat = "plain",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out malformed records, and list them.")] = False,
) -> None:
    """Score what is in a file with a reward model.

    Example: tutelage score runs/reward/model --input completions.jsonl --out scored.jsonl
    """
    from tutelage.evaluation.files import score_file

    result = score_file(reward_model, input, out, prompt_format=prompt_format, skip_bad=skip_bad)
    typer.echo(result)


def chat(
    model: ModelFolder,
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.7,
    max_response_tokens: Annotated[int, typer.Option(min=1)] = 256,
    prompt_format: PromptFormat = "plain",
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Talk to a model in the terminal; an empty line or Ctrl-D ends it.

    With the plain format each line is a prompt of its own; with the chat format the dialogue goes on.
    Example: tutelage chat runs/quickstart/ppo_ptx/model
    """
    from tutelage.serving.chat import Conversation

    conversation = Conversation(
        model,
        temperature=temperature,
        max_response_tokens=max_response_tokens,
        prompt_format=prompt_format,
        seed=seed,
    )
    while True:
        try:
            line = typer.prompt("you", prompt_suffix="> ", default="", show_default=False)
        except (EOFError, typer.Abort):
            line = ""
        if not line.strip():
            break
        typer.echo(conversation.reply(line) + "\n")
