"""Projects to plan and apply against the page server, made as users make them, and the ways to do their work.

A project desires some of the live batches, spread evenly over all; what is recorded was recorded by
`reconciler apply`, so that nothing here knows what a lockfile looks like. How ways are run and what is made
of their figures is not here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Way, surroundings
from page_server import CONFIGURATION, KEY, PROJECT, directory_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from page_server import PageServer

_HERE = Path(__file__).parent
_FLOORS = str(_HERE / "floors.py")
RECONCILER = (sys.executable, "-m", "reconciler")
COUNTED = (sys.executable, str(_HERE / "counted.py"))
APPLY = ("apply", "--auto-approve")

_PROJECT = f"""\
apiVersion: reconciler/v1
kind: Project
metadata: {{name: benchmark}}
spec:
  manifests: ["batches/*.yaml"]
  providers:
    prod: {{type: llamacloud, projectId: {PROJECT}}}
"""

_ZONE = "batches.test."

_SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {{name: {name}}}
spec:
  provider: prod
  job: {{type: parse_v2, configuration: {configuration}}}
  directories:
"""


def environment(server: PageServer) -> dict[str, str]:
    """Where the service is, and the key to it."""
    return {"LLAMA_CLOUD_BASE_URL": server.url, "LLAMA_CLOUD_API_KEY": KEY}


def spread(desired: int, live: int) -> Iterator[str]:
    """So many of the directories of the live batches, evenly spread over the times of their creation."""
    return (directory_id(number * live // desired) for number in range(desired))


def project(folder: Path, directories: Iterable[str]) -> Path:
    """A project that nobody has planned or applied yet."""
    (folder / "batches").mkdir(parents=True)
    (folder / "reconciler.yaml").write_text(_PROJECT)
    add_set(folder, "many", directories)
    return folder


def add_set(folder: Path, name: str, directories: Iterable[str]) -> None:
    """One more manifest."""
    with (folder / "batches" / f"{name}.yaml").open("w") as manifest:
        manifest.write(_SET.format(name=name, configuration=CONFIGURATION))
        manifest.writelines(f"    - id: {directory}\n" for directory in directories)


def recorded(folder: Path, directories: Iterable[str], server: PageServer) -> Path:
    """A project whose batches an apply has adopted, all of them terminal."""
    project(folder, directories)
    adopt_all(folder, server)
    return folder


def adopt_all(folder: Path, server: PageServer) -> None:
    """Apply what creates nothing."""
    before = server.batches()
    command = [*RECONCILER, *APPLY]
    surrounding = surroundings(environment(server))
    done = subprocess.run(
        command, cwd=folder, env=surrounding, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode or server.batches() != before:
        said = done.stdout.decode(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(command)} created something, or ended with {done.returncode}:\n{said}")


def closed(folder: Path, server: PageServer) -> Path:
    """A project with one batch, whose last run knew of everything and closed its journal (C2)."""
    project(folder, spread(1, server.batches()))
    file = folder / "reconciler.yaml"
    # A first run is cold, and one that creates nothing does not wait until it knows better; so for this one
    # there is nothing to wait for.
    file.write_text(_PROJECT.replace(PROJECT, f"{PROJECT}, settle: 0s"))
    adopt_all(folder, server)
    file.write_text(_PROJECT)
    return folder


def forget_cache(folder: Path) -> None:
    """What a plan may have left for the next one: a fresh checkout has none."""
    shutil.rmtree(folder / ".reconciler", ignore_errors=True)


def ours(folder: Path, server: PageServer, *, fresh: bool) -> Way:
    """`reconciler plan`, where nothing is to be done but perhaps to adopt."""

    def prepare() -> None:
        if fresh:
            forget_cache(folder)

    return Way("**reconciler plan**", (*RECONCILER, "plan"), folder, environment(server), prepare)


def floor(name: str, python: Path, server: PageServer, more: Iterable[str] = ()) -> Way:
    """One of the floors, with the interpreter that has what it imports."""
    names = {"httpx": "httpx, paging and parsing", "raw": "asyncio streams and json"}
    shown = names.get(name, f"llama-cloud script{', creating' if name.endswith('apply') else ''}")
    return Way(shown, (str(python), _FLOORS, name, server.url, *more), _HERE)


def octodns(folder: Path, python: Path, server: PageServer, directories: Iterable[str]) -> Way:
    """OctoDNS's plan for a zone with a record for each directory; it fails if it plans any change."""
    (folder / "zones").mkdir(parents=True)
    names = folder / "names"
    with names.open("w") as listed, (folder / "zones" / f"{_ZONE}yaml").open("w") as zone:
        for name in directories:
            listed.write(f"{name}\n")
            zone.write(f"{name}: {{type: TXT, value: {CONFIGURATION}}}\n")
    config = folder / "config.yaml"
    yaml = "octodns.provider.yaml.YamlProvider"
    config.write_text(
        f"providers:\n  config: {{class: {yaml}, directory: {folder / 'zones'}, default_ttl: 60,"
        " enforce_order: false}\n"
        f"  batches: {{class: octodns_batches.Batches, url: '{server.url}', names: {names}}}\n"
        f"zones:\n  {_ZONE}: {{sources: [config], targets: [batches]}}\n"
    )
    # With --doit there is nothing to do; a change would be applied, and the provider refuses that.
    command = (str(python.parent / "octodns-sync"), "--config-file", str(config), "--doit")
    return Way("octoDNS", command, folder, {"PYTHONPATH": str(_HERE)})


def octodns_python() -> Path:
    """The interpreter of octoDNS's own environment, made if it is not there."""
    python = _HERE.parent / ".venv-octodns" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "octodns", "requests"], check=True)
    return python


def applies(
    recorded: Path, work: Path, server: PageServer, creates: int, *, at_once: int, sdk: Path | None
) -> list[Way]:
    """The same creates through httpx alone, through LlamaCloud's package, and through `reconciler apply`.

    Each starts with the same live batches, reconciler with a copy of what is recorded and a new manifest.
    """
    server.forget_created()
    live = server.batches()
    directories = [directory_id(live + number) for number in range(creates)]
    wanted = work / f"create-{creates}"
    wanted.write_text("\n".join(directories))
    folder = work / f"apply-{creates}-{at_once}"

    def fresh() -> None:
        server.forget_created()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(recorded, folder)
        add_set(folder, "new", directories)

    def check() -> None:
        if (made := server.batches() - live) != creates:
            raise SystemExit(f"{made} batches were made, and not {creates}")

    def other(name: str, kind: str, python: str) -> Way:
        command = (python, _FLOORS, kind, server.url, str(wanted), str(at_once))
        return Way(name, command, _HERE, {}, server.forget_created, check)

    command = (*RECONCILER, *APPLY, "--parallelism", str(at_once))
    scripts = [other("llama-cloud script, creating", "sdk-apply", str(sdk))] if sdk else []
    return [
        other("httpx, the same requests", "apply", sys.executable),
        *scripts,
        Way("**reconciler apply**", command, folder, environment(server), fresh, check),
    ]


def syncs(way: Way) -> int:
    """How often `reconciler apply` makes something durable when it does a way's creates one at a time."""
    way.prepare()
    file = way.folder / "syncs"
    command = [*COUNTED, str(file), *APPLY, "--parallelism", "1"]
    done = subprocess.run(
        command,
        cwd=way.folder,
        env=surroundings(way.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout.decode()[-2000:]}")
    way.check()
    return int(file.read_text())


def requests_in_words(requests: Mapping[str, int]) -> str:
    """What was asked for, the most frequent first."""
    ordered = sorted(requests.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {kind}" for kind, count in ordered) or "none"
