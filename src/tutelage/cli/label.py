"""Labeling commands: serve the studio, invite people, queue tasks, import and export labels. None needs torch."""

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
    no_args_is_help=True, rich_markup_mode="rich", help="The labeling studio: labelers write, rate and rank."
)

Data = Annotated[Path, typer.Option("--data", help="The studio's data folder; created if it does not exist.")]
Url = Annotated[
    str | None,
    typer.Option("--database", help="An external database, e.g. postgresql+psycopg://user@host/name.", metavar="URL"),
]
_DATA = Path("studio")


def studio_of(data: Path, url: str | None, **settings: Any) -> Studio:
    """Open the studio in a folder or at a URL; `settings` are fields of its `Settings`.

    Raises UserError, with what to install, if its libraries are missing.
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
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 to allow other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    seed: Annotated[int, typer.Option(help="Determines the order in which each labeler sees completions.")] = 0,
    gold_share: Annotated[
        float, typer.Option(min=0, max=0.5, help="The share of gold tasks (known right label), if any are queued.")
    ] = 0.05,
    consent: Annotated[
        Literal["required", "optional"],
        typer.Option(help="Whether accounts must consent to use of their labels; others' are never exported."),
    ] = "required",
    requests_per_minute: Annotated[
        int, typer.Option(min=0, help="Request limit per client address (an office often shares one). 0: no limit.")
    ] = REQUESTS_PER_MINUTE,
) -> None:
    """Serve the studio's pages until stopped. The first time, it prints an invite link for an admin account.

    Example: tutelage label serve --data studio --port 8000
    """
    studio = studio_of(data, url, seed=seed, gold_share=gold_share, is_consent_required=consent == "required")
    from tutelage.studio.people import invite as make_invite
    from tutelage.studio.people import people
    from tutelage.web.app import create_app
    from tutelage.web.server import listen
    from tutelage.web.server import serve as serve_app

    # First, so that no invite is created and no address printed when the port is taken.
    listening = listen(host, port)
    address = f"http://{host}:{port}"
    if not people(studio):
        link = f"{address}/invite/{make_invite(studio, role='admin')}"
        typer.echo(f"There are no accounts yet. Open this link once to create yours:\n  {link}")
    typer.echo(f"The studio is running at {address}; its data is in {url or data}. Press Ctrl-C to stop it.")
    serve_app(create_app(studio, requests_per_minute=requests_per_minute), listening)


@app.command()
def invite(
    data: Data = _DATA,
    url: Url = None,
    role: Annotated[
        Literal["admin", "researcher", "labeler", "candidate"],
        typer.Option(help="The person's role; a candidate takes the screening test."),
    ] = "labeler",
    group: Annotated[
        Literal["training", "heldout"], typer.Option(help="Held-out labelers do evaluation tasks only.")
    ] = "training",
    quota: Annotated[int | None, typer.Option(min=1, help="The maximum number of tasks this person may do.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Number of invites.")] = 1,
    address: Annotated[str, typer.Option(help="The address at which the studio is served.")] = "http://127.0.0.1:8000",
) -> None:
    """Print invite links. Each creates one account and works once.

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
    completions: Annotated[Path | None, typer.Option(help="Completions to judge, from `tutelage sample`.")] = None,
    kind: Annotated[
        Literal["evaluate", "compare", "toxicity"], typer.Option("--as", help="Task type: how completions are judged.")
    ] = "evaluate",
    write: Annotated[
        Literal["plain", "few-shot", "user-based"] | None, typer.Option(help="Let labelers write prompts of this kind.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of prompts to write.")] = 10,
    use_case: Annotated[str, typer.Option(help="The use case the prompts to write are for.")] = "",
    purpose: Annotated[
        Literal["training", "evaluation"], typer.Option(help="Held-out labelers get evaluation tasks only.")
    ] = "training",
    overlap: Annotated[int, typer.Option(min=1, max=100, help="Number of different labelers per task.")] = 1,
    priority: Annotated[int, typer.Option(help="Tasks with higher priority are assigned first.")] = 0,
    name: Annotated[str, typer.Option("--batch", help="Name of the batch, for export. Default: the file name.")] = "",
) -> None:
    """Add tasks to the queue; tasks already in it are left unchanged.

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
    # Everything is read once before the first task is queued, so that an error in line 9,000 leaves no partial batch.
    for _, tasks in sources:
        for _ in tasks():
            pass
    for source, tasks in sources:
        batch = name or source
        done = queued.enqueue(studio, tasks(), purpose=purpose, overlap=overlap, priority=priority, name=batch)
        typer.echo(f"{source}: {done.num_new} tasks queued, {done.num_known} already there")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="Label Studio's or Argilla's JSON, OASST, HH, TRL, or our own files.")],
    data: Data = _DATA,
    url: Url = None,
    into: Annotated[
        Literal["labels", "tasks"],
        typer.Option("--as", help="labels: finished labels, with their labelers. tasks: to be labeled here."),
    ] = "labels",
    purpose: Annotated[Literal["training", "evaluation"], typer.Option(help="Purpose of the labels.")] = "training",
    group: Annotated[Literal["training", "heldout"], typer.Option(help="Group of the imported labelers.")] = "training",
    overlap: Annotated[int, typer.Option(min=1, max=100, help="With --as tasks: number of labelers per task.")] = 1,
    name: Annotated[str, typer.Option("--batch", help="Name of the batch. Default: the file name.")] = "",
    label_config: Annotated[
        Path | None,
        typer.Option("--label-config", help="The tool's interface: Label Studio's XML, Argilla's settings.json."),
    ] = None,
    origin: Annotated[
        str, typer.Option(help="Name of the source, if two sources use the same ids or names for different people.")
    ] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip malformed records; count and list them.")] = False,
) -> None:
    """Import labels made elsewhere, each once; labels that their labeler has changed since are replaced.

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
        typer.echo(f"{source}: {queued.num_new} tasks imported, {queued.num_known} already there")
    else:
        done = imports.import_labels(studio, found, name=batch, purpose=purpose, group=group, origin=origin)
        typer.echo(f"{source}: {done.num_new} labels imported, {done.num_known} already there")
        if done.num_replaced:
            typer.echo(f"replaced: {done.num_replaced} labels that have changed since; their old versions are kept")
        for reason, number in done.left.items():
            typer.echo(f"left out: {reason} [labels: {number}]", err=True)
    for line in left_out.lines():
        typer.echo(f"left out: {line}", err=True)


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must not exist yet.")],
    data: Data = _DATA,
    url: Url = None,
    purpose: Annotated[
        Literal["training", "evaluation"] | None, typer.Option(help="Only labels with this purpose.")
    ] = None,
    group: Annotated[
        Literal["training", "heldout"] | None, typer.Option(help="Only labels by this group of labelers.")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="Only labels of this batch, by name or number.")] = None,
    file_format: Annotated[
        Literal["jsonl", "trl", "parquet", "csv"],
        typer.Option("--format", help="trl: prompt, chosen, rejected, grouped by prompt. csv: for spreadsheets."),
    ] = "jsonl",
    validation_share: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=0.9, help="Put this share of users, with all their prompts, into separate validation files."
        ),
    ] = None,
) -> None:
    """Write demonstrations, ratings, rankings and all other labels as the trainer reads them, with a manifest.

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
        # Won and lost, or only decided if the two sides have no names of their own.
        typer.echo(f"{pair}: {', '.join(f'{outcome} {number}' for outcome, number in counts.items())}")
