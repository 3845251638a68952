"""Read a fault file: bounded YAML or JSON, checked against `schemas/faults.json`, made into values.

It is somebody's file, or a request's body: whatever is wrong with it is said at once, with its places.
The wording of the problems is in `problems`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from reconciler.emulator.faults.active import Entry, Every, Nth, Share, Trigger
from reconciler.emulator.faults.errors import FaultFileError, Problem
from reconciler.emulator.faults.kinds import DEFAULT_WHEN, KINDS, RetryAfter
from reconciler.emulator.faults.problems import in_order, problems_of
from reconciler.emulator.schemas import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import yaml
    from jsonschema import Draft202012Validator

    from reconciler.emulator.faults.kinds import Fault

MAX_BYTES: Final = 256 * 1024
_MAX_DEPTH = 20
_COMMON = frozenset({"fault", "when", "on", "probability", "nth", "every", "times", "name"})
_OTHER_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\]{2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultFile:
    """A valid fault file.

    Attributes:
        seed: What all its random choices come from.
        entries: Its faults, in order.
        source: The document as it was given, with nothing filled in.
    """

    seed: int
    entries: tuple[Entry, ...]
    source: Mapping[str, Any]


NO_FAULTS: Final = FaultFile(
    seed=0, entries=(), source={"apiVersion": "reconciler/v1", "kind": "Faults", "faults": []}
)


def load_faults(path: Path) -> FaultFile:
    """Read a fault file.

    Raises:
        FaultFileError: if it cannot be read or is not valid; with every problem in it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = Problem(where=(), message=f"it cannot be read: {error.strerror}", rule="file")
        raise FaultFileError(str(path), [problem]) from error
    return parse_faults(content, source=str(path))


def parse_faults(content: bytes, *, source: str) -> FaultFile:
    """Read the bytes of a fault file, YAML or JSON; `source` names it in messages.

    Raises:
        FaultFileError: if it is not valid; with every problem in it.
    """
    return _made(decode(content, source=source), content, source, root=())


def with_entry(file: FaultFile, content: bytes, *, source: str) -> FaultFile:
    """Read the bytes of one more entry for a valid fault file; `source` names them in messages.

    Raises:
        FaultFileError: if it is not valid; with every problem in it.
    """
    present = file.source["faults"]
    document = {**file.source, "faults": [*present, decode(content, source=source)]}
    return _made(document, content, source, root=("faults", len(present)))


def faults_of(document: object, *, source: str) -> FaultFile:
    """Make faults of a decoded document.

    Raises:
        FaultFileError: if it is not valid; with every problem in it.
    """
    problems = in_order([*problems_of(_validator(), document), *_redirects_elsewhere(document)])
    if problems:
        raise FaultFileError(source, problems)
    assert isinstance(document, dict)
    entries = tuple(_entry(raw) for raw in _whole(document["faults"]))
    return FaultFile(seed=int(document.get("seed", 0)), entries=entries, source=document)


def _made(document: object, content: bytes, source: str, *, root: tuple[str | int, ...]) -> FaultFile:
    """Make faults of a document, of which what stands at `root` was read from `content`."""
    try:
        return faults_of(document, source=source)
    except FaultFileError as error:
        raise _told(source, error.problems, content, root) from None


def _told(
    source: str, problems: Iterable[Problem], content: bytes, root: tuple[str | int, ...] = ()
) -> FaultFileError:
    from reconciler.emulator.faults.places import placed

    return FaultFileError(source, in_order(placed(problems, content, _loader(), root)))


def decode(content: bytes, *, source: str) -> object:
    """Read YAML or JSON of bounded size and depth into plain values.

    Raises:
        FaultFileError: if it is neither, too large or too deep.
    """
    import yaml

    if len(content) > MAX_BYTES:
        raise _unreadable(source, f"it is larger than {MAX_BYTES} bytes", "size")
    try:
        # JSON first: YAML reads some of its escapes differently.
        return _checked(json.loads(content, object_pairs_hook=_once), content, source)
    except (ValueError, RecursionError):
        pass
    try:
        _check_events(content, source)
        return _checked(yaml.load(content, _loader()), content, source)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or "it is neither YAML nor JSON"
        raise _unreadable(source, message, "yaml", mark) from error
    # PyYAML lets errors of Python's own conversions through: a number of 5,000 digits.
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise _unreadable(source, f"it holds a value that cannot be used: {error}", "value") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a mapping of JSON's pairs; a key given twice is left to the YAML reader, which says where."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError
    return mapping


