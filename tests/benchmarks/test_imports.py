"""Every command imports what it uses and nothing else: modules are counted, and some must not be there.

Numbers are those of Python 3.11 with the packages of `.[dev]`, rounded up. Raise one only for what its
command now needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import worlds
from measuring import surroundings
from page_server import PageServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_TOLD = """\
import sys
sys.argv = ["reconciler", *sys.argv[1:]]
from reconciler.__main__ import main
code = main()
import json
sys.stderr.write(json.dumps([code, sorted(sys.modules)]))
"""

#: What no command needs that is asked to do nothing unusual.
_NEVER = {
    *("deepdiff", "jinja2", "rich", "psycopg", "obstore", "cryptography", "prometheus_client"),
    *("starlette", "uvicorn", "liteparse", "reconciler.emulator"),
    *("reconciler.render.report", "reconciler.adapters.forges"),
}
_NETWORK = {"httpx", "httpcore", "anyio", "h11"}
_UNUSUAL = {"sqlite3", "jsonschema", "reconciler.api.emulation", "reconciler.engine.apply"}
_UNSAID = {"reconciler.render.markdown", "reconciler.render.events", "reconciler.model.audit"}
_ASKING_NOBODY = {*_NETWORK, "asyncio", "ssl", "reconciler.engine.apply"}


class Bounds(NamedTuple):
    """How many modules there may be, how many of ours, and what may not be among them."""

    most: int
    ours: int
    never: set[str]


_COMMANDS = {
    "--version": Bounds(60, 2, {"typing", "click", "dataclasses"}),
    "--help": Bounds(270, 66, {"yaml", "jsonschema", *_ASKING_NOBODY}),
    "plan --help": Bounds(185, 36, {"yaml", "jsonschema", *_ASKING_NOBODY}),
    "validate": Bounds(270, 82, {*_UNUSUAL, *_ASKING_NOBODY}),
    "plan": Bounds(375, 130, {*_UNUSUAL, *_NETWORK, *_UNSAID}),
    "status": Bounds(385, 140, {*_UNUSUAL, *_NETWORK, *_UNSAID}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with PageServer(400, times="even", core=None) as running:
        yield running


@pytest.fixture(scope="module")
def recorded(server: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.recorded(tmp_path_factory.mktemp("imports") / "recorded", worlds.spread(50, 400), server)


def imported(folder: Path, environ: Mapping[str, str], *command: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _TOLD, *command],
        cwd=folder,
        env=surroundings(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_imports_only_what_it_uses(command: str, recorded: Path, server: PageServer) -> None:
    bounds = _COMMANDS[command]
    modules = imported(recorded, worlds.environment(server), *command.split())
    assert modules.isdisjoint(_NEVER | bounds.never), sorted(modules & (_NEVER | bounds.never))
    ours = [name for name in modules if name.partition(".")[0] == "reconciler"]
    assert len(modules) <= bounds.most, f"{command} imports {len(modules)} modules"
    assert len(ours) <= bounds.ours, f"{command} imports {len(ours)} modules of ours"


def test_a_plan_that_asks_imports_how_to_ask(server: PageServer, tmp_path: Path) -> None:
    folder = worlds.project(tmp_path / "first", worlds.spread(50, 400))
    modules = imported(folder, worlds.environment(server), "plan")
    assert modules >= _NETWORK
    assert modules.isdisjoint(_NEVER), sorted(modules & _NEVER)
