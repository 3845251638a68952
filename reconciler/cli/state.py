"""``reconciler state``: where state lives, and moving it. It takes no part in planning."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import echo
from reconciler.cli.exits import Exit
from reconciler.cli.options import lock_timeout_option, output_options, with_options
from reconciler.render.harmless import harmless

_STORE = "STATE is written as in the project file: '{type: file, path: reconciler.lock}'."


@click.group("state")
def state_group() -> None:
    """Prepare the store that state lives in; move, print or replace the state."""


@state_group.command("init")
@with_options(
    click.option("--print-sql", is_flag=True, help="Print the SQL for an empty database, and do nothing."),
    click.option("--plan-role", default="", metavar="ROLE", help="Grant this role what planning needs."),
    click.option("--apply-role", default="", metavar="ROLE", help="Grant this role what applying needs."),
    *output_options,
)
def init_command(*, print_sql: bool, plan_role: str, apply_role: str, no_color: bool) -> int:  # noqa: ARG001 - taken, and nothing here has a colour
    """Make the tables that state in a database needs, or bring older ones up to this version.

    Before a change of format each state is kept in the table `backups`, and whoever is applying stops before
    the next create. What is there already stays.
    """
    if print_sql:
        click.echo(harmless_lines(api.state_sql(planner=plan_role, applier=apply_role)), nl=False)
        return Exit.DONE
    done = api.init_state(planner=plan_role, applier=apply_role)
    for sentence in done or ("Everything is there already.",):
        echo(harmless(sentence))
    return Exit.DONE


def harmless_lines(text: str) -> str:
    """A text of several lines, each made harmless."""
    return "".join(f"{harmless(line)}\n" for line in text.splitlines())


@state_group.command("migrate")
@with_options(
    click.option("--from", "source", default="", metavar="STATE", help="Where the state is. " + _STORE),
    click.option("--to", "target", default="", metavar="STATE", help="Where it is to be, likewise."),
    lock_timeout_option,
    *output_options,
)
def migrate_command(*, source: str, target: str, lock_timeout: float, no_color: bool) -> int:  # noqa: ARG001 - as above
    """Move the state from one store to another, and make sure that it has arrived.

    What is not given is what the project file says. Lineage, serial, open creates and the audit log go along.
    Both stores are locked meanwhile; the old one stays as it is.
    """
    if not (source or target):
        raise click.UsageError("say with --from where the state is, or with --to where it is to be")
    moved = api.migrate_state(source=source, target=target, lock_timeout=lock_timeout)
    echo(harmless(f"Moved {_content(moved)} from {moved.source} to {moved.target}, and read it again there."))
    then = "Have `state` in reconciler.yaml say so now" if target else "reconciler.yaml says so already"
    echo(harmless(f"{then}; {moved.source} is as it was, and is not to be applied from any more."))
    return Exit.DONE


@state_group.command("pull")
@with_options(*output_options)
def pull_command(*, no_color: bool) -> int:  # noqa: ARG001 - as above
    """Print the state as a lockfile, wherever it lives. Nothing is locked."""
    pulled = api.pull_state()
    click.echo(pulled.text.decode(), nl=False)
    if pulled.left:
        creates = "1 create is" if pulled.left == 1 else f"{pulled.left:,} creates are"
        echo(f"Note: {creates} in the journal alone, and not in this.", err=True)
    return Exit.DONE


@state_group.command("push")
@click.argument("file", type=click.Path(dir_okay=False))
@with_options(
    click.option(
        "--force",
        is_flag=True,
        allow_from_autoenv=False,
        help="Also one of another lineage, or one that is not newer than what stands.",
    ),
    lock_timeout_option,
    *output_options,
)
def push_command(*, file: str, force: bool, lock_timeout: float, no_color: bool) -> int:  # noqa: ARG001 - as above
    """Have the lockfile FILE stand as the state; what stood there is kept as a backup.

    It has to be of the same lineage and newer. Open creates stay open; the next apply is cold, and looks
    twice before it creates anything.
    """
    moved = api.push_state(file, force=force, lock_timeout=lock_timeout)
    if not moved.changed:
        echo(harmless(f"Nothing to push: {moved.target} has it already, with serial {moved.serial}."))
        return Exit.DONE
    echo(harmless(f"Pushed {_content(moved)} to {moved.target}."))
    return Exit.DONE


def _content(moved: api.Moved) -> str:
    entries = f"{moved.entries:,} entr{'y' if moved.entries == 1 else 'ies'}"
    opened = f" and {moved.intents:,} open create{'' if moved.intents == 1 else 's'}" if moved.intents else ""
    return f"{entries}{opened} (serial {moved.serial})"
