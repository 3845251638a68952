"""The contract of a provider on which batches are created: what the engine relies on, clause by clause.

Each method is one clause, and says what it is when it fails. A clause that a stand cannot try, because its
service knows no such trouble or batch, is skipped with the reason.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest

from reconciler.model.batch import Key
from reconciler.model.errors import LockLostError, NotFoundError, ReconcilerError, ServiceError
from reconciler.model.intent import (
    Created,
    NotSent,
    Rejected,
    SendOutcome,
    Throttled,
    Unanswered,
    Withheld,
)
from reconciler.model.ports import Creator, Listing, Page
from reconciler.model.watched import JobOutcome
from reconciler.testing.stands import ProviderStand, Trouble

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from reconciler.model.batch import Batch, DirectoryFile

Scenario: TypeAlias = Callable[[ProviderStand, Creator], Awaitable[None]]

#: What a create that meets a trouble comes to (C4).
OUTCOMES: dict[Trouble, type[SendOutcome]] = {
    Trouble.REFUSED: Rejected,
    Trouble.THROTTLED: Throttled,
    Trouble.UNREACHABLE: NotSent,
    Trouble.UNANSWERED: Unanswered,
    Trouble.BROKEN: Unanswered,
}

#: What a read is tried again after (O6).
PASSING = (Trouble.THROTTLED, Trouble.UNREACHABLE, Trouble.UNANSWERED, Trouble.BROKEN)

_MOST_PAGES = 10_000


class ProviderContract:
    """Subclass it, say what to stand on, and pytest runs every clause."""

    def stand(self, folder: Path) -> ProviderStand:
        """A service of its own for one clause.

        Args:
            folder: an empty one, for whatever the service wants to keep.
        """
        raise NotImplementedError

    # --- who it is ---

    def test_keys_are_of_this_service_and_survive_being_written_down(self, tmp_path: Path) -> None:
        """The lockfile has one entry a key, by the key's text."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            keys = stand.works()
            assert len({key.directory for key in keys}) >= 3, "the suite needs three directories"  # noqa: PLR2004
            for key in keys:
                assert key.endpoint == provider.endpoint, "a key names the service that it is sent to"
                assert Key.parse(str(key)) == key, f"the key does not survive being written: {key}"

        self._try(tmp_path, scenario)

    def test_another_connection_is_of_the_same_service(self, tmp_path: Path) -> None:
        """With another endpoint, all that is recorded would be taken for other work."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            batch = await created(provider, stand.works()[0])
            async with stand.connected() as other:
                assert other.endpoint == provider.endpoint, "the endpoint is the same in every connection"
                assert (await other.get(batch.id)).key == batch.key, "another connection sees the same batch"

        self._try(tmp_path, scenario)

    def test_the_settle_time_is_a_span(self, tmp_path: Path) -> None:
        """It is waited for, so it has an end, and it does not lie in the past."""

        async def scenario(_: ProviderStand, provider: Creator) -> None:
            assert 0 <= provider.settle < math.inf, f"no settle time: {provider.settle}"

        self._try(tmp_path, scenario)

    # --- creating (C4) ---

    def test_a_create_gives_the_batch_of_the_very_work_that_was_asked_for(self, tmp_path: Path) -> None:
        """And one batch of it, which is found by its id."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            key, before = stand.works()[0], stand.creates()
            batch = await created(provider, key)
            assert batch.key == key, "the batch does the work that was asked for"
            assert stand.creates() == before + 1, "one create reached the service"
            found = await provider.get(batch.id)
            assert (found.id, found.key) == (batch.id, key), "the batch is found by its id"
            assert [item.id for item in await everything(provider)] == [batch.id], "and it is listed, once"

        self._try(tmp_path, scenario)

    @pytest.mark.parametrize("trouble", sorted(OUTCOMES))
    def test_a_create_that_meets_a_trouble_is_an_outcome_and_is_sent_once(
        self, tmp_path: Path, trouble: Trouble
    ) -> None:
        """A refusal certainly made nothing; what was not answered may have, and is not sent again."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            key, before = stand.works()[0], stand.creates()
            _disturb(stand, trouble)
            outcome = await provider.create(key, (), objection=_no_objection)
            wanted = OUTCOMES[trouble]
            assert isinstance(outcome, wanted), f"{wanted.__name__} was due after {trouble}, not {outcome}"
            assert stand.creates() == before + 1, "a create is sent once, whatever happens to it"
            made = await everything(provider, Listing(directory=key.directory))
            if trouble is Trouble.UNANSWERED:
                assert [item.key for item in made] == [key], "what took effect is listed"
            elif trouble is not Trouble.BROKEN:
                assert made == [], "what certainly was not made is not there"

        self._try(tmp_path, scenario)

    def test_an_objection_withholds_a_create(self, tmp_path: Path) -> None:
        """The reason is the outcome, and not a byte was sent."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            key, before = stand.works()[0], stand.creates()
            outcome = await provider.create(key, (), objection=lambda: "the look is too old")
            assert outcome == Withheld("the look is too old"), "the objection's reason is the outcome"
            assert stand.creates() == before, "what was objected to is not sent"
            assert await everything(provider) == [], "nothing was made"

        self._try(tmp_path, scenario)

    def test_the_objection_is_asked_right_before_the_send(self, tmp_path: Path) -> None:
        """Once, and nothing else is asked of the service in between: what it was decided on grows old."""
        asked: list[tuple[int, int]] = []

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            def objection() -> str:
                asked.append((stand.creates(), stand.requests()))
                return ""

            before = stand.creates()
            await provider.create(stand.works()[0], (), objection=objection)
            assert len(asked) == 1, f"the objection is asked once, not {len(asked)} times"
            creates, requests = asked[0]
            assert creates == before, "the objection is asked before the create is sent"
            if requests or stand.requests():
                assert stand.requests() == requests + 1, "between objection and create nothing is sent"

        self._try(tmp_path, scenario)

    def test_what_an_objection_raises_is_passed_on_and_nothing_is_sent(self, tmp_path: Path) -> None:
        """The lock is lost, say: then this is not the run that may create."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            before = stand.creates()

            def objection() -> str:
                raise LockLostError("the lock is gone")

            with pytest.raises(LockLostError):
                await provider.create(stand.works()[0], (), objection=objection)
            assert stand.creates() == before, "nothing is sent after an objection raised"

        self._try(tmp_path, scenario)

    # --- reading (O5, O6, R7) ---

    def test_a_listing_ends_and_has_each_batch_once(self, tmp_path: Path) -> None:
        """Page after page, to a page without a next one; no token comes twice."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            made = [((await created(provider, key)).id, key) for key in stand.works()]
            listed = [(batch.id, batch.key) for batch in await everything(provider)]
            assert sorted(listed) == sorted(made), "a listing has each live batch once, under its key"

        self._try(tmp_path, scenario)

    def test_filters_are_exact(self, tmp_path: Path) -> None:
        """What they let through is all that fits, and nothing that does not."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            for index, key in enumerate(stand.works()):
                batch = await created(provider, key)
                if index == 0:
                    await stand.finish(batch.id)
            # Whether a filter by time lets those through whose time is not known is nowhere said.
            whole = [batch for batch in await everything(provider) if batch.created_at]
            for one in whole:
                for listing, fits in _filters(one):
                    found = {item.id for item in await everything(provider, listing) if item.created_at}
                    assert found == {item.id for item in whole if fits(item)}, f"not exact: {listing}"

        self._try(tmp_path, scenario)

    def test_what_a_listing_is_about_leaves_no_row_out(self, tmp_path: Path) -> None:
        """Batches of other directories may be missing, but no row: else nothing shows that it is whole."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            made = [await created(provider, key) for key in stand.works()]
            about = frozenset({made[0].key.directory})
            pages = await all_pages(provider, Listing(about=about))
            shown = {batch.id for page in pages for batch in page.batches}
            assert shown >= {batch.id for batch in made if batch.key.directory in about}
            rows = sorted(name for page in pages for name in page.listed.ids)
            assert rows == sorted(batch.id for batch in made), "a page tells of each row"

        self._try(tmp_path, scenario)

    def test_what_the_service_does_not_know_is_not_found(self, tmp_path: Path) -> None:
        """By this very error, since nothing else means that it is not there."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            batch = await created(provider, stand.works()[0])
            other = f"{batch.id[:-1]}{'0' if batch.id[-1] != '0' else '1'}"
            for name, ask in (
                ("get", lambda: provider.get(other)),
                ("results", lambda: provider.results(other)),
                ("cancel", lambda: provider.cancel(other)),
                ("directory", lambda: provider.directory(f"{batch.key.directory}-0")),
                ("files", lambda: _all_files(provider, f"{batch.key.directory}-0")),
            ):
                try:
                    found: object = await ask()
                except NotFoundError:
                    continue
                except ServiceError as error:
                    pytest.fail(f"{name} of what is unknown is a NotFoundError, not {error!r}")
                pytest.fail(f"{name} of what is unknown is a NotFoundError, and gave {found!r:.200}")

        self._try(tmp_path, scenario)

    @pytest.mark.parametrize("trouble", sorted(PASSING))
    def test_a_read_that_meets_a_passing_trouble_is_tried_again(
        self, tmp_path: Path, trouble: Trouble
    ) -> None:
        """A run should not end for what is over a second later."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            batch = await created(provider, stand.works()[0])
            _disturb(stand, trouble)
            assert [item.id for item in await everything(provider)] == [batch.id], "the listing is there"
            _disturb(stand, trouble)
            assert (await provider.get(batch.id)).id == batch.id, "the batch is there"

        self._try(tmp_path, scenario)

    def test_a_listing_that_cannot_be_had_is_an_error_and_never_empty(self, tmp_path: Path) -> None:
        """Unknown is never missing (R7): an empty page would let everything be created again."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            await created(provider, stand.works()[0])
            _disturb(stand, Trouble.REFUSED)
            try:
                page = await provider.list_page(Listing(), None)
            except ServiceError:
                return
            pytest.fail(f"a listing that was refused is a ServiceError, not {page!r:.200}")

        self._try(tmp_path, scenario)

    # --- the rest of a batch's life ---

    def test_cancelling_what_has_ended_gives_it_as_it_is(self, tmp_path: Path) -> None:
        """It cannot be undone, and that it cannot is no failure."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            batch = await created(provider, stand.works()[0])
            await stand.finish(batch.id)
            ended = await provider.get(batch.id)
            if not ended.status.terminal:
                pytest.skip("the stand cannot bring a batch to its end")
            try:
                found = await provider.cancel(batch.id)
            except ServiceError as error:
                pytest.fail(f"cancelling what has ended is answered with the batch, not with {error!r}")
            assert (found.id, found.status) == (ended.id, ended.status), "what has ended stays as it is"

        self._try(tmp_path, scenario)

    def test_cancelling_what_runs_gives_that_batch(self, tmp_path: Path) -> None:
        """It need not be cancelled yet."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            batch = await created(provider, stand.works()[0])
            if (await provider.get(batch.id)).status.terminal:
                pytest.skip("a batch of this service has ended once it was made")
            found = await provider.cancel(batch.id)
            assert (found.id, found.key) == (batch.id, batch.key), "the reply is about the batch"

        self._try(tmp_path, scenario)

    def test_results_are_about_the_files_of_the_directory(self, tmp_path: Path) -> None:
        """Each at most once; nothing at all is said as None."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            batch = await created(provider, stand.works()[0])
            await stand.finish(batch.id)
            for result in (results := await provider.results(batch.id) or ()):
                if result.job is not None:
                    outcome = await provider.job_outcome(batch.key.job, result.job)
                    assert isinstance(outcome, JobOutcome), f"no outcome of a job: {outcome!r}"
            files = [result.file for result in results]
            assert len(files) == len(set(files)), "a file has one result"
            assert set(files) <= set(await stand.files(batch.key.directory)), "a result is of a file"

        self._try(tmp_path, scenario)

    def test_working_gives_a_check_or_nothing(self, tmp_path: Path) -> None:
        """An apply stays where there is a check, and calls it now and then."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            await created(provider, stand.works()[0])
            async with provider.working() as check:
                assert check is None or check() is None, "a check gives nothing, and raises when work ended"

        self._try(tmp_path, scenario)

    # --- what creates are decided on (R14) ---

    def test_directory_and_files_are_what_the_service_has(self, tmp_path: Path) -> None:
        """Existence, project and number of files decide whether a create is sent."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            for key in stand.works():
                found = await provider.directory(key.directory)
                assert (found.id, found.project) == (key.directory, key.project), "it is the key's directory"
                files = [file.id for file in await _all_files(provider, key.directory)]
                assert len(files) == len(set(files)), "a file is listed once"
                assert set(files) == set(await stand.files(key.directory)), (
                    "all files are listed, and no others"
                )

        self._try(tmp_path, scenario)

    def test_a_configuration_is_the_one_that_was_asked_for_or_none(self, tmp_path: Path) -> None:
        """One that is saved nowhere may be built in: that is None, and no error."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            name = stand.works()[0].configuration
            found = await provider.configuration(name)
            assert found is None or found.id == name, "it is the configuration that was asked for"
            assert await provider.configuration(f"{name}-0") is None, "one that is saved nowhere is None"

        self._try(tmp_path, scenario)

    def test_names_of_directories_and_configurations_are_exact(self, tmp_path: Path) -> None:
        """What has another name is other work (R13)."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            there = {found.id: found.name async for found in provider.directories()}
            assert {key.directory for key in stand.works()} <= there.keys(), "all directories are listed"
            for name in there.values():
                found = {item.id async for item in provider.directories(name)}
                assert found == {i for i, its in there.items() if its == name}, f"not called {name!r}"
            saved = [found async for found in provider.configurations()]
            for one in saved:
                twins = {i.id async for i in provider.configurations(one.name, one.product)}
                wanted = {i.id for i in saved if (i.name, i.product) == (one.name, one.product)}
                assert twins == wanted, f"not called {one.name!r} or not for {one.product!r}"

        self._try(tmp_path, scenario)

    # --- what is told ---

    def test_times_are_utc(self, tmp_path: Path) -> None:
        """They are compared with each other, and written down."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            key = stand.works()[0]
            batch = await created(provider, key)
            directory = await provider.directory(key.directory)
            times: list[datetime | None] = [provider.clock, directory.deleted_at, directory.expires_at]
            times += [file.updated_at for file in await _all_files(provider, key.directory)]
            for item in (batch, *await everything(provider)):
                times += [item.created_at, item.updated_at]
            for time in times:
                assert time is None or time.utcoffset() == timedelta(0), f"not in UTC: {time!r}"

        self._try(tmp_path, scenario)

    def test_secrets_are_shown_nowhere(self, tmp_path: Path) -> None:
        """Not in an outcome, an error or its traceback, also where the service repeats them."""

        async def scenario(stand: ProviderStand, provider: Creator) -> None:
            if not stand.secrets:
                pytest.skip("the stand gives the provider no secret")
            key = stand.works()[0]
            told = [repr(provider), str(await created(provider, key))]
            for trouble in sorted(OUTCOMES):
                if stand.disturb(trouble):
                    told.append(str(await provider.create(key, (), objection=_no_objection)))
                if stand.disturb(trouble):
                    try:
                        await provider.list_page(Listing(), None)
                    except ReconcilerError as error:
                        told += [*traceback.format_exception(error), repr(error), repr(vars(error))]
            for text in told:
                assert not any(secret in text for secret in stand.secrets), "a secret is shown"

        self._try(tmp_path, scenario)

    def _try(self, folder: Path, scenario: Scenario) -> None:
        stand = self.stand(folder)

        async def whole() -> None:
            async with stand.connected() as provider:
                await scenario(stand, provider)

        asyncio.run(whole())


async def created(provider: Creator, key: Key) -> Batch:
    """Create, where nothing speaks against it."""
    outcome = await provider.create(key, (), objection=_no_objection)
    assert isinstance(outcome, Created), f"a create that nothing speaks against is Created, not {outcome}"
    return outcome.batch


async def everything(provider: Creator, listing: Listing | None = None) -> list[Batch]:
    """All batches of a listing."""
    return [batch for page in await all_pages(provider, listing or Listing()) for batch in page.batches]


async def all_pages(provider: Creator, listing: Listing) -> list[Page]:
    """All pages of a listing."""
    found: list[Page] = []
    token: str | None = None
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        page = await provider.list_page(listing, token)
        found.append(page)
        token = page.next
        if token is None:
            return found
        assert token not in seen, f"the page token {token!r} comes twice: the listing does not end"
        seen.add(token)
    pytest.fail(f"the listing does not end within {_MOST_PAGES:,} pages")


async def _all_files(provider: Creator, directory: str) -> list[DirectoryFile]:
    return [file async for file in provider.files(directory)]


def _filters(one: Batch) -> list[tuple[Listing, Callable[[Batch], bool]]]:
    """Every filter that a batch fits, each with what it is to let through."""
    key, status, at = one.key, one.status, one.created_at
    assert at is not None
    return [
        (Listing(directory=key.directory), lambda item: item.key.directory == key.directory),
        (Listing(status=status), lambda item: item.status is status),
        (Listing(created_on_or_after=at), lambda item: item.created_at is not None and item.created_at >= at),
        (
            Listing(created_on_or_before=at),
            lambda item: item.created_at is not None and item.created_at <= at,
        ),
    ]


def _disturb(stand: ProviderStand, trouble: Trouble) -> None:
    if not stand.disturb(trouble):
        pytest.skip(f"a request to this service is never {trouble}")


def _no_objection() -> str:
    return ""
