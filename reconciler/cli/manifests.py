"""``reconciler init``, ``validate`` and ``schema``: everything about the files that people write."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console, echo, say_diagnostics
from reconciler.cli.exits import Exit
from reconciler.cli.options import output_options, with_options
from reconciler.cli.outputs import VALIDATION_FORMATS, with_formats
from reconciler.cli.views import diagnostics_view
from reconciler.model.source import Severity
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from reconciler.cli.outputs import Output


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def init_command(folder: Path) -> int:
    """Write a small commented project to begin with. Overwrites nothing."""
    for name in api.init(folder):
        echo(harmless(f"wrote {name}"))
    where = "" if folder == Path() else f" --chdir {shlex.quote(str(folder))}"
    echo(harmless(f"Next: reconciler{where} plan"))
    return Exit.DONE


@click.command("validate")
@with_options(with_formats(VALIDATION_FORMATS), *output_options)
def validate_command(
    *,
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
    output: Output,
) -> int:
    """Check the project file and all manifests, without asking any service."""
    out = console(no_color=no_color, output_format=format)
    diagnostics = api.validate()
    errors = sum(1 for item in diagnostics if item.severity is Severity.ERROR)
    output.show(out, diagnostics_view(diagnostics))
    if format in ("text", "github"):
        say_diagnostics(diagnostics)
        if errors:
            out.note(f"{errors} error{'s' if errors > 1 else ''}.")
        else:
            out.say(["Valid."])
    return Exit.ERROR if errors else Exit.DONE


@click.command("schema")
@click.argument("kind", required=False)
def schema_command(kind: str | None) -> int:
    """Print the JSON Schema of KIND, for editors; without KIND, which there are."""
    if kind is None:
        click.echo("\n".join(api.schema_names()))
    else:
        click.echo(api.schema(kind), nl=False)
    return Exit.DONE
