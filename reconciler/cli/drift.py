"""``reconciler drift``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console, say_diagnostics
from reconciler.cli.exits import Exit
from reconciler.cli.options import (
    format_option,
    output_options,
    parallelism_option,
    since_option,
    with_options,
)
from reconciler.cli.progress import Progress

if TYPE_CHECKING:
    from datetime import datetime


@click.command("drift")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there is drift, 0 when there is none.")
@with_options(since_option, parallelism_option)
@click.option("--verbose", "-v", is_flag=True, help="Show also what nobody can act on.")
@with_options(format_option, *output_options)
def drift_command(
    *,
    detailed_exitcode: bool,
    since: datetime | None,
    parallelism: int,
    verbose: bool,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Show what is live and not desired, and what is recorded and gone, different or there twice.

    Looks at everything in the projects that the manifests and the lockfile name. Only what somebody can act
    on is drift; a missing batch, or one to adopt, is for `plan`. Changes nothing and takes no lock.
    """
    from reconciler.render.drift import drift_document, drift_lines

    out = console(no_color=no_color, output_format=format)
    project = api.load()
    say_diagnostics(project.warnings)
    with Progress(out, verbose=verbose).shown() as progress:
        found = api.drift(project, since=since, closely=verbose, parallelism=parallelism, listen=progress)
    if format == "json":
        out.document(drift_document(found, verbose=verbose))
    else:
        out.say(drift_lines(found, verbose=verbose, colour=out.colour))
    if found.unseen:
        return Exit.ERROR  # R7: what was not seen is not known to be without drift
    return Exit.CHANGES if detailed_exitcode and found.found else Exit.DONE
