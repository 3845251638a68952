"""Values of the lockfile and the journal as JSON, and back. No file is touched here.

Reading is strict, field by field, and says what is wrong in which field: these files decide whether money
is spent. JSON Schemas of both stand in ``schemas/`` for people and editors; going through them for each
of a hundred thousand entries would take most of a minute, so a test holds this reader and them together.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.model.batch import Address, FileCounts, Key, Status
from reconciler.model.intent import Closing, Intent, Settled
from reconciler.model.lock import Alias, Entry, Evidence, Origin, Pin, PinKind, Recorded, TrackedEntry
from reconciler.model.manifest import OnRemove
from reconciler.model.watched import Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum

    _Word = TypeVar("_Word", bound=Enum)

_Json = dict[str, Any]


_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(?!000000)\d{6})?Z", re.ASCII)


class Malformed(ValueError):  # noqa: N818 - it never leaves the stores
    """A value that this version cannot have written; the message names the field."""


def entry_to_json(entry: Entry) -> _Json:
    """An entry without its key, which is what it is stored under. Defaults are left out."""
    written: _Json = {
        "address": str(entry.address),
        "batches": [_recorded_to_json(item) for item in entry.batches],
        "current": entry.current,
    }
    if entry.directory_name:
        written["directoryName"] = entry.directory_name
    if entry.on_remove is not OnRemove.KEEP:
        written["onRemove"] = entry.on_remove.value
    return written


def entry_from_json(key: Key, written: object) -> Entry:
    """The opposite of `entry_to_json`.

    Raises:
        Malformed: a field is missing, of another type, or unknown.
    """
    fields = _fields(written, {"address", "batches", "current", "directoryName", "onRemove"})
    batches = fields.get("batches")
    if not isinstance(batches, list) or not batches:
        raise Malformed("batches: expected a list of at least one batch")
    entry = Entry(
        key=key,
        address=_read(Address.parse, fields, "address"),
        current=_text(fields, "current"),
        batches=tuple([_recorded_from_json(item) for item in batches]),
        on_remove=_word(OnRemove, fields, "onRemove", OnRemove.KEEP),
        directory_name=_text(fields, "directoryName", ""),
    )
    ids = {item.id for item in entry.batches}
    if len(ids) != len(entry.batches):
        raise Malformed("batches: the same batch stands in it twice")
    if entry.current not in ids:
        raise Malformed(f"current: {entry.current} is none of the batches")
    return entry


def pin_to_json(pin: Pin) -> _Json:
    """A pin. Defaults are left out."""
    written: _Json = {"set": pin.set, "kind": pin.kind.value, "text": pin.text, "id": pin.id}
    if pin.version:
        written["version"] = pin.version
    if pin.name:
        written["name"] = pin.name
    return written


def pin_from_json(written: object) -> Pin:
    """The opposite of `pin_to_json`."""
    fields = _fields(written, {"set", "kind", "text", "id", "version", "name"})
    return Pin(
        set=_text(fields, "set"),
        kind=_word(PinKind, fields, "kind", None),
        text=_text(fields, "text"),
        id=_text(fields, "id"),
        version=_text(fields, "version", ""),
        name=_text(fields, "name", ""),
    )


def tracked_to_json(entry: TrackedEntry) -> _Json:
    """A watched batch as recorded. Defaults are left out."""
    watched = entry.watched
    written: _Json = {
        "address": str(entry.address),
        "endpoint": watched.id.endpoint,
        "id": watched.id.id,
        "recordedAt": stamp(entry.recorded_at),
        "status": watched.status.value,
        "word": watched.word,
    }
    if watched.created_at is not None:
        written["createdAt"] = stamp(watched.created_at)
    if watched.updated_at is not None:
        written["updatedAt"] = stamp(watched.updated_at)
    if watched.counts is not None:
        written["files"] = _counts_to_json(watched.counts)
    return written


def tracked_from_json(written: object) -> TrackedEntry:
    """The opposite of `tracked_to_json`."""
    fields = _fields(written, _TRACKED)
    watched = Watched(
        id=WatchedId(_text(fields, "endpoint"), _text(fields, "id")),
        status=_word(Status, fields, "status", None),
        word=_text(fields, "word"),
        created_at=_time(fields, "createdAt") if "createdAt" in fields else None,
        updated_at=_time(fields, "updatedAt") if "updatedAt" in fields else None,
        counts=_counts_from_json(fields["files"]) if "files" in fields else None,
    )
    return TrackedEntry(
        address=_read(Address.parse, fields, "address"),
        watched=watched,
        recorded_at=_time(fields, "recordedAt"),
    )


_TRACKED = {"address", "endpoint", "id", "recordedAt", "status", "word", "createdAt", "updatedAt", "files"}


def intent_to_json(intent: Intent) -> _Json:
    """An intent as a journal note."""
    return {
        "note": "intent",
        "id": intent.id,
        "key": str(intent.key),
        "address": str(intent.address),
        "known": sorted(intent.known),
        "evidence": _evidence_to_json(intent.evidence),
        "at": stamp(intent.at),
        "run": intent.run,
        "directoryName": intent.directory_name,
    }


def intent_from_json(fields: _Json) -> Intent:
    """The opposite of `intent_to_json`."""
    _fields(fields, {"note", "id", "key", "address", "known", "evidence", "at", "run", "directoryName"})
    known = fields.get("known")
    if not (isinstance(known, list) and all(isinstance(name, str) for name in known)):
        raise Malformed("known: expected a list of ids")
    return Intent(
        id=_text(fields, "id"),
        key=_read(read_key, fields, "key"),
        address=_read(Address.parse, fields, "address"),
        known=frozenset(known),
        evidence=_evidence_from_json(fields.get("evidence")),
        at=_time(fields, "at"),
        run=_text(fields, "run"),
        directory_name=_text(fields, "directoryName", ""),
    )


def settled_to_json(settled: Settled) -> _Json:
    """The end of an intent as a journal note."""
    written: _Json = {"note": "settled", "intent": settled.intent, "closing": settled.closing.value}
    if settled.why:
        written["why"] = settled.why
    if settled.entry is not None:
        written["key"] = str(settled.entry.key)
        written["entry"] = entry_to_json(settled.entry)
    return written


def settled_from_json(fields: _Json) -> Settled:
    """The opposite of `settled_to_json`."""
    _fields(fields, {"note", "intent", "closing", "why", "key", "entry"})
    entry = None
    if "entry" in fields or "key" in fields:
        entry = entry_from_json(_read(read_key, fields, "key"), fields.get("entry"))
    closing = _word(Closing, fields, "closing", None)
    return Settled(_text(fields, "intent"), closing, _text(fields, "why", ""), entry)


def read_key(text: str) -> Key:
    """A key as this tool writes it: two spellings of one key would be two entries, and one would be lost."""
    key = Key.parse(text)
    if str(key) != text:
        raise Malformed(f"{text!r} is another spelling of {str(key)!r}")
    return key


def as_bytes(text: str) -> bytes:
    """JSON as UTF-8, in which whatever cannot be printed stands as JSON's own escape of it.

    Names come from outside and these files are read in terminals and reviews: no line end that only some
    programs know, no mark that turns the reading direction, no half of a surrogate pair.
    """
    if not text.replace("\n", "").isprintable():
        text = "".join(
            char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
        )
    return text.encode()


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python's json would keep the last of two equal names, and an entry would be lost without a word.

    Raises:
        Malformed: two names are equal.
    """
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Malformed(f"{twice!r} stands in it twice")
    return fields