def _check_events(content: bytes, source: str) -> None:
    import yaml

    depth = 0
    for event in yaml.parse(content, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise _unreadable(source, "it uses a YAML alias", "yaml", event.start_mark)
        if depth > _MAX_DEPTH:
            raise _unreadable(source, f"it nests deeper than {_MAX_DEPTH} levels", "size", event.start_mark)


def _checked(document: object, content: bytes, source: str) -> object:
    # Whatever YAML can hold and JSON cannot (a set, bytes, infinity) could not be shown again.
    text = json.dumps(document, allow_nan=False)
    depth = deepest = 0
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(depth, deepest)
    if deepest > _MAX_DEPTH:
        raise _unreadable(source, f"it nests deeper than {_MAX_DEPTH} levels", "size")
    if halves := list(_halves(document, ())):
        raise _told(source, halves, content)
    return document


def _halves(value: object, where: tuple[str | int, ...]) -> Iterator[Problem]:
    """Find texts with half a character in them, a lone surrogate: no reply could show them again."""
    problem = Problem(where=where, message="holds half a character, a lone surrogate", rule="value")
    match value:
        case str() if not _is_text(value):
            yield problem
        case dict():
            if not all(_is_text(str(name)) for name in value):
                yield replace(problem, message="a key in it holds half a character, a lone surrogate")
            for name, inner in value.items():
                if _is_text(str(name)):
                    yield from _halves(inner, (*where, name))
        case list():
            for index, inner in enumerate(value):
                yield from _halves(inner, (*where, index))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(
    source: str,
    message: str,
    rule: str,
    mark: Any = None,  # noqa: ANN401 - of either of two classes of PyYAML
) -> FaultFileError:
    line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
    return FaultFileError(source, [Problem(where=(), message=message, rule=rule, line=line, column=column)])


@cache
def _loader() -> type[yaml.SafeLoader]:
    """Make a safe loader by YAML 1.2's idea of a truth value, and that refuses a key given twice.

    PyYAML follows 1.1, where the key `on` would be `true`.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!a} stands here twice", key.start_mark
                    )
                seen.add(str(key.value))
            return super().construct_mapping(node, deep=deep)

    dropped = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in dropped]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
    )
    return Loader


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema("faults"))


def _redirects_elsewhere(document: object) -> Iterator[Problem]:
    """Find redirects to other hosts that the file does not own up to: a client may carry its key there.

    And those that own up to one and have none.
    """
    entries = document.get("faults") if isinstance(document, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if not isinstance(entry, dict):
            continue
        elsewhere = _OTHER_HOST.match(str(entry.get("location", ""))) is not None
        meant = entry.get("otherHost") is True
        if elsewhere and not meant:
            key, message = "location", "points to another host; say otherHost: true if that is meant"
        elif meant and not elsewhere and entry.get("fault") == "redirect":
            key, message = "otherHost", "needs a location that points to another host"
        else:
            continue
        yield Problem(where=("faults", index, key), message=message, rule="otherHost")


def _whole(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Write whole numbers as whole numbers: to JSON Schema, 503.0 is one."""
    match value:
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _entry(raw: Mapping[str, Any]) -> Entry:
    kind = raw["fault"]
    where = raw.get("on", {})
    methods = where.get("method", [])
    return Entry(
        fault=_fault(kind, {key: value for key, value in raw.items() if key not in _COMMON}),
        when=raw.get("when", DEFAULT_WHEN[kind]),
        methods=frozenset([methods] if isinstance(methods, str) else methods),
        path=where.get("path"),
        trigger=_trigger(raw),
        times=raw.get("times"),
        name=raw.get("name"),
    )


def _trigger(raw: Mapping[str, Any]) -> Trigger:
    if "probability" in raw:
        return Share(probability=raw["probability"])
    if "every" in raw:
        return Every(step=raw["every"])
    numbers = raw["nth"]
    return Nth(numbers=frozenset(numbers if isinstance(numbers, list) else [numbers]))


def _fault(kind: str, own: Mapping[str, Any]) -> Fault:
    fields = {
        re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key): value for key, value in own.items()
    }
    match fields.get("retry_after"):
        case {"date": seconds}:
            fields["retry_after"] = RetryAfter(seconds=seconds, as_date=True)
        case int(seconds):
            fields["retry_after"] = RetryAfter(seconds=seconds)
    # The schema has seen to names and types; a test holds it and the classes together.
    return KINDS[kind](**fields)
