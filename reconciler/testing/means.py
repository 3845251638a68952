"""What a run lends to a provider, for a test: time that passes when somebody waits, and turns for all."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.adapters.providers.installed import foreign
from reconciler.adapters.providers.limiter import Limiter
from reconciler.adapters.providers.redaction import Redaction
from reconciler.adapters.providers.registry import check
from reconciler.model.kind import Block, CreatingKind, Installed, Link, Means, WatchedKind
from reconciler.model.project import ForeignProvider
from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from reconciler.model.kind import InstalledKind
    from reconciler.model.ports import Creator, Watcher

_START = datetime(2026, 9, 1, 12, tzinfo=UTC)


@dataclass
class PassingClock:
    """A `Clock` whose time passes when it is asked for, a second each time, and when somebody sleeps."""

    passed: float = 0.0

    def now(self) -> datetime:
        """The wall clock."""
        self.passed += 1.0
        return _START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return self.passed

    async def sleep(self, seconds: float) -> None:
        """Let time pass, at once."""
        self.passed += seconds


@dataclass
class _Patient:
    clock: PassingClock
    over: bool = field(default=False, init=False)

    async def pause(self, seconds: float) -> None:
        await self.clock.sleep(seconds)


def borrowed(secrets: Iterable[str] = (), clock: PassingClock | None = None) -> Means:
    """What a run would lend, without its time: waits are over at once."""
    clock = clock or PassingClock()
    kept = tuple(secrets)
    turns = Limiter(8, clock=clock, random=lambda: 0.5, patience=_Patient(clock))
    return Means(
        clock=clock,
        random=lambda: 0.5,
        turns=turns,
        at_once=8,
        listen=lambda _: None,
        secrets=kept,
        redact=Redaction(kept).text,
    )


@asynccontextmanager
async def connected(
    kind: InstalledKind,
    type_: str,
    options: Mapping[str, Any],
    *,
    folder: Path | str = ".",
    environ: Mapping[str, str] | None = None,
    clock: PassingClock | None = None,
) -> AsyncIterator[Creator]:
    """A kind's creator, connected as a run would connect it, but for what a run puts around it.

    A run makes an outcome of whatever `create` raises, and an error of ours of all else; a test sees it.

    Args:
        kind: what the entry point gives.
        type_: the entry point's name.
        options: the block's, with ``{env: NAME}`` for secrets.
        folder: the project's.
        environ: the environment's variables.
        clock: time.

    Raises:
        UnusableError: reconciler would refuse the kind.
        SettingsError, ServiceError: it could not connect.
    """
    spec, block, means = _run(kind, type_, options, folder=folder, environ=environ or {}, clock=clock)
    assert isinstance(kind, CreatingKind), "the kind has no method 'creator'"
    endpoint = foreign(spec).endpoint(block)
    async with kind.creator(block, means) as link:
        assert isinstance(link, Link), "a creator connects with a Link"
        assert link.creator.endpoint == endpoint, "the endpoint is the same before and after connecting"
        yield link.creator


@asynccontextmanager
async def watching(
    kind: InstalledKind,
    type_: str,
    options: Mapping[str, Any],
    *,
    folder: Path | str = ".",
    environ: Mapping[str, str] | None = None,
    clock: PassingClock | None = None,
) -> AsyncIterator[Watcher]:
    """A kind's watcher, connected as a run would connect it; for arguments and errors see `connected`."""
    spec, block, means = _run(kind, type_, options, folder=folder, environ=environ or {}, clock=clock)
    assert isinstance(kind, WatchedKind), "the kind has no method 'watcher'"
    endpoint = foreign(spec).endpoint(block)
    async with kind.watcher(block, means) as watcher:
        assert watcher.endpoint == endpoint, "the endpoint is the same before and after connecting"
        yield watcher


def _run(
    kind: InstalledKind,
    type_: str,
    options: Mapping[str, Any],
    *,
    folder: Path | str,
    environ: Mapping[str, str],
    clock: PassingClock | None,
) -> tuple[ForeignProvider, Block, Means]:
    read = {name: _read(value) for name, value in options.items()}
    installed = Installed(kind, f"the kind {type_}", check(kind))
    spec = ForeignProvider(name=type_, type=type_, options=read, installed=installed)
    named = [environ.get(variable, "") for _, variable in spec.secrets()]
    block = Block(name=type_, options=read, folder=str(Path(folder).resolve()), environ=environ)
    return spec, block, borrowed(named, clock)


def _read(value: object) -> object:
    match value:
        case {"env": str(variable)}:
            return FromEnvironment(variable)
        case _:
            return value
