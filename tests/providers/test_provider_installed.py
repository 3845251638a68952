"""What a run puts around an installed package's provider: its errors are ours, a create has an outcome."""

from __future__ import annotations

import asyncio
import math
import traceback
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from provider_packages import KIND, Packages
from provider_shelf import SECRET, Shelf, ShelfProvider, ShelfStand, ShelfWatcher

from reconciler import SettingsError, apply, load
from reconciler.adapters.providers.installed import foreign
from reconciler.model.errors import (
    InvalidRequestError,
    LockLostError,
    NotFoundError,
    ServiceError,
    UnexpectedReplyError,
)
from reconciler.model.events import Warned
from reconciler.model.intent import Created, Unanswered
from reconciler.model.kind import Block, CreatingKind, Installed, Link, WatchedKind
from reconciler.model.ports import Listing, Page, Rows
from reconciler.model.project import ForeignProvider
from reconciler.testing import ProviderContract, ProviderStand, WatcherContract, WatcherStand, borrowed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from reconciler.model.kind import InstalledKind
    from reconciler.model.ports import Creator, Watcher

_BLOCK = Block(name="mine", options={}, folder=".", environ={})


class Kind:
    """A shelf as a package would bring it; what it connects to is the test's."""

    schema: dict[str, Any] = {}  # noqa: RUF012 - a schema is written as JSON Schema is
    place: Any = "shelf:one"

    def __init__(self, provider: Any = None, project: Any = "prj-shelf") -> None:  # noqa: ANN401 - anything
        self.provider = provider or ShelfProvider(Shelf())
        self.project = project

    def endpoint(self, _: Block) -> str:
        return self.place  # type: ignore[no-any-return]

    @asynccontextmanager
    async def creator(self, _: Block, __: object) -> AsyncIterator[Link]:
        yield Link(self.project, self.provider)


class Looking:
    """A shelf that is only watched."""

    schema: dict[str, Any] = {}  # noqa: RUF012 - as above

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def endpoint(self, _: Block) -> str:
        return "shelf:one"

    @asynccontextmanager
    async def watcher(self, _: Block, __: object) -> AsyncIterator[Watcher]:
        yield ShelfWatcher(self.shelf)


def held(kind: InstalledKind) -> Any:  # noqa: ANN401 - what it can do is what the tests ask
    installed = Installed(kind, "package acme 1.0", {})
    return foreign(ForeignProvider(name="mine", type="shelf", options={}, installed=installed))


