"""``reconciler audit``: what is asked of the audit log. Nothing here changes anything or asks a service."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import console
from reconciler.cli.exits import Exit
from reconciler.cli.options import format_option, output_options, with_options
from reconciler.render.audit import verified_document, verified_lines


@click.group("audit")
def audit_group() -> None:
    """Ask the audit log, which says who did what and why."""


@audit_group.command("verify")
@with_options(format_option, *output_options)
def verify_command(
    *,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Check that no line of the audit log was changed, dropped, moved or lost.

    Each file's lines are held against each other, and their ends against the lockfile and the files that
    follow. Exits 1 when there are faults. Asks no service, and needs no lock.
    """
    out = console(no_color=no_color, output_format=format)
    verified = api.verify_audit()
    if format == "json":
        out.document(verified_document(verified))
    else:
        out.say(verified_lines(verified))
    return Exit.ERROR if verified.faults else Exit.DONE
