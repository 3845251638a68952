"""Merging lockfiles where git asks for it: from three files to one, or to an error in words.

What is decided is `core.merge`, what is read and written `adapters.stores.merging`. No project file is read:
while branches are merged, it may be in conflict itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.adapters.stores.merging import merged_text, read_base, read_side, undecided, write_side
from reconciler.core.merge import merge
from reconciler.model.errors import StateError
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.merge import Merged

# So many conflicts are told in one error; each is between marks in the file.
_TOLD = 5

_BY_HAND = "then `git add {0}` and `git merge --continue` (or `git rebase --continue`)"


def merge_lockfiles(base: Path, ours: Path, theirs: Path, shown: str) -> str:
    """Merge two lockfiles and leave the result in ``ours``, as git's merge drivers do.

    Before anything else ``ours`` gets conflict marks, so that a driver that is killed leaves nothing that
    could be taken for a lockfile.

    Args:
        base: what both sides began with; empty where there was nothing.
        ours: one side, and the place of the result.
        theirs: the other side.
        shown: the lockfile's name for messages.

    Returns:
        Something to be said beside it, or "".

    Raises:
        StateError: the sides cannot be merged, or differ in what only a person can decide; ``ours`` then
            has conflict marks in it.
    """
    content = {name: _content(path, shown) for name, path in (("ours", ours), ("theirs", theirs))}
    write_side(ours, shown, undecided(content["ours"], content["theirs"]))
    sides = [_side(content[name], f"{shown} ({name})", shown) for name in ("ours", "theirs")]
    before, note = _base(base, shown)
    try:
        merged = merge(before, *sides)
    except StateError as error:
        raise StateError(error.what, where=shown, why=error.why, next=error.next) from error
    write_side(ours, shown, merged_text(merged))
    if merged.conflicts:
        raise conflict_error(
            merged,
            shown,
            f"In {shown}, keep one of the two lines between the marks (each holds the batches of both)"
            f" and remove the marks, {_BY_HAND.format(shown)}. `reconciler status` names what is surplus,"
            " and `reconciler cancel ADDRESS BATCH_ID` stops it",
        )
    return note


def merge_contents(base: bytes, ours: bytes, theirs: bytes, shown: str) -> Merged:
    """The same for what is in memory already.

    Raises:
        StateError: the sides cannot be merged.
    """
    try:
        before = read_base(base, shown)
    except StateError:
        before = Lock()
    return merge(before, read_side(ours, f"{shown} (ours)"), read_side(theirs, f"{shown} (theirs)"))


def conflict_error(merged: Merged, shown: str, then: str) -> StateError:
    """Conflicts in words."""
    told = sorted(str(conflict) for conflict in merged.conflicts.values())
    more = f"; and {len(told) - _TOLD} more" if told[_TOLD:] else ""
    return StateError(
        "two branches recorded different batches for the same work",
        where=shown,
        why="; ".join(told[:_TOLD]) + more,
        next=then,
    )


def _content(path: Path, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError("cannot read a side of the merge", where=shown, why=error.strerror or "") from error


def _side(content: bytes, where: str, shown: str) -> Lock:
    try:
        return read_side(content, where)
    except StateError as error:
        raise StateError(
            error.what,
            where=error.where,
            why=error.why,
            next=f"Take the other side of {shown} whole, {_BY_HAND.format(shown)}",
        ) from error


def _base(path: Path, shown: str) -> tuple[Lock, str]:
    """What both sides began with. Where it is of no use, nothing counts as dropped, and so nothing is."""
    try:
        return read_base(_content(path, shown), shown), ""
    except StateError as error:
        # git merges several bases into one by this driver, too, and takes a conflict among them as it is.
        return Lock(), f"{shown}: what both sides began with is no lockfile ({error.what}); all is kept"
