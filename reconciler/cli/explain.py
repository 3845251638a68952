"""``reconciler explain``."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import console, say_diagnostics
from reconciler.cli.exits import Exit
from reconciler.cli.options import address_argument, format_option, output_options, with_options


@click.command("explain")
@with_options(address_argument, format_option, *output_options)
def explain_command(
    *,
    address: str,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Say why the plan says what it says of ADDRESS (SET/DIRECTORY_ID), and what would change that.

    Lists every live batch over its directory, whatever its job and configuration, and why each does or does
    not count. Changes nothing and takes no lock.
    """
    from reconciler.render.explain import explained_document, explained_lines

    out = console(no_color=no_color, output_format=format)
    project = api.load()
    say_diagnostics(project.warnings)
    explanation = api.explain(project, address)
    if format == "json":
        out.document(explained_document(explanation))
    else:
        out.say(explained_lines(explanation, colour=out.colour))
    return Exit.ERROR if explanation.unknown else Exit.DONE
