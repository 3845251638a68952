"""``reconciler results``: what became of each file."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import console, piece, say_diagnostics
from reconciler.cli.exits import of_results
from reconciler.cli.options import output_options, reading_option, with_options
from reconciler.model.watched import FileStatus
from reconciler.render.harmless import harmless


@click.command("results")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--batch",
    multiple=True,
    metavar="BATCH_ID",
    help="This recorded batch, whether it stands or not; may be given several times.",
)
@click.option("--file", default="", metavar="FILE_ID", help="Only the directory file with this id.")
@click.option("--deep", is_flag=True, help="Ask each file's job what became of it: one request a file.")
@click.option(
    "--failed",
    is_flag=True,
    help="Only what came to nothing, or could not be read. Asks the jobs, as --deep.",
)
@click.option(
    "--write-manifest",
    default="",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="With --failed: write a manifest that has the directories of files that failed processed once more.",
)
@click.option(
    "--format",
    type=click.Choice(["text", "json", "ndjson", "csv"]),
    default="text",
    help="Text for people, one JSON document, a JSON line a file, or CSV for spreadsheets.",
)
@with_options(reading_option, *output_options)
def results_command(
    *,
    targets: tuple[str, ...],
    batch: tuple[str, ...],
    file: str,
    deep: bool,
    failed: bool,
    write_manifest: str,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    parallelism: int,
    no_color: bool,
) -> int:
    """Show what became of each file of the recorded batches.

    TARGET is a SET, SET/DIRECTORY_ID, label=value, or the id of a recorded batch; without one, every batch
    that stands. A batch that is COMPLETED gave each file a job; what became of that only --deep knows, and
    records how many failed. Exits 6 if files failed, 1 if something could not be read.
    """
    from reconciler.api.outcomes import Wish
    from reconciler.render.results import closing_line, rerun_lines, sheet
    from reconciler.render.text import event_line

    if write_manifest and not failed:
        raise click.UsageError("--write-manifest is about files that failed: give --failed as well")
    if write_manifest and file:
        raise click.UsageError("a directory is processed as a whole: give --write-manifest without --file")
    out = console(no_color=no_color, output_format=format)
    project = api.load()
    say_diagnostics(project.warnings)
    page = sheet(format)
    begun = False

    def write(text: str) -> None:
        nonlocal begun
        # Only once something was read, so that an error before it leaves no half of a document.
        piece(text if begun else page.begin() + text, format)
        begun = True

    wish = Wish(targets=targets, batches=batch, file=file, deep=deep, failed=failed, manifest=write_manifest)
    read = api.results(
        project,
        lambda item: write(page.batch(item)),
        wish,
        parallelism=parallelism,
        listen=lambda event: out.note(line) if (line := event_line(event)) else None,
    )
    write(page.end(read.tally))
    if out.quiet:
        out.note(closing_line(read.tally))
    if read.tally.files.get(FileStatus.UNKNOWN, 0) > read.tally.unread_files:
        out.note("note: a file that is unknown was given a job; --deep asks what became of it.")
    if read.not_recorded:
        out.note(harmless(f"note: the counts were not recorded: {read.not_recorded}"))
    if read.rerun is not None:
        for line in rerun_lines(read.rerun, ended_badly=bool(read.tally.ended_badly)):
            out.note(line)
    return of_results(read)
