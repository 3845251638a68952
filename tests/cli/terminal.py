"""A command on a terminal of its own: what it shows, and what is typed there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = "Apply this plan? Only 'yes' is taken for a yes: "


class Terminal:
    """A command that believes itself in front of a person."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *options],
            cwd=folder,
            env=keep | {"TERM": "xterm"} | environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.shown = ""

    def until(self, words: str = "") -> str:
        """Read until some words, or else to the end."""
        while not words or words not in self.shown:
            try:
                part = os.read(self._ours, 4096)
            except OSError:  # what Linux says at a terminal's end
                break
            if not part:
                break
            self.shown += part.decode()
        return self.shown

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        self.until()
        os.close(self._ours)
        return self.process.wait()
