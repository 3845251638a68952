"""``reconciler export``: manifests from live batches, which is how a team with many batches starts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console, echo, piece, say_diagnostics
from reconciler.cli.exits import Exit
from reconciler.cli.options import (
    output_options,
    reading_option,
    since_option,
    until_option,
    with_options,
)
from reconciler.cli.progress import Progress
from reconciler.model.batch import JobType, Status
from reconciler.model.errors import ManifestError
from reconciler.model.export import Wanted
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.export import Export


@click.command("export")
@click.option(
    "--provider", multiple=True, metavar="NAME", help="Only from this provider; may be given several times."
)
@click.option(
    "--directory", multiple=True, metavar="ID", help="Only over this directory; may be given several times."
)
@click.option(
    "--status",
    type=click.Choice([item.value for item in Status if item is not Status.OTHER], case_sensitive=False),
    help="Only batches with this status.",
)
@with_options(since_option, until_option)
@click.option("--job", type=click.Choice([item.value for item in JobType]), help="Only this job type.")
@click.option("--configuration", metavar="ID", help="Only with this configuration.")
@click.option(
    "--out-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write a file for each set into FOLDER, and overwrite none.",
)
@with_options(reading_option, *output_options)
def export_command(
    *,
    provider: tuple[str, ...],
    directory: tuple[str, ...],
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    job: str | None,
    configuration: str | None,
    out_dir: Path | None,
    parallelism: int,
    no_color: bool,
) -> int:
    """Write manifests for live batches, whoever made them.

    A plan with them adopts every batch that satisfies and creates nothing. What failed, was cancelled or is
    surplus stands in them as comments with the reason. What the project's manifests ask for already is left
    out. Needs a reconciler.yaml, and changes neither it nor the lockfile.
    """
    from reconciler.render.export import export_text, summary

    if since and until and since > until:
        raise click.UsageError("--since is later than --until")
    out = console(no_color=no_color, output_format="yaml")
    project = api.load()
    say_diagnostics(project.warnings)
    wanted = Wanted(
        directories=directory,
        status=Status(status.upper()) if status else None,
        since=since,
        until=until,
        job=JobType(job) if job else None,
        configuration=configuration,
    )
    with Progress(out, verbose=False).shown() as progress:
        export = api.export(project, wanted, providers=provider, parallelism=parallelism, listen=progress)
    if out_dir is None:
        piece(export_text(export), "yaml")
    else:
        _write(out_dir, export)
    out.note(harmless(summary(export)))
    return Exit.DONE


def _write(folder: Path, export: Export) -> None:
    from reconciler.render.export import manifest_text

    files = {f"{item.name}.yaml": manifest_text(item) for item in export.sets}
    for path in api.write_new(folder, files):
        echo(harmless(f"wrote {path}"))
    if not files:
        return
    if {item.name for item in export.sets if item.directories} <= _named():
        echo("Next: reconciler plan")
    else:
        pattern = shlex.quote(f"{folder}/*.yaml")
        echo(harmless(f"Next: see that spec.manifests names {pattern}, then reconciler plan"))


def _named() -> set[str]:
    """The sets that the project's manifests have by now; none where they cannot be read."""
    try:
        return {item.name for item in api.load().sets}
    except ManifestError:
        return set()
