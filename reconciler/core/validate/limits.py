"""From valid ``limits`` and ``protect`` to their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.project import Limits, Protection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model.source import Locator


def limits_of(spec: Mapping[str, Any]) -> Limits:
    """What one ``limits`` says, but for those of labels."""
    return Limits(
        max_creates=_whole(spec.get("maxCreates")),
        max_files=_whole(spec.get("maxFiles")),
        max_cancels=_whole(spec.get("maxCancels")),
    )


def label_limits(spec: Mapping[str, Any]) -> dict[tuple[str, str], Limits]:
    """The limits of labels, by name and value."""
    limits = {}
    for label, its in spec.get("labels", {}).items():
        name, _, value = label.partition("=")
        limits[name, value] = limits_of(its)
    return limits


def protections(spec: Sequence[Mapping[str, Any]], locate: Locator) -> tuple[Protection, ...]:
    """What is protected, and where that is written."""
    return tuple(
        Protection(item.get("directory"), item.get("configuration"), str(locate(("spec", "protect", index))))
        for index, item in enumerate(spec)
    )


def _whole(number: float | None) -> int | None:
    """JSON Schema counts 50.0 among the integers."""
    return None if number is None else int(number)
