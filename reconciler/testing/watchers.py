"""The contract of a service whose batches are only watched, clause by clause (R16)."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest

from reconciler.model.errors import NotFoundError, ReconcilerError, ServiceError
from reconciler.model.ports import Watcher
from reconciler.model.watched import WatchedId
from reconciler.testing.stands import Trouble, WatcherStand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from reconciler.model.watched import Watched

Scenario: TypeAlias = Callable[[WatcherStand, Watcher], Awaitable[None]]


class WatcherContract:
    """Subclass it, say what to stand on, and pytest runs every clause."""

    def stand(self, folder: Path) -> WatcherStand:
        """A service of its own for one clause, with some batches.

        Args:
            folder: an empty one, for whatever the service wants to keep.
        """
        raise NotImplementedError

    def test_it_has_no_way_to_create(self, tmp_path: Path) -> None:
        """R16 is a matter of types."""

        async def scenario(_: WatcherStand, watcher: Watcher) -> None:
            assert not hasattr(watcher, "create"), "what is only watched cannot create"

        self._try(tmp_path, scenario)

    def test_another_connection_is_of_the_same_service(self, tmp_path: Path) -> None:
        """What is recorded is found again by endpoint and id."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            async with stand.connected() as other:
                assert other.endpoint == watcher.endpoint, "the endpoint is the same in every connection"

        self._try(tmp_path, scenario)

    def test_each_batch_is_found_by_its_id(self, tmp_path: Path) -> None:
        """Looked at or asked to be looked after, it is the same batch."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            for name in stand.batches():
                wanted = WatchedId(watcher.endpoint, name)
                assert (await watcher.watched(name)).id == wanted, "the batch that was asked for"
                assert (await watcher.refresh(name)).id == wanted, "the batch that was to be refreshed"

        self._try(tmp_path, scenario)

    def test_what_the_service_does_not_know_is_not_found(self, tmp_path: Path) -> None:
        """By this very error, since nothing else means that it is not there."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            name = stand.batches()[0]
            other = f"{name[:-1]}{'0' if name[-1] != '0' else '1'}"
            assert other not in stand.batches()
            for what, ask in (
                ("watched", watcher.watched),
                ("outcomes", watcher.outcomes),
                ("refresh", watcher.refresh),
            ):
                try:
                    found = await ask(other)
                except NotFoundError:
                    continue
                except ServiceError as error:
                    pytest.fail(f"{what} of what is unknown is a NotFoundError, not {error!r}")
                pytest.fail(f"{what} of what is unknown is a NotFoundError, and gave {found!r:.200}")

        self._try(tmp_path, scenario)

    def test_what_is_watched_is_new_enough_or_has_one_of_the_statuses(self, tmp_path: Path) -> None:
        """Exactly those, each once; the statuses are in the service's own words."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            # The time of a batch may not be known: then it may be of any, and is not judged here.
            whole = [await watcher.watched(name) for name in stand.batches()]
            whole = [item for item in whole if item.created_at]
            times = sorted({item.created_at for item in whole if item.created_at})
            for since in times:
                new = [item for item in whole if item.created_at and item.created_at >= since]
                await _sees(watcher, since, (), new)
            for word in sorted({item.word for item in whole}):
                await _sees(watcher, None, (word,), [item for item in whole if item.word == word])

        self._try(tmp_path, scenario)

    @pytest.mark.parametrize(
        "trouble", [Trouble.THROTTLED, Trouble.UNREACHABLE, Trouble.UNANSWERED, Trouble.BROKEN]
    )
    def test_a_read_that_meets_a_passing_trouble_is_tried_again(
        self, tmp_path: Path, trouble: Trouble
    ) -> None:
        """A run should not end for what is over a second later."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            name = stand.batches()[0]
            _disturb(stand, trouble)
            assert (await watcher.watched(name)).id.id == name, "the batch is there"

        self._try(tmp_path, scenario)

    def test_a_listing_that_cannot_be_read_is_an_error_and_never_empty(self, tmp_path: Path) -> None:
        """Unknown is never missing (R7)."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            since = min(filter(None, [(await watcher.watched(name)).created_at for name in stand.batches()]))
            _disturb(stand, Trouble.REFUSED)
            try:
                found = [item async for item in watcher.watch(since, ())]
            except ServiceError:
                return
            pytest.fail(f"a listing that was refused is a ServiceError, not {len(found)} batches")

        self._try(tmp_path, scenario)

    def test_outcomes_are_sorted_and_agree_with_the_counts(self, tmp_path: Path) -> None:
        """Each file once; where nothing can be said yet, None."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            for name in stand.batches():
                outcomes = await watcher.outcomes(name)
                files = [item.file for item in outcomes or ()]
                assert files == sorted(set(files)), "outcomes are sorted by file, each once"
                if counts := (await watcher.watched(name)).counts:
                    assert 0 <= counts.failed <= counts.total, f"no counts: {counts}"

        self._try(tmp_path, scenario)

    def test_times_are_utc(self, tmp_path: Path) -> None:
        """They are compared with each other, and written down."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            for name in stand.batches():
                found = await watcher.watched(name)
                for time in (found.created_at, found.updated_at):
                    assert time is None or time.utcoffset() == timedelta(0), f"not in UTC: {time!r}"

        self._try(tmp_path, scenario)

    def test_secrets_are_shown_nowhere(self, tmp_path: Path) -> None:
        """Not in an error or its traceback, also where the service repeats them."""

        async def scenario(stand: WatcherStand, watcher: Watcher) -> None:
            if not stand.secrets:
                pytest.skip("the stand gives the watcher no secret")
            told = [repr(watcher)]
            for trouble in sorted(Trouble):
                if stand.disturb(trouble):
                    try:
                        told.append(repr(await watcher.watched(stand.batches()[0])))
                    except ReconcilerError as error:
                        told += [*traceback.format_exception(error), repr(error), repr(vars(error))]
            for text in told:
                assert not any(secret in text for secret in stand.secrets), "a secret is shown"

        self._try(tmp_path, scenario)

    def _try(self, folder: Path, scenario: Scenario) -> None:
        stand = self.stand(folder)

        async def whole() -> None:
            async with stand.connected() as watcher:
                await scenario(stand, watcher)

        asyncio.run(whole())


async def _sees(
    watcher: Watcher, since: datetime | None, statuses: Sequence[str], wanted: Sequence[Watched]
) -> None:
    seen = [item.id async for item in watcher.watch(since, statuses)]
    asked = f"since {since} or in {list(statuses)}"
    assert sorted(seen) == sorted(item.id for item in wanted), f"not exact: {asked}"


def _disturb(stand: WatcherStand, trouble: Trouble) -> None:
    if not stand.disturb(trouble):
        pytest.skip(f"a request to this service is never {trouble}")
