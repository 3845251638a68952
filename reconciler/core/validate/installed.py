"""Provider blocks whose type comes with an installed package: which there are, and what is wrong with them.

Looking for packages is an effect, so it is done in between: `foreign_types` says what to look for, and what
was found comes back as `Kinds`. The package's schema is held against the block by the code and in the
sentences that ours are; a schema that breaks is a fault of the block's type, and never a traceback.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reconciler.core.validate.faults import Fault
from reconciler.core.validate.kinds import PROJECT
from reconciler.core.validate.schema import Checker
from reconciler.core.validate.words import meant, shown
from reconciler.model.kind import Kinds
from reconciler.model.project import ForeignProvider
from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.model.source import Document, Value

#: The types that need no package. The schema of the project file describes each.
OURS = frozenset({"llamacloud", "local", "talonic"})

#: Nothing was looked for.
NO_KINDS = Kinds({}, {}, frozenset())

_TYPE = "type"


def foreign_types(documents: Sequence[Document]) -> frozenset[str]:
    """The types of provider blocks that are not ours, in documents that may have any fault."""
    return frozenset(
        str(block[_TYPE])
        for document in documents
        if document.value.get("kind") == PROJECT
        for _, block in _foreign(document.value)
    )


def foreign_faults(value: Mapping[str, Value], kinds: Kinds) -> Iterator[Fault]:
    """What is wrong with the blocks of a project file whose type is not ours."""
    for name, block in _foreign(value):
        path = ("spec", "providers", name)
        kind = str(block[_TYPE])
        if kind in kinds.usable:
            yield from _block_faults(block, path, kinds, kind)
        elif kind in kinds.unusable:
            yield Fault((*path, _TYPE), kinds.unusable[kind])
        else:
            yield Fault((*path, _TYPE), _unknown(kind, kinds))


def foreign_provider(name: str, block: Mapping[str, Any], kinds: Kinds) -> ForeignProvider:
    """The value of a block that has no fault."""
    return ForeignProvider(
        name=name,
        type=block[_TYPE],
        options=MappingProxyType({key: _frozen(item) for key, item in block.items() if key != _TYPE}),
        installed=kinds.usable[block[_TYPE]],
    )


def _foreign(value: Mapping[str, Value]) -> Iterator[tuple[str, dict[str, Value]]]:
    spec = value.get("spec")
    providers = spec.get("providers") if isinstance(spec, dict) else None
    for name, block in providers.items() if isinstance(providers, dict) else ():
        kind = block.get(_TYPE) if isinstance(block, dict) else None
        if isinstance(block, dict) and isinstance(kind, str) and kind and kind not in OURS:
            yield name, block


def _block_faults(
    block: Mapping[str, Value], path: tuple[str, ...], kinds: Kinds, kind: str
) -> Iterator[Fault]:
    installed = kinds.usable[kind]
    try:
        faults = Checker(installed.schema).faults({key: item for key, item in block.items() if key != _TYPE})
    except Exception as error:  # noqa: BLE001 - whatever a schema that is not ours can bring about
        yield Fault((*path, _TYPE), f"the schema of {installed.package} cannot be used: {_named(error)}")
        return
    for fault in faults:
        yield fault._replace(path=(*path, *fault.path))


def _unknown(kind: str, kinds: Kinds) -> str:
    near = meant(kind, OURS | kinds.offered)
    if near.endswith("?"):
        return f"{shown(kind)} is not known{near}"
    return (
        f"{shown(kind)} is not known{near}. Other types come with a package: install the one that offers "
        f"{shown(kind)} to this Python, as an entry point of the group 'reconciler.providers'"
    )


def _named(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__


def _frozen(value: Value) -> object:
    match value:
        case dict() if value.keys() == {"env"} and isinstance(variable := value["env"], str):
            return FromEnvironment(variable)
        case dict():
            return MappingProxyType({key: _frozen(item) for key, item in value.items()})
        case list():
            return tuple(_frozen(item) for item in value)
        case _:
            return value