def within(kind: InstalledKind, work: Callable[[Creator], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401 - its result
    async def whole() -> Any:  # noqa: ANN401 - its result
        async with held(kind).creator(_BLOCK, borrowed([SECRET])) as link:
            return await work(link.creator)

    return asyncio.run(whole())


# --- the guard changes nothing where nothing is wrong ---


class HeldStand(ShelfStand):
    def __init__(self) -> None:
        super().__init__(ShelfProvider)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Creator]:  # type: ignore[override]
        async with held(Kind(ShelfProvider(self.shelf))).creator(_BLOCK, borrowed([SECRET])) as link:
            yield link.creator


class TestHeld(ProviderContract):
    def stand(self, folder: Path) -> ProviderStand:
        return HeldStand()


class TestHeldWatcher(WatcherContract):
    def stand(self, folder: Path) -> WatcherStand:
        from provider_shelf import ShelfWatcherStand

        class Stand(ShelfWatcherStand):
            @asynccontextmanager
            async def connected(self) -> AsyncIterator[Watcher]:  # type: ignore[override]
                async with held(Looking(self.shelf)).watcher(_BLOCK, borrowed([SECRET])) as watcher:
                    yield watcher

        return Stand(ShelfWatcher)


def test_what_a_kind_can_do_it_can_do_when_it_is_held() -> None:
    class Both(Kind, Looking):
        def __init__(self) -> None:
            Kind.__init__(self)

    can = [
        (isinstance(made, CreatingKind), isinstance(made, WatchedKind))
        for made in (held(Kind()), held(Looking(Shelf())), held(Both()))
    ]
    assert can == [(True, False), (False, True), (True, True)]


# --- and where something is ---


class Failing(ShelfProvider):
    """Fails in every way that the port does not speak of, with the secret in its mouth."""

    def read(self) -> None:
        raise KeyError(SECRET)

    def outcome(self, *_: object) -> Any:  # noqa: ANN401 - that is what is wrong with it
        raise RuntimeError(SECRET)


def test_a_read_that_fails_in_its_own_way_is_an_error_of_ours() -> None:
    async def reads(provider: Creator) -> list[ServiceError]:
        found: list[ServiceError] = []
        for ask in (
            lambda: provider.list_page(Listing(), None),
            lambda: provider.get("bat-1"),
            lambda: provider.results("bat-1"),
            lambda: provider.cancel("bat-1"),
            lambda: provider.directory("dir-one"),
            lambda: provider.configuration("cfg-1"),
            lambda: _all(provider.files("dir-one")),
            lambda: _all(provider.directories()),
            lambda: _all(provider.configurations()),
        ):
            with pytest.raises(UnexpectedReplyError) as caught:
                await ask()
            found.append(caught.value)
        return found

    for error in within(Kind(Failing(Shelf())), reads):
        assert str(error) == "shelf:one: package acme 1.0 failed: KeyError: '[secret]'"
        assert SECRET not in "".join(traceback.format_exception(error))


async def _all(items: AsyncIterator[object]) -> list[object]:
    return [item async for item in items]


def test_a_create_that_raises_is_unanswered() -> None:
    key = ShelfStand(ShelfProvider).works()[0]

    async def create(provider: Creator) -> object:
        return await provider.create(key, (), objection=str)

    why = "shelf:one: package acme 1.0 failed: RuntimeError: [secret]"
    assert within(Kind(Failing(Shelf())), create) == Unanswered(why)


def test_a_create_without_an_outcome_is_unanswered() -> None:
    class Mute(ShelfProvider):
        def outcome(self, *_: object) -> Any:  # noqa: ANN401 - that is what is wrong with it
            return None

    key = ShelfStand(ShelfProvider).works()[0]

    async def create(provider: Creator) -> object:
        return await provider.create(key, (), objection=str)

    said = "package acme 1.0 gave a NoneType as the outcome of a create"
    assert within(Kind(Mute(Shelf())), create) == Unanswered(said)


@pytest.mark.parametrize("raised", [LockLostError("gone"), ValueError("a defect of ours")])
def test_what_the_objection_raises_is_not_the_packages(raised: Exception) -> None:
    class Rewording(ShelfProvider):
        async def create(self, *arguments: Any, objection: Callable[[], str]) -> Any:  # noqa: ANN401 - passed on
            try:
                return await super().create(*arguments, objection=objection)
            except Exception as error:
                raise InvalidRequestError("something") from error

    def objection() -> str:
        raise raised

    async def create(provider: Creator) -> object:
        return await provider.create(ShelfStand(ShelfProvider).works()[0], (), objection=objection)

    with pytest.raises(type(raised)) as caught:
        within(Kind(Rewording(Shelf())), create)
    assert caught.value is raised


def test_a_batch_of_another_service_is_not_taken_for_one_of_this() -> None:
    shelf = Shelf()
    shelf.make(ShelfStand(ShelfProvider).works()[0]._replace(endpoint="shelf:two"))

    async def reads(provider: Creator) -> None:
        for ask in (
            lambda: provider.list_page(Listing(), None),
            lambda: provider.get("bat-1"),
            lambda: provider.cancel("bat-1"),
        ):
            with pytest.raises(UnexpectedReplyError, match="gave a batch of 'shelf:two'"):
                await ask()

    within(Kind(ShelfProvider(shelf)), reads)


@pytest.mark.parametrize(
    "rows", [Rows([], []), Rows(["bat-1"], []), Rows(["bat-2", "bat-3"], [None, None])], ids=str
)
def test_rows_that_cannot_be_those_of_a_page_are_not_believed(rows: Rows) -> None:
    class Leaving(ShelfProvider):
        async def list_page(self, listing: Listing, token: str | None) -> Page:
            return (await super().list_page(listing, token))._replace(rows=rows)

    shelf = Shelf()
    shelf.make(ShelfStand(ShelfProvider).works()[0])

    async def read(provider: Creator) -> None:
        with pytest.raises(UnexpectedReplyError, match="gave a page whose rows lack some of its batches"):
            await provider.list_page(Listing(), None)

    within(Kind(Leaving(shelf)), read)


def test_an_error_keeps_its_class_and_loses_its_secrets() -> None:
    class Telling(ShelfProvider):
        def known(self, batch: str) -> Any:  # noqa: ANN401 - it only raises
            raise NotFoundError(f"not with {SECRET}", where=SECRET, why=SECRET, request_id=SECRET)

    async def get(provider: Creator) -> object:
        with pytest.raises(NotFoundError) as caught:
            await provider.get("bat-1")
        return caught.value

    error = within(Kind(Telling(Shelf())), get)
    assert str(error) == "[secret]: not with [secret]: [secret]"
    assert SECRET not in repr(vars(error)) + repr(error)


# --- connecting ---


def _elsewhere() -> Kind:
    kind = Kind()
    kind.provider.endpoint = "shelf:two"
    return kind


def _settling(settle: Any) -> Kind:  # noqa: ANN401 - that is what is wrong with it
    kind = Kind()
    kind.provider.settle = settle
    return kind


def _at(place: Any) -> Kind:  # noqa: ANN401 - that is what is wrong with it
    kind = Kind()
    kind.place = place
    return kind


class Breaking(Kind):
    @asynccontextmanager
    async def creator(self, _: Block, __: object) -> AsyncIterator[Link]:
        if self.project:
            raise OSError(f"no way to {SECRET}")
        yield Link(self.project, self.provider)


class Unlinked(Kind):
    @asynccontextmanager
    async def creator(self, _: Block, __: object) -> AsyncIterator[Any]:
        yield self.provider


class Nothing(Kind):
    @asynccontextmanager
    async def creator(self, _: Block, __: object) -> AsyncIterator[Any]:
        yield Link(self.project, None)  # type: ignore[arg-type]


class Lost(Kind):
    def endpoint(self, _: Block) -> str:
        raise KeyError(SECRET)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Lost(), "failed to say where its block leads: KeyError"),
        (Nothing(), "is connected to None and not to 'shelf:one'"),
        (
            _at("https://api.cloud.llamaindex.ai"),
            "gives 'https://api.cloud.llamaindex.ai' as its endpoint: it has",
        ),
        (
            _at("local:documents"),
            "gives 'local:documents' as its endpoint: it has to be one line that begins with",
        ),
        (_at("shelf:a\nb"), "gives 'shelf:a\\nb' as its endpoint"),
        (_at(None), "gives None as its endpoint"),
        (_at("shelf:" + "x" * 2000), "gives an endpoint of 2,006 characters"),
        (_elsewhere(), "is connected to 'shelf:two' and not to 'shelf:one'"),
        (_settling(-1.0), "gives -1.0 as the settle time"),
        (_settling(math.nan), "gives nan as the settle time"),
        (_settling(math.inf), "gives inf as the settle time"),
        (_settling("30s"), "gives '30s' as the settle time"),
        (Kind(project=""), "gives '' as the project"),
        (Kind(project=7), "gives 7 as the project"),
        (Breaking(), "failed to connect: OSError: no way to [secret]"),
        (Unlinked(), "connected with a ShelfProvider: a Link is needed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_connection_that_cannot_be_used_is_one_error(kind: Kind, what: str) -> None:
    async def nothing(_: Creator) -> None:
        raise AssertionError("it was connected")

    with pytest.raises(SettingsError) as caught:
        within(kind, nothing)
    assert str(caught.value).startswith(f"reconciler.yaml: provider mine: package acme 1.0 {what}")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_connection_that_cannot_be_ended_is_a_warning_and_what_was_done_stands() -> None:
    class Sticking(Kind):
        @asynccontextmanager
        async def creator(self, _: Block, __: object) -> AsyncIterator[Link]:
            yield Link(self.project, self.provider)
            raise OSError(f"still there: {SECRET}")

    told: list[object] = []

    async def whole() -> object:
        means = replace(borrowed([SECRET]), listen=told.append)
        async with held(Sticking()).creator(_BLOCK, means) as link:
            return await link.creator.create(ShelfStand(ShelfProvider).works()[0], (), objection=str)

    assert isinstance(asyncio.run(whole()), Created)
    said = "provider mine: package acme 1.0 failed to disconnect: OSError: still there: [secret]"
    assert told == [Warned(said)]


# --- within a project ---

_PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: p}
spec:
  manifests: ["*.set.yaml"]
  providers:
    one: {type: acme, url: 'acme:1', apiKey: {env: ACME_KEY}}
    two: {type: acme, url: 'acme:1', apiKey: {env: OTHER_KEY}}
