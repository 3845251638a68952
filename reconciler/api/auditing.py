"""Faces for the audit log: verifying it, reading it, walking back through it, and signing it.

Nothing here takes the lock, and only `why` may ask a service. What is meant is an `AuditPlace`: a project's
own log, or a copy of one that stands without its project.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.house import house_of
from reconciler.api.running import environment_of, run_to_end, system_clock
from reconciler.api.stores import fetch_audit, store_of
from reconciler.model.audit import FoundIn, HeldAgainst, LogRead, Story, Told, Verified
from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.lock import Lock, Origin
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reconciler.adapters.audit import Reading
    from reconciler.model.audit import Asked, AuditFault
    from reconciler.model.events import Listener
    from reconciler.model.outcomes import BatchOutcomes
    from reconciler.model.ports import Store

# How a create is told whose reply was lost, and how a run tells that finds its batch later on.
_NOT_KNOWN = ("create", "unknown")
_FOUND_LATER = ("resolve", "found")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlace:
    """Where an audit log is, and what it is held against.

    Attributes:
        project: the project's folder; it is not looked at when ``copy`` is given.
        copy: a folder of audit files that stands without its project, or "".
        lockfile: the lockfile beside such a copy, or "".
        public_keys: files of public keys; with any, each line has to be vouched for.
        checkpoints: signed checkpoints that were kept elsewhere.
    """

    project: str | Path = "."
    copy: str | Path = ""
    lockfile: str | Path = ""
    public_keys: Sequence[str | Path] = ()
    checkpoints: Sequence[str | Path] = ()


def verify_audit(place: AuditPlace | None = None) -> Verified:
    """Hold an audit log against itself, against the lockfile, and against signatures if there is a key.

    Raises:
        ManifestError: the project file has faults.
        SettingsError: a key or the folder of a copy cannot be used.
        StateError: the lockfile, its journal or an audit file cannot be read.
    """
    from reconciler.adapters.audit import Agreement, read_public_key, signed_heads, verify

    place = place or AuditPlace()
    keys = [read_public_key(Path(path)) for path in place.public_keys]
    if place.checkpoints and not keys:
        raise SettingsError(
            "a checkpoint is nothing without the key that signed it", next="Give --public-key FILE as well"
        )
    folder, state = _folder_of(place), _state_of(place)
    agreement = None
    if state.text:
        created = {
            item.id: (str(key), state.place(item.id))
            for key, entry in state.written.entries.items()
            for item in entry.batches
            if item.origin is Origin.CREATED
        }
        agreement = Agreement(created, _batches(state.lock))
    signed, faults = (
        signed_heads(folder, [Path(path) for path in place.checkpoints], keys) if keys else ([], [])
    )
    verified = verify(
        folder,
        state.lock.heads,
        state.heads_place(),
        agreement=agreement,
        signed=signed if keys else None,
    )
    if agreement is not None:
        # Whatever a line says by now, the journal or the lockfile said before it.
        now = _batches(_state_of(place).lock)
        lost, in_git = bool(verified.faults), not state.elsewhere
        faults += agreement.faults(now, state.shown, lines_are_lost=lost, in_git=in_git)
    return replace(
        verified,
        faults=tuple(sorted(_mendable({*verified.faults, *faults}, folder, place, state))),
        against=HeldAgainst(
            lockfile=state.shown if state.text else "",
            heads=len(state.lock.heads),
            keys=tuple(sorted({key.name for key in keys})),
            signatures=len(signed),
            newest=max((item.time for item in signed), default=""),
        ),
    )


def read_audit(show: Callable[[Told], None], asked: Asked, place: AuditPlace | None = None) -> LogRead:
    """Show the lines of an audit log that fit, sorted by time, then file, then line, as they are read.

    Raises:
        ManifestError, SettingsError, StateError: as for `verify_audit`.
    """
    from reconciler.adapters.audit import Reading

    reading = Reading(_folder_of(place or AuditPlace()))
    shown = 0
    for line in reading.told(sorted(asked.batches)):
        if asked.fits(line):
            show(line)
            shown += 1
    return LogRead(shown, reading.lines, reading.unread)


def checkpoint_audit(
    place: AuditPlace | None = None,
    *,
    out: str | Path = "",
    environ: Mapping[str, str] | None = None,
) -> tuple[Verified, Path | None, int]:
    """Sign the ends of all audit files, if there is nothing wrong with them.

    Gives what verifying came to, where the checkpoint was written (None with faults), and how many heads it
    has.

    Raises:
        SettingsError: there is no key, nothing to sign, or a file already.
        ManifestError, StateError: as for `verify_audit`.
    """
    from reconciler.adapters.audit import KEY_VARIABLE, AuditFolder, signer_of

    place = place or AuditPlace()
    signer = signer_of(environment_of(environ))
    if signer is None:
        raise SettingsError(
            "there is no key to sign with",
            next=f"Set {KEY_VARIABLE} to the file that `reconciler audit keygen FILE` made, or to its text",
        )
    verified = verify_audit(place)
    if verified.faults:
        return verified, None, 0
    folder = AuditFolder(_folder_of(place))
    path, heads = folder.checkpoint(signer, system_clock().now(), Path(out) if out else None)
    return verified, path, heads


def generate_audit_keys(path: str | Path) -> tuple[Path, str]:
    """Make a pair of keys; gives the public one's file and its digest.

    Raises:
        SettingsError: a file is there already, or cannot be written.
    """
    from reconciler.adapters.audit import generate

    beside, key = generate(Path(path))
    return beside, key.name


def why(
    thing: str,
    place: AuditPlace | None = None,
    *,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
) -> Story:
    """Walk back from a batch, or from a file or a job of one, to who did it, why, and who approved.

    The audit log and the lockfile know batches only. What is none is looked for among the files of the
    recorded batches, which asks the services; of a copy without its project there is nobody to ask.

    Raises:
        SettingsError: it is not known.
        ManifestError, StateError, ServiceError: as for `results`.
    """
    place = place or AuditPlace()
    story = _story(thing, (thing,), (), place)
    if story.lines:
        return story
    lock = _state_of(place).lock
    recorded = tuple(
        str(entry.address)
        for entry in lock.entries.values()
        if any(item.id == thing for item in entry.batches)
    )
    if recorded:
        return replace(story, recorded=recorded)
    if place.copy:
        raise SettingsError(
            f"the audit log has no batch {thing!r}",
            where=str(place.copy),
            why="files and jobs are not recorded: only the service knows them, and a copy has none to ask",
            next="In the project itself, the same command asks the service",
        )
    found = _found_in(thing, lock, place, listen, environ)
    if not found:
        raise SettingsError(
            f"nothing is known of {thing!r}",
            why="it is no batch of the audit log or the lockfile, and no file or job of a recorded batch",
            next="`reconciler results` lists the files of each batch, and their jobs; of an address,"
            " `reconciler explain` and `reconciler audit log --set` tell",
        )
    return _story(thing, sorted({item.batch for item in found}), found, place)


def _story(thing: str, batches: Sequence[str], found: tuple[FoundIn, ...], place: AuditPlace) -> Story:
    from reconciler.adapters.audit import Reading

    folder = _folder_of(place)
    reading = Reading(folder)
    lines = tuple(line for line in reading.told(batches) if line.batch in batches)
    sent = _sent_before(lines, Reading(folder))
    return Story(thing, found, (*sent, *lines), unread=reading.unread)


def _sent_before(lines: Sequence[Told], reading: Reading) -> tuple[Told, ...]:
    """Of a create whose batch a later run found: the line of the run that sent it, which names no batch."""
    found = [line for line in lines if (line.action, line.outcome) == _FOUND_LATER]
    sent: list[Told] = []
    newest: dict[str, Told] = {}
    for line in reading.told(sorted({line.key for line in found})) if found else ():
        if line in found and line.key in newest:
            sent.append(newest.pop(line.key))
        elif (line.action, line.outcome) == _NOT_KNOWN:
            newest[line.key] = line  # those before it were found, or closed as absent
    return tuple(sent)


def _found_in(
    thing: str,
    lock: Lock,
    place: AuditPlace,
    listen: Listener | None,
    environ: Mapping[str, str] | None,
) -> tuple[FoundIn, ...]:
    """The files of recorded batches that have this id, or a job that does."""
    from reconciler.api.files import load
    from reconciler.api.outcomes import Wish

    batches = sorted(_batches(lock))
    if not batches:
        return ()
    found: list[FoundIn] = []

    def take(read: BatchOutcomes) -> None:
        found.extend(
            FoundIn(read.batch, str(read.address), item.file, item.name, item.job, item.status.value)
            for item in read.files or ()
            if thing in {item.file, item.job}
        )

    house = house_of(load(place.project), environ, listen=listen)
    run_to_end(house.results(Wish(batches=batches), take))
    return tuple(sorted(found, key=lambda item: (item.batch, item.file)))


@dataclass(frozen=True, slots=True)
class _State:
    """The lockfile that an audit log is held against.

    Attributes:
        text: its bytes; none where there is none.
        shown: its name in messages.
        written: what the bytes say.
        lock: with what the journal adds.
        elsewhere: whether it is in no file, so that git has nothing to do with it.
    """

    text: bytes
    shown: str
    written: Lock
    lock: Lock
    elsewhere: bool = False

    def heads_place(self) -> Source:
        """Where it holds the heads."""
        return self._place(lambda line: line.lstrip().startswith(b'"heads"'))

    def place(self, batch: str) -> Callable[[], Source]:
        """Where it records a batch, once somebody wants to know."""
        words = json.dumps(batch).encode()
        return lambda: self._place(lambda line: words in line)

    def _place(self, fits: Callable[[bytes], bool]) -> Source:
        lines = enumerate(self.text.split(b"\n"), 1)
        return Source(self.shown, next((at for at, line in lines if fits(line)), 1))


def _state_of(place: AuditPlace) -> _State:
    from reconciler.adapters.stores.file import FileStore
    from reconciler.adapters.stores.lockfile import read_lock

    if place.copy:
        if not place.lockfile:
            return _State(b"", "", Lock(), Lock())
        path = Path(place.lockfile)
        text = _bytes_of(path)
        lock = read_lock(text.decode(), str(place.lockfile))
        return _State(text, str(place.lockfile), lock, lock)
    store = _store_of(place)
    text = store.read_lockfile()
    written = read_lock(text.decode(), store.shown) if text else Lock()
    return _State(text, store.shown, written, store.read()[0], not isinstance(store, FileStore))


def _mendable(
    faults: Iterable[AuditFault], folder: Path, place: AuditPlace, state: _State
) -> Iterator[AuditFault]:
    """The faults, and of files that the project's store keeps otherwise than they are here, that it does."""
    kept = _store_of(place).audit() if faults and state.elsewhere else {}
    for fault in faults:
        here = folder / Path(fault.file).name
        there = kept.get(here.name)
        if there is not None and here.is_file() and here.read_bytes() != there:
            mend = f"{state.shown} keeps another version of this file: remove it here, and verify again"
            yield replace(fault, next=mend)
        else:
            yield fault


