"""Listing live batches for people, page by page as they come.

Nothing is decided on it, so what was read is handed on before the rest is; but that something is missing is
always said in the end (R7, O5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.cuts import Order
from reconciler.core.ownership import Owners, fits
from reconciler.engine.listing import Way
from reconciler.model.errors import ServiceError
from reconciler.model.listed import Listed, Missed
from reconciler.model.ports import Listing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from reconciler.model.batch import Batch
    from reconciler.model.desired import Desired
    from reconciler.model.listed import Filters, Reader
    from reconciler.model.lock import Lock
    from reconciler.model.ports import Provider

#: A million batches.
_MOST_PAGES = 10_000


async def browse(
    providers: Iterable[tuple[str, Provider]], filters: Filters, desired: Desired, lock: Lock, show: Reader
) -> tuple[Missed, ...]:
    """List the live batches of some services, one service after the other.

    Args:
        providers: each with the name of its block.
        filters: which batches.
        desired: what the manifests ask for.
        lock: what is recorded.
        show: given each page that has any of them.

    Gives the providers of which not all could be listed, and why: after their last page that could be read.
    """
    owners = Owners(desired, lock)
    missed: list[Missed] = []
    for name, provider in providers:
        try:
            async for page in _pages(provider, filters):
                listed = [Listed(batch, name, *owners.of(batch)) for batch in page if fits(batch, filters)]
                if listed:
                    show(listed)
        except ServiceError as error:
            missed.append(Missed(name, str(error)))
    return tuple(missed)


async def _pages(provider: Provider, filters: Filters) -> AsyncIterator[Sequence[Batch]]:
    """Every page, each batch once.

    Raises:
        ServiceError: the listing cannot be read to its end, or changed while it was read.
    """
    listing = Listing(filters.directory, filters.status, filters.since, filters.until)
    known: set[str] = set()
    order, way, token, twice = Order(), Way(), None, ""
    for _ in range(_MOST_PAGES):
        page = await provider.list_page(listing, token)
        fresh = []
        order.take(page.listed.times)
        for batch in page.batches:
            if batch.id in known:
                twice = batch.id
            else:
                known.add(batch.id)
                fresh.append(batch)
        yield fresh
        if page.next is None:
            if twice and not order.sorted:
                raise ServiceError(f"the listing changed while it was read: {twice} came twice")
            return
        if why := way.fault(page.next, new=bool(fresh)):
            raise ServiceError(f"the listing is incomplete: {why}")
        token = page.next
    raise ServiceError(f"the listing has more than {_MOST_PAGES:,} pages")
