"""``reconciler plan``."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import console, say_diagnostics
from reconciler.cli.exits import of_plan
from reconciler.cli.options import planning_options, with_options
from reconciler.cli.progress import Progress
from reconciler.render.json import plan_document
from reconciler.render.text import plan_lines


@click.command("plan")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes, 0 when there are none."
)
@with_options(*planning_options)
def plan_command(
    *,
    detailed_exitcode: bool,
    target: tuple[str, ...],
    locked: bool,
    parallelism: int,
    verbose: bool,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Show what apply would do, and why. Changes nothing and takes no lock."""
    out = console(no_color=no_color, output_format=format)
    project = api.load()
    say_diagnostics(project.warnings)
    with Progress(out, verbose=verbose).shown() as progress:
        plan = api.plan(project, targets=target, locked=locked, parallelism=parallelism, listen=progress)
    if format == "json":
        out.document(plan_document(plan))
    else:
        out.say(plan_lines(plan, verbose=verbose, colour=out.colour))
    return of_plan(plan, detailed=detailed_exitcode)
