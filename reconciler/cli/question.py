"""Asking on the terminal, so that a signal ends the question whenever it comes.

Python's own input() can miss one: a signal that arrives just before it begins to read is only noticed when
the reading ends. Here the signal wakes the wait through a file descriptor, which forgets nothing.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


def is_yes(question: str, on_signal: Callable[[int], None]) -> bool:
    """Ask, and say whether the answer was exactly ``yes``.

    Args:
        question: shown on standard error.
        on_signal: told the number of a SIGINT or SIGTERM, which is then as good as a no.
    """
    try:
        with _interruptible(on_signal) as woken:
            click.echo(f"{question}: ", nl=False, err=True)
            select.select([sys.stdin, woken], [], [])
            return sys.stdin.readline().rstrip("\n") == "yes"
    except KeyboardInterrupt:
        click.echo(err=True)
        return False


@contextlib.contextmanager
def _interruptible(on_signal: Callable[[int], None]) -> Iterator[socket.socket]:
    """Until the end, a signal raises KeyboardInterrupt, and makes the given socket readable before that."""

    def end(number: int, _: FrameType | None) -> None:
        on_signal(number)
        raise KeyboardInterrupt

    woken, waker = socket.socketpair()
    waker.setblocking(False)
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    try:
        yield woken
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        woken.close()
        waker.close()
