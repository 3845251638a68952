"""``reconciler drift``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console
from reconciler.cli.exits import Exit
from reconciler.cli.options import (
    output_options,
    reading_option,
    since_option,
    with_options,
)
from reconciler.cli.outputs import with_formats
from reconciler.cli.progress import Progress
from reconciler.cli.views import drift_view

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.cli.outputs import Output


@click.command("drift")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there is drift, 0 when there is none.")
@with_options(since_option, reading_option)
@click.option("--verbose", "-v", is_flag=True, help="Show also what nobody can act on.")
@with_options(with_formats(), *output_options)
def drift_command(
    *,
    detailed_exitcode: bool,
    since: datetime | None,
    parallelism: int,
    verbose: bool,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
    output: Output,
) -> int:
    """Show what is live and not desired, and what is recorded and gone, different or there twice.

    Looks at everything in the projects that the manifests and the lockfile name. Only what somebody can act
    on is drift; a missing batch, or one to adopt, is for `plan`. Changes nothing and takes no lock.
    """
    out = console(no_color=no_color, output_format=format)
    project = api.load()
    output.of(project)
    with Progress(out, verbose=verbose).shown() as progress:
        found = api.drift(
            project,
            since=since,
            closely=verbose,
            parallelism=parallelism,
            listen=output.listener(progress),
        )
    output.show(out, drift_view(project, found, verbose=verbose))
    if found.unseen:
        return Exit.ERROR  # R7: what was not seen is not known to be without drift
    return Exit.CHANGES if detailed_exitcode and found.found else Exit.DONE
