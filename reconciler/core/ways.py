"""What would change what a plan says of one address: the edit or the command, for each kind of action.

Every BLOCKED has a way out that its own message names; here they stand together with those of all other
actions, for whoever asks for an explanation.
"""

from __future__ import annotations

import shlex
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, assert_never

from reconciler.model.manifest import Rerun
from reconciler.model.plan import ActionKind, ReasonCode

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.desired import DesiredBatch
    from reconciler.model.plan import Action

_LEAVE_OUT = "leave the directory out of the set: the batch is then forgotten, and left alone"


def ways_out(action: Action, want: DesiredBatch | None) -> tuple[str, ...]:
    """Sentences that each name what somebody could do so that the plan says something else.

    Args:
        action: what the plan says.
        want: what is desired of the action's key; None when it is not desired.
    """
    match action.kind:
        case ActionKind.KEEP | ActionKind.MOVE | ActionKind.ADOPT:
            return _standing(action)
        case ActionKind.CREATE:
            return _create(action, want)
        case ActionKind.BLOCKED:
            return _blocked(action, want)
        case ActionKind.UNRESOLVED:
            return _unresolved(action, want)
        case ActionKind.FORGET | ActionKind.CANCEL:
            return _removed(action)
        case other:
            assert_never(other)


def policy_of(rerun: Rerun) -> dict[str, str]:
    """What a set's ``rerun`` says beyond the defaults, as a manifest writes it."""
    policy = {
        "after": stamp(rerun.after) if rerun.after else "",
        "maxAge": _duration(rerun.max_age) if rerun.max_age is not None else "",
        "onFailed.maxAttempts": str(rerun.max_attempts) if rerun.max_attempts != Rerun().max_attempts else "",
    }
    usual = Rerun()
    for name, value, default in (
        ("onCancelled", rerun.on_cancelled, usual.on_cancelled),
        ("onInputChange", rerun.on_input_change, usual.on_input_change),
        ("onConfigurationChange", rerun.on_configuration_change, usual.on_configuration_change),
    ):
        policy[name] = "" if value is default else value.value
    return {name: value for name, value in policy.items() if value}


def stamp(moment: datetime | None) -> str:
    """A time in UTC, to the second, as a manifest takes it; what is not known is said to be so."""
    if moment is None:
        return "a time that is not known"
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _duration(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, letter in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds % unit == 0:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def _standing(action: Action) -> tuple[str, ...]:
    address, batch = _word(str(action.address)), action.batch
    ways = []
    if action.kind is not ActionKind.KEEP:
        ways.append("`reconciler apply` records it; nothing is created")
    if batch is not None and batch.created_at is not None:
        later = stamp(batch.created_at + timedelta(seconds=1))
        ways.append(f"to run it again: set rerun.after to {later} or later, a time that has passed")
    if batch is not None and not batch.status.terminal and action.kind is ActionKind.KEEP:
        ways.append(f"to stop it: `reconciler cancel {address}`")
    ways.append(f"to have another batch of this work stand: `reconciler import {address} BATCH_ID`")
    ways.append(f"to want it no longer: {_LEAVE_OUT}")
    return tuple(ways)


_ASKED_BY = {
    ReasonCode.FAILED: "to try no more: lower rerun.onFailed.maxAttempts",
    ReasonCode.CANCELLED: "to leave it stopped: set rerun.onCancelled: hold",
    ReasonCode.STALE_AFTER: "to let the old one count: take rerun.after out, or set an earlier time",
    ReasonCode.STALE_AGE: "to let the old one count: raise rerun.maxAge",
    ReasonCode.INPUT_CHANGED: "to let the old one count: set rerun.onInputChange: ignore",
    ReasonCode.CONFIGURATION_CHANGED: "to let the old one count: set rerun.onConfigurationChange: ignore",
}


def _create(action: Action, want: DesiredBatch | None) -> tuple[str, ...]:
    ways = [f"`reconciler apply --target {_word(str(action.address))}` creates it"]
    if asked := _ASKED_BY.get(action.reason.code):
        ways.append(asked)
    if want is not None:
        ways.append("to want it no longer: leave the directory out of the set")
    return tuple(ways)


def _blocked(action: Action, want: DesiredBatch | None) -> tuple[str, ...]:
    after = (
        "set rerun.after to a time after that batch, one that has passed: earlier attempts then do not count"
    )
    if action.batch is not None and action.batch.created_at is not None:
        later = stamp(action.batch.created_at + timedelta(seconds=1))
        after = (
            f"set rerun.after to {later} or later, a time that has passed: earlier attempts then do not count"
        )
    match action.reason.code:
        case ReasonCode.HELD:
            return (f"to run it again: {after}", "or set rerun.onCancelled: rerun")
        case ReasonCode.ATTEMPTS_EXHAUSTED:
            most = want.set.rerun.max_attempts if want else Rerun().max_attempts
            return (f"to try again: {after}", f"or raise rerun.onFailed.maxAttempts above {most}")
        case ReasonCode.PREFLIGHT:
            return ("put the directory or the configuration right, and plan again", f"or {_LEAVE_OUT}")
        case ReasonCode.DEPENDS_ON:
            return (
                "`reconciler apply --wait` goes on by itself once they end well",
                "where they ended badly: run them again with rerun.after, or raise their maxFailedFiles",
                "or change dependsOn",
            )
        case ReasonCode.CANARY:
            return (
                "`reconciler apply --wait` goes on by itself once the canaries end well",
                "where they ended badly: run them again with rerun.after",
                "or lower canary, or raise maxFailedFiles",
            )
        case ReasonCode.SAME_WORK:
            return ("desire only one of the two addresses, and apply again",)
        case _:
            return ()


def _unresolved(action: Action, want: DesiredBatch | None) -> tuple[str, ...]:
    address = _word(str(action.address))
    absent = f"if you know that there is no such batch: `reconciler lock resolve {address} --absent`"
    named = (f"if you know which batch it is: `reconciler import {address} BATCH_ID`",) if want else ()
    if action.reason.code is ReasonCode.OPEN_INTENT:
        return ("`reconciler apply` looks for it first, and never sends before it knows", *named, absent)
    if "(404)" in action.reason.text or "resolve" in action.reason.text:
        return ("make sure that the key, the project and the service are the right ones", *named, absent)
    return ("plan again: what could not be read now may be readable then", *named)


def _removed(action: Action) -> tuple[str, ...]:
    ways = [f"to want it again: put the directory back into the set {action.address.set}"]
    if action.kind is ActionKind.CANCEL:
        ways.append("to let it run on: put it back, set onRemove: keep, apply, and take it out again")
    else:
        ways.append("`reconciler apply` forgets it; the batch itself is left alone")
    return tuple(ways)


def _word(text: str) -> str:
    """Ids come from outside, and these commands are copied into a shell."""
    return shlex.quote(text)
