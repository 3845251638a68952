"""A terminal for the pages: commands run as typed; what they print is compared but for what has to differ.

What is nothing but a `reconciler` command is run in this process, since one of its own takes long;
everything else is bash's. What a line does to its folder and its environment holds for the next one.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from session import Session

from reconciler.cli.main import run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The port that pages name; here, it is one that is free.
_PORT = "8642"
_PLAIN = re.compile(r"(?:[A-Z_]+=[\w./:-]+ )*reconciler(?: [^|&;<>()$`*?~#{}\[\]\\]*)?")
_UNNUMBERED = (
    (re.compile(r"<(time|age|run)-\d+>"), r"<\1>"),
    (re.compile(r"\b(?:[0-9a-f]{12}|[0-9a-f]{40})\b"), "<hash>"),
    # The age of a batch in a table, which decides how wide its column is.
    (re.compile(r"(?<=  )\d+ (?:s|min|h|d)(?=  )"), "<age>"),
)
_WATCHED = re.compile(r"  [*=] nightly/[0-9a-f-]{36}  ")
_AGED = re.compile(r"  (?:Synced|OutOfSync|Unknown|Ambiguous)  ")


def _free_port() -> str:
    """One that is free, and below those that the system gives to whoever asks for any."""
    for port in range(20_000 + os.getpid() % 8_000, 30_000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return str(port)
    raise AssertionError("no port is free")


def _parts(line: str) -> list[str]:
    """A line cut where one command has to succeed before the next; whole where that is not plain to see."""
    parts = line.split(" && ")
    whole = any(part.count("'") % 2 or part.count('"') % 2 or re.search(r";|\|\||\n", part) for part in parts)
    return [line] if whole else parts


class Shell:
    """One terminal: a folder, an environment, and names for what changes from run to run."""

    def __init__(self, folder: Path, quick: Path | None = None) -> None:
        self.top = folder
        self.folder = folder
        self.session = Session(folder, quick)
        self.environment = self.session.environment
        self.port = _free_port()
        self.environment["RECONCILER_EMULATOR_PORT"] = self.port

    def run(self, line: str) -> list[str]:
        """What a line prints, standard error included, and its exit code when it is not 0."""
        code, said = 0, ""
        for command in _parts(line.replace(_PORT, self.port)):
            begin, _, rest = command.partition(" | ")
            if not _PLAIN.fullmatch(begin):
                code, more = self._bash(command)
                said += more
            else:
                code, out, errors = self._here(begin, apart=bool(rest))
                said += errors
                if rest:
                    code, out = self._bash(rest, out)
                said += out
            if code:
                break
        said = said.replace(self.port, _PORT).replace(str(self.top), "FOLDER")
        return [line.rstrip() for line in said.rstrip().splitlines()] + ([f"[exit {code}]"] if code else [])

    def python(self, program: str) -> None:
        """Run a program of Python, which may not fail."""
        with self._entered({}), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(program, "page", "exec"), {"__name__": "page"})

    @contextlib.contextmanager
    def _entered(self, given: dict[str, str]) -> Iterator[None]:
        before, thresholds = Path.cwd(), gc.get_threshold()
        os.chdir(self.folder)
        try:
            with mock.patch.dict(os.environ, self.environment | given, clear=True):
                yield
        finally:
            os.chdir(before)
            gc.set_threshold(*thresholds)

    def _here(self, command: str, *, apart: bool) -> tuple[int, str, str]:
        words = shlex.split(command)
        at = words.index("reconciler")
        out, errors = io.StringIO(), io.StringIO()
        with (
            self._entered(dict(word.split("=", 1) for word in words[:at])),
            mock.patch.object(sys, "argv", words[at:]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors if apart else out),
        ):
            code = run_command()
        return code, out.getvalue(), errors.getvalue()

    def _bash(self, command: str, given: str = "") -> tuple[int, str]:
        left = self.top.parent / "left"
        script = f"set -a; trap 'pwd > {left}.pwd; env -0 > {left}.env' EXIT\n{command}\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.folder = Path(Path(f"{left}.pwd").read_text().rstrip("\n"))
        pairs = [item.split("=", 1) for item in Path(f"{left}.env").read_text().split("\0") if item]
        self.environment = {
            name: value for name, value in pairs if name not in {"_", "SHLVL", "OLDPWD", "PWD"}
        }
        return done.returncode, done.stdout


class Steady:
    """Lines that are to be compared: ids and digests numbered, times and chance left out."""

    def __init__(self) -> None:
        self._session = Session(Path("/nowhere"))

    def __call__(self, lines: list[str]) -> list[str]:
        text = self._session.steady("\n".join(_without_chance(lines)))
        for pattern, name in _UNNUMBERED:
            text = pattern.sub(name, text)
        return [
            re.sub(r"(?<=\S) {2,}", "  ", line) if _AGED.search(line) else line for line in text.splitlines()
        ]


def _without_chance(lines: list[str]) -> list[str]:
    """Which states of a batch are seen on the way, and in which order creates end, is chance."""
    kept = [line for line in lines if " -> " not in line]
    created = sorted(line for line in kept if "  created  " in line)
    # What is watched is sorted by its id, which is drawn.
    watched = sorted((line for line in kept if _WATCHED.match(line)), key=lambda line: _WATCHED.sub("", line))
    rest = [line for line in kept if line not in created]
    return created + [watched.pop(0) if _WATCHED.match(line) else line for line in rest]
