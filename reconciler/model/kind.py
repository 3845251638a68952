"""What a kind of provider is: the port that ours and those of installed packages come in through.

A kind is what the ``type`` of a provider block in reconciler.yaml stands for. What it can do is a matter of
which methods it has (R16): a kind that cannot create has no ``creator``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from reconciler.model.errors import SettingsError
from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from reconciler.model.events import Listener
    from reconciler.model.ports import Clock, Creator, Patience, Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A provider block of reconciler.yaml, as its kind is given it.

    Attributes:
        name: the block's own name.
        options: its other keys but for ``type``, as the kind's schema allowed them; ``{env: NAME}`` is a
            `FromEnvironment`, whose value only `secret` gives.
        folder: the folder of the project file, absolute: paths among the options are relative to it.
        environ: the environment's variables.
        where: the place of the block, for errors.
    """

    name: str
    options: Mapping[str, Any]
    folder: str
    environ: Mapping[str, str]
    where: str = "reconciler.yaml"

    def secret(self, option: str) -> str:
        """The value of an option that is written as ``{env: NAME}``.

        Raises:
            SettingsError: the block has no such option, or the variable is not set.
        """
        value = self.options.get(option)
        if not isinstance(value, FromEnvironment):
            raise SettingsError(
                f"provider {self.name} has no {option}",
                where=self.where,
                next=f"Name the variable that holds it: {option}: {{env: NAME}}",
            )
        if not (found := self.environ.get(value.variable)):
            raise SettingsError(
                f"the environment variable {value.variable} is not set",
                where=self.where,
                why=f"provider {self.name} takes its {option} from there",
            )
        return found


class Turn(Protocol):
    """One request's turn, which has to hear what came of it."""

    def answered(self, status: int, retry_after: float | None) -> None:
        """There was a reply, with a Retry-After of so many seconds or none."""
        ...

    def failed(self) -> None:
        """There was none."""
        ...


class Turns(Protocol):
    """How hard a run presses one service: every request has its turn, before its first byte (O6)."""

    @property
    def patience(self) -> Patience:
        """For waits between two tries of one request."""
        ...

    def turn(self, *, urgent: bool = False) -> AbstractAsyncContextManager[Turn]:
        """Wait for a turn, and have it; ``urgent``, for creates, goes before all who wait.

        Raises:
            ServiceError: the service wants to be left alone for longer than a run waits, or has answered
                nothing for so long that it is not tried any more.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run lends to a provider while it is connected.

    Attributes:
        clock: time; tests have their own.
        random: uniform in [0, 1), for the jitter between tries.
        turns: for requests over a network.
        at_once: how many requests may be under way at most.
        listen: told what a person should see while it happens.
        secrets: what must be shown nowhere.
        redact: a text without those secrets, in whatever form a service repeats them.
    """

    clock: Clock
    random: Callable[[], float]
    turns: Turns
    at_once: int
    listen: Listener
    secrets: tuple[str, ...]
    redact: Callable[[str], str]


class Link(NamedTuple):
    """A connection that can create.

    Attributes:
        project: the project of the service that the block's batches live in, as keys carry it.
    """

    project: str
    creator: Creator


class Kind(Protocol):
    """A kind of provider. What else it has says what it can do: `CreatingKind`, `WatchedKind`, or both."""

    def endpoint(self, block: Block) -> str:
        """Which service a block leads to, as keys carry it.

        The same for ever while the block leads to the same service: with another endpoint, everything that
        is recorded is taken for other work, and is created again.

        Raises:
            SettingsError: the block does not lead anywhere.
        """
        ...


@runtime_checkable
class CreatingKind(Kind, Protocol):
    """A kind of provider on which batches can be created (kind BatchSet)."""

    def creator(self, block: Block, means: Means) -> AbstractAsyncContextManager[Link]:
        """Connect: within the context, the link can be used.

        Raises:
            SettingsError: the block cannot be used as it is set up.
            ServiceError: the service had to be asked, and did not answer.
        """
        ...


@runtime_checkable
class WatchedKind(Kind, Protocol):
    """A kind of provider whose batches can be watched, whoever makes them (kind TrackedBatch).

    A kind that creates need not be one: its creator can be looked through.
    """

    def watcher(self, block: Block, means: Means) -> AbstractAsyncContextManager[Watcher]:
        """Connect: within the context, the watcher can be used.

        Raises:
            SettingsError: the block cannot be used as it is set up.
            ServiceError: the service had to be asked, and did not answer.
        """
        ...


class InstalledKind(Kind, Protocol):
    """What an entry point of the group ``reconciler.providers`` gives, at the name that is the ``type``."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema (2020-12) of a block's options, without ``type``; an unknown option is refused."""
        ...


class Installed(NamedTuple):
    """A kind that an installed package brought.

    Attributes:
        kind: what its entry point gave, found to be usable.
        package: the package's name and version, for people.
        schema: the kind's own, as JSON has it, complete and refusing what it does not name.
    """

    kind: InstalledKind
    package: str
    schema: Mapping[str, Any]

    @property
    def creates(self) -> bool:
        """Whether batches can be created on it."""
        return isinstance(self.kind, CreatingKind)


class Kinds(NamedTuple):
    """Which kinds there are beside ours, as far as a project asked for them.

    Attributes:
        usable: by type.
        unusable: by type, why it cannot be used, in a sentence that names the package.
        offered: the types that installed packages offer, usable or not.
    """

    usable: Mapping[str, Installed]
    unusable: Mapping[str, str]
    offered: frozenset[str]
