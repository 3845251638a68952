"""Which project a provider's key belongs to, if the project file does not say: the one in its replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.errors import NotFoundError, SettingsError
from reconciler.model.ports import Listing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.ports import Creator

# So many directories that do not exist are enough to say that the manifests are wrong, not the order.
_MOST_ASKED = 5


async def project_of(provider: Creator, directories: Iterable[str]) -> str:
    """The project that the service works in for this key.

    Args:
        provider: the service.
        directories: ids that the manifests name, to ask for when there is no batch yet.

    Raises:
        ServiceError: the service does not answer, or does not accept the key.
        SettingsError: nothing that it answered names a project.
    """
    page = await provider.list_page(Listing(), None)
    if page.batches:
        return page.batches[0].key.project
    for directory, _ in zip(directories, range(_MOST_ASKED), strict=False):
        try:
            return (await provider.directory(directory)).project
        except NotFoundError:
            continue
    async for found in provider.directories():
        return found.project
    raise SettingsError(
        f"no reply of {provider.endpoint} says which project the key belongs to",
        why="there is no batch and no directory yet",
        next="Check the directories' ids, or set projectId of the provider in reconciler.yaml",
    )
