"""The error tree of the stand-in, and how a request is refused.

Exception
├── EmulatorError                   raised to the owner of a `Service`
│   ├── ClockRangeError             a clock was to be moved before 1970 or after the year 9000
│   ├── ClockSetError               a running clock was to be set anew
│   ├── DatabaseGoneError           deleted or replaced while it was served
│   ├── DatabaseTooNewError         written by a later version: nothing was changed
│   ├── DatabaseUnusableError       no database, another program's, damaged, locked or not permitted
│   └── ReaderUnavailableError      the process that reads documents cannot be started
├── Refused                         inside a request: becomes a reply with `detail`; never leaves the app
│   └── Invalid                     422, with `loc`, `msg` and `type` for each fault
└── Unreadable                      one document could not be read: becomes its job's `error_message`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class EmulatorError(Exception):
    """What the owner of a `Service` may have to handle."""


class ClockRangeError(EmulatorError):
    """The clock was to show a time that it cannot."""

    def __init__(self) -> None:
        super().__init__("the clock shows times from 1970 up to the year 9000")


class ClockSetError(EmulatorError):
    """The clock of this database runs already, and another start was asked for."""

    def __init__(self) -> None:
        super().__init__("the database has a clock that runs already, so it cannot start with an offset")


class DatabaseGoneError(EmulatorError):
    """The database is no longer where it was opened: what is written into it would be lost."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was deleted or replaced while it was served")


class DatabaseTooNewError(EmulatorError):
    """The database was written by a later version of this program."""

    def __init__(self, path: Path, *, found: int, supported: int) -> None:
        super().__init__(
            f"{path} was written by a newer version (format {found}; this one reads up to {supported}): "
            "upgrade, or name another database"
        )
        self.path = path
        self.found = found
        self.supported = supported


class DatabaseUnusableError(EmulatorError):
    """The database cannot be opened, read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used as the stand-in's database: {reason}")
        self.path = path
        self.reason = reason


class ReaderUnavailableError(EmulatorError):
    """The process that reads documents cannot be started; no document was tried."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the document reader cannot be started: {reason}")


class Fault(TypedDict):
    """One entry of a 422 reply: where, in words, and as a name for programs."""

    loc: list[str | int]
    msg: str
    type: str


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a defect
    """The request gets this status and `detail`; nothing was changed by it."""

    def __init__(self, status: int, detail: str | list[Fault]) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class Invalid(Refused):
    """Some parameters or fields are not what the contract says."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(422, list(faults))


class Unreadable(Exception):  # noqa: N818 - a fact about a document
    """A document could not be read, or lacks what was asked for; the message says why."""
