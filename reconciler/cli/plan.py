"""``reconciler plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console
from reconciler.cli.exits import of_plan
from reconciler.cli.options import choosing_options, reading_option, showing_options, with_options
from reconciler.cli.progress import Progress
from reconciler.cli.views import plan_view
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from reconciler.cli.outputs import Output
    from reconciler.model.shard import Shard


@click.command("plan")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes, 0 when there are none."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the plan to FILE too, to be reviewed and given to apply, which then applies just that, once.",
)
@with_options(*choosing_options, reading_option, *showing_options)
def plan_command(
    *,
    out: str | None,
    detailed_exitcode: bool,
    target: tuple[str, ...],
    changed_since: str | None,
    shard: Shard | None,
    locked: bool,
    refresh_all: bool,
    parallelism: int,
    verbose: bool,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
    output: Output,
) -> int:
    """Show what apply would do, and why. Changes nothing and takes no lock."""
    shown = console(no_color=no_color, output_format=format)
    if out and shard:
        raise click.UsageError("a saved plan is applied whole: --out goes with no --shard")
    if out:
        api.refuse_plan_file(out)
    project = api.load()
    output.of(project, out)
    with Progress(shown, verbose=verbose).shown() as progress:
        plan = api.plan(
            project,
            targets=target,
            changed_since=changed_since,
            shard=shard,
            locked=locked,
            refresh_all=refresh_all,
            parallelism=parallelism,
            listen=output.listener(progress),
        )
    view = plan_view(project, plan, verbose=verbose)
    output.show(shown, view)
    if out:
        api.save_plan(out, view.document())
        held = plan.breaches or plan.guarded or any(item.confirmable for item in plan.refused)
        confirm = f" --confirm {plan.digest}" if held else ""
        shown.note(f"Saved the plan; to apply just this: reconciler apply {harmless(out)}{confirm}")
    return of_plan(plan, detailed=detailed_exitcode)
