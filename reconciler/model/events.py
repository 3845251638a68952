"""What happens during a run, as it happens: for progress, logs and later formats. Closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from reconciler.model.batch import Address, Batch, Status
    from reconciler.model.intent import Intent
    from reconciler.model.plan import Action, Plan
    from reconciler.model.result import Outcome


@dataclass(frozen=True, slots=True)
class Observing:
    """Live batches are being looked for: so many keys, in so many pages so far."""

    keys: int
    pages: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run does nothing for so many seconds, and why."""

    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Resolving:
    """An open intent is being looked for (C5, C7)."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made; whether it is carried out is asked next."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Starting:
    """The plan is approved; so many actions follow."""

    actions: int


@dataclass(frozen=True, slots=True)
class Done:
    """An action ended well. ``batch`` is what stands for its key now, if anything does."""

    action: Action
    outcome: Outcome
    batch: Batch | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An action did not come about, or its outcome is not known."""

    action: Action
    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """A batch that the run waits for has another status."""

    address: Address
    batch: Batch
    before: Status


@dataclass(frozen=True, slots=True)
class Pending:
    """So many of the batches that the run waits for are terminal."""

    terminal: int
    total: int


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A batch ended, and one of its files came to nothing."""

    address: Address
    file: str
    why: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The embedded service has written what it made of the documents to this folder."""

    folder: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know and that stops nothing."""

    message: str


Event: TypeAlias = (
    Planned
    | Observing
    | Waiting
    | Resolving
    | Starting
    | Done
    | Failed
    | Progressed
    | Pending
    | FileFailed
    | Stored
    | Warned
)

#: Whoever wants to see the run go by.
Listener: TypeAlias = Callable[[Event], None]
