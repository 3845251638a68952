"""``reconciler report``: one page that people look at."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console, say_diagnostics
from reconciler.cli.exits import of_report
from reconciler.cli.options import output_options, reading_option, with_options
from reconciler.cli.progress import Progress
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from reconciler.model.report import Report


@click.command("report")
@click.option(
    "--out",
    metavar="FILE",
    default="report.html",
    show_default=True,
    help="Write it there; what is there already is replaced only if it is one.",
)
@click.option(
    "--plan",
    "plan_file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Show this saved plan instead of the one that is made now.",
)
@click.option("--offline", is_flag=True, help="Ask no service: only the lockfile and the audit log.")
@click.option(
    "--failed-files",
    is_flag=True,
    help="Ask for the names of files that failed: one request for each file of their batches.",
)
@with_options(reading_option, *output_options)
def report_command(
    *,
    out: str,
    plan_file: str | None,
    offline: bool,
    failed_files: bool,
    parallelism: int,
    no_color: bool,
) -> int:
    """Write a page of HTML: what stands, what ran and by whom, what would follow, each batch's story.

    The file needs nothing beside itself, in any browser. Sets, figures and runs lead to the batches behind
    them; these are sorted, filtered and opened by mouse or keyboard, and print as they are filtered. Takes no
    lock and creates nothing. Exits 1 when something could not be seen or read, 5 when the outcome of a create
    is not known.
    """
    from reconciler.cli.into import Into
    from reconciler.cli.outputs import refuse_own
    from reconciler.render.report import SIGN, report_html

    if offline and failed_files:
        raise click.UsageError("--failed-files asks the services, and --offline does not")
    if out in ("", "-"):
        raise click.UsageError("--out takes a file: a page is for a browser")
    shown = console(no_color=no_color, output_format="text")
    project = api.load()
    with contextlib.closing(Into("--out", out, SIGN.encode())) as file:
        refuse_own(project, [file], plan_file)
        say_diagnostics(project.warnings)
        saved = None if plan_file is None else api.read_plan(plan_file)
        with Progress(shown, verbose=False).shown() as progress:
            report = api.report(
                project,
                saved=saved,
                offline=offline,
                failed_files=failed_files,
                parallelism=parallelism,
                listen=progress,
            )
        file.write(report_html(report))
    shown.say([harmless(f"Wrote {out}: {_told(report)}")])
    return of_report(report)


def _told(report: Report) -> str:
    batches, runs = len(report.stories), len(report.runs)
    return f"{batches:,} {'batch' if batches == 1 else 'batches'}, {runs:,} {'run' if runs == 1 else 'runs'}."
