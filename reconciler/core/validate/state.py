"""From a valid ``state`` to its value; and what a schema cannot say: no password stands in a manifest."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from reconciler.model.project import FileState, ObjectState, PostgresState, StateSpec
from reconciler.model.secret import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping

_BUCKETS = frozenset({"s3", "gs", "az"})
_SCHEMES = frozenset({"postgres", "postgresql"})
_SECRET = "a password does not stand in a manifest: use {env: VARIABLE}, or passfile"  # noqa: S105 - a sentence
# What is not one of libpq's own parameters.
_OURS = frozenset({"type", "url", "schema"})


def state_of(spec: Mapping[str, Any]) -> StateSpec:
    """The value of a ``state`` that has no fault; of none, that of a file."""
    match spec.get("type", "file"):
        case "file":
            return FileState(path=spec.get("path", "reconciler.lock"), exclusive="exclusive" in spec)
        case "postgres":
            url = spec.get("url")
            return PostgresState(
                url=FromEnvironment(url["env"]) if isinstance(url, dict) else url,
                schema=spec.get("schema", "reconciler"),
                options=MappingProxyType(
                    {name: str(value) for name, value in sorted(spec.items()) if name not in _OURS}
                ),
            )
        case "object":
            return ObjectState(
                url=spec["url"].rstrip("/"),
                endpoint=spec.get("endpoint"),
                region=spec.get("region"),
                root_certificate=spec.get("rootCertificate"),
                lease=float(spec.get("leaseSeconds", 30)),
            )
        case other:
            raise AssertionError(other)


def bucket_url(text: str) -> str:
    """A bucket and a path in it.

    Raises:
        ValueError: it is none, or holds more than that; the message shows nothing of the text.
    """
    if not text.isprintable() or " " in text:
        raise ValueError("expected a URL without spaces and control characters")
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ValueError("this is no valid URL") from error
    if parts.scheme not in _BUCKETS or not parts.netloc:
        raise ValueError("expected a bucket, as s3://BUCKET/PATH, gs://BUCKET/PATH or az://CONTAINER/PATH")
    if "@" in parts.netloc or ":" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("expected a bucket and a path alone: credentials come from the environment")
    return text


def state_faults(value: object, schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with a ``state`` that stands alone, a sentence each.

    Args:
        value: as it was read.
        schema: that of the project file.
    """
    from reconciler.core.validate.schema import Checker
    from reconciler.core.validate.words import dotted

    alone = {
        "$defs": schema["$defs"],
        "type": "object",
        "properties": {"state": {"type": "object", "$ref": "#/$defs/state"}},
    }
    faults = Checker(alone).faults({"state": value})  # type: ignore[dict-item]
    return [f"{dotted(fault.path)}: {fault.message}" for fault in faults]


def database_url(text: str) -> str:
    """A connection URL of PostgreSQL without a password.

    Raises:
        ValueError: it is none, or has one; the message shows nothing of the text.
    """
    if not text.isprintable() or " " in text:
        raise ValueError("expected a URL without spaces and control characters")
    try:
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ValueError("this is no valid URL") from error
    if parts.scheme not in _SCHEMES:
        raise ValueError("expected a URL that begins with postgresql://")
    # Where a password holds an '@' or '/' as it is, what follows is not where it seems to be.
    authority, at, _ = text.partition("://")[2].rpartition("@")
    if (at and ":" in authority) or any("password" in name.lower() for name, _ in query):
        raise ValueError(_SECRET)
    return text
