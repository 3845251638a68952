"""On a terminal: apply asks, colours its marks, and moves a bar."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from session import copy_example

if TYPE_CHECKING:
    from pathlib import Path


class _Terminal:
    """A command on a terminal of its own."""

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_example("quickstart", tmp_path / "project")
    return tmp_path / "project"


_QUESTION = "Apply this plan? Only 'yes' is taken for a yes: "


def test_only_a_yes_is_a_yes_and_a_bar_moves(folder: Path) -> None:
    terminal = _Terminal(folder, "apply")
    terminal.until(_QUESTION)
    terminal.type("yes\n")
    assert terminal.end() == 0
    assert "\x1b[32m+\x1b[0m receipts/dir-receipts" in terminal.shown
    assert "Applying  [" in terminal.shown
    assert "Processing  [" in terminal.shown
    assert terminal.shown.endswith("Apply: 3 created. Batches: 3 COMPLETED. 1 file failed.\r\n")


@pytest.mark.parametrize("answer", ["y\n", "\n", "no\n"])
def test_anything_else_applies_nothing(folder: Path, answer: str) -> None:
    terminal = _Terminal(folder, "apply", NO_COLOR="1")
    terminal.until(_QUESTION)
    terminal.type(answer)
    assert terminal.end() == 1
    assert terminal.shown.endswith("Nothing was applied.\r\n")
    assert "\x1b[32m" not in terminal.shown
    assert not (folder / "reconciler.lock").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_at_the_question_ends_apply(folder: Path, number: signal.Signals) -> None:
    terminal = _Terminal(folder, "apply")
    terminal.until(_QUESTION)
    terminal.process.send_signal(number)
    assert terminal.end() == 128 + number
    assert terminal.shown.endswith("Nothing was applied.\r\n")
    assert not (folder / "reconciler.lock").exists()


@pytest.mark.parametrize("environment", [{"CI": "true"}, {"TERM": "dumb"}])
def test_in_ci_and_on_a_dumb_terminal_no_line_moves(folder: Path, environment: dict[str, str]) -> None:
    terminal = _Terminal(folder, "apply", "--auto-approve", **environment)
    assert terminal.end() == 0
    assert "Applying  [" not in terminal.shown
    assert "\r\x1b" not in terminal.shown
