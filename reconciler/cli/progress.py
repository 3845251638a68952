"""A run as it goes by: a bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.model import events
from reconciler.model.result import Result
from reconciler.render.text import event_line, plan_lines, result_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.cli.console import Console
    from reconciler.model.events import Event


class Progress:
    """Listens to a run. On a terminal one bar moves; the lines of what ended stay above it."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        self._bar: Any = None
        self._label = ""

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case events.Planned(plan):
                self.clear()
                self._console.say(plan_lines(plan, verbose=self._verbose, colour=self._console.colour))
            case events.Starting(actions):
                self._begin("Applying", actions)
            case events.Done(action, outcome, batch):
                self._line(result_line(Result(action, outcome, "", batch)))
                self._step()
            case events.Failed(action, outcome, why):
                self._line(result_line(Result(action, outcome, why)))
                self._step()
            case events.Pending(terminal, total):
                self._reach("Processing", terminal, total)
            case _:
                if line := event_line(event):
                    self._line(line)

    @contextlib.contextmanager
    def shown(self) -> Iterator[Progress]:
        """Take the bar away at the end, however the run ends."""
        try:
            yield self
        finally:
            self.clear()

    def clear(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _begin(self, label: str, length: int) -> None:
        self.clear()
        if self._console.live and length:
            self._label = label
            self._bar = click.progressbar(
                length=length, label=label, file=sys.stderr, show_eta=False, show_pos=True
            )
            self._bar.render_progress()

    def _step(self) -> None:
        if self._bar is not None:
            self._bar.update(1)

    def _reach(self, label: str, position: int, length: int) -> None:
        if self._bar is None or self._label != label:
            self._begin(label, length)
        if self._bar is not None:
            self._bar.update(position - self._bar.pos)

    def _line(self, text: str) -> None:
        if self._bar is not None:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._console.say([text])
        if self._bar is not None:
            self._bar._last_line = None  # noqa: SLF001 - or click leaves out a bar that has not changed
            self._bar.render_progress()
