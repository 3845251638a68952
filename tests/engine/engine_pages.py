"""Pages that tell of what does not matter no more than they have to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.ports import Listing, Page


def narrowed(page: Page, listing: Listing) -> Page:
    """The page, with the batches of the directories that the listing is about and the rows of all."""
    if listing.about is None:
        return page
    about = [batch for batch in page.batches if batch.key.directory in listing.about]
    return page._replace(batches=about, rows=page.listed)
