"""The group of commands, and the one place where an exception becomes a message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal

import click

from reconciler import __version__
from reconciler.cli.commands import COMMANDS
from reconciler.cli.console import echo, say_error
from reconciler.cli.exits import Exit, of_error
from reconciler.model.errors import ReconcilerError
from reconciler.render.harmless import harmless


@click.group(
    commands=COMMANDS,
    context_settings={"auto_envvar_prefix": "RECONCILER", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
@click.option("--chdir", metavar="DIR", type=click.Path(file_okay=False), help="Work in this folder.")
def cli(chdir: str | None) -> None:
    """Plan and apply for batches of document processing.

    `plan` compares what the manifests ask for with the live batches; `apply` creates only the missing ones.
    """
    if chdir is not None:
        try:
            os.chdir(chdir)
        except OSError as error:
            raise click.UsageError(f"--chdir {chdir}: {error.strerror}") from error


# What files and services say is mapped where it happens; what arrives as these is about the output.
_OUTPUT_FAULTS = frozenset({errno.ENOSPC, errno.EIO, errno.EBADF, errno.EPIPE})


def run_command() -> int:
    """Run the command line of this process and give its exit code."""
    # What a plan is made of lives until the end. Looking for garbage in it over and over takes a third of
    # the time of a plan of 100,000 batches, and finds none; with two million new objects, none is looked for.
    gc.set_threshold(2_000_000, 50, 1000)
    try:
        code = cli.main(prog_name="reconciler", standalone_mode=False)
    except click.exceptions.Abort as error:
        click.echo("Stopped at once; the journal covers what was in flight. Run apply again.", err=True)
        return 128 + _signal_of(error)
    except click.ClickException as error:
        _say_usage(error)
        return Exit.USAGE
    except ReconcilerError as error:
        say_error(error)
        return of_error(error)
    except OSError as error:
        if error.errno not in _OUTPUT_FAULTS:
            return _defect(error)
        with contextlib.suppress(OSError):
            click.echo(f"Error: the output cannot be written: {error.strerror or error}", err=True)
        return Exit.ERROR
    except Exception as error:  # noqa: BLE001 - a traceback is a defect, and this says so
        return _defect(error)
    return code if isinstance(code, int) else Exit.DONE


def _signal_of(error: BaseException) -> int:
    """The signal that ended the command: what was raised for it bears its number."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt) and cause.args and isinstance(cause.args[0], int):
            return cause.args[0]
        cause = cause.__cause__ or cause.__context__
    return signal.SIGINT


def _say_usage(error: click.ClickException) -> None:
    """As click says it, which may repeat words of the command line as they are."""
    import io

    said = io.StringIO()
    error.show(said)
    if isinstance(error, click.NoSuchOption) and error.option_name == "--chdir":
        said.write("  next: --chdir DIR stands before the command: reconciler --chdir DIR plan\n")
    for line in said.getvalue().splitlines():
        echo(harmless(line), err=True)


def _defect(error: Exception) -> int:
    import logging

    from reconciler.cli.defect import in_full, in_short

    echo(f"Error: a defect in reconciler: {in_short(error, os.environ)}", err=True)
    click.echo(
        "  next: please report it with the command that you ran; --log-level debug shows where", err=True
    )
    for line in in_full(error, os.environ):
        logging.getLogger("reconciler").debug("%s", line)
    return Exit.ERROR
