"""The JSON Schemas that the code validates against and that ``reconciler schema`` prints.

A wheel carries them beside the package's modules; an editable install finds them at the top of the
checkout. They are named by their file, so that a new one needs no line here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

Schema: TypeAlias = Mapping[str, Any]

#: The kinds of documents that people write, and the file name of each one's schema.
SCHEMA_KINDS: Mapping[str, str] = MappingProxyType(
    {"Project": "project", "BatchSet": "batch-set", "TrackedBatch": "tracked-batch"}
)


def schema_names() -> tuple[str, ...]:
    """The file names of all schemas there are, without ``.json``, sorted."""
    names = (item.name for item in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def schema_text(name: str) -> str:
    """A schema as it is written.

    Args:
        name: a kind such as ``BatchSet``, or a file name such as ``batch-set``.

    Raises:
        SettingsError: there is no such schema.
    """
    stem = SCHEMA_KINDS.get(name, name)
    if stem not in (names := schema_names()):
        known = ", ".join(sorted({*SCHEMA_KINDS, *names} - set(SCHEMA_KINDS.values())))
        raise SettingsError(f"there is no schema {name!r}", next=f"Known: {known}")
    return (_folder() / f"{stem}.json").read_text(encoding="utf-8")


def load_schema(name: str) -> Schema:
    """A schema as a value; for names and errors see ``schema_text``."""
    schema: Schema = json.loads(schema_text(name))
    return schema


def manifest_schemas() -> Mapping[str, Schema]:
    """The schemas of everything that people write, by kind, as validation wants them."""
    return {kind: load_schema(kind) for kind in SCHEMA_KINDS}


def _folder() -> Traversable:
    packaged = files("reconciler") / "schemas"
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parents[2] / "schemas"
