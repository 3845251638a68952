"""The arrows between the rooms, read from the imports themselves, those inside functions included.

``docs/architecture.md`` draws them. Imports for the type checker count too: a room that speaks in another's
types leans on it as well. The package's own face hands on the model's nouns beside what ``api`` gives.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
OURS = "reconciler"

#: Which rooms a room may import from, besides itself.
ARROWS: Mapping[str, frozenset[str]] = {
    "model": frozenset(),
    "core": frozenset({"model"}),
    "engine": frozenset({"core", "model"}),
    "adapters": frozenset({"model"}),
    "render": frozenset({"model"}),
    "emulator": frozenset(),
    "api": frozenset({"adapters", "engine", "core", "emulator", "model"}),
    "cli": frozenset({"api", "render", "model"}),
    # What authors of packages import: the port's words, and what holds a package to them.
    "provider": frozenset({"model"}),
    "testing": frozenset({"adapters", "model"}),
    "__init__": frozenset({"cli", "api", "model"}),
    "__main__": frozenset({"__init__", "cli", "api"}),
}

#: Rooms whose values depend on nothing but their arguments.
PURE = frozenset({"model", "core"})
OUTSIDE = frozenset(
    {
        *("time", "random", "secrets", "uuid", "os", "io", "pathlib", "tempfile", "shutil", "glob"),
        *("socket", "ssl", "urllib.request", "http", "httpx", "subprocess", "asyncio", "threading"),
        *("multiprocessing", "sqlite3", "getpass", "platform", "sys", "logging"),
    }
)
#: Rooms that do not even know which version they are.
NAMELESS = PURE | {"emulator"}
CLOCKS = frozenset({"now", "utcnow", "today"})


class Import(NamedTuple):
    """One import: which file and line, and the dotted name of what is imported."""

    file: str
    line: int
    name: str


def imports_of(tree: ast.AST, file: str) -> Iterator[Import]:
    """Every import of a file; a relative one is resolved against the file's package."""
    package = file.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, item.name) for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (Import(file, node.lineno, f"{base}.{item.name}") for item in node.names)


def room_of(parts: list[str]) -> str:
    """The room that a dotted name within our package, or a file's path, belongs to.

    ``adapters`` is a street of rooms: each folder and each file in it is one.
    """
    if not parts:
        return "__init__"
    if parts[0] == "adapters" and len(parts) > 1:
        return "/".join(parts[:2])
    return parts[0] if parts[0] in ARROWS else "__init__"


def faults_of(folder: Path) -> list[str]:
    """Every import and every call within a tree of ours that goes against an arrow."""
    return [
        fault
        for path in sorted((folder / OURS).rglob("*.py"))
        for fault in _faults_in(path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix())
    ]


def _faults_in(text: str, file: str) -> Iterator[str]:
    tree = ast.parse(text)
    inside = file.removesuffix(".py").split("/")[1:]
    room = room_of([part for part in inside if part != "__init__" or len(inside) == 1])
    for item in imports_of(tree, file):
        parts = item.name.split(".")
        if parts[0] == OURS:
            if item.name == f"{OURS}.__version__" and room not in NAMELESS:
                continue  # a word about the package, and no room
            there = room_of(parts[1:])
            if not _may(room, there):
                yield f"{item.file}:{item.line}: {room} imports {there}"
        elif parts[0] == "pytest" and room != "testing":
            yield f"{item.file}:{item.line}: {room} imports pytest"
        elif room in PURE and any(item.name == name or item.name.startswith(f"{name}.") for name in OUTSIDE):
            yield f"{item.file}:{item.line}: {room} imports {item.name}"
    if room in PURE:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := _outside_call(node.func)):
                yield f"{file}:{node.lineno}: {room} calls {name}"


def _may(room: str, there: str) -> bool:
    if room == there:
        return True
    if there == "adapters":  # the street as such: only who may go to all of its rooms
        return "adapters" in ARROWS[room.partition("/")[0]]
    return there.partition("/")[0] in ARROWS[room.partition("/")[0]]


def _outside_call(function: ast.expr) -> str:
    match function:
        case ast.Name(id="open" | "input" | "print" | "__import__" | "eval" | "exec" as name):
            return name
        case ast.Attribute(attr=name) if name in CLOCKS:
            return name
    return ""


def test_every_import_follows_the_arrows() -> None:
    assert faults_of(ROOT) == []


def test_every_room_of_the_package_is_on_the_map() -> None:
    there = {
        path.stem
        for path in (ROOT / OURS).iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))
    }
    assert there - ARROWS.keys() == set()


