"""Labeling verbs: serve the studio, invite people, put tasks in, take labels out. None of them needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tutelage.web.limits import REQUESTS_PER_MINUTE

if TYPE_CHECKING:
    from tutelage.labeling.tasks import Task
    from tutelage.store.jsonl import Skipped
    from tutelage.studio.studio import Studio

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="The labeling studio: people write, rate and rank."
)

Data = Annotated[Path, typer.Option("--data", help="The studio's data folder; it is made if there is none.")]
Url = Annotated[
    str | None,
    typer.Option("--database", help="A database elsewhere, e.g. postgresql+psycopg://user@host/name.", metavar="URL"),
]
_DATA = Path("studio")


def studio_of(data: Path, url: str | None, **settings: Any) -> Studio:
    """The studio in a folder or at a URL, with fields of its `Settings`.

    Where its libraries are missing, a UserError that says what to install.
    """
    from tutelage.errors import UserError

    try:
        from tutelage.studio.studio import Settings, open_studio
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed. The labeling studio needs: pip install 'tutelage[studio]'"
        ) from None
    return open_studio(data, url=url, settings=Settings(**settings))


@app.command()
def serve(
    data: Data = _DATA,
    url: Url = None,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for other machines too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    seed: Annotated[int, typer.Option(help="Decides in which order each labeler sees completions.")] = 0,
    gold_share: Annotated[
        float, typer.Option(min=0, max=0.5, help="The share of tasks whose right label is known, where there are such.")
    ] = 0.05,
    consent: Annotated[
        Literal["required", "optional"],
        typer.Option(help="Must people agree to the use of their labels? Without it they are never exported."),
    ] = "required",
    requests_per_minute: Annotated[
        int, typer.Option(min=0, help="The most that one address may ask; an office is one address. 0 is no limit.")
    ] = REQUESTS_PER_MINUTE,
) -> None:
    """Serve the studio's pages until it is stopped. The first time, an invite link for an admin is printed.

    Example: tutelage label serve --data studio --port 8000
    """
    studio = studio_of(data, url, seed=seed, gold_share=gold_share, is_consent_required=consent == "required")
    from tutelage.studio.people import invite as make_invite
    from tutelage.studio.people import people
    from tutelage.web.app import create_app
    from tutelage.web.server import listen
    from tutelage.web.server import serve as serve_app

    # Before an invite is made and an address is told that would not be ours.
    listening = listen(host, port)
    address = f"http://{host}:{port}"
    if not people(studio):
        link = f"{address}/invite/{make_invite(studio, role='admin')}"
        typer.echo(f"Nobody has an account yet. Open this once to make yours:\n  {link}")
    typer.echo(f"The studio is at {address}; its data in {url or data}. Stop it with Ctrl-C.")
    serve_app(create_app(studio, requests_per_minute=requests_per_minute), listening)


@app.command()
def invite(
    data: Data = _DATA,
    url: Url = None,
    role: Annotated[
        Literal["admin", "researcher", "labeler", "candidate"],
        typer.Option(help="What the person may do; a candidate takes the screening test."),
    ] = "labeler",
    group: Annotated[
        Literal["training", "heldout"], typer.Option(help="Held-out labelers only evaluate, and never train.")
    ] = "training",
    quota: Annotated[int | None, typer.Option(min=1, help="The most tasks this person may do.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many invites.")] = 1,
    address: Annotated[str, typer.Option(help="Where the studio is served.")] = "http://127.0.0.1:8000",
) -> None:
    """Print invite links. Each makes one account, once.

    Example: tutelage label invite --role labeler --group heldout --count 10 --address https://label.example.org
    """
    studio = studio_of(data, url)
    from tutelage.studio.people import invite as make_invite

    for _ in range(count):
        typer.echo(f"{address.rstrip('/')}/invite/{make_invite(studio, role=role, group=group, quota=quota)}")


@app.command()
def queue(
    data: Data = _DATA,
    url: Url = None,
    prompts: Annotated[Path | None, typer.Option(help="Prompts to write responses for.")] = None,
    completions: Annotated[Path | None, typer.Option(help="Completions to judge, as `tutelage sample` writes.")] = None,
    kind: Annotated[
        Literal["evaluate", "compare", "toxicity"], typer.Option("--as", help="How completions are judged.")
    ] = "evaluate",
    write: Annotated[
        Literal["plain", "few-shot", "user-based"] | None, typer.Option(help="Let labelers write prompts of this kind.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many prompts to write.")] = 10,
    use_case: Annotated[str, typer.Option(help="What the prompts to write are for.")] = "",
    purpose: Annotated[
        Literal["training", "evaluation"], typer.Option(help="Held-out labelers get evaluation tasks only.")
    ] = "training",
    overlap: Annotated[int, typer.Option(min=1, max=100, help="How many different labelers do each task.")] = 1,
    priority: Annotated[int, typer.Option(help="Higher is handed out first.")] = 0,
    name: Annotated[
        str, typer.Option("--batch", help="What the batch is called, for export; otherwise its file's name.")
    ] = "",
) -> None:
    """Put tasks into the queue; what is in it already is left as it is.

    Example: tutelage label queue --prompts prompts.jsonl --completions completions.jsonl --overlap 2
    """
    from tutelage.errors import UserError

    studio = studio_of(data, url)
    from tutelage.studio import queue as queued

    sources: list[tuple[str, Callable[[], Iterator[Task]]]] = []
    if prompts is not None:
        sources.append((str(prompts), partial(queued.tasks_of_prompts, prompts)))
    if completions is not None:
        sources.append((str(completions), partial(queued.tasks_of_completions, completions, kind)))
    if write is not None:
        writing = partial(queued.tasks_of_writing, write, count=count, use_case=use_case)
        sources.append((f"{write} prompts", writing))
    if not sources:
        raise UserError("nothing to queue. Give --prompts FILE, --completions FILE or --write plain.")
    # All is read once before the first task is queued, so that a mistake in line 9,000 does not leave half a batch.
    for _, tasks in sources:
        for _ in tasks():
            pass
    for source, tasks in sources:
        batch = name or source
        done = queued.enqueue(studio, tasks(), purpose=purpose, overlap=overlap, priority=priority, name=batch)
        typer.echo(f"{source}: {done.num_new} tasks queued, {done.num_known} were there already")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="Label Studio's or Argilla's JSON, OASST, HH, TRL, or our own files.")],
    data: Data = _DATA,
    url: Url = None,
    into: Annotated[
        Literal["labels", "tasks"],
        typer.Option("--as", help="labels: finished, with their labelers. tasks: to be labeled here."),
    ] = "labels",
    purpose: Annotated[Literal["training", "evaluation"], typer.Option(help="What they are for.")] = "training",
    group: Annotated[
        Literal["training", "heldout"], typer.Option(help="The group of the labelers who come with the labels.")
    ] = "training",
    overlap: Annotated[int, typer.Option(min=1, max=100, help="With --as tasks: how many labelers do each.")] = 1,
    name: Annotated[str, typer.Option("--batch", help="What the batch is called; otherwise its file's name.")] = "",
    label_config: Annotated[
        Path | None,
        typer.Option("--label-config", help="What the tool showed: Label Studio's XML, Argilla's settings.json."),
    ] = None,
    origin: Annotated[
        str, typer.Option(help="Where it was labeled, if two places number or name their people alike.")
    ] = "",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave malformed records out, count and list them.")
    ] = False,
) -> None:
    """Take in what was labeled elsewhere, each label once; what its labeler changed since is replaced.

    Example: tutelage label import label-studio.json --as labels --batch pilot
    """
    studio = studio_of(data, url)
    from tutelage.store.reasons import Reasons
    from tutelage.studio import imports

    left_out = Reasons()

    def tell(skipped: Skipped) -> None:
        record = None if skipped.num_annotations is None else skipped.line
        left_out.add(skipped.message, record=record, num_annotations=skipped.num_annotations or 0)

    found = imports.read_imported(source, label_config=label_config, skip_bad=skip_bad, on_skip=tell)
    batch = name or source.name
    if into == "tasks":
        queued = imports.import_tasks(studio, found, name=batch, purpose=purpose, overlap=overlap)
        typer.echo(f"{source}: {queued.num_new} tasks taken in, {queued.num_known} were there already")
    else:
        done = imports.import_labels(studio, found, name=batch, purpose=purpose, group=group, origin=origin)
        typer.echo(f"{source}: {done.num_new} labels taken in, {done.num_known} were there already")
        if done.num_replaced:
            typer.echo(f"replaced: {done.num_replaced} labels that were changed since; what they said before is kept")
        for reason, number in done.left.items():
            typer.echo(f"left out: {reason} [labels: {number}]", err=True)
    for line in left_out.lines():
        typer.echo(f"left out: {line}", err=True)


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="The folder to write. It must not exist.")],
    data: Data = _DATA,
    url: Url = None,
    purpose: Annotated[
        Literal["training", "evaluation"] | None, typer.Option(help="Only the labels of one purpose.")
    ] = None,
    group: Annotated[
        Literal["training", "heldout"] | None, typer.Option(help="Only the labels of one group of labelers.")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="Only the labels of one batch, by its name or number.")] = None,
    file_format: Annotated[
        Literal["jsonl", "trl", "parquet", "csv"],
        typer.Option("--format", help="trl: prompt, chosen and rejected, by prompt. csv: for spreadsheets."),
    ] = "jsonl",
    validation_share: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=0.9, help="Put this share of users, with all their prompts, into files of their own."
        ),
    ] = None,
) -> None:
    """Write demonstrations, ratings, rankings and all else as the trainer reads them, with a manifest.

    Example: tutelage label export --out runs/labels --purpose training --validation-share 0.1
    """
    studio = studio_of(data, url)
    from tutelage.studio.export import export_labels

    manifest = export_labels(
        studio,
        out,
        purpose=purpose,
        group=group,
        batch=batch,
        file_format=file_format,
        validation_share=validation_share,
    )
    typer.echo(f"{manifest.num_labels} labels of {len(manifest.labeler_groups)} labelers: {out / 'manifest.json'}")
    if manifest.num_without_consent:
        typer.echo(f"left out: {manifest.num_without_consent} labels of people who did not consent to their use")
    for file, number in manifest.counts.items():
        typer.echo(f"{out / file}: {number}")
    for pair, counts in manifest.preferences.items():
        # Won and lost, or only decided, where the two sides have no names of their own.
        typer.echo(f"{pair}: {', '.join(f'{outcome} {number}' for outcome, number in counts.items())}")
