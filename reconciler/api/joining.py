"""`apply --join`: one saved plan, carried out by any number of processes that share a database (C1).

Whoever comes first opens the plan alone; the others wait for that, and then all of them work on it. What a
worker does is the engine's; here is who opens, who waits and when there is nothing left to do.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.api.house import house_of
from reconciler.api.running import PARALLELISM, run_to_end
from reconciler.engine.stop import Stop
from reconciler.model.errors import LockHeldError, SettingsError, StalePlanError
from reconciler.model.events import Waiting
from reconciler.model.plan import Plan
from reconciler.model.project import PostgresState
from reconciler.model.result import Applied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.adapters.stores.postgres.store import PostgresStore
    from reconciler.api.house import House
    from reconciler.model.events import Listener
    from reconciler.model.ports import Clock, Opening
    from reconciler.model.project import Project
    from reconciler.model.saved import SavedPlan

#: Seconds to wait for whoever opens the plan: as long as a plan of a hundred thousand directories takes.
OPENING = 600.0

# Seconds between two looks, each over a connection of its own.
_POLL = 0.2
_LONGEST_POLL = 2.0


def join(
    project: Project,
    saved: SavedPlan,
    *,
    parallelism: int = PARALLELISM,
    lock_timeout: float = OPENING,
    timeout: float | None = None,
    confirm: str = "",
    approved_by: str = "",
    listen: Listener | None = None,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Applied:
    """Work on a saved plan with whoever else does, until nothing of it is left; gives this process's share.

    A plan that is through already is no error: there was nothing left to do.

    Args:
        project: as `load` gives it; its state has to be in PostgreSQL.
        saved: a plan as `read_plan` gives it.
        parallelism: how many creates, and how many other requests, may be under way at once in this process.
        lock_timeout: seconds to wait for who opens the plan, or for who has the state to itself.
        timeout: seconds that this process may work; what it has not done by then is for others.
        confirm: as for `apply`; given to each worker alike, since any of them may come first.
        approved_by: as for `apply`.
        listen: told what happens meanwhile.
        stop: asked to stop by whoever holds it: what is in flight is finished and recorded, the rest given
            back.
        environ: environment variables; those of this process by default.
        clock: time; the machine's by default.

    Raises:
        SettingsError: the state is elsewhere.
        LockHeldError: somebody else had the state to itself for that long.
        StalePlanError: what would happen now is not what the plan says, or another plan was opened since.
        LockLostError, StoppedError, LimitError, ManifestError, StateError, ServiceError: as for `apply`.
    """
    house = house_of(project, environ, clock=clock, listen=listen, parallelism=parallelism)
    house = replace(house, approved_by=approved_by)
    stop = stop or Stop()
    store, deadline = _database(house), time.monotonic() + lock_timeout

    def open_plan(session: Opening) -> Applied:
        return run_to_end(house.open_plan(session, saved, confirm=confirm, stop=stop, seconds=timeout))

    opened = _open(store, saved, stop, deadline, open_plan=open_plan, listen=house.listen)
    if opened is not None and (stop.over or opened.ended):
        return opened
    with store.hold_joint(max(0.0, deadline - time.monotonic())) as joint:
        offered, applied = store.joint()
        if applied != saved.own or offered not in {"", saved.own}:
            raise StalePlanError(
                "something else was applied since",
                where=saved.file,
                why="a plan is for one apply, by however many",
                next="Make and review a new one: reconciler plan --out FILE",
            )
        if not offered:
            return opened or Applied(plan=Plan(actions=()))
        worked = run_to_end(house.work(joint, saved, stop=stop, seconds=timeout))
    if opened is None:
        return worked
    from reconciler.engine.joined import together

    return together(opened, worked)


def _open(
    store: PostgresStore,
    saved: SavedPlan,
    stop: Stop,
    deadline: float,
    *,
    open_plan: Callable[[Opening], Applied],
    listen: Listener,
) -> Applied | None:
    """Open the plan, or wait until another has; gives what was done for that, if it was done here."""
    pause = _POLL
    while _is_to_open(store, saved):
        if stop.over:
            raise stop.error()
        try:
            with store.hold_to_open(0) as session:
                if _is_to_open(store, saved):  # else somebody was quicker
                    return open_plan(session)
        except LockHeldError as error:
            if (left := deadline - time.monotonic()) <= 0:
                raise
            if pause == _POLL:
                listen(Waiting(f"the plan is being opened by another worker, or {error.what}", left))
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_POLL)
    return None


def _is_to_open(store: PostgresStore, saved: SavedPlan) -> bool:
    """Whether nobody has opened the plan yet. Offered alone is not opened: who did that may have crashed."""
    _, applied = store.joint()
    return applied != saved.own


def _database(house: House) -> PostgresStore:
    from reconciler.adapters.stores.postgres.store import PostgresStore

    store = house.store()
    file = house.project.file
    if not isinstance(file.state, PostgresState) or not isinstance(store, PostgresStore):
        raise SettingsError(
            "only a state in PostgreSQL can be worked on by several at once",
            where=str(file.locate(("spec", "state"))),
            why="each worker claims rows, which neither a file nor a bucket has",
            next="Move it there with `reconciler state migrate`, or leave --join out",
        )
    return store
