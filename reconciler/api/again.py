"""From batches with files that failed to a manifest that has their directories processed once more.

What is in it is decided by `core.again`; here are the documents that it continues, and the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.adapters.manifests import find_manifests, read_manifest
from reconciler.adapters.manifests.writer import exists, manifest_text, write_new
from reconciler.core.again import again
from reconciler.model.outcomes import Rerun

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.api.outcomes import ResultsRead
    from reconciler.model.lock import Entry, Lock
    from reconciler.model.outcomes import Again
    from reconciler.model.project import Project

_COMMENT = (
    "Written by `reconciler results --failed --write-manifest`: directories of which files failed.",
    "Each is processed as a whole once more, and costs again. A directory belongs to one set: take these",
    "out of the set that has them now. Until then validate or plan refuses both, and nothing is created.",
)


def refuse_existing(file: str) -> None:
    """Say so at once if a manifest cannot be written there.

    Raises:
        SettingsError: there is a file.
    """
    if os.path.lexists(file):
        raise exists(file)


def write_rerun(project: Project, lock: Lock, read: ResultsRead, file: str, now: datetime) -> Rerun:
    """Write the manifest, if there is anything to write.

    Args:
        project: whose sets the directories belong to now.
        lock: what is recorded.
        read: what was read.
        file: where, relative to this process's folder.
        now: the time, where a service did not tell its own.

    Raises:
        SettingsError: the file exists, or cannot be written.
    """

    def clock(entry: Entry) -> datetime:
        return read.clocks.get(entry.key.home, now)

    taken = {item.name for item in project.sets} | {item.name for item in project.tracked}
    taken |= {entry.address.set for entry in lock.entries.values()}
    sets, left_out = again(read.failing, lock, project.sets, taken, clock)
    if not sets:
        return Rerun(file="", sets=(), left_out=left_out)
    sources = {item.name: item.source.file for item in project.sets}
    documents = [_continued(_document(project, sources[item.of], item.of), item) for item in sets]
    write_new(Path(file), manifest_text(documents, _COMMENT), file)
    return Rerun(file=file, sets=sets, left_out=left_out, found=_is_found(project, Path(file)))


def _document(project: Project, file: str, name: str) -> Mapping[str, Any]:
    """A set as it is written in its manifest."""
    documents, _ = read_manifest(Path(project.folder), file)
    values: list[Mapping[str, Any]] = [document.value for document in documents]
    return next(
        value for value in values if value.get("kind") == "BatchSet" and value["metadata"]["name"] == name
    )


def _continued(value: Mapping[str, Any], item: Again) -> dict[str, Any]:
    """The set as it is, but for its name, its configuration's id, its directories and its ``rerun.after``."""
    spec = {name: part for name, part in value["spec"].items() if name not in {"directories", "removed"}}
    after = item.after.isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": value["apiVersion"],
        "kind": value["kind"],
        "metadata": {**value["metadata"], "name": item.name},
        "spec": {
            **spec,
            "job": {**spec["job"], "configuration": item.configuration},
            "directories": [{"id": name} for name in item.directories],
            "rerun": {**spec.get("rerun", {}), "after": after},
        },
    }


def _is_found(project: Project, file: Path) -> bool:
    folder = Path(project.folder)
    locate = project.file.locate
    names, _ = find_manifests(
        folder, project.file.manifests, place=lambda index: locate(("spec", "manifests", index))
    )
    return file.resolve() in {(folder / name).resolve() for name in names}
