"""The lockfile's text: JSON, sorted, one entry a line, so that branches merge and reviews read it (R17).

Here is the whole document; single values are in `text`. Nothing is read from or written to disk here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.adapters.stores.shelf import CLOSES, OPENS, Shelf, row
from reconciler.adapters.stores.text import (
    entry_from_json,
    pin_from_json,
    pin_to_json,
    read_key,
    tracked_from_json,
    tracked_to_json,
    unique,
)
from reconciler.model.canonical import canonical
from reconciler.model.errors import StateError
from reconciler.model.lock import Entry, Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.batch import Key

    _Item = TypeVar("_Item")

#: The format that this version writes, and the only one that it reads.
LOCK_VERSION = 1

_FIELDS = {
    "lockVersion",
    "lineage",
    "project",
    "plan",
    "serial",
    "heads",
    "projects",
    "sets",
    "pins",
    "tracked",
    "entries",
}
_MARKS = ("<<<<<<<", "=======", ">>>>>>>")


def write_lock(lock: Lock) -> str:
    """The lockfile's text."""
    before = [
        "{",
        f'"lockVersion": {LOCK_VERSION},',
        f'"lineage": {_json(lock.lineage)},',
        *([f'"project": {_json(lock.project)},'] if lock.project else []),
        *([f'"plan": {_json(lock.plan)},'] if lock.plan else []),
        f'"serial": {lock.serial},',
        f'"heads": {_json(sorted(lock.heads))},',
        '"projects": {',
        *_members(dict(lock.projects)),
        "},",
        '"sets": {',
        *_members(dict(lock.sets)),
        "},",
        *_array("pins", [pin_to_json(pin) for pin in sorted(lock.pins)]),
        *_array("tracked", [tracked_to_json(lock.tracked[name]) for name in sorted(lock.tracked)]),
        OPENS,
    ]
    rows = _rows(lock.entries)
    if not rows:
        return "\n".join([*before, *CLOSES])
    # All in one go: what is joined twice is copied twice, and it may have 50 MB.
    rows[0] = "\n".join([*before, rows[0]])
    rows[-1] = "\n".join([rows[-1], *CLOSES])
    return ",\n".join(rows)


def _rows(entries: Mapping[Key, Entry]) -> list[str]:
    if isinstance(entries, Shelf):
        return entries.rows()
    return [row(key, entries[key]) for key in sorted(entries, key=str)]


def read_lock(text: str, file: str) -> Lock:
    """The opposite of `write_lock`.

    Raises:
        StateError: the text is no lockfile, or one of another version; it says where and what helps.
    """
    if (split := _split(text)) is not None:
        head, begin, end = split
        try:
            shelf = Shelf()
            shelf.take(text, begin, end)
            return replace(_read_lock(head, file), entries=shelf)
        except (ValueError, RecursionError, StateError):
            pass  # what is wrong, and where, is found below
    return _read_lock(text, file)


def _split(text: str) -> tuple[str, int, int] | None:
    """A lockfile without its entries, and from where to where they stand; None where they do not stand so."""
    opens, closes = f"\n{OPENS}\n", "\n".join(["", *CLOSES])
    if (at := text.find(opens)) < 0 or not text.endswith(closes):
        return None
    begin, end = at + len(opens), len(text) - len(closes)
    return text[:begin] + closes[1:], begin, end


def _read_lock(text: str, file: str) -> Lock:
    document = _document(text, file)
    version = document.get("lockVersion")
    if type(version) is not int or version != LOCK_VERSION:  # True equals 1
        newer = type(version) is int and version > LOCK_VERSION
        raise StateError(
            f"lockVersion {version!r} is not known",
            where=_line_of(text, "lockVersion", file),
            why=f"this version of reconciler reads lockVersion {LOCK_VERSION}",
            next="Upgrade: pip install --upgrade batch-reconciler" if newer else _RESTORE,
        )
    if unknown := sorted(document.keys() - _FIELDS):
        where = _line_of(text, unknown[0], file)
        raise StateError(f"not a lockfile: unknown field {unknown[0]!r}", where=where, next=_RESTORE)
    entries: dict[Key, Entry] = {}
    for name, written in _object(document, "entries", file).items():
        try:
            key = read_key(name)
            entries[key] = entry_from_json(key, written)
        except ValueError as error:
            raise StateError(
                f"entry {name}: {error}", where=_line_of(text, name, file), next=_RESTORE
            ) from error
    serial, lineage, heads = document.get("serial"), document.get("lineage"), document.get("heads")
    project, plan = document.get("project", ""), document.get("plan", "")
    if not (
        type(serial) is int
        and serial >= 0
        and isinstance(lineage, str)
        and isinstance(project, str)
        and isinstance(plan, str)
        and isinstance(heads, list)
        and all(isinstance(head, str) for head in heads)
    ):
        raise StateError(
            "serial, lineage, project, plan or heads is missing or of another type",
            where=file,
            next=_RESTORE,
        )
    return Lock(
        lineage=lineage,
        project=project,
        plan=plan,
        serial=serial,
        heads=tuple(heads),
        projects=_texts(document, "projects", file),
        sets=_texts(document, "sets", file),
        entries=entries,
        pins=tuple(sorted(_items(document, "pins", text, file, pin_from_json))),
        tracked={
            item.watched.id: item for item in _items(document, "tracked", text, file, tracked_from_json)
        },
    )


