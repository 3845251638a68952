"""``reconciler status`` and ``reconciler wait``: what stands, now, over and over, and in the end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console, say_diagnostics
from reconciler.cli.exits import of_status, of_wait
from reconciler.cli.options import (
    duration,
    format_option,
    output_options,
    reading_option,
    refresh_option,
    some_duration,
    target_option,
    with_options,
)
from reconciler.cli.outputs import with_formats
from reconciler.cli.progress import Progress
from reconciler.cli.signals import stopping
from reconciler.cli.views import status_view
from reconciler.render.harmless import harmless
from reconciler.render.status import status_lines, waited_document, waited_lines
from reconciler.render.text import event_line

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.outputs import Output
    from reconciler.model.events import Event
    from reconciler.model.project import Project
    from reconciler.model.status import StatusReport


@click.command("status")
@click.option(
    "--watch", is_flag=True, help="Show it again and again in place, until Ctrl-C. Needs a terminal."
)
@click.option(
    "--interval",
    callback=duration,
    default="5s",
    show_default=True,
    metavar="DURATION",
    help="With --watch: so long between two observations.",
)
@with_options(target_option, refresh_option, reading_option, with_formats(), *output_options)
def status_command(
    *,
    watch: bool,
    interval: float,
    target: tuple[str, ...],
    refresh_all: bool,
    parallelism: int,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
    output: Output,
) -> int:
    """Show what stands: does it match the manifests, and how is it doing? Changes nothing, takes no lock.

    Exits 1 when something could not be seen, 5 when the outcome of a create is not known, else 0.
    """
    out = console(no_color=no_color, output_format=format)
    if watch:
        if refresh_all:
            raise click.UsageError(
                "--watch asks for what may change, again and again: not with --refresh all"
            )
        if not (sys.stdout.isatty() and os.environ.get("TERM") != "dumb") or not output.plain:
            raise click.UsageError("--watch draws on a terminal; without one, run status as often as needed")
        if interval < 1:
            raise click.BadParameter("less than a second between two observations", param_hint="--interval")
    project = api.load()
    output.of(project)
    if watch:
        return _watch(project, out, target, parallelism, interval)
    with Progress(out, verbose=False).shown() as progress:
        report = api.status(
            project,
            targets=target,
            refresh_all=refresh_all,
            parallelism=parallelism,
            listen=output.listener(progress),
        )
    output.show(out, status_view(project, report))
    return of_status(report)


def _watch(project: Project, out: Console, target: tuple[str, ...], parallelism: int, interval: float) -> int:
    from reconciler.cli.frame import Frame

    frame = Frame()
    said: list[str] = []

    def listen(event: Event) -> None:
        if line := event_line(event):
            said.append(line)

    def show(report: StatusReport) -> None:
        lines = list(status_lines(report, colour=out.colour))
        frame.draw([*said, f"{report.at:%Y-%m-%d %H:%M:%S} UTC, every {interval:.0f} s", "", *lines])
        said.clear()

    with stopping(out) as stop:
        api.watch(
            project,
            show,
            interval=interval,
            stop=stop,
            targets=target,
            parallelism=parallelism,
            listen=listen,
        )
    assert stop.signal is not None  # nothing else ends it
    return 128 + stop.signal


@click.command("wait")
@click.option(
    "--timeout",
    callback=some_duration,
    metavar="DURATION",
    help="Wait no longer than this, such as 2h (exit 8).",
)
@with_options(target_option, reading_option, format_option, *output_options)
def wait_command(
    *,
    timeout: float | None,
    target: tuple[str, ...],
    parallelism: int,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Wait until every batch that is desired and recorded has ended, and read how its files fared.

    Exits 0 when all ended well, 6 when any is Degraded, 8 when the time of --timeout was up, 1 when
    something could not be learned. It can be stopped and run again at any time: what it has learned is in
    the lockfile.
    """
    out = console(no_color=no_color, output_format=format)
    project = api.load()
    say_diagnostics(project.warnings)
    with (
        stopping(out, "Stopping: what was learned is recorded. Once more stops at once.") as stop,
        Progress(out, verbose=False).shown() as progress,
    ):
        waited = api.wait(
            project, targets=target, timeout=timeout, stop=stop, parallelism=parallelism, listen=progress
        )
    out.say(waited_lines(waited))
    if waited.unrecorded:
        out.note(harmless(f"note: what was learned is not in the lockfile: {waited.unrecorded}"))
    if format == "json":
        out.document(waited_document(waited))
    return of_wait(waited)
