"""Where a manifest asks for what a plan or a report speaks of: for annotations, and only for what is shown.

Finding a place reads the manifest's text once more, so it is done for one address at a time. What a name
stands for is told by the plan; a batch that a pattern chose is found by its directory's name.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.model.lock import PinKind
from reconciler.model.manifest import ById, ByName, ByPattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reconciler.model.batch import Address
    from reconciler.model.manifest import BatchSet, Selector
    from reconciler.model.plan import Selected
    from reconciler.model.project import Project
    from reconciler.model.source import Source


def places(project: Project, selected: Iterable[Selected] = ()) -> Callable[[Address, str], Source | None]:
    """A function from an address and its directory's name to where a manifest asks for it.

    It gives the list of directories where the item of the list is not known, and None where no manifest
    has anything of that name.

    Args:
        project: the manifests, valid.
        selected: what names stand for, as the plan has it.
    """
    sets = {item.name: item for item in project.sets}
    tracked = {item.name: item.source for item in project.tracked}
    means = {(item.set, item.text): item.means for item in selected if item.kind is PinKind.NAME}

    def place(address: Address, name: str) -> Source | None:
        if address.set not in sets:
            return tracked.get(address.set)
        item = sets[address.set]
        for position, selector in enumerate(item.directories):
            if _asks(item, selector, address.directory, name, means):
                return item.locate(("spec", "directories", position))
        return item.locate(("spec", "directories"))

    return place


def _asks(
    item: BatchSet, selector: Selector, directory: str, name: str, means: dict[tuple[str, str], str]
) -> bool:
    match selector:
        case ById(id=there):
            return there == directory
        case ByName(name=text):
            return means.get((item.name, text)) == directory or text == name
        case ByPattern(pattern=pattern, exclude=exclude):
            return fnmatchcase(name, pattern) and not any(fnmatchcase(name, out) for out in exclude)
