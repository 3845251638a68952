"""Each clause of the contract suites fails for a provider that breaks it, and holds for one that keeps it."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from provider_shelf import SECRET, ShelfProvider, ShelfStand, ShelfWatcher, ShelfWatcherStand

from reconciler.model.watched import WatchedId
from reconciler.provider import (
    Configuration,
    Directory,
    FileCounts,
    FileResult,
    InvalidRequestError,
    Listing,
    NotFoundError,
    Page,
    Rejected,
    Status,
    Unanswered,
    Withheld,
)
from reconciler.testing import ProviderContract, Trouble, WatcherContract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from reconciler.provider import (
        Batch,
        DirectoryFile,
        FileOutcome,
        Key,
        SendOutcome,
        Watched,
    )


class TestShelf(ProviderContract):
    def stand(self, folder: Path) -> ShelfStand:
        return ShelfStand(ShelfProvider)


class TestShelfWatched(WatcherContract):
    def stand(self, folder: Path) -> ShelfWatcherStand:
        return ShelfWatcherStand(ShelfWatcher)


# --- providers, each with one thing wrong ---


class AnotherEndpoint(ShelfProvider):
    endpoint = "shelf:two"


class ANewEndpointEachTime(ShelfProvider):
    count = 0

    def __init__(self, shelf: Any) -> None:  # noqa: ANN401 - the shelf
        super().__init__(shelf)
        type(self).count += 1
        if self.count % 2 == 0:
            self.endpoint = "shelf:again"


class EndlessSettle(ShelfProvider):
    settle = math.inf


class OtherWork(ShelfProvider):
    def outcome(self, trouble: Trouble | None, key: Key) -> SendOutcome:
        return super().outcome(trouble, key._replace(directory="dir-two"))


class TwiceSent(ShelfProvider):
    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        first = await super().create(key, webhooks, objection=objection)
        if isinstance(first, Unanswered):
            return await super().create(key, webhooks, objection=lambda: "")
        return first


class RaisesWhenRefused(ShelfProvider):
    def outcome(self, trouble: Trouble | None, key: Key) -> SendOutcome:
        found = super().outcome(trouble, key)
        if isinstance(found, Rejected):
            raise InvalidRequestError("no")
        return found


class LostIsRefused(ShelfProvider):
    def outcome(self, trouble: Trouble | None, key: Key) -> SendOutcome:
        found = super().outcome(trouble, key)
        return Rejected(0, "", final=False) if isinstance(found, Unanswered) else found


class ThrottledIsLost(ShelfProvider):
    def outcome(self, trouble: Trouble | None, key: Key) -> SendOutcome:
        return Unanswered("") if trouble is Trouble.THROTTLED else super().outcome(trouble, key)


class UnreachableIsLost(ShelfProvider):
    def outcome(self, trouble: Trouble | None, key: Key) -> SendOutcome:
        return Unanswered("") if trouble is Trouble.UNREACHABLE else super().outcome(trouble, key)


class BrokenIsRefused(ShelfProvider):
    def outcome(self, trouble: Trouble | None, key: Key) -> SendOutcome:
        found = super().outcome(trouble, key)
        return Rejected(500, "", final=False) if trouble is Trouble.BROKEN else found


class SendsDespiteAnObjection(ShelfProvider):
    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        why = objection()
        outcome = await super().create(key, webhooks, objection=lambda: "")
        return Withheld(why) if why else outcome


class AsksTooEarly(ShelfProvider):
    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        if why := objection():
            return Withheld(why)
        await self.directory(key.directory)
        return await super().create(key, webhooks, objection=lambda: "")


class AsksTwice(ShelfProvider):
    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        objection()
        return await super().create(key, webhooks, objection=objection)


class NeverAsks(ShelfProvider):
    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        return await super().create(key, webhooks, objection=lambda: "")


class SwallowsWhatAnObjectionRaises(ShelfProvider):
    async def create(
        self, key: Key, webhooks: Sequence[object], *, objection: Callable[[], str]
    ) -> SendOutcome:
        try:
            return await super().create(key, webhooks, objection=objection)
        except Exception as error:  # noqa: BLE001 - that is what is wrong with it
            return Unanswered(str(error))


class EndlessListing(ShelfProvider):
    def following(self, start: int, found: Sequence[Batch]) -> str | None:
        return "0"


class FirstPageOnly(ShelfProvider):
    def following(self, start: int, found: Sequence[Batch]) -> str | None:
        return None


class OverlappingPages(ShelfProvider):
    def following(self, start: int, found: Sequence[Batch]) -> str | None:
        return str(start + 1) if start + 2 < len(found) else None


class ListsForAnother(ShelfProvider):
    async def list_page(self, listing: Listing, token: str | None) -> Page:
        page = await super().list_page(listing, token)
        return page._replace(
            batches=[item._replace(key=item.key._replace(endpoint="shelf:two")) for item in page.batches]
        )


class NoFilterByDirectory(ShelfProvider):
    def fits(self, batch: Batch, listing: Listing) -> bool:
        return super().fits(batch, listing._replace(directory=None))


class NoFilterByStatus(ShelfProvider):
    def fits(self, batch: Batch, listing: Listing) -> bool:
        return super().fits(batch, listing._replace(status=None))


class AfterWithoutOn(ShelfProvider):
    def fits(self, batch: Batch, listing: Listing) -> bool:
        return super().fits(batch, listing) and batch.created_at != listing.created_on_or_after


class BeforeWithoutOn(ShelfProvider):
    def fits(self, batch: Batch, listing: Listing) -> bool:
        return super().fits(batch, listing) and batch.created_at != listing.created_on_or_before


class UnknownIsRefused(ShelfProvider):
    def known(self, batch: str) -> Batch:
        try:
            return super().known(batch)
        except NotFoundError:
            raise InvalidRequestError("no such batch") from None


class UnknownIsAKeyError(ShelfProvider):
    def known(self, batch: str) -> Batch:
        return self.shelf.batches[batch]


class AnyDirectoryIsThere(ShelfProvider):
    async def directory(self, directory: str) -> Directory:
        self.read()
        return Directory(directory, directory, self.project)


class UnknownHasNoFiles(ShelfProvider):
    async def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        try:
            async for file in super().files(directory):
                yield file
        except NotFoundError:
            return


class ReadsOnce(ShelfProvider):
    def read(self) -> None:
        if self.shelf.arrive() is not None:
            raise InvalidRequestError("once is enough")


class EmptyWhenRefused(ShelfProvider):
    async def list_page(self, listing: Listing, token: str | None) -> Page:
        try:
            return await super().list_page(listing, token)
        except InvalidRequestError:
            return Page((), None)


class ShowsOnlyWhatItIsAbout(ShelfProvider):
    async def list_page(self, listing: Listing, token: str | None) -> Page:
        page = await super().list_page(listing, token)
        about = listing.about
        return page._replace(batches=[b for b in page.batches if about is None or b.key.directory in about])


class ShowsNothingWithRows(ShelfProvider):
    async def list_page(self, listing: Listing, token: str | None) -> Page:
        page = await super().list_page(listing, token)
        return page if listing.about is None else page._replace(batches=(), rows=page.listed)


class CancelsWhatHasEnded(ShelfProvider):
    async def cancel(self, batch: str) -> Batch:
        return (await super().cancel(batch))._replace(status=Status.CANCELLED)


class RefusesToCancelWhatHasEnded(ShelfProvider):
    async def cancel(self, batch: str) -> Batch:
        if (await self.get(batch)).status.terminal:
            raise InvalidRequestError("it has ended")
        return await super().cancel(batch)


class CancelsAnother(ShelfProvider):
    async def cancel(self, batch: str) -> Batch:
        return (await super().cancel(batch))._replace(id="bat-0")


class ResultsOfOtherFiles(ShelfProvider):
    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        await super().results(batch)
        return (FileResult("elsewhere/a", None, None),)


class ResultsTwice(ShelfProvider):
    async def results(self, batch: str) -> tuple[FileResult, ...] | None:
        return 2 * (await super().results(batch) or ())


class NoOutcomeOfJobs(ShelfProvider):
    async def job_outcome(self, job: Any, name: str) -> Any:  # noqa: ANN401 - that is what is wrong with it
        return None


class NoCheck(ShelfProvider):
    def working(self) -> Any:  # noqa: ANN401 - that is what is wrong with it
        return None


class AnotherProject(ShelfProvider):
    async def directory(self, directory: str) -> Directory:
        return replace(await super().directory(directory), project="prj-other")


class FilesLack(ShelfProvider):
    async def files(self, directory: str) -> AsyncIterator[DirectoryFile]:
        files = [file async for file in super().files(directory)]
        yield files[0]


class UnsavedIsAnError(ShelfProvider):
    async def configuration(self, configuration: str) -> Configuration | None:
        if (found := await super().configuration(configuration)) is None:
            raise NotFoundError("no such configuration")
        return found


class AnotherConfiguration(ShelfProvider):
    async def configuration(self, configuration: str) -> Configuration | None:
        return Configuration("cfg-2", "fields", "extract_v2", "1")


class AnyName(ShelfProvider):
    async def directories(self, name: str | None = None) -> AsyncIterator[Directory]:
        async for found in super().directories():
            yield found


class AnyProduct(ShelfProvider):
    async def configurations(
        self, name: str | None = None, product: str | None = None
    ) -> AsyncIterator[Configuration]:
        async for found in super().configurations(name):
            yield found


class LocalTimes(ShelfProvider):
    async def list_page(self, listing: Listing, token: str | None) -> Page:
        page = await super().list_page(listing, token)
        there = timezone(timedelta(hours=2))
        moved = [
            item._replace(created_at=item.created_at.astimezone(there) if item.created_at else None)
            for item in page.batches
        ]
        return page._replace(batches=moved)


class NaiveClock(ShelfProvider):
    @property
    def clock(self) -> datetime | None:
        found = super().clock
        return found and found.replace(tzinfo=None)


class TellsSecrets(ShelfProvider):
    def words(self, text: str) -> str:
        return text


class ShowsItsKey(ShelfProvider):
    def __repr__(self) -> str:
        return f"ShelfProvider({SECRET!r})"


_TROUBLES = "test_a_create_that_meets_a_trouble_is_an_outcome_and_is_sent_once"
_BROKEN: list[tuple[str, type[ShelfProvider], Trouble | None]] = [
    ("test_keys_are_of_this_service_and_survive_being_written_down", AnotherEndpoint, None),
    ("test_another_connection_is_of_the_same_service", ANewEndpointEachTime, None),
    ("test_the_settle_time_is_a_span", EndlessSettle, None),
    ("test_a_create_gives_the_batch_of_the_very_work_that_was_asked_for", OtherWork, None),
    (_TROUBLES, TwiceSent, Trouble.UNANSWERED),
    (_TROUBLES, RaisesWhenRefused, Trouble.REFUSED),
    (_TROUBLES, LostIsRefused, Trouble.UNANSWERED),
    (_TROUBLES, ThrottledIsLost, Trouble.THROTTLED),
    (_TROUBLES, UnreachableIsLost, Trouble.UNREACHABLE),
    (_TROUBLES, BrokenIsRefused, Trouble.BROKEN),
    ("test_an_objection_withholds_a_create", SendsDespiteAnObjection, None),
    ("test_an_objection_withholds_a_create", NeverAsks, None),
    ("test_the_objection_is_asked_right_before_the_send", AsksTooEarly, None),
    ("test_the_objection_is_asked_right_before_the_send", AsksTwice, None),
    ("test_the_objection_is_asked_right_before_the_send", NeverAsks, None),
    ("test_what_an_objection_raises_is_passed_on_and_nothing_is_sent", SwallowsWhatAnObjectionRaises, None),
    ("test_a_listing_ends_and_has_each_batch_once", EndlessListing, None),
    ("test_a_listing_ends_and_has_each_batch_once", FirstPageOnly, None),
    ("test_a_listing_ends_and_has_each_batch_once", OverlappingPages, None),
    ("test_a_listing_ends_and_has_each_batch_once", ListsForAnother, None),
    ("test_filters_are_exact", NoFilterByDirectory, None),
    ("test_filters_are_exact", NoFilterByStatus, None),
    ("test_filters_are_exact", AfterWithoutOn, None),
    ("test_filters_are_exact", BeforeWithoutOn, None),
    ("test_what_the_service_does_not_know_is_not_found", UnknownIsRefused, None),
    ("test_what_the_service_does_not_know_is_not_found", UnknownIsAKeyError, None),
    ("test_what_the_service_does_not_know_is_not_found", AnyDirectoryIsThere, None),
    ("test_what_the_service_does_not_know_is_not_found", UnknownHasNoFiles, None),
    ("test_a_read_that_meets_a_passing_trouble_is_tried_again", ReadsOnce, Trouble.THROTTLED),
    ("test_a_listing_that_cannot_be_had_is_an_error_and_never_empty", EmptyWhenRefused, None),
    ("test_what_a_listing_is_about_leaves_no_row_out", ShowsOnlyWhatItIsAbout, None),
    ("test_what_a_listing_is_about_leaves_no_row_out", ShowsNothingWithRows, None),
    ("test_cancelling_what_has_ended_gives_it_as_it_is", CancelsWhatHasEnded, None),
    ("test_cancelling_what_has_ended_gives_it_as_it_is", RefusesToCancelWhatHasEnded, None),
    ("test_cancelling_what_runs_gives_that_batch", CancelsAnother, None),
    ("test_results_are_about_the_files_of_the_directory", ResultsOfOtherFiles, None),
    ("test_results_are_about_the_files_of_the_directory", ResultsTwice, None),
    ("test_results_are_about_the_files_of_the_directory", NoOutcomeOfJobs, None),
    ("test_working_gives_a_check_or_nothing", NoCheck, None),
    ("test_directory_and_files_are_what_the_service_has", AnotherProject, None),
    ("test_directory_and_files_are_what_the_service_has", FilesLack, None),
    ("test_a_configuration_is_the_one_that_was_asked_for_or_none", UnsavedIsAnError, None),
    ("test_a_configuration_is_the_one_that_was_asked_for_or_none", AnotherConfiguration, None),
    ("test_names_of_directories_and_configurations_are_exact", AnyName, None),
    ("test_names_of_directories_and_configurations_are_exact", AnyProduct, None),
    ("test_times_are_utc", LocalTimes, None),
    ("test_times_are_utc", NaiveClock, None),
    ("test_secrets_are_shown_nowhere", TellsSecrets, None),
    ("test_secrets_are_shown_nowhere", ShowsItsKey, None),
]


# --- watchers, each with one thing wrong ---


class CanCreate(ShelfWatcher):
    create = None


class ANewPlaceEachTime(ShelfWatcher):
    count = 0

    def __init__(self, shelf: Any) -> None:  # noqa: ANN401 - the shelf
        super().__init__(shelf)
        type(self).count += 1
        self.endpoint = f"shelf:{self.count}"


class RefreshesAnother(ShelfWatcher):
    async def refresh(self, batch: str) -> Watched:
        return await self.watched("bat-1")


class WatchesElsewhere(ShelfWatcher):
    def seen(self, batch: Batch) -> Watched:
        return replace(super().seen(batch), id=WatchedId("shelf:else", batch.id))


class UnknownHasNoOutcomes(ShelfWatcher):
    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:
        try:
            return await super().outcomes(batch, deep=deep)
        except NotFoundError:
            return ()


class SinceIsAfter(ShelfWatcher):
    async def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        async for item in super().watch(since, statuses):
            if item.created_at != since:
                yield item


class AnyStatus(ShelfWatcher):
    async def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        async for item in super().watch(since, ()):
            yield item


class WatchesTwice(ShelfWatcher):
    async def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        async for item in super().watch(since, statuses):
            yield item
            yield item


class LooksOnce(ShelfWatcher):
    def __init__(self, shelf: Any) -> None:  # noqa: ANN401 - the shelf
        super().__init__(shelf)
        self.provider = ReadsOnce(shelf)


class NothingWhenRefused(ShelfWatcher):
    async def watch(self, since: datetime | None, statuses: Sequence[str]) -> AsyncIterator[Watched]:
        try:
            async for item in super().watch(since, statuses):
                yield item
        except InvalidRequestError:
            return


class OutcomesUnsorted(ShelfWatcher):
    async def outcomes(self, batch: str, *, deep: bool = False) -> tuple[FileOutcome, ...] | None:
        return (await super().outcomes(batch, deep=deep) or ())[::-1]


class MoreFailedThanThereAre(ShelfWatcher):
    def seen(self, batch: Batch) -> Watched:
        return replace(super().seen(batch), counts=FileCounts(1, 2))


class WatchedLocalTimes(ShelfWatcher):
    def seen(self, batch: Batch) -> Watched:
        found = super().seen(batch)
        at = found.updated_at and found.updated_at.astimezone(timezone(timedelta(hours=2)))
        return replace(found, updated_at=at)


class WatcherTellsSecrets(ShelfWatcher):
    def __init__(self, shelf: Any) -> None:  # noqa: ANN401 - the shelf
        super().__init__(shelf)
        self.provider = TellsSecrets(shelf)


_BLIND: list[tuple[str, type[ShelfWatcher], Trouble | None]] = [
    ("test_it_has_no_way_to_create", CanCreate, None),
    ("test_another_connection_is_of_the_same_service", ANewPlaceEachTime, None),
    ("test_each_batch_is_found_by_its_id", RefreshesAnother, None),
    ("test_each_batch_is_found_by_its_id", WatchesElsewhere, None),
    ("test_what_the_service_does_not_know_is_not_found", UnknownHasNoOutcomes, None),
    ("test_what_is_watched_is_new_enough_or_has_one_of_the_statuses", SinceIsAfter, None),
    ("test_what_is_watched_is_new_enough_or_has_one_of_the_statuses", AnyStatus, None),
    ("test_what_is_watched_is_new_enough_or_has_one_of_the_statuses", WatchesTwice, None),
    ("test_a_read_that_meets_a_passing_trouble_is_tried_again", LooksOnce, Trouble.BROKEN),
    ("test_a_listing_that_cannot_be_read_is_an_error_and_never_empty", NothingWhenRefused, None),
    ("test_outcomes_are_sorted_and_agree_with_the_counts", OutcomesUnsorted, None),
    ("test_outcomes_are_sorted_and_agree_with_the_counts", MoreFailedThanThereAre, None),
    ("test_times_are_utc", WatchedLocalTimes, None),
    ("test_secrets_are_shown_nowhere", WatcherTellsSecrets, None),
]


def _name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else ""


@pytest.mark.parametrize(("clause", "provider", "trouble"), _BROKEN, ids=_name)
def test_a_provider_that_breaks_a_clause_fails_it(
    tmp_path: Path, clause: str, provider: type[ShelfProvider], trouble: Trouble | None
) -> None:
    class Suite(ProviderContract):
        def stand(self, folder: Path) -> ShelfStand:
            return ShelfStand(provider)

    _fails(Suite(), clause, tmp_path, trouble)


@pytest.mark.parametrize(("clause", "watcher", "trouble"), _BLIND, ids=_name)
def test_a_watcher_that_breaks_a_clause_fails_it(
    tmp_path: Path, clause: str, watcher: type[ShelfWatcher], trouble: Trouble | None
) -> None:
    class Suite(WatcherContract):
        def stand(self, folder: Path) -> ShelfWatcherStand:
            return ShelfWatcherStand(watcher)

    _fails(Suite(), clause, tmp_path, trouble)


def _fails(
    suite: ProviderContract | WatcherContract, clause: str, folder: Path, trouble: Trouble | None
) -> None:
    method = getattr(suite, clause)
    try:
        method(folder) if trouble is None else method(folder, trouble)
    except pytest.skip.Exception as skipped:
        raise AssertionError(f"the clause was not tried: {skipped}") from skipped
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - red, in whichever way
        return
    raise AssertionError(f"{clause} holds for {suite.stand(folder)}")


@pytest.mark.parametrize(
    ("contract", "tried"),
    [(ProviderContract, {item[0] for item in _BROKEN}), (WatcherContract, {item[0] for item in _BLIND})],
)
def test_every_clause_was_seen_to_fail(contract: type, tried: set[str]) -> None:
    clauses = {name for name, _ in inspect.getmembers(contract) if name.startswith("test_")}
    assert clauses == tried


@pytest.mark.parametrize("provider", sorted({item[1] for item in _BROKEN}, key=_name), ids=_name)
def test_what_is_broken_is_little_so_that_the_clause_is_the_reason(
    tmp_path: Path, provider: type[ShelfProvider]
) -> None:
    """Most clauses hold for each broken provider."""

    class Suite(ProviderContract):
        def stand(self, folder: Path) -> ShelfStand:
            return ShelfStand(provider)

    held = 0
    for name, method in inspect.getmembers(Suite()):
        if name.startswith("test_") and "trouble" not in inspect.signature(method).parameters:
            try:
                method(tmp_path)
            except (Exception, pytest.fail.Exception, pytest.skip.Exception):  # noqa: BLE001 - red
                continue
            held += 1
    assert held >= 8