def stamp(moment: datetime) -> str:
    """A time as RFC 3339 in UTC, to the microsecond, so that reading it back loses nothing."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _recorded_to_json(item: Recorded) -> _Json:
    written: _Json = {
        "id": item.id,
        "status": item.status.value,
        "origin": item.origin.value,
        "recordedAt": stamp(item.recorded_at),
    }
    if item.created_at is not None:
        written["createdAt"] = stamp(item.created_at)
    if item.updated_at is not None:
        written["updatedAt"] = stamp(item.updated_at)
    if item.evidence is not None:
        written["evidence"] = _evidence_to_json(item.evidence)
    if item.alias is not None:
        written["alias"] = {"directory": item.alias.directory, "configuration": item.alias.configuration}
    if item.files is not None:
        written["files"] = _counts_to_json(item.files)
    return written


def _recorded_from_json(written: object) -> Recorded:
    fields = _fields(
        written,
        {"id", "status", "origin", "recordedAt", "createdAt", "updatedAt", "evidence", "alias", "files"},
    )
    alias = None
    if "alias" in fields:
        named = _fields(fields["alias"], {"directory", "configuration"})
        alias = Alias(_text(named, "directory"), _text(named, "configuration"))
    return Recorded(
        id=_text(fields, "id"),
        status=_word(Status, fields, "status", None),
        origin=_word(Origin, fields, "origin", None),
        recorded_at=_time(fields, "recordedAt"),
        created_at=_time(fields, "createdAt") if "createdAt" in fields else None,
        updated_at=_time(fields, "updatedAt") if "updatedAt" in fields else None,
        evidence=_evidence_from_json(fields["evidence"]) if "evidence" in fields else None,
        alias=alias,
        files=_counts_from_json(fields["files"]) if "files" in fields else None,
    )


def _counts_to_json(counts: FileCounts) -> _Json:
    return {"failed": counts.failed, "total": counts.total}


def _counts_from_json(written: object) -> FileCounts:
    fields = _fields(written, {"failed", "total"})
    counts = FileCounts(_count(fields, "total"), _count(fields, "failed"))
    if counts.failed > counts.total:
        raise Malformed("failed: more than there are")
    return counts


def _evidence_to_json(evidence: Evidence) -> _Json:
    written: _Json = {"reason": evidence.reason}
    if evidence.after is not None:
        written["after"] = stamp(evidence.after)
    if evidence.inputs is not None:
        written["inputs"] = evidence.inputs
    if evidence.configuration is not None:
        written["configuration"] = evidence.configuration
    return written


def _evidence_from_json(written: object) -> Evidence:
    fields = _fields(written, {"reason", "after", "inputs", "configuration"})
    return Evidence(
        reason=_text(fields, "reason"),
        after=_time(fields, "after") if "after" in fields else None,
        inputs=_text(fields, "inputs") if "inputs" in fields else None,
        configuration=_text(fields, "configuration") if "configuration" in fields else None,
    )


def _fields(written: object, known: set[str]) -> _Json:
    if not isinstance(written, dict):
        raise Malformed(f"expected an object, got {written!r:.60}")
    if unknown := written.keys() - known:
        raise Malformed(f"unknown field {min(unknown)!r}")
    return written


def _text(fields: _Json, name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise Malformed(f"{name}: expected text, got {value!r:.60}")
    return value


def _count(fields: _Json, name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:  # True equals 1
        raise Malformed(f"{name}: expected a count, got {value!r:.60}")
    return value


_Made = TypeVar("_Made")


def _read(parse: Callable[[str], _Made], fields: _Json, name: str) -> _Made:
    try:
        return parse(_text(fields, name))
    except ValueError as error:
        raise Malformed(f"{name}: {error}") from error


def _word(words: type[_Word], fields: _Json, name: str, default: _Word | None) -> _Word:
    value = fields.get(name, default)
    try:
        return words(value)
    except ValueError:
        raise Malformed(f"{name}: {value!r:.60} is not known") from None


def _time(fields: _Json, name: str) -> datetime:
    value = _text(fields, name)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Malformed(f"{name}: {value!r:.60} is not a time") from None
    # fromisoformat reads far more than this tool writes: weeks, basic format, any offset.
    if not _STAMP.fullmatch(value):
        raise Malformed(f"{name}: {value!r:.60} is not a time in UTC as this tool writes it")
    return moment
