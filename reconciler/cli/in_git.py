"""``reconciler lock merge`` and ``lock push``: the lockfile where branches meet."""

from __future__ import annotations

import click

from reconciler import api
from reconciler.cli.console import echo
from reconciler.cli.exits import Exit
from reconciler.cli.options import lock_timeout_option, output_options, with_options
from reconciler.render.harmless import harmless
from reconciler.render.pushed import pushed_lines

_SIDES = (3, 4)


@click.command("merge")
@click.argument("files", metavar="[BASE OURS THEIRS [PATH]]", nargs=-1)
@click.option("--install", is_flag=True, help="Have git merge the project's lockfile with this command.")
@with_options(*output_options)
def merge_command(*, files: tuple[str, ...], install: bool, no_color: bool) -> int:  # noqa: ARG001 - taken, and nothing here has a colour
    """Merge two lockfiles, as a merge driver of git: %O %A %B %P.

    The result is written to OURS. Both sides' entries are kept, and of one batch the later observation.
    Exits 1 where the two recorded different batches for the same work; OURS then has conflict marks, and
    every command refuses it until they are gone.

    With --install alone, git is told to use it: by .gitattributes, and by a setting of this clone.
    """
    if install:
        if files:
            raise click.UsageError("--install takes no files")
        done = api.install_merge_driver()
        for sentence in done or ("git merges the lockfile with this command already.",):
            echo(harmless(sentence))
        return Exit.DONE
    if len(files) not in _SIDES:
        raise click.UsageError("give BASE OURS THEIRS, and PATH for messages; or --install")
    base, ours, theirs, *shown = files
    note = api.merge_lock(base, ours, theirs, shown=shown[0] if shown else "")
    if note:
        echo(harmless(f"Note: {note}."), err=True)
    return Exit.DONE


@click.command("push")
@click.option("--message", "-m", default="", metavar="TEXT", help="The commit's message.")
@click.option("--remote", default="origin", show_default=True, metavar="NAME", help="Where to push to.")
@click.option(
    "--branch", default="", metavar="NAME", help="Its branch; by default the one that is checked out."
)
@with_options(lock_timeout_option, *output_options)
def push_command(*, message: str, remote: str, branch: str, lock_timeout: float, no_color: bool) -> int:  # noqa: ARG001 - as above
    """Commit the lockfile and the audit log, and push them.

    Nothing else of the work tree is committed. Where the remote has moved, the lockfile is merged with what
    it has by then, a bounded number of times. In the end the remote is asked whether it has it.
    """
    pushed = api.push_lock(message=message, remote=remote, branch=branch, lock_timeout=lock_timeout)
    for line in pushed_lines(pushed):
        echo(line)
    if pushed.note:
        echo(harmless(f"Note: {pushed.note}."), err=True)
    return Exit.DONE
