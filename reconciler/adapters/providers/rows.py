"""Pages of batches, read at one go: a scan reads a hundred thousand rows, of which few matter.

Row by row and field by field is ``wire``'s way, which names what does not fit. Here a page is looked at as a
whole first, and only rows of the directories that are asked about are made batches, which takes a third of
making all where a tenth matters. A page that is not as services write them goes ``wire``'s way from its first
row to its last; a test holds both ways equal.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.adapters.providers import wire
from reconciler.model.ports import Listing, Page, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from reconciler.model.batch import Batch

# Of UTC, with all their digits: `fromisoformat` reads these as ``wire`` does.
_TIMES = re.compile(r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z\n)*", re.ASCII)


def page(value: object, endpoint: str, listing: Listing) -> Page:
    """A page of a listing, as the service that keys name by ``endpoint`` wrote it.

    Batches of other directories than the one that was asked for are left out: whether the service's filter
    is exact is not documented. A batch of a job type that this version does not know is left out of a scan,
    where it can be nobody's key, but not of a directory's listing, which proves absence.

    Raises:
        MisfitError: a field is missing or of another type, in a row that matters.
    """
    one = partial(wire.batch, endpoint=endpoint)
    if listing.directory is not None:
        batches, following = wire.page(value, one)
        return Page(tuple(batch for batch in batches if batch.key.directory == listing.directory), following)
    if listing.about is None or (columns := _columns(value)) is None:
        batches, following = wire.page(value, partial(_if_known, one))
        return Page(tuple(batches), following)
    batches = _about(value, columns.directories, listing.about, one)
    return Page(tuple(batches), wire.following(value), rows=Rows(columns.ids, columns.times))


class _Columns(NamedTuple):
    """What a scan has to know of every row."""

    ids: Sequence[str]
    directories: Sequence[str]
    times: Sequence[datetime]


def _columns(value: Any) -> _Columns | None:  # noqa: ANN401 - JSON
    """The columns of a page that is as services write them; None of any other."""
    try:
        items = value["items"]
        ids = [row["id"] for row in items]
        directories = [row["source_directory_id"] for row in items]
        made = [row["created_at"] for row in items]
        # A list: of anything else that is empty nothing would show that it is no page.
        if (
            type(items) is list
            and _identifiers(ids)
            and _identifiers(directories)
            and _TIMES.fullmatch("\n".join((*made, "")))
        ):
            return _Columns(ids, directories, [*map(datetime.fromisoformat, made)])
    except (KeyError, TypeError, ValueError):
        pass
    return None


def _identifiers(texts: Sequence[str]) -> bool:
    return all(texts) and "".join(texts).isprintable() and max(map(len, texts), default=0) <= wire.LONGEST_ID


def _about(
    value: Any,  # noqa: ANN401 - JSON
    directories: Sequence[str],
    about: Container[str],
    one: Callable[[object], Batch],
) -> list[Batch]:
    """The batches of the directories that are asked about."""
    batches = []
    for index, directory in enumerate(directories):
        if directory in about:
            try:
                batch = _if_known(one, value["items"][index])
            except wire.MisfitError as error:
                raise error.within(f"items[{index}]") from error
            if batch is not None:
                batches.append(batch)
    return batches


def _if_known(one: Callable[[object], Batch], value: object) -> Batch | None:
    try:
        return one(value)
    except wire.UnknownJobError:
        return None
