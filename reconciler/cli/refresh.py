"""``reconciler refresh``: have the services look after the batches that are only watched."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import console, say_diagnostics
from reconciler.cli.exits import of_refresh
from reconciler.cli.options import (
    format_option,
    lock_timeout_option,
    output_options,
    reading_option,
    with_options,
)
from reconciler.cli.progress import Progress


@click.command("refresh")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@with_options(lock_timeout_option, reading_option, format_option, *output_options)
def refresh_command(
    *,
    targets: tuple[str, ...],
    lock_timeout: float,
    parallelism: int,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Record how the batches fare that are only watched.

    Talonic looks at its own provider once an hour. This asks it to look now, for every batch of a
    TrackedBatch that has not ended. Other services look after their batches by themselves and are only
    read. TARGET is the name of a TrackedBatch, NAME/BATCH_ID or label=value; without one, all are meant.
    """
    from reconciler.render.tracking import refreshed_document, refreshed_lines

    out = console(no_color=no_color, output_format=format)
    project = api.load()
    say_diagnostics(project.warnings)
    with Progress(out, verbose=False).shown() as progress:
        found = api.refresh(
            project, targets=targets, parallelism=parallelism, lock_timeout=lock_timeout, listen=progress
        )
    if format == "json":
        out.document(refreshed_document(found))
    else:
        out.say(refreshed_lines(found, colour=out.colour))
    return of_refresh(found)
