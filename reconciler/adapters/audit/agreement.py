"""Whether the audit log and the lockfile tell the same of the batches that this tool created.

Two questions: has every batch that the lockfile says was created a line that says so, and is every batch that
a line says was created recorded, or was it given up by a later line? What gives one up: a forget or a cancel
of its key, which take the key out of the lockfile; an adoption of its key, which is what follows a lockfile
that was lost (R9); and a resolve that found the batch gone.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from reconciler.adapters.audit.form import text_of, written
from reconciler.model.audit import AuditFault

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.model.source import Source

_BACKUPS = "What stood there before a push or a move is among the backups of the state"

#: What takes a key, with all of its batches, out of the lockfile, or begins it anew, and how that ends.
_GIVES_UP = frozenset(
    {
        (b"forget", b"forgotten"),
        (b"cancel", b"cancel-asked"),
        (b"adopt", b"adopted"),
        (b"import", b"imported"),
    }
)


class _Created(NamedTuple):
    file: str
    line: int
    address: str
    key: bytes
    time: bytes


class Agreement:
    """Takes the sound lines of all files, and then says where the two differ."""

    def __init__(
        self, created: Mapping[str, tuple[str, Callable[[], Source]]], recorded: frozenset[str]
    ) -> None:
        """Begin without any line.

        Args:
            created: per batch that the lockfile says was created, its key, and a way to learn where
                it stands there.
            recorded: the ids of all recorded batches, as known when this begins.
        """
        self._created = created
        # Whether no line has said of a recorded batch yet that it was created.
        self._unsaid = {written(batch): batch in created for batch in recorded}
        self._recovered: set[bytes] = set()
        self._missing: dict[bytes, _Created] = {}
        self._given_up: dict[bytes, bytes] = {}
        self._gone: dict[bytes, bytes] = {}

    def take(self, file: str, number: int, line: re.Match[bytes]) -> None:
        """One sound line of an action."""
        batch = line["batch"]
        recorded = batch in self._unsaid
        if recorded:
            self._unsaid[batch] = False
        if line["action"] == b"create":
            if not recorded and line["outcome"] == b"created":
                address, time = text_of(line["address"]), _comparable(line["time"])
                self._missing[batch] = _Created(file, number, address, line["key"], time)
            return
        action, outcome, key, time = line.group("action", "outcome", "key", "time")
        if (action, outcome) in _GIVES_UP:
            self._given_up[key] = max(self._given_up.get(key, b""), _comparable(time))
        elif action == b"resolve" and outcome == b"gone":
            self._gone[batch] = max(self._gone.get(batch, b""), _comparable(time))
        elif action == b"recover":
            self._recovered.add(key)

    def faults(
        self, recorded: frozenset[str], lockfile: str, *, lines_are_lost: bool, in_git: bool = True
    ) -> Iterator[AuditFault]:
        """Where the two differ.

        Args:
            recorded: the ids of all recorded batches, as known after the last line was taken: what a line
                says by then is recorded by then.
            lockfile: its name, for messages.
            lines_are_lost: whether the log has faults of its own. The line that says of a batch that it was
                created may then be one of these, and one damage is one fault.
            in_git: whether git may have older versions of the lockfile; a database or a bucket has backups.
        """
        unsaid = () if lines_are_lost else (batch for batch, unsaid in self._unsaid.items() if unsaid)
        for name in sorted(map(text_of, unsaid)):
            key, place = self._created[name]
            if written(key) not in self._recovered:
                source = place()
                yield AuditFault(
                    source.file,
                    source.line,
                    f"says that {name} was created, and no line of the audit log says so",
                    f"`git log -p -S {shlex.quote(name)} -- {shlex.quote(lockfile)} audit` shows when it came"
                    " and which line went; restore the audit files from git"
                    if in_git
                    else f"The line may have gone with the machine that its run was on. {_BACKUPS}",
                )
        known = {written(batch) for batch in recorded} if self._missing else ()
        for batch, line in self._missing.items():
            after = max(self._given_up.get(line.key, b""), self._gone.get(batch, b""))
            if batch not in known and after < line.time:
                name = text_of(batch)
                git = f"`git log -p -S {shlex.quote(name)} -- {shlex.quote(lockfile)}` shows where it went"
                yield AuditFault(
                    line.file,
                    line.line,
                    f"says that {name} was created at {line.address}, and {lockfile} does not record it, nor"
                    " does a later line say that it was given up",
                    f"{git if in_git else _BACKUPS}. If its run was killed,"
                    " `reconciler apply` records it; if the lockfile was lost, say so in a commit: the fault"
                    " then stays",
                )


def _comparable(time: bytes) -> bytes:
    """A time in UTC whose order as bytes is that of time: without the Z, 08:00:00 is before 08:00:00.5."""
    return time.removesuffix(b"Z")
