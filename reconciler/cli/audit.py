"""``reconciler audit``: what is asked of the audit log, and who vouches for it.

Nothing here changes the log; only `why` may ask a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler import api
from reconciler.cli.console import console, piece
from reconciler.cli.exits import Exit
from reconciler.cli.options import format_option, last_moment, moment, output_options, with_options
from reconciler.render.audit import verified_document, verified_lines
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from datetime import datetime

_folder_option = click.option(
    "--folder",
    metavar="DIR",
    default="",
    type=click.Path(file_okay=False),
    help="A copy of the audit files, without its project: no project file is read.",
)

_lockfile_option = click.option(
    "--lockfile",
    metavar="FILE",
    default="",
    type=click.Path(dir_okay=False),
    help="With --folder: the lockfile that belongs to the copy.",
)


@click.group("audit")
def audit_group() -> None:
    """Ask the audit log, which says who did what and why."""


@audit_group.command("verify")
@with_options(
    _folder_option,
    _lockfile_option,
    click.option(
        "--public-key",
        multiple=True,
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="Hold the signatures against this key, and every line against them; may be given several times.",
    ),
    click.option(
        "--checkpoint",
        multiple=True,
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="With --public-key: a signed checkpoint that was kept elsewhere; may be given several times.",
    ),
    format_option,
    *output_options,
)
def verify_command(
    *,
    folder: str,
    lockfile: str,
    public_key: tuple[str, ...],
    checkpoint: tuple[str, ...],
    format: str,  # noqa: A002 - the option's name, which its environment variable has too
    no_color: bool,
) -> int:
    """Check that no line of the audit log was changed, dropped, moved or lost.

    Each file's lines are held against each other, their ends and the batches that they say were created
    against the lockfile, and with --public-key everything against signatures. Says what would have shown and
    what would not. Exits 1 when there are faults. Asks no service, and needs no lock.
    """
    out = console(no_color=no_color, output_format=format)
    place = _place(folder, lockfile, public_keys=public_key, checkpoints=checkpoint)
    verified = api.verify_audit(place)
    if format == "json":
        out.document(verified_document(verified))
    else:
        out.say(verified_lines(verified))
    return Exit.ERROR if verified.faults else Exit.DONE


@audit_group.command("log")
@with_options(
    click.option("--since", callback=moment, metavar="TIME", help="Done then or later: RFC 3339, or 3d ago."),
    click.option(
        "--until",
        callback=last_moment,
        metavar="TIME",
        help="Done then or earlier, likewise; a day is meant to its end.",
    ),
    click.option(
        "--actor",
        multiple=True,
        metavar="WHO",
        help="Done by this one: all of NAME <ADDRESS>, or either; several may be given, of all filters.",
    ),
    click.option("--set", "sets", multiple=True, metavar="SET", help="About this set's addresses."),
    click.option("--batch", multiple=True, metavar="BATCH_ID", help="About this batch."),
    click.option("--action", multiple=True, metavar="ACTION", help="Of this kind, such as create or cancel."),
    _folder_option,
    click.option(
        "--format",
        type=click.Choice(["text", "json", "csv"]),
        default="text",
        help="Text for people, one JSON document, or CSV for spreadsheets.",
    ),
    *output_options,
)
def log_command(
    *,
    since: datetime | None,
    until: datetime | None,
    actor: tuple[str, ...],
    sets: tuple[str, ...],
    batch: tuple[str, ...],
    action: tuple[str, ...],
    folder: str,
    format: str,  # noqa: A002 - as above
    no_color: bool,  # noqa: ARG001 - every command takes it
) -> int:
    """Show who did what, sorted by time, as it is read.

    Asks no service, and needs no lock. Exits 1 when lines could not be read.
    """
    from reconciler.model.audit import Asked, Told
    from reconciler.render.audit_log import closing_line, log_sheet

    asked = Asked(
        since=since,
        until=until,
        actors=frozenset(actor),
        sets=frozenset(sets),
        batches=frozenset(batch),
        actions=frozenset(action),
    )
    sheet = log_sheet(format)
    begun = False

    def write(text: str) -> None:
        nonlocal begun
        # Only once something was read, so that an error before it leaves no half of a document.
        piece(text if begun else sheet.begin() + text, format)
        begun = True

    def show(told: Told) -> None:
        write(sheet.line(told))

    read = api.read_audit(show, asked, _place(folder))
    write(sheet.end(read))
    if format != "text":
        click.echo(closing_line(read), err=True)
    return Exit.ERROR if read.unread else Exit.DONE


@audit_group.command("why")
@click.argument("thing", metavar="BATCH|FILE_ID|JOB_ID")
@with_options(_folder_option, format_option, *output_options)
def why_command(
    *,
    thing: str,
    folder: str,
    format: str,  # noqa: A002 - as above
    no_color: bool,
) -> int:
    """Walk back from a batch to the plan, the commit, and who ran and who approved it.

    A file's or a job's id is looked for among the files of all recorded batches: that asks the services,
    since the audit log knows batches only. Of a copy (--folder), only batches are known.
    """
    from reconciler.render.audit_log import story_document, story_lines
    from reconciler.render.text import event_line

    out = console(no_color=no_color, output_format=format)
    story = api.why(
        thing,
        _place(folder),
        listen=lambda event: out.note(line) if (line := event_line(event)) else None,
    )
    if format == "json":
        out.document(story_document(story))
    else:
        out.say(story_lines(story))
    return Exit.DONE if story.lines and not story.unread else Exit.ERROR


@audit_group.command("keygen")
@click.argument("file", type=click.Path(dir_okay=False))
@with_options(*output_options)
def keygen_command(*, file: str, no_color: bool) -> int:
    """Make a pair of keys: FILE for who signs, readable by you alone, and FILE.pub for who verifies.

    With RECONCILER_AUDIT_KEY set to FILE or to its text, each run signs what it wrote. No file is
    overwritten.
    """
    out = console(no_color=no_color, output_format="text")
    public, digest = api.generate_audit_keys(file)
    out.say([harmless(f"Wrote {file} (keep it secret) and {public} (give it to who verifies).")])
    out.say([f"Key: {digest}"])
    return Exit.DONE


@audit_group.command("checkpoint")
@with_options(
    click.option(
        "--out",
        metavar="FILE",
        default="",
        type=click.Path(dir_okay=False),
        help="Where to write it; beside the audit files by default. Keep a copy where nobody can change it.",
    ),
    _folder_option,
    _lockfile_option,
    *output_options,
)
def checkpoint_command(*, out: str, folder: str, lockfile: str, no_color: bool) -> int:
    """Sign the ends of all audit files with the key in RECONCILER_AUDIT_KEY, if they are sound.

    Whoever has the public key can then tell that nothing up to here was rewritten.
    """
    screen = console(no_color=no_color, output_format="text")
    verified, path, heads = api.checkpoint_audit(_place(folder, lockfile), out=out)
    if path is None:
        screen.say(verified_lines(verified))
        screen.note("Nothing was signed.")
        return Exit.ERROR
    screen.say([harmless(f"Wrote {path}: {heads} {'head' if heads == 1 else 'heads'} signed.")])
    return Exit.DONE


def _place(
    folder: str,
    lockfile: str = "",
    *,
    public_keys: tuple[str, ...] = (),
    checkpoints: tuple[str, ...] = (),
) -> api.AuditPlace:
    if lockfile and not folder:
        raise click.UsageError("a project has its own lockfile: give --lockfile with --folder")
    return api.AuditPlace(copy=folder, lockfile=lockfile, public_keys=public_keys, checkpoints=checkpoints)
