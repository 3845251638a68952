"""Faces for what a run does: plan, apply, and what a person does by hand.

All but `plan` hold the lock while they work. Each function brings a project and its state together in a
`House`; the order of effects is the engine's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.api.house import house_of
from reconciler.api.running import PARALLELISM, READING, address_of, awaited, once_broken_silent, run_to_end
from reconciler.api.stores import holding
from reconciler.engine.stop import Stop
from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from reconciler.api.house import House
    from reconciler.model.batch import Batch
    from reconciler.model.events import Listener
    from reconciler.model.plan import Plan, Since
    from reconciler.model.ports import Clock
    from reconciler.model.project import Project
    from reconciler.model.pushed import Pushed
    from reconciler.model.result import Applied, Cancelling
    from reconciler.model.saved import SavedPlan
    from reconciler.model.shard import Shard
    from reconciler.model.tracking import TrackedChange


def plan(
    project: Project,
    *,
    targets: Sequence[str] = (),
    changed_since: str | None = None,
    locked: bool = False,
    refresh_all: bool = False,
    shard: Shard | None = None,
    parallelism: int = READING,
    listen: Listener | None = None,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Plan:
    """What applying would do now. Nothing is written and no lock is taken.

    Args:
        project: as `load` gives it.
        targets: sets, addresses or ``label=value`` to plan for; everything by default.
        changed_since: a ref of git: of these, only sets whose manifests have changed since the work tree and
            it parted; with a changed project file, all of them.
        locked: refuse a plan in which a name or a pattern stands for something else than is pinned (R13).
        refresh_all: ask also for batches that are recorded as terminal, which do not change (O1).
        shard: of these, a share; what is only watched is of no share.
        parallelism: how many requests may be under way at once.
        listen: told what happens meanwhile.
        stop: asked to stop by whoever holds it; then there is no plan.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        StoppedError: it was to end before there was a plan.
        ManifestError: two desired batches are the same work, a name stands for nothing or for several
            directories, or a variable that is needed is not set.
        PinError: a pin would change although ``locked``.
        SettingsError: a target fits nothing, git does not know the ref, or a provider cannot be used as it is
            set up.
        StateError: the lockfile or its journal cannot be used.
        ServiceError: a service does not accept the key.
    """
    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    house = replace(house, trust=not refresh_all)
    work = house.plan(targets, _since(house, changed_since), locked=locked, shard=shard)
    return run_to_end(work if stop is None else _unless_over(work, stop, house.clock))


async def _unless_over(work: Coroutine[Any, Any, Plan], stop: Stop, clock: Clock) -> Plan:
    """A plan, unless it is to end before there is one."""
    stop.bind(clock)
    made = await stop.unless_over(work)
    if made is None:
        raise stop.error()
    return made


def apply(
    project: Project,
    *,
    approve: Callable[[Plan], bool] = lambda _: True,
    targets: Sequence[str] = (),
    changed_since: str | None = None,
    locked: bool = False,
    refresh_all: bool = False,
    shard: Shard | None = None,
    parallelism: int = PARALLELISM,
    lock_timeout: float = 0.0,
    timeout: float | None = None,
    confirm: str = "",
    saved: SavedPlan | None = None,
    max_in_flight: int | None = None,
    wait: bool = False,
    approved_by: str = "",
    listen: Listener | None = None,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Applied:
    """Create what is missing, record what stands, and say what happened to each.

    Args:
        project: as `load` gives it.
        approve: asked once with the plan if it would change anything, with ``wait`` also later; False ends
            the run unchanged.
        targets: as for `plan`.
        changed_since: as for `plan`.
        locked: as for `plan`.
        refresh_all: as for `plan`.
        shard: as for `plan`. In a database its lock is the shard's, so that others are applied beside it.
        parallelism: how many creates, and how many other requests, may be under way at once.
        lock_timeout: seconds to wait for the lock.
        timeout: seconds that the run may take once it has the lock; then it stops as it does at a signal.
        confirm: the digest of the one plan that may be applied, also past the project's limits, outside of
            its windows and against its policies, but for those that say that this does not lift them.
        saved: a plan as `read_plan` gives it: exactly its actions are applied, without asking. It brings its
            own selection.
        max_in_flight: how many recorded batches may run at once; creates are held back for that.
        wait: stay until the batches have ended, and create what had to wait for them.
        approved_by: who approved what is applied, for the audit log; by default it is looked up in GitHub's
            reviews and the commit's trailers.
        listen: told what happens meanwhile.
        stop: asked to stop by whoever holds it: what is in flight is finished and recorded.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        LockHeldError: another run holds the lock, or a shard of another count is being applied.
        LockLostError: this run lost it; nothing was sent after that was seen.
        StoppedError: it was to end before there was a plan.
        LimitError: the plan goes past a limit, is outside of a window or violates a policy, and was not
            confirmed.
        StalePlanError: the plan is not the confirmed or the saved one.
        ManifestError, PinError, SettingsError, StateError, ServiceError: as for `plan`.
    """
    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    house = replace(house, approved_by=approved_by, trust=not refresh_all)
    since = _since(house, changed_since) if saved is None else saved.since
    store = house.store()
    tell = once_broken_silent(house.listen)
    with awaited(lambda most: holding(store, most, shard), lock_timeout, tell) as session:
        return run_to_end(
            house.apply(
                session,
                targets if saved is None else saved.targets,
                since,
                approve,
                locked=locked,
                confirm=confirm,
                saved=saved,
                stop=stop or Stop(),
                seconds=timeout,
                max_in_flight=max_in_flight,
                wait=wait,
                shard=shard,
            )
        )


def _since(house: House, ref: str | None) -> Since | None:
    """What has changed since a ref, if one is given."""
    if ref is None:
        return None
    from reconciler.api.changed import changed_since

    return changed_since(house.project, ref, house.environ)


def import_batch(
    project: Project,
    address: str,
    batch: str,
    *,
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Batch:
    """Record a live batch as the one that stands for an address.

    Raises:
        SettingsError: the address is not desired, the batch does not exist, or it is other work.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    from reconciler.engine.by_hand import import_batch as by_hand

    house = house_of(project, environ)
    with house.store().hold(lock_timeout) as session:
        about = address_of(address)
        return run_to_end(house.by_hand(session, about, lambda run: by_hand(run, about, batch)))


