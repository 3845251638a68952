"""The command line: parse, call the library, render, give an exit code. Nothing is decided here."""

from __future__ import annotations


def run() -> int:
    """Run the command that the process was started with, and give its exit code."""
    from reconciler.cli.main import run_command

    return run_command()
