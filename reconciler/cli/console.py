"""The two streams, and how much a person can be shown on them: colour, a moving bar, a log."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.errors import ReconcilerError
    from reconciler.model.source import Diagnostic

LOG_LEVELS = ("error", "warning", "info", "debug")


@dataclass(frozen=True, slots=True)
class Console:
    """Standard output for what was asked for, standard error for everything else.

    Attributes:
        colour: whether marks are coloured.
        live: whether standard error is a terminal on which lines may move.
        quiet: whether standard output belongs to a document, so that people's text goes to the other.
    """

    colour: bool
    live: bool
    quiet: bool = False

    def say(self, lines: Iterable[str]) -> None:
        """People's text: on standard output, unless that belongs to a document.

        It goes out as one: a system call for each line of a long plan takes longer than to make the lines.
        """
        if said := list(map(_no_command, lines)):
            click.echo("\n".join(said), err=self.quiet)

    def note(self, line: str) -> None:
        """Something beside what was asked for."""
        echo(line, err=True)

    def document(self, value: object) -> None:
        """A JSON document on standard output."""
        click.echo(json_text(value))

    def line(self, value: object) -> None:
        """A JSON document on one line of standard output, out at once: more may come much later."""
        click.echo(json_line(value))


def echo(line: str, *, err: bool = False) -> None:
    """A line for people."""
    click.echo(_no_command(line), err=err)


def _no_command(line: str) -> str:
    """The line, which in GitHub's runner may not be one that gives the runner a command."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return line
    from reconciler.render.github import unforgeable

    return unforgeable(line)


def piece(text: str, form: str) -> None:
    """A part of what standard output gets, in this form: its line ends are its own."""
    if form in ("json", "ndjson"):
        text = _no_command_in_json(text)
    else:
        text = "\n".join(_no_command(line) for line in text.split("\n"))
    click.echo(text, nl=False)


def json_text(value: object, indent: int | None = 2) -> str:
    """A JSON document. ASCII only: names from a service may hold what moves a cursor, or half a character."""
    import json

    return _no_command_in_json(json.dumps(value, indent=indent))


def _no_command_in_json(text: str) -> str:
    # GitHub's runner takes this for a command wherever it stands; in a string it can be written otherwise.
    return text.replace("##[", "#\\u0023[")


def json_line(value: object) -> str:
    """The same on one line."""
    return json_text(value, None)


def console(*, no_color: bool, output_format: str) -> Console:
    """What the streams of this process can show.

    ``NO_COLOR``, ``CI``, ``TERM=dumb`` and a pipe are honoured.
    """
    plain = no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    moving = _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
    quiet = output_format != "text"
    stream = sys.stderr if quiet else sys.stdout
    return Console(colour=_is_terminal(stream) and not plain, live=moving, quiet=quiet)


def _is_terminal(stream: TextIO | None) -> bool:
    """A stream that was closed before the start is None."""
    return stream is not None and stream.isatty()


def say_error(error: ReconcilerError) -> None:
    """An error for a person: what, where, why, and the next command."""
    from reconciler.model.errors import ManifestError

    if isinstance(error, ManifestError):
        say_diagnostics(error.diagnostics)
        return
    head = f"{error.where}: {error.what}" if error.where else error.what
    echo(f"Error: {harmless(head)}", err=True)
    if error.why:
        echo(f"  why: {harmless(error.why)}", err=True)
    if error.next:
        echo(f"  next: {harmless(error.next)}", err=True)


def say_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Diagnostics, a line each, as editors and CI read them."""
    for item in diagnostics:
        echo(harmless(str(item)), err=True)


def start_log(level: str) -> None:
    """Have the log on standard error, from this level on. What it quotes of services is made harmless."""
    import logging

    from reconciler.cli.defect import without_values

    class Harmless(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return _no_command(harmless(super().format(record)))

        def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - logging's signature
            return without_values(super().formatException(ei), os.environ)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Harmless("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("reconciler")
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
