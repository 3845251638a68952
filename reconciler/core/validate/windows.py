"""``windows`` and ``closed``, of a project and of sets: what a schema cannot say of them, and their values.

Which zones there are is the machine's knowledge, so it comes in as an argument.
"""

from __future__ import annotations

from datetime import UTC, date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.core.validate.faults import Fault
from reconciler.core.validate.words import shown
from reconciler.model.project import Closure, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import tzinfo

    from reconciler.model.source import Document, Locator, Path

#: As they are written, the first being Monday's.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DEFAULT_ZONE = "UTC"


class Zones(NamedTuple):
    """The zones that there are.

    Attributes:
        find: a zone by its name, or None.
        names: all names; asked for only where a name is not known.
    """

    find: Callable[[str], tzinfo | None]
    names: Callable[[], Iterable[str]]


#: Where nobody says which zones there are.
ONLY_UTC = Zones(lambda name: UTC if name == _DEFAULT_ZONE else None, lambda: (_DEFAULT_ZONE,))


def window_faults(document: Document, zones: Zones) -> Iterator[Fault]:
    """What is wrong with windows and closures that fit their schema."""
    spec: Any = document.value["spec"]
    for key in ("windows", "closed"):
        for index, item in enumerate(spec.get(key, ())):
            path: Path = ("spec", key, index)
            name = item.get("timezone", _DEFAULT_ZONE)
            if zones.find(name) is None:
                yield Fault((*path, "timezone"), f"there is no time zone {shown(name)}{_meant(name, zones)}")
    for index, item in enumerate(spec.get("windows", ())):
        start, end = _minutes(item.get("from", "00:00")), _minutes(item.get("to", "24:00"))
        if start == end:
            text = "a window that ends when it begins is never open: leave both out for the whole day"
            yield Fault(("spec", "windows", index, "to"), text)
    for index, item in enumerate(spec.get("closed", ())):
        if date.fromisoformat(item["to"]) < date.fromisoformat(item["from"]):
            yield Fault(
                ("spec", "closed", index, "to"), f"expected {item['from']} or later, got {item['to']}"
            )


def windows_of(spec: Mapping[str, Any], locate: Locator, zones: Zones) -> tuple[Window, ...]:
    """The windows of a valid document's spec."""
    return tuple(
        Window(
            days=frozenset(DAYS.index(day) for day in item.get("days", DAYS)),
            start=_minutes(item.get("from", "00:00")),
            end=_minutes(item.get("to", "24:00")),
            zone=_zone(item, zones),
            zone_name=item.get("timezone", _DEFAULT_ZONE),
            source=str(locate(("spec", "windows", index))),
        )
        for index, item in enumerate(spec.get("windows", ()))
    )


def closures_of(spec: Mapping[str, Any], locate: Locator, zones: Zones) -> tuple[Closure, ...]:
    """The closures of a valid document's spec."""
    return tuple(
        Closure(
            first=date.fromisoformat(item["from"]),
            last=date.fromisoformat(item["to"]),
            why=item.get("why", ""),
            zone=_zone(item, zones),
            zone_name=item.get("timezone", _DEFAULT_ZONE),
            source=str(locate(("spec", "closed", index))),
        )
        for index, item in enumerate(spec.get("closed", ()))
    )


def _zone(item: Mapping[str, Any], zones: Zones) -> tzinfo:
    found = zones.find(item.get("timezone", _DEFAULT_ZONE))
    assert found is not None, "it was checked"
    return found


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _meant(name: str, zones: Zones) -> str:
    names = list(zones.names())
    near = get_close_matches(name, names, n=1)
    near = near or [there for there in names if there.rpartition("/")[2].lower() == name.lower()][:1]
    return f": did you mean {near[0]!r}?" if near else "; expected one such as 'Europe/Berlin' or 'UTC'"