_RESTORE = (
    "Restore it from git, or delete it: the next plan then adopts the batches that exist and creates none of"
    " them again"
)


def _document(text: str, file: str) -> dict[str, Any]:
    if text.startswith("\ufeff"):
        raise StateError(
            "it begins with a byte order mark",
            where=f"{file}:1:1",
            why="an editor put it there; this tool writes none",
            next="Save it as UTF-8 without one, or restore it from git",
        )
    # Not splitlines(): JSON lets U+2028 and its like stand in a name, and they break no line here.
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(_MARKS):
            raise StateError(
                "git's conflict marks are in it",
                where=f"{file}:{number}",
                next="`git merge --abort`, then `reconciler lock merge --install` and merge again: git then"
                " merges lockfiles by itself. Or keep the entries of both sides, one a line and none twice,"
                " and remove the marks",
            )
    try:
        document = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        # What ends too soon is missing right behind its last character, not behind the line breaks after it.
        before = text[: min(error.pos, len(text.rstrip()))]
        row, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise StateError(
            f"not valid JSON: {error.msg}", where=f"{file}:{row}:{column}", next=_RESTORE
        ) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a plain ValueError
        raise StateError(f"not a lockfile: {error}", where=file, next=_RESTORE) from error
    if not isinstance(document, dict):
        raise StateError("not a lockfile: it is not a JSON object", where=file, next=_RESTORE)
    return document


def _object(document: dict[str, Any], name: str, file: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise StateError(f"{name} is missing or no object", where=file, next=_RESTORE)
    return value


def _texts(document: dict[str, Any], name: str, file: str) -> dict[str, str]:
    fields = _object(document, name, file)
    if wrong := sorted(key for key, value in fields.items() if not isinstance(value, str)):
        raise StateError(f"{name}: {wrong[0]}: expected text", where=file, next=_RESTORE)
    return fields


def _items(
    document: dict[str, Any], name: str, text: str, file: str, read: Callable[[object], _Item]
) -> list[_Item]:
    """The members of an array that is left out when it is empty."""
    written = document.get(name, [])
    if not isinstance(written, list):
        raise StateError(f"{name}: expected a list", where=_line_of(text, name, file), next=_RESTORE)
    items: list[_Item] = []
    for index, item in enumerate(written):
        try:
            items.append(read(item))
        except ValueError as error:
            where = _line_of(text, name, file)
            raise StateError(f"{name}[{index}]: {error}", where=where, next=_RESTORE) from error
    return items


def _line_of(text: str, name: str, file: str) -> str:
    start = _json(name)
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(start):
            return f"{file}:{number}"
    return file


def _members(fields: dict[str, Any]) -> list[str]:
    """An object's members, sorted, one a line; the last without a comma."""
    return _separated([f"{_json(name)}: {_json(fields[name])}" for name in sorted(fields)])


def _separated(lines: list[str]) -> list[str]:
    return [line + "," for line in lines[:-1]] + lines[-1:]


def _array(name: str, items: list[dict[str, Any]]) -> list[str]:
    """A field that is left out when it is empty, so that a project without names and patterns has none."""
    if not items:
        return []
    lines = [_json(item) for item in items]
    return [f"{_json(name)}: [", *(line + "," for line in lines[:-1]), lines[-1], "],"]


def _json(value: object) -> str:
    return canonical(value)