"""
_SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {{name: {name}}}
spec:
  provider: {provider}
  job: {{type: parse_v2, configuration: cfg-1}}
  directories: [{{id: {directory}}}]
"""
_SHELVED = """
from provider_shelf import Shelf, ShelfProvider
SHELF = Shelf()

class Provider(ShelfProvider):
    endpoint = "acme:acme:1"

class Acme(Acme):
    @asynccontextmanager
    async def creator(self, block, means):
        from reconciler.provider import Link
        assert block.secret("apiKey") in means.secrets
        yield Link("prj-shelf", Provider(SHELF))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = Packages(tmp_path / "site", monkeypatch)
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=KIND + _SHELVED)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "reconciler.yaml").write_text(_PROJECT)
    return tmp_path / "project"


def test_its_batches_are_created_and_then_they_stand(folder: Path) -> None:
    (folder / "a.set.yaml").write_text(_SET.format(name="a", provider="one", directory="dir-one"))
    applied = apply(load(folder), environ={"ACME_KEY": "a secret of acme"})
    assert [(item.action.address.directory, item.outcome.value) for item in applied.results] == [
        ("dir-one", "created")
    ]
    assert apply(load(folder), environ={"ACME_KEY": "a secret of acme"}).results == ()
    assert "acme:acme:1 prj-shelf dir-one parse_v2 cfg-1" in (folder / "reconciler.lock").read_text()


_WATCHED = """
from provider_shelf import Shelf, ShelfStand, ShelfProvider, ShelfWatcher
SHELF = Shelf()
for work in ShelfStand(ShelfProvider).works():
    SHELF.make(work)