_FAKES: list[tuple[str, str, list[str]]] = [
    ("core/a.py", "from reconciler.model.batch import Key\nimport json", []),
    ("core/a.py", "from reconciler.engine import apply", ["1: core imports engine"]),
    ("core/a.py", "from reconciler.engine.apply import apply", ["1: core imports engine"]),
    ("core/a.py", "from reconciler import engine", ["1: core imports engine"]),
    ("core/a.py", "import reconciler", ["1: core imports __init__"]),
    ("core/a.py", "import reconciler.render.text as text", ["1: core imports render"]),
    ("core/a.py", "from ..adapters.audit import Log", ["1: core imports adapters/audit"]),
    ("core/deep/a.py", "from ...engine import run", ["1: core imports engine"]),
    ("core/a.py", "from . import b\nfrom .b import c", []),
    ("core/a.py", "def f():\n    from reconciler.api import load", ["2: core imports api"]),
    ("core/a.py", "if TYPE_CHECKING:\n    from reconciler.cli import x", ["2: core imports cli"]),
    ("core/a.py", "import time", ["1: core imports time"]),
    ("core/a.py", "from os import path", ["1: core imports os.path"]),
    ("core/a.py", "import os.path", ["1: core imports os.path"]),
    ("core/a.py", "def f():\n    import uuid", ["2: core imports uuid"]),
    ("core/a.py", "import timeit, osmium", []),
    ("core/a.py", "x = datetime.now()", ["1: core calls now"]),
    ("core/a.py", "x = datetime.datetime.utcnow()", ["1: core calls utcnow"]),
    ("core/a.py", "x = open('f')", ["1: core calls open"]),
    ("core/a.py", "x = moment.now", []),
    ("model/a.py", "from reconciler.model.b import c", []),
    ("model/a.py", "from reconciler.core.b import c", ["1: model imports core"]),
    ("model/a.py", "import random", ["1: model imports random"]),
    ("model/a.py", "date.today()", ["1: model calls today"]),
    ("engine/a.py", "import asyncio, time\nfrom reconciler.core.plan import plan", []),
    ("engine/a.py", "from reconciler.adapters.audit import Log", ["1: engine imports adapters/audit"]),
    ("engine/a.py", "from reconciler.emulator.app import app", ["1: engine imports emulator"]),
    ("adapters/audit.py", "from reconciler.model.audit import AuditLine\nimport os", []),
    ("adapters/audit.py", "from reconciler.core.plan import plan", ["1: adapters/audit imports core"]),
    ("adapters/audit.py", "from reconciler.adapters.ci import x", ["1: adapters/audit imports adapters/ci"]),
    ("adapters/audit.py", "from reconciler import adapters", ["1: adapters/audit imports adapters"]),
    ("adapters/stores/a.py", "from reconciler.adapters.stores.text import x\nfrom .text import y", []),
    (
        "adapters/stores/a.py",
        "from reconciler.adapters.providers.wire import x",
        ["1: adapters/stores imports adapters/providers"],
    ),
    ("adapters/stores/a.py", "from ..manifests import x", ["1: adapters/stores imports adapters/manifests"]),
    (
        "adapters/providers/a.py",
        "from reconciler.emulator import x",
        ["1: adapters/providers imports emulator"],
    ),
    ("render/a.py", "from reconciler.model.plan import Plan", []),
    ("render/a.py", "from reconciler.core.match import decide", ["1: render imports core"]),
    ("emulator/a.py", "from reconciler.emulator.b import c\nimport sqlite3", []),
    ("emulator/a.py", "from reconciler.model.batch import Key", ["1: emulator imports model"]),
    ("api.py", "from reconciler.adapters.stores.file import x\nfrom reconciler.emulator import y", []),
    ("api.py", "from reconciler.adapters import audit\nfrom reconciler.core.plan import z", []),
    ("api.py", "from reconciler.render.text import x", ["1: api imports render"]),
    ("api.py", "from reconciler.cli import x", ["1: api imports cli"]),
    ("cli/a.py", "from reconciler.api import x\nfrom reconciler.render.text import y", []),
    ("cli/a.py", "from reconciler import __version__", []),
    ("core/a.py", "from reconciler import __version__", ["1: core imports __init__"]),
    ("emulator/a.py", "from reconciler import __version__", ["1: emulator imports __init__"]),
    ("cli/a.py", "from reconciler.engine.run import x", ["1: cli imports engine"]),
    ("cli/a.py", "from reconciler.emulator import x", ["1: cli imports emulator"]),
    ("provider.py", "from reconciler.model.batch import Batch", []),
    ("provider.py", "from reconciler.adapters.audit import x", ["1: provider imports adapters/audit"]),
    ("testing/a.py", "import pytest\nfrom reconciler.adapters.providers.registry import x", []),
    ("testing/a.py", "from reconciler.emulator import x", ["1: testing imports emulator"]),
    ("api.py", "import pytest", ["1: api imports pytest"]),
    ("api.py", "from reconciler.testing import x", ["1: api imports testing"]),
    ("__init__.py", "from reconciler.api import load", []),
    ("__init__.py", "from reconciler.core.plan import plan", ["1: __init__ imports core"]),
    ("__main__.py", "from reconciler import __version__\nfrom reconciler.cli import main", []),
    ("__main__.py", "import reconciler.engine.run", ["1: __main__ imports engine"]),
    ("core/__init__.py", "from reconciler.engine import x", ["1: core imports engine"]),
]


@pytest.mark.parametrize(("file", "text", "faults"), _FAKES, ids=[f"{f}: {t!r:.60}" for f, t, _ in _FAKES])
def test_an_import_against_an_arrow_is_found(tmp_path: Path, file: str, text: str, faults: list[str]) -> None:
    path = tmp_path / OURS / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert faults_of(tmp_path) == [f"reconciler/{file}:{fault}" for fault in faults]
