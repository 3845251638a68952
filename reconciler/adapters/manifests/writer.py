"""Manifests as text: documents as block YAML, which reads back equal (see ``scalars``).

Who writes a manifest for a person writes it once: a file that exists is never replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from reconciler.model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class _Writer(yaml.SafeDumper):
    """References are refused when reading, so none are written."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's signature
        """Lists stand further in than the key that they belong to, as in our examples."""
        super().increase_indent(flow, indentless=False)


def manifest_text(documents: Iterable[Mapping[str, Any]], comment: Iterable[str] = ()) -> str:
    """Documents as the text of one file, with a comment at its head."""
    head = "".join(f"# {line}\n" for line in comment)
    written = [
        yaml.dump(
            dict(document),
            Dumper=_Writer,
            sort_keys=False,
            default_flow_style=False,
            allow_unicode=True,
            width=2**16,
        )
        for document in documents
    ]
    return head + "---\n".join(written)


def write_new(path: Path, text: str, shown: str) -> None:
    """Write a file that is not there yet.

    Raises:
        SettingsError: it is there, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise exists(shown) from error
    except OSError as error:
        raise SettingsError("the file cannot be written", where=shown, why=error.strerror or "") from error


def exists(shown: str) -> SettingsError:
    """The error of a file that would have to be replaced."""
    return SettingsError(
        "the file exists, and is not overwritten", where=shown, next="Name another one, or remove it"
    )
