"""Which kind of provider a block is of: ours, and through them the door for those of installed packages.

Ours come through the same port as others do. What they have beyond it is that they are made here, for one
block, with what only this project's wiring can tell them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

from reconciler.api.embedded import Embedded
from reconciler.model.errors import SettingsError
from reconciler.model.kind import Link
from reconciler.model.project import ForeignProvider, LlamaCloudProvider, LocalProvider, TalonicProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from reconciler.model.kind import Block, Kind, Means
    from reconciler.model.ports import Creator, Watcher
    from reconciler.model.project import ProviderSpec

_NORTH_AMERICA = "https://api.cloud.llamaindex.ai"

#: Finds out which project a key belongs to, by asking the service through a provider without one.
Asking: TypeAlias = "Callable[[Creator], Awaitable[str]]"


def kind_of(spec: ProviderSpec, ask: Asking) -> Kind:
    """The kind of a block: what connects it, and by its methods what it can do (R16).

    Args:
        spec: the block.
        ask: for where the block does not say which project its key belongs to.
    """
    match spec:
        case LocalProvider():
            return Embedded(spec)
        case LlamaCloudProvider():
            return Cloud(spec, ask)
        case TalonicProvider():
            return Talonic(spec)
        case ForeignProvider():
            from reconciler.adapters.providers.installed import foreign

            return foreign(spec)
        case _:
            assert_never(spec)


@dataclass(frozen=True, slots=True)
class Cloud:
    """The kind ``llamacloud``, for one block."""

    spec: LlamaCloudProvider
    ask: Asking

    def endpoint(self, block: Block) -> str:
        """The base URL that the block says, else the environment's, else North America's."""
        url = self.spec.base_url or block.environ.get("LLAMA_CLOUD_BASE_URL") or _NORTH_AMERICA
        return url.rstrip("/")

    @asynccontextmanager
    async def creator(self, block: Block, means: Means) -> AsyncIterator[Link]:
        """A connection, bound to its project so that every look asks for what the creates are sent to."""
        from reconciler.adapters.providers.connection import Line
        from reconciler.adapters.providers.llamacloud import LlamaCloud
        from reconciler.core.validate.environment import LLAMACLOUD_KEYS

        endpoint = self.endpoint(block)
        names = (self.spec.api_key.variable,) if self.spec.api_key else LLAMACLOUD_KEYS
        key = _key(block, names, why="what was asked for, what is recorded or a set needs it")

        def speaking_for(project: str | None) -> Creator:
            return LlamaCloud(
                line,
                endpoint=endpoint,
                project=project,
                organization=self.spec.organization,
                settle=self.spec.settle,
                clock=means.clock,
                random=means.random,
                limiter=means.turns,
                secrets=means.secrets,
            )

        async with Line(endpoint, key, parallelism=means.at_once) as line:
            project = self.spec.project or await self.ask(speaking_for(None))
            yield Link(project, speaking_for(project))


@dataclass(frozen=True, slots=True)
class Talonic:
    """The kind ``talonic``, for one block. Its service forms batches by itself, so nothing creates (R16)."""

    spec: TalonicProvider

    def endpoint(self, block: Block) -> str:
        """The base URL that the block says, else the environment's, else the service's own."""
        from reconciler.adapters.providers.connection import TALONIC
        from reconciler.adapters.providers.talonic import BASE_URL

        return (self.spec.base_url or block.environ.get(TALONIC[0]) or BASE_URL).rstrip("/")

    @asynccontextmanager
    async def watcher(self, block: Block, means: Means) -> AsyncIterator[Watcher]:
        """A connection to look through."""
        from reconciler.adapters.providers.connection import TALONIC, connect
        from reconciler.adapters.providers.talonic import Talonic as Service
        from reconciler.core.validate.environment import TALONIC_KEYS

        endpoint = self.endpoint(block)
        names = (self.spec.api_key.variable,) if self.spec.api_key else TALONIC_KEYS
        key = _key(block, names, why="")
        connecting = connect(endpoint, key, parallelism=means.at_once, variables=(TALONIC[0], names[0]))
        async with connecting as client:
            yield Service(
                client,
                endpoint=endpoint,
                clock=means.clock,
                limiter=means.turns,
                random=means.random,
                secrets=means.secrets,
            )


def _key(block: Block, names: tuple[str, ...], *, why: str) -> str:
    """The first of these variables that is set."""
    if key := next((value for name in names if (value := block.environ.get(name))), None):
        return key
    unset = f"{names[0]} is not set" if len(names) == 1 else f"none of {', '.join(names)} is set"
    raise SettingsError(
        f"{unset}: provider {block.name} takes its API key from there",
        where="reconciler.yaml",
        why=why,
    )
