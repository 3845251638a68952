"""``reconciler run``: plan and apply for ever, and log what goes by."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.api.looping import Hub, LoopSettings, run_loop
from reconciler.cli.console import LOG_LEVELS, Console, echo, json_line
from reconciler.cli.exits import of_rounds
from reconciler.cli.options import duration, parallelism_option, some_duration, with_options
from reconciler.cli.signals import stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.rounds import LoopEvent

_LEVELS = {name: getattr(logging, name.upper()) for name in LOG_LEVELS}
_SHORTEST_INTERVAL = 1.0

# A kind of call is told of so often at most, in seconds: whoever can reach the port can make them.
_CALLS_EVERY = 60.0


def _interval(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    seconds = duration(context, parameter, value)
    if seconds is not None and seconds < _SHORTEST_INTERVAL:
        raise click.BadParameter(f"{value!r} is shorter than 1s")
    return seconds


def _share(_: click.Context, __: click.Parameter, value: str) -> float:
    match = re.fullmatch(r"(\d{1,3})%", value, re.ASCII)
    if match is None or int(match[1]) > 100:  # noqa: PLR2004 - a whole
        raise click.BadParameter(f"{value!r} is no share such as 10%")
    return int(match[1]) / 100


def _address(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65_535:  # noqa: PLR2004 - a port
        raise click.BadParameter(f"{value!r} is no HOST:PORT such as 0.0.0.0:8080 or [::]:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


_how_often = (
    click.option(
        "--interval",
        callback=_interval,
        default="60s",
        show_default=True,
        metavar="DURATION",
        help="From one round of a project to its next.",
    ),
    click.option(
        "--jitter",
        callback=_share,
        default="10%",
        show_default=True,
        metavar="SHARE",
        help="Wait up to so much longer, by chance, so that many loops do not ask at once.",
    ),
    click.option("--once", is_flag=True, help="One round of each project, then end; as --rounds 1."),
    click.option("--rounds", type=click.IntRange(1), metavar="N", help="End after N rounds of each project."),
)

_what = (
    click.option(
        "--project",
        "projects",
        multiple=True,
        default=(".",),
        show_default=True,
        metavar="DIR",
        help="A project's folder; may be given several times. With --git-remote, within the repository.",
    ),
    click.option("--git-remote", default="", metavar="URL", help="Fetch the manifests from there, by git."),
    click.option(
        "--git-ref",
        default="HEAD",
        show_default=True,
        metavar="REF",
        help="The branch, tag or commit to follow, wherever it goes.",
    ),
    click.option(
        "--git-into",
        default=".reconciler/checkout",
        show_default=True,
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="The folder of the checkout, which is the loop's own.",
    ),
)

_around = (
    click.option(
        "--listen",
        callback=_address,
        metavar="HOST:PORT",
        help="Answer /healthz, /readyz and /metrics there, and webhooks if there is a secret.",
    ),
    click.option(
        "--webhook-secret-env",
        default="",
        metavar="NAME",
        help="The variable with the signing secret of LlamaCloud's webhooks.",
    ),
    click.option(
        "--webhook-secret-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="A file with that secret, or with several that are good, one a line.",
    ),
    click.option(
        "--pause-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="While this file is there, nothing is applied.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Lines for people, or one JSON object a line.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS),
        default="info",
        show_default=True,
        help="Log from this level on. Secrets are left out.",
    ),
)


@click.command("run")
@with_options(*_how_often, *_what)
@click.option(
    "--auto-approve",
    is_flag=True,
    allow_from_autoenv=False,
    help="Apply what plans have to do. Without it, they are only made and told of.",
)
@click.option(
    "--timeout",
    callback=some_duration,
    metavar="DURATION",
    help="Let an apply take so long once it has the lock, then stop it cleanly; the next round goes on.",
)
@with_options(parallelism_option, *_around)
def run_command(
    *,
    projects: tuple[str, ...],
    git_remote: str,
    git_ref: str,
    git_into: Path,
    auto_approve: bool,
    pause_file: Path | None,
    once: bool,
    rounds: int | None,
    webhook_secret_env: str,
    webhook_secret_file: Path | None,
    log_format: str,
    log_level: str,
    **rest: Any,  # noqa: ANN401 - the options above that the settings call the same
) -> int:
    """Plan and apply again and again: the loop that never sleeps.

    Each round reads the manifests, plans, and applies if there is something to do; what goes wrong in one
    project stops no other. Of several processes with one state, one at a time applies: the store's lock says
    which. SIGHUP has every project looked at now. docs/loop.md is for whoever is on call.

    Ctrl-C or SIGTERM once: what is in flight is finished and recorded. Twice: at once.
    """
    if once and rounds not in (None, 1):
        raise click.UsageError("--once is --rounds 1: give one of them")
    settings = LoopSettings(
        projects=projects,
        remote=git_remote,
        ref=git_ref,
        into=git_into,
        approved=auto_approve,
        pause=pause_file,
        rounds=1 if once else rounds,
        secret_env=webhook_secret_env,
        secret_file=webhook_secret_file,
        **rest,
    )
    log = _Log(log_format, log_level)
    hub = Hub()
    with (
        log.of_library(),
        stopping(Console(colour=False, live=False), told=lambda _: hub.wake()) as stop,
        _looking(hub),
    ):
        last = run_loop(settings, hub, stop=stop, tell=log)
    return 128 + stop.signal if stop.signal is not None else of_rounds(last)


@contextlib.contextmanager
def _looking(hub: Hub) -> Iterator[None]:
    """Within this context, SIGHUP asks to look now."""
    before = signal.signal(signal.SIGHUP, lambda *_: hub.look())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


class _Log:
    """Standard output as a log: what the loop tells, and what the library's own log has to say.

    Args:
        form: text, or json.
        level: from this one on.
    """

    def __init__(self, form: str, level: str) -> None:
        self._json, self._level = form == "json", _LEVELS[level]
        self._mutex = threading.RLock()
        self._calls: dict[Any, tuple[float, int]] = {}

    def __call__(self, event: LoopEvent) -> None:
        """Log what is told."""
        from reconciler.cli.defect import in_full, in_short
        from reconciler.model.rounds import Called, RoundEnded
        from reconciler.render.rounds import records

        if isinstance(event, Called):
            counted = self._often(event)
            if counted is None:
                return
            event = counted
        for record in records(event, lambda error: in_short(error, os.environ)):
            self._write(record)
        if isinstance(event, RoundEnded):
            self._tell_defect(event.round.error, in_full)
            gc.collect()  # the command has the collector wait for long, and a loop lives longer

    def _tell_defect(self, error: Exception | None, in_full: Any) -> None:  # noqa: ANN401 - a function
        from reconciler.model.errors import ReconcilerError

        if error is None or isinstance(error, ReconcilerError):
            return
        for line in in_full(error, os.environ):
            self._write({"level": "debug", "event": "traceback", "message": line})

    def _often(self, event: Any) -> Any:  # noqa: ANN401 - a call, or none
        """The calls of one verdict since they were told of last, or None if that was a moment ago."""
        now = time.monotonic()
        with self._mutex:
            told, held = self._calls.get(event.verdict, (-_CALLS_EVERY, 0))
            if now - told < _CALLS_EVERY:
                self._calls[event.verdict] = told, held + event.times
                return None
            self._calls[event.verdict] = now, 0
        return event._replace(times=held + event.times)

    def _write(self, record: dict[str, Any]) -> None:
        from datetime import UTC, datetime

        from reconciler.render.rounds import json_record, text_line

        if _LEVELS[record["level"]] < self._level:
            return
        now = datetime.now(UTC)
        with self._mutex:
            if self._json:
                click.echo(json_line(json_record(now, record)))
            else:
                echo(text_line(now, record))

    @contextlib.contextmanager
    def of_library(self) -> Iterator[None]:
        """Have the library's own log in this one."""
        from reconciler.cli.defect import without_values
        from reconciler.render.harmless import harmless

        write = self._write

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                message = harmless(without_values(self.format(record), os.environ))
                level = record.levelname.lower()
                level = level if level in LOG_LEVELS else "error"
                write({"level": level, "event": "log", "logger": record.name, "message": message})

        log, handler = logging.getLogger("reconciler"), Handler()
        before = log.level, log.propagate
        log.addHandler(handler)
        log.setLevel(self._level)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.level, log.propagate = before
