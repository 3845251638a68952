"""What stands against applying a plan although every action is right (R15): limits, windows, protection.

All are lifted for one plan by confirming its digest. Policies are held against the plan's document, in
`policies`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.core.windows import closed as closed_by
from reconciler.model.plan import ActionKind, Breach, Guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from reconciler.model.manifest import BatchSet
    from reconciler.model.plan import Action, Closed
    from reconciler.model.project import Limits, Protection
    from reconciler.model.shard import Shard


#: What is limited: it costs money, or it cannot be taken back.
COSTLY = frozenset({ActionKind.CREATE, ActionKind.CANCEL})


def breaches(
    actions: Iterable[Action], limits: Limits, sets: Mapping[str, BatchSet], shard: Shard | None = None
) -> Iterator[Breach]:
    """The limits that these actions go past: the project's, then those of sets, then those of labels.

    Args:
        actions: what is to be done.
        limits: the project's.
        sets: by name, with limits and labels of their own.
        shard: whose actions these are, if they are only a share: it has its share of each limit, so that all
            shares together keep it.
    """
    costly = [action for action in actions if action.kind in COSTLY]
    if not costly:
        return
    yield from _past(limits, costly, shard)
    names = {action.address.set for action in costly}
    for name in sorted(names & sets.keys()):
        own = [action for action in costly if action.address.set == name]
        yield from _past(sets[name].limits, own, shard, f"set {name}")
    for (label, value), its in sorted(limits.labels.items(), key=lambda item: item[0]):
        bearing = {name for name in names & sets.keys() if sets[name].labels.get(label) == value}
        own = [action for action in costly if action.address.set in bearing]
        yield from _past(its, own, shard, f"label {label}={value}")


def closed(
    actions: Iterable[Action], limits: Limits, sets: Mapping[str, BatchSet], now: datetime
) -> Iterator[Closed]:
    """The windows that are closed for these actions now: the project's, then those of sets.

    What only records (adopt, move, forget) is right at any time: it sends nothing, and what is recorded late
    is known late.
    """
    names = {action.address.set for action in actions if action.kind in COSTLY}
    if names and (found := closed_by(limits, now)):
        yield found
    for name in sorted(names & sets.keys()):
        if found := closed_by(sets[name].limits, now, f"set {name}"):
            yield found


def _past(
    limits: Limits, actions: Iterable[Action], shard: Shard | None, scope: str = ""
) -> Iterator[Breach]:
    creates = cancels = files = 0
    for action in actions:
        if action.kind is ActionKind.CREATE:
            creates += 1
            files += action.files or 0
        else:
            cancels += 1
    for name, allowed, planned in (
        ("maxCreates", limits.max_creates, creates),
        ("maxFiles", limits.max_files, files),
        ("maxCancels", limits.max_cancels, cancels),
    ):
        if allowed is None:
            continue
        part = allowed if shard is None else shard.part(allowed)
        if planned > part:
            whose = [scope] if scope else []
            yield Breach(
                name, part, planned, ", ".join(whose if shard is None else [*whose, f"shard {shard}"])
            )


def guarded(actions: Iterable[Action], limits: Limits) -> Iterator[Guarded]:
    """Creates and cancels that touch what is protected, in the order of the actions."""
    for action in actions:
        if action.kind in COSTLY:
            for rule in limits.protected:
                if (name := _touched(rule, action)) is not None:
                    yield Guarded(action.address, name, rule.source)
                    break


def _touched(rule: Protection, action: Action) -> str | None:
    """Which directory or configuration of an action a rule protects."""
    if rule.directory is not None:
        named = (action.key.directory, action.directory_name)
        if any(name and fnmatchcase(name, rule.directory) for name in named):
            return f"directory {action.directory_name or action.key.directory}"
    if rule.configuration is not None and fnmatchcase(action.key.configuration, rule.configuration):
        return f"configuration {action.key.configuration}"
    return None
