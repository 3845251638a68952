"""Exporting: which provider blocks are meant, and what an id in a manifest may look like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.model.errors import SettingsError
from reconciler.model.project import creates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.api.outlook import Outlook
    from reconciler.model.export import Export, Wanted
    from reconciler.model.project import Project


def blocks_of(project: Project, names: Sequence[str]) -> frozenset[str]:
    """The provider blocks to export from: those that were named, or all that batches can be created on.

    Raises:
        SettingsError: there is no such block, or its batches are only watched.
    """
    creating = {name for name, spec in project.file.providers.items() if creates(spec)}
    for name in names:
        if name in project.file.providers and name not in creating:
            raise SettingsError(
                f"provider {name} forms its batches by itself: no manifest can ask for them",
                where="reconciler.yaml",
                next="Watch them with a TrackedBatch",
            )
        if name not in creating:
            known = ", ".join(sorted(creating)) or "none"
            raise SettingsError(
                f"there is no provider {name!r}", where="reconciler.yaml", next=f"Providers: {known}"
            )
    return frozenset(names) or frozenset(creating)


async def export(outlook: Outlook, blocks: frozenset[str], wanted: Wanted) -> Export:
    """What is live there, as manifests."""
    from reconciler.engine.export import Asked, export_live

    project = outlook.project
    return await export_live(
        outlook.eyes,
        Asked(
            blocks={block: outlook.homes[block] for block in sorted(blocks)},
            wanted=wanted,
            desired=outlook.desired,
            lock=outlook.lock,
            taken=frozenset(
                {item.name for item in project.sets}
                | {item.name for item in project.tracked}
                | {name for item in project.sets for name in item.removed}
            ),
            writable=_writable(),
        ),
    )


def _writable() -> Callable[[str], bool]:
    """Ids as the manifest's schema has them."""
    from reconciler.adapters.schemas import load_schema

    identifier = load_schema("BatchSet")["$defs"]["id"]
    pattern, longest = re.compile(identifier["pattern"]), identifier["maxLength"]
    return lambda text: len(text) <= longest and pattern.fullmatch(text) is not None
