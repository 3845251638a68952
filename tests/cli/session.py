"""Runs commands as people type them, and numbers what changes from run to run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"

_CHANGING = (
    (re.compile(r"bat-[0-9a-f]{8}-[0-9a-f-]{27}"), "bat"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "digest"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "time"),
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}"), "run"),
    (re.compile(r"checkpoint-\d{8}T\d{6}Z"), "checkpoint"),
    (re.compile(r"\d+ (?:s|min|h|d) ago"), "age"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "uuid"),
)


def copy_example(name: str, folder: Path) -> None:
    """An example without what trying it leaves behind."""
    ignored = shutil.ignore_patterns("reconciler.lock*", "audit", ".reconciler")
    shutil.copytree(EXAMPLES / name, folder, ignore=ignored)


class Session:
    """A folder, an environment with nothing of the caller's in it, and names for what changes.

    Args:
        folder: where the commands run.
        quick: the fixture `quick`, where what a command does is the point, and not how its process starts.
    """

    def __init__(self, folder: Path, quick: Path | None = None) -> None:
        self.folder = folder
        self._names: dict[str, str] = {}
        keep = {name: value for name, value in os.environ.items() if name in {"HOME", "LANG", "TMPDIR"}}
        first = [str(quick)] if quick else []
        self.environment = keep | {
            "PATH": os.pathsep.join([*first, str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONWARNINGS": "error",
        }

    def run(self, command: str, *, steady: bool = True) -> list[str]:
        """What a command prints, standard error included, and its exit code when it is not 0."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        text = self.steady(done.stdout) if steady else done.stdout
        lines = [line.rstrip() for line in text.rstrip().splitlines()]
        return lines + ([f"[exit {done.returncode}]"] if done.returncode else [])

    def steady(self, text: str) -> str:
        """The text with ids, digests and times numbered in the order in which they came."""
        for pattern, kind in _CHANGING:
            text = pattern.sub(lambda match, kind=kind: self._name(match[0], kind), text)  # type: ignore[misc]
        return text.replace(str(self.folder), "FOLDER")

    def _name(self, value: str, kind: str) -> str:
        number = sum(1 for name in self._names.values() if name.startswith(f"<{kind}-")) + 1
        return self._names.setdefault(value, f"<{kind}-{number}>")
