"""``reconciler list``: live batches, whoever made them, and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console, say_diagnostics
from reconciler.cli.exits import Exit
from reconciler.cli.options import (
    output_options,
    reading_option,
    since_option,
    until_option,
    with_options,
)
from reconciler.cli.progress import Progress
from reconciler.cli.signals import stopping
from reconciler.model.batch import JobType, Status
from reconciler.model.listed import Filters
from reconciler.model.project import creates
from reconciler.render.harmless import harmless
from reconciler.render.listed import Lines, listed_document, listed_item, missed_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.cli.console import Console
    from reconciler.model.listed import Listed, Missed


@click.command("list")
@click.option(
    "--provider", multiple=True, metavar="NAME", help="Only this provider; may be given several times."
)
@click.option("--directory", metavar="ID", help="Only batches over this source directory.")
@click.option(
    "--status",
    type=click.Choice([item.value for item in Status if item is not Status.OTHER], case_sensitive=False),
    help="Only batches with this status.",
)
@with_options(since_option, until_option)
@click.option("--job", type=click.Choice([item.value for item in JobType]), help="Only this job type.")
@click.option("--configuration", metavar="ID", help="Only this configuration.")
@click.option(
    "--format",
    type=click.Choice(["text", "json", "ndjson"]),
    default="text",
    help="What standard output gets: text for people, one JSON document, or one JSON object a line.",
)
@with_options(reading_option, *output_options)
def list_command(
    *,
    provider: tuple[str, ...],
    directory: str | None,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    job: str | None,
    configuration: str | None,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    parallelism: int,
    no_color: bool,
) -> int:
    """List live batches, whoever made them, and the address that each belongs to, or - for nobody's.

    What the service can filter it filters; the rest is done here. Batches are shown as they come; what
    could not be listed is an error in the end (exit 1).
    """
    if since and until and since > until:
        raise click.UsageError("--since is later than --until")
    out = console(no_color=no_color, output_format=format)
    project = api.load()
    say_diagnostics(project.warnings)
    filters = Filters(
        directory,
        Status(status.upper()) if status else None,
        since,
        until,
        JobType(job) if job else None,
        configuration,
    )
    shown = _Shown(out, format)
    with stopping(out) as stop, Progress(out, verbose=False).shown() as progress:
        missed = api.browse(
            project,
            shown.page,
            filters,
            providers=provider,
            stop=stop,
            parallelism=parallelism,
            listen=progress,
        )
    if stop.signal is not None:
        return 128 + stop.signal
    if not any(creates(spec) for spec in project.file.providers.values()):
        out.note("note: all providers form batches by themselves; `reconciler status` shows what is watched")
    return shown.end(missed)


class _Shown:
    """What is shown, as it comes."""

    def __init__(self, out: Console, output_format: str) -> None:
        self._out = out
        self._format = output_format
        self._lines = Lines()
        self._all: list[Listed] = []

    def page(self, listed: Sequence[Listed]) -> None:
        """Some more batches."""
        match self._format:
            case "text":
                self._out.say(self._lines.of(listed))
            case "ndjson":
                for item in listed:
                    self._out.line(listed_item(item))
            case _:
                self._all += listed

    def end(self, missed: Sequence[Missed]) -> Exit:
        """That was all, or all that could be had."""
        match self._format:
            case "text":
                self._out.say([self._lines.closing(missed)])
            case "json":
                self._out.document(listed_document(self._all, missed))
        for item in missed:
            self._out.note(harmless(f"Error: {missed_text(item)}"))
        return Exit.ERROR if missed else Exit.DONE
