"""What pushing the lockfile came to."""

from __future__ import annotations

from typing import NamedTuple


class Pushed(NamedTuple):
    """The lockfile as a remote has it.

    Attributes:
        remote: the remote's name.
        branch: its branch.
        commit: the commit that holds the lockfile there; "" where there was nothing to push.
        files: what was committed by this, sorted.
        rebased: how often the remote had moved, and the commit was put on top of what it had by then.
        note: something else that one should know, or "".
    """

    remote: str
    branch: str
    commit: str = ""
    files: tuple[str, ...] = ()
    rebased: int = 0
    note: str = ""
