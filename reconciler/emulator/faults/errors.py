"""The errors of fault injection and of the runner.

EmulatorError
├── FaultFileError      a fault file cannot be used: carries every problem in it
└── CannotListenError   the address or port cannot be listened on
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.emulator.errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong in a fault file.

    Attributes:
        where: The way to the value, such as `("faults", 2, "probability")`; empty for the document.
        message: What is wrong there, in words.
        rule: The rule that it breaks, for programs: a keyword of JSON Schema, `yaml`, `size` or `value`.
        key: The key of that value that is wrong, when it is a key.
        line: The line where it was written, from 1; 1 also when that is not known.
        column: The column there, from 1.
    """

    where: tuple[str | int, ...]
    message: str
    rule: str
    key: str | None = None
    line: int = 1
    column: int = 1

    @property
    def place(self) -> str:
        """The way to the value as people write it, such as `faults[2].probability`."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.where)
        return "".join(parts).removeprefix(".")

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.where else self.message


class FaultFileError(EmulatorError):
    """A fault file cannot be used; nothing was changed.

    Attributes:
        source: Where it came from: a path, or words such as `the request`.
        problems: Everything that is wrong with it, in the order of the document.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        lines = "".join(f"\n  {source}:{each.line}:{each.column}: {each}" for each in problems)
        super().__init__(f"{source} is not a valid fault file:{lines}")
        self.source = source
        self.problems = tuple(problems)


class CannotListenError(EmulatorError):
    """The service cannot listen where it was asked to.

    Attributes:
        host: The host name or address asked for.
        port: The port asked for.
        reason: Why not, in words.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host} port {port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason
