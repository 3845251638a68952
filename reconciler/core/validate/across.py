"""What only shows when manifests are compared with the project file and with each other.

Names that stand twice, providers that are not there or cannot create (R16), work that is asked for twice
(R12), sets that wait for each other; and the digest of everything. Names and providers are judged in
documents with other faults too, so that all are told in one pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.validate.faults import Fault
from reconciler.core.validate.kinds import BATCH_SET
from reconciler.core.validate.words import meant, shown
from reconciler.model.canonical import digest
from reconciler.model.manifest import BatchSet, ById, TrackedBatch
from reconciler.model.project import ForeignProvider, TalonicProvider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.model.batch import JobType
    from reconciler.model.project import ProjectFile, ProviderSpec
    from reconciler.model.source import Document, Value

_NAME = ("metadata", "name")


def project_digest(project: ProjectFile, sets: Iterable[BatchSet], tracked: Iterable[TrackedBatch]) -> str:
    """The digest of everything that a project says, whatever the order and the files it is said in."""
    watched = [
        [item.name, item.provider, item.ids, str(item.since), item.statuses, dict(item.labels)]
        for item in tracked
    ]
    wanted = [[item.name, item.digest] for item in sets]
    return digest([project.digest, sorted(wanted), sorted(watched, key=str)])


def name_faults(documents: Sequence[Document]) -> Iterator[tuple[Document, Fault]]:
    """Names that stand a second time, of whatever kind: a name begins addresses and answers --target."""
    first: dict[str, Document] = {}
    for document in documents:
        name = name_of(document)
        if name is None:
            continue
        known = first.setdefault(name, document)
        if known is not document:
            place = known.locate(_NAME)
            yield document, Fault(_NAME, f"the name {shown(name)} is already taken at {place}")


def name_of(document: Document) -> str | None:
    """The name that a document gives itself, valid or not."""
    metadata = document.value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def provider_faults(document: Document, project: ProjectFile) -> Iterator[Fault]:
    """A provider that the project does not have, or that cannot do what the manifest asks for (R16)."""
    path = ("spec", "provider")
    name = _spec(document).get("provider")
    if not isinstance(name, str):
        return
    provider = project.providers.get(name)
    if provider is None:
        yield Fault(path, f"there is no provider {shown(name)}{meant(name, project.providers)}")
    elif document.value["kind"] == BATCH_SET and (why := _cannot_create(provider)):
        message = f"{shown(name)} cannot create batches, because {why}"
        yield Fault(path, f"{message}: use kind TrackedBatch, which observes them")


def _cannot_create(provider: ProviderSpec) -> str:
    match provider:
        case TalonicProvider():
            return "Talonic forms them by itself"
        case ForeignProvider(type=kind, installed=installed) if not installed.creates:
            return f"{installed.package} can only watch those of type {shown(kind)}"
        case _:
            return ""


def _spec(document: Document) -> Mapping[str, Value]:
    spec = document.value.get("spec")
    return spec if isinstance(spec, dict) else {}


class _Work(NamedTuple):
    """What R12 compares: the provider block does not count."""

    job: JobType
    configuration: str


def duplicate_faults(sets: Sequence[BatchSet]) -> Iterator[tuple[BatchSet, Fault]]:
    """Work that is asked for a second time by ids alone (R12); names are compared when planning."""
    seen: dict[_Work, dict[str, tuple[BatchSet, int]]] = {}
    for item in sets:
        if not isinstance(item.job.configuration, ById):
            continue
        work = _Work(item.job.type, item.job.configuration.id)
        directories = seen.setdefault(work, {})
        for index, selector in enumerate(item.directories):
            if not isinstance(selector, ById):
                continue
            first, at = directories.setdefault(selector.id, (item, index))
            if first is not item or at != index:
                place = first.locate(("spec", "directories", at, "id"))
                yield (
                    item,
                    Fault(("spec", "directories", index, "id"), _twice(selector.id, work, first, place)),
                )


def _twice(directory: str, work: _Work, first: BatchSet, place: object) -> str:
    done = f"{work.job} and {shown(work.configuration)}"
    return f"{shown(directory)} with {done} is already asked for at {place}, in {shown(first.name)}"


def unknown_dependencies(
    document: Document, sets: frozenset[str], tracked: frozenset[str]
) -> Iterator[Fault]:
    """Names in ``dependsOn`` that no set has."""
    names = _spec(document).get("dependsOn")
    for index, name in enumerate(names if isinstance(names, list) else []):
        path = ("spec", "dependsOn", index)
        if isinstance(name, str) and name in tracked:
            yield Fault(path, f"{shown(name)} is a TrackedBatch: a set waits for sets only")
        elif isinstance(name, str) and name and name not in sets:
            yield Fault(path, f"there is no set {shown(name)}{meant(name, sets)}")


def removed_faults(sets: Sequence[BatchSet]) -> Iterator[tuple[BatchSet, Fault]]:
    """What is called removed and is asked for by ids alone; names and patterns are compared when planning."""
    asked = {item.name: item for item in sets}
    for item in sets:
        for index, name in enumerate(item.removed):
            set_name, slash, directory = name.partition("/")
            there = asked.get(set_name)
            wanted = there is not None and (not slash or ById(directory) in there.directories)
            if there is not None and wanted:
                text = f"{shown(name)} is removed here and still asked for at {there.locate(_NAME)}"
                yield item, Fault(("spec", "removed", index), text)


def cycle_faults(sets: Mapping[str, BatchSet]) -> Iterator[tuple[BatchSet, Fault]]:
    """Sets that wait for each other, one fault for each cycle that a walk in order of names closes."""
    done: set[str] = set()
    for start in sorted(sets):
        path: list[str] = []
        on_path: dict[str, int] = {}
        # An own stack: a chain of sets may be longer than Python can recurse.
        steps = [(start, iter(sets[start].depends_on))] if start not in done else []
        if steps:
            path.append(start)
            on_path[start] = 0
        while steps:
            name, rest = steps[-1]
            following = next(rest, None)
            if following is None:
                steps.pop()
                path.pop()
                del on_path[name]
                done.add(name)
            elif following in on_path:
                cycle = [*path[on_path[following] :], following]
                yield _cycle_fault(sets[name], following, cycle)
            elif following in sets and following not in done:
                steps.append((following, iter(sets[following].depends_on)))
                on_path[following] = len(path)
                path.append(following)


def _cycle_fault(item: BatchSet, following: str, cycle: list[str]) -> tuple[BatchSet, Fault]:
    way = " → ".join(cycle if len(cycle) <= 12 else [*cycle[:6], "…", *cycle[-5:]])  # noqa: PLR2004 - one line
    index = item.depends_on.index(following)
    return item, Fault(("spec", "dependsOn", index), f"these sets wait for each other: {way}")
