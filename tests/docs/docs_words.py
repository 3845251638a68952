"""Whether reconciler has a command line: its commands, options and arguments are read, and nothing is run.

Words in capitals (`ADDRESS`), in brackets (`[SET]…`) and with bars stand for what readers put there.
"""

from __future__ import annotations

import os
import re
import shlex
from unittest import mock

import click

from reconciler.cli.main import cli

_PLACE = re.compile(r"[A-Z][A-Z_|]*$|\$|%|\.\.\.|…")


def command_lines(text: str) -> list[str]:
    """The `reconciler` commands of a block or of code in running text, with what follows them on the line."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        starts = re.finditer(r"(?:^|(?<=[\s(`]))reconciler (?=[a-z-])", line)
        found += [line[start.start() :].partition("`")[0] for start in starts]
    return found


def words(line: str) -> list[str]:
    """Of a command line, up to where a shell has it end."""
    # What may be left out is given, and what may be given several times, once.
    line = re.sub(r"\[([^\[\]]*)\]…?", r"\1", line).replace("…", "X").replace("\\|", "|")
    lexer = shlex.shlex(
        re.sub(r"\b([A-Z_]+)(?:\|[A-Z_]+)+\b", r"\1", line), posix=True, punctuation_chars=True
    )
    lexer.whitespace_split = True
    found = []
    for word in lexer:
        if not set(word) - set("();<>|&"):
            break
        found.append(word)
    return found


def with_places_filled(line: str, places: dict[str, str]) -> str:
    """A command line of running text as somebody types it: what stands for something is replaced by that."""
    filled = []
    for word in words(line):
        for place, there in places.items():
            word = re.sub(rf"\b{place}\b", there, word)  # noqa: PLW2901 - one after the other
        filled.append(word)
    return shlex.join(filled)


def commands() -> frozenset[str]:
    """The words that reconciler has for its commands."""
    return frozenset(cli.commands)


def options() -> frozenset[str]:
    """The long options of all commands."""
    return frozenset(
        name
        for command in _all(cli)
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    ) | {"--help", "--upgrade"}  # of `lock`, which takes the word apart itself


def _all(group: click.Group) -> list[click.Command]:
    found: list[click.Command] = [group]
    for command in group.commands.values():
        found += _all(command) if isinstance(command, click.Group) else [command]
    return found


def fault(line: str) -> str | None:
    """What reconciler would say against this line's words; None where it would run it."""
    try:
        found = words(line)
    except ValueError as error:
        return str(error)
    with mock.patch.dict(os.environ, {}, clear=True):
        return _fault(cli, None, found[0], found[1:])


def _fault(command: click.Command, parent: click.Context | None, name: str, words: list[str]) -> str | None:
    try:
        context = command.make_context(name, list(words), parent=parent)
        if not isinstance(command, click.Group):
            return None
        # Where the subcommand stands hangs on click's version; from 9 on it is in args.
        first = vars(context).get("_protected_args") or vars(context).get("protected_args") or []
        known, found, rest = command.resolve_command(context, [*first, *context.args])
        assert found is not None
        return _fault(found, context, known or "", rest)
    except click.exceptions.Exit:  # --help and --version
        return None
    except click.MissingParameter as error:
        return None if not words else error.format_message()
    except click.BadParameter as error:
        # What stands for something need not be one; what is missing as a file may be there in the session.
        is_place = any(_PLACE.search(word) for word in words)
        return None if is_place or "does not exist" in error.message else error.format_message()
    except click.exceptions.NoArgsIsHelpError:
        return None
    except click.UsageError as error:
        return error.format_message()
