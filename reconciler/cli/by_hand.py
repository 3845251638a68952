"""``reconciler import``, ``lock`` and ``cancel``: the ways out that only a person can take."""

from __future__ import annotations

import sys

import click

from reconciler import api
from reconciler.cli.console import echo
from reconciler.cli.exits import Exit
from reconciler.cli.in_git import merge_command, push_command
from reconciler.cli.options import address_argument, lock_timeout_option, output_options, with_options
from reconciler.cli.question import is_yes
from reconciler.model.batch import Status
from reconciler.render.harmless import harmless


@click.command("import")
@address_argument
@click.argument("batch_id")
@with_options(lock_timeout_option, *output_options)
def import_command(*, address: str, batch_id: str, lock_timeout: float, no_color: bool) -> int:  # noqa: ARG001 - taken, and nothing here has a colour
    """Record the live batch BATCH_ID as the one that stands for ADDRESS (SET/DIRECTORY_ID)."""
    batch = api.import_batch(api.load(), address, batch_id, lock_timeout=lock_timeout)
    echo(harmless(f"Imported {batch.id} ({batch.status}) as {address}."))
    return Exit.DONE


@click.command("cancel")
@address_argument
@click.argument("batch_id", default="")
@click.option(
    "--auto-approve", is_flag=True, allow_from_autoenv=False, help="Do not ask. Without a terminal, a must."
)
@with_options(lock_timeout_option, *output_options)
def cancel_command(
    *,
    address: str,
    batch_id: str,
    auto_approve: bool,
    lock_timeout: float,
    no_color: bool,  # noqa: ARG001 - as above
) -> int:
    """Ask the service to cancel the batch that stands at ADDRESS (SET/DIRECTORY_ID).

    With BATCH_ID, another batch of the same work, such as a surplus one. The service cancels when it
    gets to it; a request whose reply is lost is not sent again, but looked after. What was cancelled is not
    created again until the manifest says so (rerun.after, or rerun.onCancelled).
    """
    if not (auto_approve or sys.stdin.isatty()):
        raise click.UsageError("without a terminal to ask on, cancel needs --auto-approve")
    project = api.load()
    question = harmless(f"Cancel {batch_id or 'the batch that stands'} at {address}? Only 'yes' is a yes")
    if not (auto_approve or is_yes(question, lambda _: None)):
        click.echo("Nothing was cancelled.", err=True)
        return Exit.ERROR
    batch, asked = api.cancel(project, address, batch_id, lock_timeout=lock_timeout)
    if batch.status is Status.CANCELLED and not asked:
        said = f"{batch.id} was cancelled already."
    elif batch.status.terminal and batch.status is not Status.CANCELLED:
        said = f"{batch.id} had ended already: {batch.status}."
    else:
        said = f"Asked for the cancel of {batch.id} ({batch.status})."
    echo(harmless(said))
    return Exit.DONE


class _LockGroup(click.Group):
    """``lock --upgrade [SET]…`` reads like cargo's and terraform's flag, and is a command like the others."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--upgrade" in args:
            args = ["upgrade", *(item for item in args if item != "--upgrade")]
        return super().parse_args(ctx, args)


@click.group("lock", cls=_LockGroup)
def lock_group() -> None:
    """Work on what the lockfile records. `lock --upgrade [SET]…` is `lock upgrade [SET]…`."""


@lock_group.command("upgrade")
@click.argument("sets", metavar="[SET]...", nargs=-1)
@with_options(lock_timeout_option, *output_options)
def upgrade_command(*, sets: tuple[str, ...], lock_timeout: float, no_color: bool) -> int:  # noqa: ARG001 - as above
    """Look up anew what names and patterns of the manifests stand for, and pin that.

    A name keeps the directory or configuration that it stood for when it was last applied. After this it
    stands for what has the name now, and the next plan shows what follows. Nothing is created.
    """
    changes = api.upgrade(api.load(), sets, lock_timeout=lock_timeout)
    for change in changes:
        echo(harmless(change))
    count = len(changes)
    click.echo(f"Pins: {count:,} changed." if count else "Pins: none changed.")
    return Exit.DONE


@lock_group.command("resolve")
@address_argument
@click.option(
    "--absent",
    is_flag=True,
    required=True,
    allow_from_autoenv=False,
    help="You have looked: what is open or gone there does not exist.",
)
@with_options(lock_timeout_option, *output_options)
def resolve_command(*, address: str, absent: bool, lock_timeout: float, no_color: bool) -> int:  # noqa: ARG001 - as above
    """Settle what is open at ADDRESS (SET/DIRECTORY_ID) by your word.

    Closes creates whose outcome is not known, and forgets recorded batches that the service answers 404
    for. The next apply may then create the batch: make sure first that it does not exist.
    """
    for sentence in api.resolve_absent(api.load(), address, lock_timeout=lock_timeout):
        echo(harmless(f"{address}: {sentence}."))
    return Exit.DONE


lock_group.add_command(merge_command)
lock_group.add_command(push_command)
