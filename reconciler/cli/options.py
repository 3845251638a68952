"""Options that several commands share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.api import PARALLELISM, READING
from reconciler.cli.console import LOG_LEVELS, start_log
from reconciler.cli.outputs import with_formats
from reconciler.model.batch import Address
from reconciler.model.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from click.shell_completion import CompletionItem

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def _log_level(_: click.Context, __: click.Parameter, level: str | None) -> None:
    if level is not None:
        start_log(level)


def _complete_target(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Sets and what is watched, and within them directories and batches that are given by id."""
    from click.shell_completion import CompletionItem

    from reconciler.api import load
    from reconciler.model.errors import ReconcilerError
    from reconciler.model.manifest import ById

    try:
        project = load()
    except (ReconcilerError, OSError):
        return []
    names = [item.name for item in project.sets] + [item.name for item in project.tracked]
    if "/" in incomplete:
        names = [
            f"{item.name}/{there.id}"
            for item in project.sets
            for there in item.directories
            if isinstance(there, ById)
        ]
        names += [f"{item.name}/{batch}" for item in project.tracked for batch in item.ids]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Read a duration such as ``30s``, ``10m`` or ``1h``, as seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,6})([smh]?)", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no duration such as 30s, 10m or 1h")
    return float(int(match[1]) * _UNITS[match[2]])


def some_duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """The same, but more than none: a run without any time would end before it had a plan."""
    seconds = duration(context, parameter, value)
    if seconds == 0:
        raise click.BadParameter(
            f"{value!r} leaves the run no time to do anything: give 1s or more, or leave the option out"
        )
    return seconds


_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_AGES = {"m": "minutes", "h": "hours", "d": "days"}


def last_moment(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """As `moment`, but that a day is meant to its end."""
    from datetime import timedelta

    time = moment(context, parameter, value)
    if time is not None and value is not None and _DAY.fullmatch(value):
        return time + timedelta(days=1, microseconds=-1)
    return time


def moment(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Read a time as RFC 3339 has it, a day in UTC, or one so long ago: ``3d``, ``12h``, ``30m``."""
    from datetime import UTC, datetime, timedelta

    if value is None:
        return None
    try:
        if match := re.fullmatch(r"(\d{1,6})([mhd])", value):
            return datetime.now(UTC) - timedelta(**{_AGES[match[2]]: int(match[1])})
        if _DAY.fullmatch(value):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        time = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        time = None
    if time is None or time.tzinfo is None:
        raise click.BadParameter(f"{value!r} is no time such as 2026-11-01T00:00:00Z, or 3d or 12h ago")
    return time.astimezone(UTC)


def _is_address(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        Address.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}; `reconciler plan --verbose` lists the addresses") from error
    return value


def _shard(_: click.Context, __: click.Parameter, value: str | None) -> Shard | None:
    try:
        return None if value is None else Shard.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


address_argument = click.argument("address", callback=_is_address)

lock_timeout_option = click.option(
    "--lock-timeout",
    callback=duration,
    default="0s",
    show_default=True,
    metavar="DURATION",
    help="Wait so long for the lock, such as 30s, 10m or 1h.",
)

timeout_option = click.option(
    "--timeout",
    callback=some_duration,
    metavar="DURATION",
    help="Let the run take so long once it has the lock, then stop cleanly and say what is open (exit 8).",
)

locked_option = click.option(
    "--locked",
    is_flag=True,
    help="Refuse a plan in which a name or a pattern stands for something else than the lockfile has.",
)

output_options = (
    click.option("--no-color", is_flag=True, help="No colour, whatever the terminal can do."),
    click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS),
        callback=_log_level,
        expose_value=False,
        help="Log to standard error, from this level on. Secrets are left out.",
    ),
)

format_option = click.option(
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="What standard output gets: text for people, or one JSON document.",
)


def _at_once(default: int, what: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--parallelism",
        type=click.IntRange(1, 256),
        default=default,
        show_default=True,
        help=f"How many {what} may be under way at once.",
    )


parallelism_option = _at_once(PARALLELISM, "creates and other requests")
reading_option = _at_once(READING, "requests")

since_option = click.option(
    "--since", callback=moment, metavar="TIME", help="Created then or later: RFC 3339, or 3d ago."
)

until_option = click.option(
    "--until",
    callback=last_moment,
    metavar="TIME",
    help="Created then or earlier; a day is meant to its end.",
)

target_option = click.option(
    "--target",
    multiple=True,
    metavar="TARGET",
    shell_complete=_complete_target,
    help="Only this SET, SET/DIRECTORY_ID or label=value; may be given several times.",
)

changed_since_option = click.option(
    "--changed-since",
    metavar="REF",
    help="Of that, only sets whose manifests have changed since git's work tree and REF parted.",
)

refresh_option = click.option(
    "--refresh",
    "refresh_all",
    type=click.Choice(["running", "all"]),
    default="running",
    show_default=True,
    callback=lambda _, __, value: value == "all",
    help="Which recorded batches to ask for again: those that may have changed, or also those that ended.",
)

shard_option = click.option(
    "--shard",
    callback=_shard,
    metavar="N/M",
    help="Of that, the N-th of M stable shares of the directories, for M workers beside each other.",
)

#: Of what plans: what to plan, and how to show it. Between them stands how many requests there are at once.
choosing_options = (target_option, changed_since_option, shard_option, locked_option, refresh_option)
showing_options = (
    click.option("--verbose", "-v", is_flag=True, help="Show also what stays as it is."),
    with_formats(),
    *output_options,
)


def with_options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Give a command several options, in the order in which its help shows them."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
