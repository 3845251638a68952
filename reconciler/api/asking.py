"""What the manifests ask for, once it is known what their names and patterns stand for (R13).

What is asked of the services, and what the answers mean, is decided in `core.names`; here is of whose names
a command needs the answers, and what becomes of those that it could do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.expand import expand
from reconciler.core.names import is_given, moved, wanted_names
from reconciler.engine.names import look_up
from reconciler.model.errors import ManifestError, PinError, ServiceError, SettingsError
from reconciler.model.events import Warned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.api.house import Names
    from reconciler.api.services import Connections
    from reconciler.model.desired import Desired
    from reconciler.model.events import Listener
    from reconciler.model.lock import Lock
    from reconciler.model.project import Project

# So many pins are named in one error.
_TOLD = 5


async def ask_for(
    project: Project, there: Connections, lock: Lock, names: Names, *, listen: Listener, at_once: int
) -> Desired:
    """What the manifests ask for; of sets out of reach, if one of them cannot be understood, nothing.

    Raises:
        ManifestError: a name of a set that matters stands for nothing or for several directories, or two
            desired batches are the same work.
        PinError: a pin would change, and ``locked`` forbids it.
        ServiceError, SettingsError: a service that is needed for it cannot be asked.
    """
    everything = frozenset(item.name for item in project.sets)
    inner = everything if names.reach is None else everything & names.reach
    known = {item.name for item in project.sets} if names.upgrade else {pin.set for pin in lock.pins}
    pins = [pin for pin in lock.pins if pin.set in known - names.upgrade]
    blocks = {block: there.eyes.providers[home] for block, home in there.homes.items()}
    entries = lock.entries.values()

    async def understood(only: frozenset[str]) -> Desired:
        """What these sets ask for."""
        wanted = wanted_names(project.sets, pins, entries, there.homes, only=only)
        catalogue = await look_up(wanted, blocks, at_once)
        return expand(project, there.homes, catalogue, pins, entries, only=only)

    lost = {item.name: there.lost[item.provider] for item in project.sets if item.provider in there.lost}
    for name in sorted(inner & lost.keys()):
        raise lost[name]
    why: Exception | None = next(iter(lost.values()), None)
    asked = everything - lost.keys()
    try:
        desired = await understood(asked)
    except (ManifestError, ServiceError, SettingsError) as error:
        if inner == asked:
            raise
        asked, why = inner, error
        desired = await understood(asked)
    if outside := sorted(everything - asked):
        # Whatever they may ask for is neither forgotten nor cancelled (R7); `Desired.whole` says so.
        listen(Warned(f"not selected, and what it asks for is not known: {', '.join(outside)}: {why}"))
    for warning in desired.warnings:
        listen(Warned(f"{warning.source}: {warning.message}"))
    if names.locked:
        _refuse_moves(project, desired, lock, inner)
    return desired


def _refuse_moves(project: Project, desired: Desired, lock: Lock, sets: Iterable[str]) -> None:
    pinned = [pin for pin in lock.pins if pin.set in sets and is_given(pin, project.sets)]
    if changes := moved([pin for pin in desired.pins if pin.set in sets], pinned):
        told = "; ".join(changes[:_TOLD]) + ("; …" if changes[_TOLD:] else "")
        raise PinError(
            f"what names and patterns stand for would change: {told}",
            why="--locked takes names and patterns only for what the lockfile says that they stand for",
            next="Run without --locked and review what is new, or move pins alone with `lock --upgrade`",
        )
