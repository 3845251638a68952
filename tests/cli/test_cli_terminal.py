"""On a terminal: apply asks, colours its marks, and moves a bar."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from session import copy_example
from terminal import QUESTION, Terminal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_example("quickstart", tmp_path / "project")
    return tmp_path / "project"


def test_only_a_yes_is_a_yes_and_a_bar_moves(folder: Path) -> None:
    terminal = Terminal(folder, "apply")
    terminal.until(QUESTION)
    terminal.type("yes\n")
    assert terminal.end() == 0
    assert "\x1b[32m+\x1b[0m receipts/dir-receipts" in terminal.shown
    assert "Applying  [" in terminal.shown
    assert "Processing  [" in terminal.shown
    assert terminal.shown.endswith("Apply: 3 created. Batches: 3 COMPLETED. 1 file failed.\r\n")


@pytest.mark.parametrize("answer", ["y\n", "\n", "no\n"])
def test_anything_else_applies_nothing(folder: Path, answer: str) -> None:
    terminal = Terminal(folder, "apply", NO_COLOR="1")
    terminal.until(QUESTION)
    terminal.type(answer)
    assert terminal.end() == 1
    assert terminal.shown.endswith("Nothing was applied.\r\n")
    assert "\x1b[32m" not in terminal.shown
    assert not (folder / "reconciler.lock").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_at_the_question_ends_apply(folder: Path, number: signal.Signals) -> None:
    terminal = Terminal(folder, "apply")
    terminal.until(QUESTION)
    terminal.process.send_signal(number)
    assert terminal.end() == 128 + number
    assert terminal.shown.endswith("Nothing was applied.\r\n")
    assert not (folder / "reconciler.lock").exists()


@pytest.mark.parametrize("environment", [{"CI": "true"}, {"TERM": "dumb"}])
def test_in_ci_and_on_a_dumb_terminal_no_line_moves(folder: Path, environment: dict[str, str]) -> None:
    terminal = Terminal(folder, "apply", "--auto-approve", **environment)
    assert terminal.end() == 0
    assert "Applying  [" not in terminal.shown
    assert "\r\x1b" not in terminal.shown
