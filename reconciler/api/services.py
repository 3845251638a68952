"""Connecting a project's provider blocks: which are needed, with what, and that no two speak for one project.

What a block is connected by is its kind's business (`kinds`), how a service is spoken to that of
`adapters/providers`. A block's endpoint and project are the first two parts of its keys.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.api.embedded import try_out
from reconciler.api.kinds import kind_of
from reconciler.engine.observe import Eyes
from reconciler.model.batch import Home
from reconciler.model.errors import ManifestError, ServiceError, SettingsError
from reconciler.model.events import Waiting, Warned
from reconciler.model.kind import Block, CreatingKind, Means
from reconciler.model.lock import Lock
from reconciler.model.manifest import ById, InlineWebhook, OnRemove, SavedWebhook
from reconciler.model.project import ForeignProvider, LlamaCloudProvider, LocalProvider, creates
from reconciler.model.secret import FromEnvironment
from reconciler.model.source import Diagnostic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping

    from reconciler.api.kinds import Asking
    from reconciler.engine.stop import Stop
    from reconciler.model.events import Listener
    from reconciler.model.intent import Intent
    from reconciler.model.manifest import Webhook
    from reconciler.model.ports import Clock, Creator, TurnBook
    from reconciler.model.project import Project, ProviderSpec


class Connections(NamedTuple):
    """What a project is connected to.

    Attributes:
        homes: per provider block, where it leads.
        pins: per block and endpoint, the project that its key turned out to belong to.
        lost: blocks of sets that this is not about, and why they could not be connected.
    """

    eyes: Eyes
    homes: Mapping[str, Home]
    pins: Mapping[str, str]
    lost: Mapping[str, SettingsError | ServiceError]


class _Wire(NamedTuple):
    """A provider block, and what connects it.

    Attributes:
        used: whether it has to be had.
        open: else, whether something recorded still needs it.
    """

    block: Block
    kind: CreatingKind
    endpoint: str
    used: bool
    open: bool


@dataclass(frozen=True, slots=True)
class Services:
    """What connecting to a project's services takes.

    Attributes:
        reach: the manifests that this is about; None for all. Services of others are connected where that
            is possible: what their sets ask for is not to be forgotten.
        trust: whether batches that are recorded as terminal are believed to be so (O1).
        book: where requests' turns are booked that workers beside this one have as well.
    """

    project: Project
    environ: Mapping[str, str]
    clock: Clock
    listen: Listener
    at_once: int
    stop: Stop
    reach: frozenset[str] | None = None
    trust: bool = True
    book: TurnBook | None = None

    @contextlib.asynccontextmanager
    async def connected(
        self, lock: Lock, intents: Iterable[Intent], asked: Collection[str] = ()
    ) -> AsyncIterator[Connections]:
        """The services that the sets use, and those that what is recorded still needs.

        Args:
            lock: what is recorded: the projects of keys, and batches that may have to be cancelled (R10).
            intents: open ones: what became of them has to be looked for wherever they were sent (C7).
            asked: names of provider blocks that are wanted whether a set uses them or not.

        Raises:
            ManifestError: an environment variable that is needed is not set.
            SettingsError: a provider cannot be used as it is set up.
            ServiceError: a service that has to be asked for the key's project does not answer.
        """
        self.refuse_unset()
        providers: dict[Home, Creator] = {}
        homes: dict[str, Home] = {}
        pins: dict[str, str] = {}
        lost: dict[str, SettingsError | ServiceError] = {}
        wires = self._wires(lock, intents, asked, lost)
        self._refuse_second_embedded(wires)
        async with contextlib.AsyncExitStack() as stack:
            for block, kind, endpoint, used, needed in wires:
                try:
                    link = await stack.enter_async_context(kind.creator(block, self.means(block)))
                except (SettingsError, ServiceError) as error:
                    if used:
                        raise
                    if needed:
                        self.listen(
                            Warned(f"provider {block.name}, where something recorded is open: {error}")
                        )
                    lost[block.name] = error
                    continue
                if not isinstance(self._specs[block.name], LocalProvider):
                    pins[_pin(block.name, endpoint)] = link.project
                home = homes[block.name] = Home(endpoint, link.project)
                self._refuse_rival(block.name, home, homes)
                providers.setdefault(home, link.creator)
            eyes = Eyes(providers, self.clock, self.listen, self.at_once, self.trust)
            yield Connections(eyes, homes, pins, lost)

    def try_out(self) -> None:
        """Find out whether the embedded service, if one is used, can keep what it will be given.

        Raises:
            SettingsError: it cannot; better known now than as the failure of each create.
        """
        sets = [item for item in self.project.sets if self._is_about(item.name)]
        if any(isinstance(self._specs[item.provider], LocalProvider) for item in sets):
            try_out(Path(self.project.folder))

    def refuse_unset(self) -> None:
        """Make sure of the environment variables that the manifests need.

        Raises:
            ManifestError: some are not set; it names all of them.
        """
        from reconciler.api.reading import unset

        if missing := unset(self.project, self.environ, self.reach):
            raise ManifestError([Diagnostic(item.source, item.message) for item in missing])

    def webhooks(self) -> dict[str, tuple[object, ...]]:
        """Per set, what its creates send along: saved ids, and inline ones with their secrets."""
        return {
            item.name: tuple(self._webhook(hook) for hook in item.webhooks)
            for item in self.project.sets
            if self._is_about(item.name)
        }

    def leading_to(self, endpoints: Collection[str]) -> frozenset[str]:
        """The provider blocks that lead to these services, but for those that are only watched."""
        return frozenset(
            name
            for name, spec in self._specs.items()
            if creates(spec)
            and kind_of(spec, self._asking(name, Lock())).endpoint(self.block(name)) in endpoints
        )

    def block(self, name: str) -> Block:
        """A provider block, as its kind is given it."""
        spec = self._specs[name]
        made = Block(name=name, options={}, folder=self.project.folder, environ=self.environ)
        if not isinstance(spec, ForeignProvider):
            return made
        # Finding a place takes reading the file again; ours name the file, and what to change in it.
        where = str(self.project.file.locate(("spec", "providers", name)))
        return replace(made, options=spec.options, where=where)

    def means(self, block: Block) -> Means:
        """What a connection is lent. Its turns are its own: each service is pressed by itself."""
        from reconciler.adapters.providers.limiter import Limiter
        from reconciler.adapters.providers.pace import Pace
        from reconciler.adapters.providers.redaction import Redaction

        spec = self._specs[block.name]
        rate = spec.requests_per_second if isinstance(spec, LlamaCloudProvider) else None
        pace = Pace(block.name, rate, clock=self.clock, patience=self.stop, book=self.book)
        turns = Limiter(
            self.at_once,
            clock=self.clock,
            random=random.random,
            patience=self.stop,
            tell=lambda why, seconds: self.listen(Waiting(f"{block.name}: {why}", seconds)),
            pace=pace,
        )
        secrets = tuple(self._secrets(spec))
        return Means(
            clock=self.clock,
            random=random.random,
            turns=turns,
            at_once=self.at_once,
            listen=self.listen,
            secrets=secrets,
            redact=Redaction(secrets).text,
        )

    @property
    def _specs(self) -> Mapping[str, ProviderSpec]:
        return self.project.file.providers

    def _is_about(self, name: str) -> bool:
        return self.reach is None or name in self.reach

    def _wires(
        self,
        lock: Lock,
        intents: Iterable[Intent],
        asked: Collection[str],
        lost: dict[str, SettingsError | ServiceError],
    ) -> list[_Wire]:
        """The blocks to connect, by name. One that cannot create holds nothing that needs this (R16)."""
        needed = {intent.key.endpoint for intent in intents} | {
            key.endpoint
            for key, entry in lock.entries.items()
            if entry.on_remove is OnRemove.CANCEL and not entry.recorded.status.terminal
        }
        used = {item.provider for item in self.project.sets if self._is_about(item.name)} | set(asked)
        known = {item.provider for item in self.project.sets} | used
        wires = []
        for name in sorted(self._specs):
            block, kind = self.block(name), kind_of(self._specs[name], self._asking(name, lock))
            if not (name in known or needed):
                continue
            if not isinstance(kind, CreatingKind):
                if name in used:
                    raise SettingsError(
                        f"provider {name} cannot create batches; its batches are only tracked"
                    )
                continue
            try:
                endpoint = kind.endpoint(block)
            except SettingsError as error:
                if name in used:
                    raise
                if needed:
                    self.listen(
                        Warned(f"provider {name}, which may be where something recorded is open: {error}")
                    )
                lost[name] = error
                continue
            if name in known or endpoint in needed:
                wires.append(_Wire(block, kind, endpoint, name in used, endpoint in needed))
        return wires

    def _refuse_second_embedded(self, wires: Iterable[_Wire]) -> None:
        first: LocalProvider | None = None
        for wire in wires:
            spec = self._specs[wire.block.name]
            if not isinstance(spec, LocalProvider):
                continue
            if first is not None and replace(spec, name=first.name) != first:
                raise SettingsError(
                    f"providers {first.name} and {spec.name} are both local and differ",
                    where="reconciler.yaml",
                    why="a project has one embedded service",
                    next="Give them the same root and configurations, or use one of them",
                )
            first = first or spec

    def _refuse_rival(self, name: str, home: Home, homes: Mapping[str, Home]) -> None:
        """Two blocks may lead to one project only with one voice: else whose key and settle time count?"""
        for other, its_home in homes.items():
            mine, its = (replace(self._specs[block], name="") for block in (name, other))
            if its_home == home and mine != its:
                raise SettingsError(
                    f"providers {other} and {name} lead to one project, {home.project}, and differ",
                    where="reconciler.yaml",
                    next="Let their sets use one of them",
                )

    def _asking(self, name: str, lock: Lock) -> Asking:
        """Finds the project that a block's key belongs to: as recorded, else as the service answers."""

        async def ask(speaker: Creator) -> str:
            if known := lock.projects.get(_pin(name, speaker.endpoint)):
                return known
            from reconciler.engine.home import project_of

            found = await self.stop.unless_over(project_of(speaker, self._directories(name)))
            if found is None:
                raise self.stop.error()
            return found

        return ask

    def _directories(self, block: str) -> Iterator[str]:
        for batch_set in self.project.sets:
            if batch_set.provider == block:
                yield from (item.id for item in batch_set.directories if isinstance(item, ById))

    def _webhook(self, hook: Webhook) -> object:
        match hook:
            case SavedWebhook(id=name):
                return name
            case InlineWebhook():
                written: dict[str, object] = {"webhook_url": hook.url}
                if hook.events:
                    # An empty list would ask for nothing; left out, it asks for all.
                    written["webhook_events"] = list(hook.events)
                if hook.headers:
                    written["webhook_headers"] = {
                        name: self._secret(text) for name, text in hook.headers.items()
                    }
                if hook.output_format is not None:
                    written["webhook_output_format"] = hook.output_format
                if hook.signing_secret is not None:
                    written["webhook_signing_secret"] = self._secret(hook.signing_secret)
                return written

    def _secrets(self, spec: ProviderSpec) -> list[str]:
        """What the environment holds and is sent beside the key: with creates, to proxies, by packages."""
        from reconciler.adapters.providers.connection import proxy_secrets

        inline = [
            hook for item in self.project.sets for hook in item.webhooks if isinstance(hook, InlineWebhook)
        ]
        values = [value for hook in inline for value in (hook.signing_secret, *hook.headers.values())]
        held = [value.variable for value in values if isinstance(value, FromEnvironment)]
        options = spec.secrets() if isinstance(spec, ForeignProvider) else ()
        named = [self.environ.get(variable, "") for variable in (*held, *(name for _, name in options))]
        return [*named, *proxy_secrets(self.environ)]

    def _secret(self, value: str | FromEnvironment) -> str:
        return self.environ[value.variable] if isinstance(value, FromEnvironment) else value


def _pin(block: str, endpoint: str) -> str:
    return f"{block} {endpoint}"