def cancel(
    project: Project,
    address: str,
    batch: str = "",
    *,
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Cancelling:
    """Ask the service to cancel a recorded batch: the one that stands at an address, or the named one there.

    Gives the batch as the service then has it, which need not be CANCELLED yet, and whether it was asked for:
    a batch that has ended is left alone.

    Raises:
        SettingsError: no such batch is recorded there.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    from reconciler.engine.by_hand import cancel_batch

    house = house_of(project, environ)
    with house.store().hold(lock_timeout) as session:
        about = address_of(address)
        return run_to_end(
            house.by_hand(session, about, lambda run: cancel_batch(run, about, batch), recorded=True)
        )


def resolve_absent(
    project: Project, address: str, *, lock_timeout: float = 0.0, environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Take the caller's word that what is open or gone at an address does not exist.

    Gives a sentence for each thing that was closed or forgotten.

    Raises:
        SettingsError: nothing is open or gone there.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    from reconciler.engine.by_hand import resolve_absent as by_hand

    house = house_of(project, environ)
    with house.store().hold(lock_timeout) as session:
        about = address_of(address)
        return run_to_end(house.by_hand(session, about, lambda run: by_hand(run, about)))


def upgrade(
    project: Project,
    sets: Sequence[str] = (),
    *,
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Look up anew what names and patterns stand for, and pin that (R13). Nothing is created.

    Args:
        project: as `load` gives it.
        sets: names of sets; all by default.
        lock_timeout: seconds to wait for the lock.
        environ: environment variables; those of this process by default.

    Gives a sentence for each pin that moved, went or came.

    Raises:
        SettingsError: there is no such set.
        LockHeldError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    known = {item.name for item in project.sets}
    for name in sets:
        if name not in known:
            raise SettingsError(f"there is no set {name!r}", next=f"Sets: {', '.join(sorted(known))}")
    house = house_of(project, environ)
    with house.store().hold(lock_timeout) as session:
        return run_to_end(house.upgrade(session, frozenset(sets) or frozenset(known)))


def refresh(
    project: Project,
    *,
    targets: Sequence[str] = (),
    parallelism: int = READING,
    lock_timeout: float = 0.0,
    listen: Listener | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> tuple[TrackedChange, ...]:
    """Have the services look after the watched batches that have not ended, and record what they then say.

    Args:
        project: as `load` gives it.
        targets: tracking manifests, addresses or ``label=value``; everything that is watched by default.
        parallelism: how many requests may be under way at once.
        lock_timeout: seconds to wait for the lock.
        listen: told what happens meanwhile.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        SettingsError: a target fits nothing that is watched, or a provider cannot be used as it is set up.
        LockHeldError, ManifestError, StateError: as for `apply`.
    """
    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    with house.store().hold(lock_timeout) as session:
        return run_to_end(house.refresh(session, targets))


def push_lock(
    folder: str | Path = ".",
    *,
    message: str = "",
    remote: str = "origin",
    branch: str = "",
    lock_timeout: float = 0.0,
    environ: Mapping[str, str] | None = None,
) -> Pushed:
    """Commit the lockfile and the audit log, push them, and make sure that the remote has them.

    Where the remote has moved, what it has is merged. Nothing else of the work tree is committed, and what is
    staged stays staged.

    Args:
        folder: the project's folder.
        message: of the commit.
        remote: the remote's name.
        branch: its branch; by default the upstream of the one that is checked out, or the one that CI names.
        lock_timeout: seconds to wait for the lock, which is held meanwhile.
        environ: environment variables; those of this process by default.

    Raises:
        ManifestError: the project file has faults.
        SettingsError: there is no work tree, remote, branch or name to commit with.
        LockHeldError: another process holds the lock.
        StateError: the remote does not have it; what was committed stays committed.
    """
    from pathlib import Path

    from reconciler.api.pushing import push_lockfile

    return push_lockfile(
        Path(folder), environ, message=message, remote=remote, branch=branch, lock_timeout=lock_timeout
    )
