"""JSON bodies with faults in them. Each function is pure, and gives None when it finds nothing to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from reconciler.emulator.faults.nullable import Paths

JSON: TypeAlias = Any

_EXTRA = "x_unknown_field"
_EXTRA_OBJECT = "x_unknown_object"
_EXTRA_VALUE = "added by a fault"


def truncated(body: bytes) -> bytes | None:
    """Cut JSON in the middle. An object or a list that was cut is never JSON."""
    return body[: len(body) // 2] if body.lstrip()[:1] in {b"{", b"["} else None


def with_extra_fields(value: JSON) -> JSON:
    """Add a field to every object, and an object to the outermost."""
    if not _has_object(value):
        return None
    changed = _extended(value)
    if isinstance(changed, dict):
        changed[_EXTRA_OBJECT] = {"list": [1, None, "three"]}
    return changed


def with_status(value: JSON, status: str) -> JSON:
    """Set every text named `status`."""
    changed, count = _restated(value, status)
    return changed if count else None


def with_nulls(value: JSON, paths: Paths) -> JSON:
    """Set everything that stands at one of these paths to null."""
    changed = _nulled(value, paths)
    return None if changed == value else changed


def _has_object(value: JSON) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_has_object(item) for item in value))


def _extended(value: JSON) -> JSON:
    match value:
        case dict():
            return {**{name: _extended(item) for name, item in value.items()}, _EXTRA: _EXTRA_VALUE}
        case list():
            return [_extended(item) for item in value]
        case _:
            return value


def _restated(value: JSON, status: str) -> tuple[JSON, int]:
    match value:
        case dict():
            parts = {
                name: (status, 1) if name == "status" and isinstance(item, str) else _restated(item, status)
                for name, item in value.items()
            }
            return {name: part for name, (part, _) in parts.items()}, sum(n for _, n in parts.values())
        case list():
            items = [_restated(item, status) for item in value]
            return [item for item, _ in items], sum(count for _, count in items)
        case _:
            return value, 0


def _nulled(value: JSON, paths: Paths) -> JSON:
    if () in paths:
        return None
    match value:
        case dict():
            named = {path[0] for path in paths if path}
            return {
                name: _nulled(item, _below(paths, name if name in named else "{}"))
                for name, item in value.items()
            }
        case list():
            return [_nulled(item, _below(paths, "[]")) for item in value]
        case _:
            return value


def _below(paths: Paths, step: str) -> Paths:
    return frozenset(path[1:] for path in paths if path and path[0] == step)