class Watcher(ShelfWatcher):
    endpoint = "acme:acme:1"

class Acme(Acme):
    @asynccontextmanager
    async def watcher(self, block, means):
        yield Watcher(SHELF)
"""

_ONE_MORE = """
from provider_shelf import ShelfStand
SHELF.make(ShelfStand(Provider).works()[0]._replace(endpoint=Provider.endpoint))
"""


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (KIND.replace("def creator", "def unused") + _WATCHED, "running"),
        (
            KIND + _SHELVED + _ONE_MORE,
            "RUNNING",
        ),
    ],
    ids=["its own watcher", "through its creator"],
)
def test_its_batches_are_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, statuses: str
) -> None:
    packages = Packages(tmp_path / "site", monkeypatch)
    packages.add("acme-batches", "acme = acme_batches:Acme", acme_batches=kind)
    (tmp_path / "reconciler.yaml").write_text(_PROJECT)
    (tmp_path / "a.set.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: TrackedBatch\nmetadata: {name: seen}\n"
        f"spec: {{provider: one, statuses: [{statuses}]}}\n"
    )
    apply(load(tmp_path), environ={"ACME_KEY": "a secret of acme"})
    assert '"endpoint":"acme:acme:1","' in (tmp_path / "reconciler.lock").read_text()


def test_two_blocks_that_lead_to_one_place_and_differ_are_refused(folder: Path) -> None:
    (folder / "a.set.yaml").write_text(_SET.format(name="a", provider="one", directory="dir-one"))
    (folder / "b.set.yaml").write_text(_SET.format(name="b", provider="two", directory="dir-two"))
    with pytest.raises(
        SettingsError, match="providers one and two lead to one project, prj-shelf, and differ"
    ):
        apply(load(folder), environ={"ACME_KEY": "one secret", "OTHER_KEY": "another secret"})


def test_an_error_of_the_package_has_the_place_of_its_block(folder: Path) -> None:
    (folder / "a.set.yaml").write_text(_SET.format(name="a", provider="one", directory="dir-one"))
    text = (folder / "reconciler.yaml").read_text()
    (folder / "reconciler.yaml").write_text(text.replace("'acme:1'", "'acme:2'", 1))
    with pytest.raises(SettingsError) as caught:
        apply(load(folder), environ={"ACME_KEY": "a secret of acme"})
    assert str(caught.value) == (
        "reconciler.yaml:7:10: provider one: package acme-batches 1.0 is connected to 'acme:acme:1' and not "
        "to 'acme:acme:2': keys carry the endpoint, so it has to be the same before and after. Another "
        "version of the package may help; it is not reconciler's own"
    )


def test_what_a_created_batch_is_does_not_hang_on_the_guard() -> None:
    key = ShelfStand(ShelfProvider).works()[0]

    async def create(provider: Creator) -> object:
        return await provider.create(key, (), objection=str)

    assert isinstance(within(Kind(), create), Created)
