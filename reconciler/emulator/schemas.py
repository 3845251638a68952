"""The JSON documents that the stand-in reads: the fault file's schema, and its own OpenAPI document.

A wheel carries them beside the package's modules; an editable install finds them at the top of the
checkout. This room may not ask another room of the package for them, so the few lines stand here again.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

# A decoded JSON object.
Document: TypeAlias = dict[str, Any]


def schema(name: str) -> Document:
    """Give a document of the folder `schemas` as a fresh value.

    Args:
        name: The file's name without `.json`, such as `faults`.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    document: Document = json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))
    return document


def _folder() -> Traversable:
    packaged = files("reconciler") / "schemas"
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parents[2] / "schemas"
