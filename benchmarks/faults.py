"""What lost replies cost: the same creates through LlamaCloud's own package, curl and `reconciler apply`.

    python benchmarks/faults.py [--creates 500] [--share 0.05] [--seed 1 2 3] [--settle 30s]

Each goes against a fresh `reconciler emulator` of its own that loses the same share of the replies to
creates: the batch is made, the connection is closed. The seed says which ones. All are used as they come:

- the package (`llama-cloud`, as `tests/contract/requirements.txt` pins it) in a script with a loop over the
  directories, with its own retries; in an environment of its own, `.venv-contract`, made if it is not there.
- curl with `--retry 5 --retry-all-errors`, if there is a curl.
- `reconciler apply --auto-approve`.

What was made is asked of the service afterwards. A duplicate is a second batch of one directory and
configuration, which is paid for; lost is a directory without any.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = Path(__file__).parents[1]
_KEY = "llx-emulator"
_JOB = {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}

#: What a user writes who follows the package's documentation and does not want one failure to end it all.
_SCRIPT = """\
import sys
from llama_cloud import APIError, LlamaCloud

client = LlamaCloud()
for directory in sys.argv[1:]:
    try:
        client.batches.create(source_directory_id=directory, config={"job": JOB})
    except APIError as error:
        print(directory, error, file=sys.stderr)
""".replace("JOB", repr(_JOB))


@dataclass(frozen=True, slots=True)
class Figures:
    """What one way of creating came to."""

    batches: int
    duplicates: int
    lost: int
    seconds: float


class Emulator:
    """A service that loses replies."""

    def __init__(self, folder: Path, directories: list[str], share: float, seed: int) -> None:
        for name in directories:
            (folder / "documents" / name.removeprefix("dir-")).mkdir(parents=True)
            (folder / "documents" / name.removeprefix("dir-") / "a.txt").write_text("x")
        on = {"method": "POST", "path": "/api/v2/batches"}
        entry = {"fault": "closed", "when": "after", "on": on, "probability": share}
        document = {"apiVersion": "reconciler/v1", "kind": "Faults", "seed": seed, "faults": [entry]}
        (folder / "faults.json").write_text(json.dumps(document))
        command = [
            *(sys.executable, "-m", "reconciler", "emulator", "--port", "0", "--root", "documents"),
            *("--db", "emulator.db", "--faults", "faults.json", "--no-read"),
        ]
        self._process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().removeprefix("Listening on ").strip()

    def get(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """What it answers."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {_KEY}"})  # noqa: S310 - our own
        with urllib.request.urlopen(request) as reply:  # noqa: S310 - the stand-in on loopback
            return json.load(reply)

    def directories_of_batches(self) -> list[str]:
        """The directory of each batch that there is."""
        listed: list[str] = []
        token: str | None = ""
        while token is not None:
            page = self.get("/api/v2/batches?page_size=100" + (f"&page_token={token}" if token else ""))
            listed += [item["source_directory_id"] for item in page["items"]]
            token = page["next_page_token"]
        return listed

    def end(self) -> None:
        """Stop it, and wait until it has."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()


def package(python: Path) -> Callable[[Path, str, list[str]], list[list[str]]]:
    def commands(_: Path, __: str, directories: list[str]) -> list[list[str]]:
        return [[str(python), "-c", _SCRIPT, *directories]]

    return commands


def curl(_: Path, url: str, directories: list[str]) -> list[list[str]]:
    return [
        [
            *("curl", "--silent", "--output", os.devnull, "--retry", "5", "--retry-all-errors"),
            *("--header", f"Authorization: Bearer {_KEY}", "--json"),
            json.dumps({"source_directory_id": directory, "config": {"job": _JOB}}),
            f"{url}/api/v2/batches",
        ]
        for directory in directories
    ]


def reconciler(settle: str) -> Callable[[Path, str, list[str]], list[list[str]]]:
    def commands(folder: Path, _: str, directories: list[str]) -> list[list[str]]:
        (folder / "batches").mkdir()
        (folder / "reconciler.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: faults}\nspec:\n"
            '  manifests: ["batches/*.yaml"]\n  providers:\n'
            f"    prod: {{type: llamacloud, settle: {settle}}}\n"
        )
        (folder / "batches" / "all.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {name: all}\nspec:\n  provider: prod\n"
            f"  job: {{type: {_JOB['type']}, configuration: {_JOB['configuration_id']}}}\n  directories:\n"
            + "".join(f"    - id: {directory}\n" for directory in directories)
        )
        return [[sys.executable, "-m", "reconciler", "apply", "--auto-approve"]]

    return commands


def measure(
    way: Callable[[Path, str, list[str]], list[list[str]]], creates: int, share: float, seed: int
) -> Figures:
    """Create through one way, and ask the service what came of it."""
    directories = [f"dir-{number:05}" for number in range(creates)]
    with tempfile.TemporaryDirectory() as name:
        service, folder = Path(name) / "service", Path(name) / "client"
        folder.mkdir()
        emulator = Emulator(service, directories, share, seed)
        try:
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith("RECONCILER_")
            } | {"LLAMA_CLOUD_BASE_URL": emulator.url, "LLAMA_CLOUD_API_KEY": _KEY}
            commands = way(folder, emulator.url, directories)
            begun = time.perf_counter()
            for command in commands:
                subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False)
            seconds = time.perf_counter() - begun
            made = emulator.directories_of_batches()
            duplicates = emulator.get("/__admin/duplicates")["count"]
        finally:
            emulator.end()
    if duplicates != len(made) - len(set(made)):
        raise SystemExit(f"the service tells of {duplicates} duplicates, and lists {len(made)} batches")
    return Figures(len(made), duplicates, len(set(directories) - set(made)), seconds)


def environment_of_package() -> Path:
    """The interpreter of the package's own environment, which `.ci/contract` makes likewise."""
    python = _ROOT / ".venv-contract" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(_ROOT / "tests" / "contract" / "requirements.txt")], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--creates", type=int, default=500)
    parser.add_argument("--share", type=float, default=0.05, help="of the replies that are lost")
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--settle", default="30s", help="the settle time of reconciler's project")
    arguments = parser.parse_args()
    python = environment_of_package()
    tell = "import importlib.metadata as m; print(m.version('llama-cloud'))"
    version = subprocess.run([str(python), "-c", tell], check=True, capture_output=True, text=True).stdout
    ways = {f"llama-cloud {version.strip()}": package(python)}
    if shutil.which("curl"):
        ways["curl --retry 5 --retry-all-errors"] = curl
    ways[f"reconciler apply, settle {arguments.settle}"] = reconciler(arguments.settle)
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores,")
    print(f"{arguments.creates:,} creates, {arguments.share:.0%} of the replies to them lost\n")
    print("| through | seed | batches made | duplicates | lost | seconds |\n|---|---|---|---|---|---|")
    for name, way in ways.items():
        for seed in arguments.seed:
            found = measure(way, arguments.creates, arguments.share, seed)
            print(
                f"| {name} | {seed} | {found.batches:,} | {found.duplicates} | {found.lost} |"
                f" {found.seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
