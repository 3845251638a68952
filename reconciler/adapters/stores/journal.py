"""The journal's text: one note a line, each behind its checksum; for recovery only (C3, C9).

A run appends; what a crash left torn at the end was never durable, so nothing had been sent for it, and
it is dropped. A damaged line anywhere else is an error: the journal is the only witness of a lost reply.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.adapters.stores.text import (
    Malformed,
    as_bytes,
    intent_from_json,
    intent_to_json,
    settled_from_json,
    settled_to_json,
)
from reconciler.model.canonical import canonical
from reconciler.model.errors import StateError
from reconciler.model.intent import Intent, Settled

if TYPE_CHECKING:
    from reconciler.model.lock import Entry


@dataclass(frozen=True, slots=True)
class Opened:
    """A run took the lock. Who it is stands here for those who wait."""

    run: str
    holder: str
    at: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A run ended with nothing open; the lockfile then had this digest (C2)."""

    lockfile: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The lockfile was written with this digest, so the entries noted above this line are in it.

    Without it an intent that stays open would bring those entries back in every later run, over what has
    been moved, forgotten or created since.
    """

    lockfile: str


@dataclass(frozen=True, slots=True)
class Belongs:
    """Whose journal this is: the lockfile's lineage. Beside a lockfile of another, it says nothing."""

    lineage: str


Note = Opened | Closed | Committed | Belongs | Intent | Settled


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal as read.

    Attributes:
        open: intents without an end, oldest first.
        recovered: entries that were recorded since the lockfile was last written, oldest first.
        closed: the digest in the closing line, if that is the last line.
        holder: who opened it last, or "".
        lineage: of the lockfile that it belongs to, or "" when it does not say.
        size: how many bytes of it are whole lines.
    """

    open: tuple[Intent, ...] = ()
    recovered: tuple[Entry, ...] = ()
    closed: str | None = None
    holder: str = ""
    lineage: str = ""
    size: int = 0


def write_note(note: Note) -> bytes:
    """One line."""
    match note:
        case Opened(run, holder, at):
            fields: dict[str, Any] = {"note": "opened", "run": run, "holder": holder, "at": at}
        case Closed(lockfile):
            fields = {"note": "closed", "lockfile": lockfile}
        case Committed(lockfile):
            fields = {"note": "committed", "lockfile": lockfile}
        case Belongs(lineage):
            fields = {"note": "belongs", "lineage": lineage}
        case Intent():
            fields = intent_to_json(note)
        case Settled():
            fields = settled_to_json(note)
    text = as_bytes(canonical(fields))
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_journal(content: bytes, file: str) -> Journal:
    """Everything that the notes amount to.

    Raises:
        StateError: a line other than a torn last one is damaged.
    """
    open_intents: dict[str, Intent] = {}
    recovered: list[Entry] = []
    closed, holder, lineage, size = None, "", "", 0
    lines = content.split(b"\n")
    # What follows the last line break is empty, or torn: the sync that it waited for never came back.
    for number, line in enumerate(lines[:-1], 1):
        note = _read_note(line, f"{file}:{number}")
        size += len(line) + 1
        closed = None
        match note:
            case Opened():
                holder = f"{note.holder} since {note.at}"
            case Closed():
                closed, open_intents, recovered = note.lockfile, {}, []
            case Committed():
                recovered = []
            case Belongs():
                lineage = note.lineage
            case Intent():
                open_intents[note.id] = note
            case Settled():
                open_intents.pop(note.intent, None)
                if note.entry is not None:
                    recovered.append(note.entry)
    if _is_note(lines[-1][:-1]):  # a torn line is shorter, so this one was whole and may have been acted on
        raise _damaged("something else stands for the line break", f"{file}:{len(lines)}")
    return Journal(tuple(open_intents.values()), tuple(recovered), closed, holder, lineage, size)


def _damaged(what: str, where: str) -> StateError:
    return StateError(f"the journal is damaged: {what}", where=where, next=_DAMAGED)


_DAMAGED = (
    "It is the only witness of creates whose reply was lost: restore it from a backup; or delete it, and the "
    "next apply is cold: it waits a settle time and looks twice before it creates anything"
)


class _Unheard(Malformed):
    """A sound note of a kind that this version does not know."""


def _is_note(line: bytes) -> bool:
    checksum, _, text = line.partition(b" ")
    return checksum == b"%08x" % zlib.crc32(text)


def _read_note(line: bytes, where: str) -> Note:
    try:
        return _parse_note(line)
    except _Unheard as error:
        raise StateError(
            f"{error} is not known",
            where=where,
            why="its checksum fits, so a newer version of reconciler wrote it",
            next="Upgrade: pip install --upgrade batch-reconciler",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error), where) from error


def _parse_note(line: bytes) -> Note:
    text = line.partition(b" ")[2]
    if not _is_note(line):
        raise Malformed("the checksum does not fit the line")
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise Malformed("the note is no object")
    match fields.get("note"):
        case "opened":
            return Opened(**_texts(fields, {"run", "holder", "at"}))
        case "closed":
            return Closed(**_texts(fields, {"lockfile"}))
        case "committed":
            return Committed(**_texts(fields, {"lockfile"}))
        case "belongs":
            return Belongs(**_texts(fields, {"lineage"}))
        case "intent":
            return intent_from_json(fields)
        case "settled":
            return settled_from_json(fields)
        case str(other):
            raise _Unheard(f"a note of the kind {other!r}")
        case other:
            raise Malformed(f"note {other!r} is no kind of note")


def _texts(fields: dict[str, Any], names: set[str]) -> dict[str, str]:
    """The fields of a note that has nothing but text in it."""
    given = {name: value for name, value in fields.items() if name != "note"}
    if given.keys() != names or not all(isinstance(value, str) for value in given.values()):
        raise Malformed(f"expected the text of {', '.join(sorted(names))}")
    return given
