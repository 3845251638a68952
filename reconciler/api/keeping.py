"""Keeping a project's state: making a store ready, moving state, taking it out and putting it in.

Each of these holds the lock of every store that it writes to. What a store promises is the port's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.api.running import environment_of, system_clock
from reconciler.api.stores import database_of, fetch_audit, store_of
from reconciler.model.errors import ManifestError, SettingsError, StateError
from reconciler.model.intent import JournalState
from reconciler.model.lock import Lock
from reconciler.model.project import PostgresState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.ports import Store, Tenure
    from reconciler.model.project import ProjectFile, StateSpec

_APPLY_FIRST = "Run apply first: it records what that run left"


class Moved(NamedTuple):
    """What moving or pushing a state came to.

    Attributes:
        source: what was read, as messages call it.
        target: what was written.
        entries: how many batches' keys it has.
        intents: how many creates are open in it.
        serial: of the lockfile there now.
        changed: whether anything was written.
    """

    source: str
    target: str
    entries: int
    intents: int
    serial: int
    changed: bool = True


class Pulled(NamedTuple):
    """A state as a lockfile's text, and how many creates are in the journal alone."""

    text: bytes
    left: int


def init_state(
    folder: str | Path = ".",
    *,
    planner: str = "",
    applier: str = "",
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """Make ready where the project's state is to live; gives a sentence for each thing done.

    Args:
        folder: the project's folder.
        planner: a role of the database that is to be able to plan.
        applier: one that is to be able to apply.
        environ: environment variables; those of this process by default.

    Raises:
        ManifestError: the project file has faults.
        SettingsError: there is nothing to make ready, or an extra or a variable is missing.
        StateError: the store cannot be used, or is newer.
    """
    from reconciler.adapters.stores.postgres.setup import initialise

    file, spec = _database(Path(folder))
    address = database_of(Path(folder), file, spec, environment_of(environ))
    return initialise(address, planner=planner, applier=applier)


def state_sql(folder: str | Path = ".", *, planner: str = "", applier: str = "") -> str:
    """What `init_state` would do in an empty database, as SQL. Nothing is connected to.

    Raises:
        ManifestError: the project file has faults.
        SettingsError: the project's state is in no database.
    """
    from reconciler.adapters.stores.postgres.tables import script

    _, spec = _database(Path(folder))
    return script(spec.schema, planner, applier)


def pull_state(folder: str | Path = ".", *, environ: Mapping[str, str] | None = None) -> Pulled:
    """The state as a lockfile, wherever it lives. Nothing is locked or written.

    Raises:
        ManifestError, SettingsError, StateError: as for `init_state`; or there is none yet.
    """
    file = _project_file(Path(folder))
    store = store_of(Path(folder), file, system_clock(), environment_of(environ))
    text = store.read_lockfile()
    if not text:
        raise StateError("there is no state yet", where=store.shown, next="`reconciler apply` writes it")
    journal = store.read()[1]
    return Pulled(text, len(journal.open) + len(journal.recovered))


def push_state(
    path: str | Path,
    folder: str | Path = ".",
    *,
    force: bool = False,
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Moved:
    """Have a lockfile stand as the state; what stood there is kept as a backup.

    Args:
        path: the lockfile.
        folder: the project's folder.
        force: also one of another lineage, or an older one.
        lock_timeout: seconds to wait for the lock.
        environ: environment variables; those of this process by default.

    Raises:
        ManifestError, SettingsError, StateError: as for `init_state`; or the lockfile cannot be read, is
            another project's, of another lineage, or not newer than what stands.
    """
    file = _project_file(Path(folder))
    lock = _lockfile(Path(path), file.name)
    store = store_of(Path(folder), file, system_clock(), environment_of(environ))
    with store.hold(lock_timeout) as session:
        stands = _stands(store)
        _refuse_recovered(store, session.journal)
        opened = len(session.journal.open)
        if lock == stands:
            return Moved(str(path), store.shown, len(lock.entries), opened, lock.serial, changed=False)
        if not force:
            _refuse_older(lock, stands, store.shown, "reconciler state push FILE --force", ties=False)
        elif lock.lineage == stands.lineage:
            lock = replace(lock, serial=max(lock.serial, stands.serial + 1))
        session.take_over(lock, JournalState(session.journal.open))
    return Moved(str(path), store.shown, len(lock.entries), opened, lock.serial)


def migrate_state(
    folder: str | Path = ".",
    *,
    source: str = "",
    target: str = "",
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Moved:
    """Move the state from one store to another, journal and audit log too, and make sure that it is there.

    Args:
        folder: the project's folder.
        source: where it is, as a ``state`` of the project file is written; by default, as that says.
        target: where it is to be, likewise.
        lock_timeout: seconds to wait for each lock.
        environ: environment variables; those of this process by default.

    Raises:
        ManifestError, SettingsError, StateError: as for `init_state`; or there is nothing to move, or another
            state in the way. The source stays as it is.
    """
    place, env = Path(folder), environment_of(environ)
    file = _project_file(place)
    specs = [_state(text, option, file) for option, text in (("--from", source), ("--to", target))]
    if specs[0] == specs[1]:
        raise SettingsError(
            "both are the same place", next="Say with --from or --to where else the state is, or is to be"
        )
    old, new = (store_of(place, file, system_clock(), env, spec) for spec in specs)
    if not old.read_lockfile() and not old.read()[1].open:  # holding it would leave a trace
        raise StateError("there is no state to move", where=old.shown)
    with old.hold(lock_timeout) as leaving, new.hold(lock_timeout) as coming:
        lock, journal = _stands(old), leaving.journal
        stands = _stands(new)
        _refuse_recovered(new, coming.journal)
        _refuse_older(lock, stands, new.shown, "move the other one away", ties=True)
        if strange := {item.id for item in coming.journal.open} - {item.id for item in journal.open}:
            raise StateError(
                f"creates are open there that are not here: {len(strange)}",
                where=new.shown,
                next=_APPLY_FIRST,
            )
        _keep_audit(old, coming, place / "audit")
        coming.take_over(lock, journal)
        if (_stands(new), new.read()) != (lock, (leaving.lock, journal)):
            raise StateError(
                "what was written is not what was read", where=new.shown, next=f"{old.shown} stays as it was"
            )
    return Moved(old.shown, new.shown, len(lock.entries), len(journal.open), lock.serial)


def _keep_audit(old: Store, coming: Tenure, folder: Path) -> None:
    """The audit files of either place in both: in the project's folder, and in the new store."""
    fetch_audit(old, folder)
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_file():
                coming.keep(path.name, path.read_bytes())


def _stands(store: Store) -> Lock:
    """What was committed, without what is to be recovered."""
    from reconciler.adapters.stores.lockfile import read_lock

    text = store.read_lockfile()
    return read_lock(text.decode(), store.shown) if text else Lock()


def _refuse_recovered(store: Store, journal: JournalState) -> None:
    if journal.recovered:
        raise StateError("the last run did not come to its end", where=store.shown, next=_APPLY_FIRST)


def _refuse_older(lock: Lock, stands: Lock, shown: str, way_out: str, *, ties: bool) -> None:
    """A state that another one is not to take the place of.

    Args:
        lock: what is to stand.
        stands: what does.
        shown: where.
        way_out: what helps, if it is meant.
        ties: whether one of the same serial may.
    """
    if not stands.lineage:
        return
    if stands.lineage != lock.lineage:
        raise StateError(
            "another state stands there",
            where=shown,
            why=f"it is of lineage {stands.lineage}, and this one of {lock.lineage or 'none'}",
            next=f"Make sure which is the right one; if it is this one, {way_out}",
        )
    if stands.serial > lock.serial or (stands.serial == lock.serial and not ties):
        raise StateError(
            "what stands there is as new or newer" if not ties else "what stands there is newer",
            where=shown,
            why=f"its serial is {stands.serial}, and this one's {lock.serial}",
            next=f"Make sure which is the right one; if it is this one, {way_out}",
        )


def _lockfile(path: Path, project: str) -> Lock:
    from reconciler.adapters.stores.merging import read_side

    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            "the lockfile cannot be read", where=str(path), why=(error.strerror or str(error)).lower()
        ) from error
    lock = read_side(content, str(path))
    if lock.project and lock.project != project:
        raise StateError(
            "the lockfile belongs to another project",
            where=str(path),
            why=f"it says project {lock.project!r}, and reconciler.yaml is that of {project!r}",
        )
    return lock


def _state(text: str, option: str, file: ProjectFile) -> StateSpec:
    """A store that an option names; the project's own where it does not."""
    from reconciler.adapters.manifests import read_documents
    from reconciler.adapters.schemas import load_schema
    from reconciler.core.validate.state import state_faults, state_of

    if not text:
        return file.state
    documents, diagnostics = read_documents(f"state: {text}".encode(), option)
    said = [item.message for item in diagnostics]
    value = documents[0].value["state"] if documents and not said else None
    value = {"type": value} if isinstance(value, str) else value
    said += state_faults(value, load_schema("Project")) if not said else []
    if said or not isinstance(value, dict):
        raise SettingsError(
            f"{option}: {'; '.join(dict.fromkeys(said)) or 'expected a mapping'}",
            next="Write it as in the project file: '{type: file, path: reconciler.lock}'",
        )
    return state_of(value)


def _database(folder: Path) -> tuple[ProjectFile, PostgresState]:
    file = _project_file(folder)
    if not isinstance(file.state, PostgresState):
        raise SettingsError(
            "this project's state needs no preparation",
            where=str(file.locate(("spec", "state"))),
            why="it is in no database",
            next="Only a database does: `state: {type: postgres, url: {env: DATABASE_URL}}`",
        )
    return file, file.state


def _project_file(folder: Path) -> ProjectFile:
    from reconciler.api.reading import read_project_file

    file, diagnostics = read_project_file(folder)
    if file is None:
        raise ManifestError(diagnostics)
    return file