def _store_of(place: AuditPlace) -> Store:
    from reconciler.api.reading import read_project_file

    file, diagnostics = read_project_file(Path(place.project))
    if file is None:
        raise ManifestError(diagnostics)
    return store_of(Path(place.project), file, system_clock(), environment_of(None))


def _folder_of(place: AuditPlace) -> Path:
    """The folder of audit files, with those that the project's store keeps; that of a copy has to be there.

    Raises:
        ManifestError: there is no project.
        SettingsError: the copy is not there.
    """
    if not place.copy:
        folder = Path(place.project) / "audit"
        fetch_audit(_store_of(place), folder)
        return folder
    folder = Path(place.copy)
    if not folder.is_dir():
        raise SettingsError(
            "there is no such folder", where=str(folder), next="Name the folder of audit files"
        )
    return folder if folder.name else folder.absolute()


def _batches(lock: Lock) -> frozenset[str]:
    return frozenset(item.id for entry in lock.entries.values() for item in entry.batches)


def _bytes_of(path: Path) -> bytes:
    """A lockfile that stands alone.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        text = path.read_bytes()
        text.decode()
    except OSError as error:
        raise SettingsError(
            "the lockfile cannot be read", where=str(path), why=error.strerror or ""
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError("the lockfile is not UTF-8", where=str(path)) from error
    return text
