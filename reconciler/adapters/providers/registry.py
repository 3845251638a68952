"""Kinds of providers that installed packages bring: entry points of the group ``reconciler.providers``.

An entry point's name is the ``type`` in reconciler.yaml, its value an `InstalledKind`, or a class of one that
takes no arguments. Only packages that a project names are imported, and whatever is wrong with one of them is
a sentence that names it. Ours need no looking for and are not found here; that one of them is named like an
entry point changes nothing for it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from reconciler.adapters.providers.wording import one_line
from reconciler.model.kind import CreatingKind, Installed, Kinds, WatchedKind
from reconciler.model.secret import sounds_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from importlib.metadata import EntryPoint

    from reconciler.model.kind import InstalledKind

#: Where packages register what they bring.
GROUP = "reconciler.providers"

#: A type also begins the endpoints of its blocks, where a scheme of a URL would be mistaken for LlamaCloud.
_TYPE = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
_NO_TYPES = frozenset({"http", "https"})


class UnusableError(Exception):
    """What a package offers cannot be used; the text says why."""


def installed(types: Iterable[str]) -> Kinds:
    """What installed packages offer of these types. Imports the packages, and no others."""
    offers: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        offers.setdefault(entry.name, []).append(entry)
    usable: dict[str, Installed] = {}
    unusable: dict[str, str] = {}
    for name in sorted(set(types) & offers.keys()):
        try:
            usable[name] = _load(offers[name])
        except UnusableError as error:
            unusable[name] = str(error)
    return Kinds(usable, unusable, frozenset(offers))


def check(kind: object) -> dict[str, Any]:
    """Make sure that something is an `InstalledKind` which can be used; gives its schema.

    Raises:
        UnusableError: it is not.
    """
    if not callable(getattr(kind, "endpoint", None)):
        raise UnusableError("it has no method 'endpoint'")
    if not isinstance(kind, (CreatingKind, WatchedKind)):
        raise UnusableError("it has neither a method 'creator' nor a method 'watcher'")
    try:
        # As plain as JSON has it: what takes the place of a dictionary is none to jsonschema.
        schema = json.loads(json.dumps(getattr(kind, "schema", None), default=_plain))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableError(f"its schema cannot be used: {_named(error)}") from error
    for fault in _schema_faults(schema):
        raise UnusableError(f"its schema cannot be used: {fault}")
    # An unknown option is refused whether the package thought of that or not.
    return {"type": "object", "properties": {}, **schema, "additionalProperties": False}


def package_of(entry: EntryPoint) -> str:
    """The package that an entry point is of, with its version, for people."""
    return f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "a package without a name"


def _load(entries: Sequence[EntryPoint]) -> Installed:
    if len(entries) > 1:
        packages = " and ".join(sorted(package_of(entry) for entry in entries))
        raise UnusableError(
            f"the type {entries[0].name!r} is offered more than once, by {packages}: uninstall one of them"
        )
    (entry,) = entries
    package = package_of(entry)
    try:
        _check_type(entry.name)
        kind: InstalledKind = _value(entry)
        schema = check(kind)
    except UnusableError as error:
        offered = one_line(f"{entry.name} = {entry.value}")
        raise UnusableError(f"{package} offers {offered!r}, which cannot be used: {error}") from error
    return Installed(kind, package, schema)


def _check_type(name: str) -> None:
    if name in _NO_TYPES or not _TYPE.fullmatch(name):
        raise UnusableError("a type has lower-case letters, digits, '-' and '_', and is no URL's scheme")


def _value(entry: EntryPoint) -> InstalledKind:
    """What an entry point names. Whatever happens in the package's own code is the package's fault."""
    match = entry.pattern.match(entry.value)
    if match is None:
        raise UnusableError("that is not MODULE:NAME")
    try:
        module = import_module(match["module"])
    except (Exception, SystemExit) as error:
        raise UnusableError(f"importing {match['module']} failed: {_named(error)}") from error
    try:
        steps = (match["attr"] or "").split(".")
        value: Any = functools.reduce(getattr, steps, module)
    except AttributeError as error:
        raise UnusableError(f"{match['module']} has no {match['attr']}") from error
    try:
        made: InstalledKind = value() if isinstance(value, type) else value
    except (Exception, SystemExit) as error:
        raise UnusableError(f"calling {match['attr']} failed: {_named(error)}") from error
    return made


def _schema_faults(schema: object) -> Iterator[str]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    if not isinstance(schema, dict):
        yield "there is no attribute 'schema' that is a mapping"
        return
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "".join(f"[{part!r}]" for part in error.absolute_path)
        yield one_line(f"{place or 'as a whole'}: {error.message}")
        return
    properties = schema.get("properties", {})
    if schema.get("type", "object") != "object":
        yield "it is about options, so its type is 'object'"
    if schema.get("additionalProperties", False) is not False:
        yield "options that it does not name are always refused: leave 'additionalProperties' out"
    if "type" in properties:
        yield "the option 'type' is reconciler's own"
    yield from _reference_faults(schema, schema)
    yield from _secret_faults(properties)


def _reference_faults(node: object, whole: Mapping[str, object]) -> Iterator[str]:
    """A schema is complete in itself: nothing is ever fetched for it."""
    if isinstance(node, Mapping):
        target = node.get("$ref")
        if isinstance(target, str) and not _leads_somewhere(target, whole):
            yield f"its '$ref' {one_line(target, 100)!r} leads nowhere within it"
        for inner in node.values():
            yield from _reference_faults(inner, whole)
    elif isinstance(node, (list, tuple)):
        for inner in node:
            yield from _reference_faults(inner, whole)


def _leads_somewhere(target: str, whole: Mapping[str, object]) -> bool:
    if not target.startswith("#/"):
        return False
    here: object = whole
    for step in target[2:].split("/"):
        if not isinstance(here, Mapping) or step not in here:
            return False
        here = here[step]
    return True


def _secret_faults(properties: Mapping[str, object]) -> Iterator[str]:
    """A secret stands in the environment, so no option that sounds like one may take it as text."""
    for name, option in properties.items():
        if sounds_secret(name) and not _names_a_variable(option):
            yield f"the option {name!r} sounds like a secret: its schema has to be reconciler.provider.SECRET"


def _names_a_variable(option: object) -> bool:
    match option:
        case {"type": "object", "additionalProperties": False, "properties": {"env": _} as named}:
            return len(named) == 1
        case _:
            return False


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a JSON Schema cannot hold a {type(value).__name__}")


def _named(error: BaseException) -> str:
    said = one_line(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
