"""Packages as pip would leave them behind, made by hand: a module, and the metadata that names it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

#: A kind in a few lines, whose connections nobody uses.
KIND = """\
from contextlib import asynccontextmanager
from reconciler.provider import SECRET

class Acme:
    schema = {"properties": {"url": {"type": "string", "pattern": "^acme:.*$"}, "apiKey": SECRET,
                             "accessToken": SECRET,
                             "depth": {"type": "integer", "maximum": 3}}, "required": ["url"]}

    def endpoint(self, block):
        return "acme:" + block.options["url"]

    @asynccontextmanager
    async def creator(self, block, means):
        yield None
"""


class Packages:
    """A folder on the path of imports, for the time of a test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        monkeypatch.syspath_prepend(folder)
        self._monkeypatch = monkeypatch

    def add(self, name: str, entries: str, version: str = "1.0", **modules: str) -> None:
        """A package with these entry points (lines) and modules (name to text)."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[reconciler.providers]\n{entries}\n")
        for module, text in modules.items():
            (self.folder / f"{module}.py").write_text(text)
            self._monkeypatch.delitem(sys.modules, module, raising=False)
