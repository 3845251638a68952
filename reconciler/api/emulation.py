"""Serving the stand-in: from what a command line says to a running server, and its errors in our words."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.source import Diagnostic, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.emulator.host import Host

PORT = 8642
API_KEY = "llx-emulator"
TALONIC_KEY = "tlnc_emulator"

_MICROS = 1_000_000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Talonic's own.
_TALONIC_MINIMUM = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class EmulatorSettings:
    """What the stand-in is told. Durations are seconds of the service's own time, shares are from 0 to 1.

    Attributes:
        host: the address to listen at.
        port: the port; 0 for any.
        root: the folder whose folders are source directories, if there is one.
        configurations: the folder of saved configurations, if there is one.
        database: the SQLite file.
        faults: the file that says what is to go wrong, if there is one.
        speed: of the service's clock; None for 1, or for what the database has.
        clock_offset: how far ahead a new database's clock starts.
        read: whether documents are really read.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    root: Path | None = None
    configurations: Path | None = None
    database: Path = Path(".reconciler/emulator.db")
    project_id: str = "prj-emulator"
    api_key: str = API_KEY
    talonic_key: str = TALONIC_KEY
    faults: Path | None = None
    speed: float | None = None
    clock_offset: float | None = None
    pending: float = 5.0
    per_file: float = 2.0
    job_lag: float = 0.0
    cancel_lag: float = 2.0
    max_running: int | None = None
    fail_files: float = 0.0
    fail_batches: float = 0.0
    cancel_batches: float = 0.0
    seed: int = 0
    read: bool = True
    talonic_threshold: int = 100
    talonic_timer: float = 900.0
    talonic_minimum: int | None = None
    talonic_turnaround: float = 3600.0


def serve_emulator(settings: EmulatorSettings, *, say: Callable[[str], None]) -> int:
    """Serve the stand-in until a signal ends it; with that signal's number.

    Args:
        settings: what it is told.
        say: told the lines that a person needs, the first of them ``Listening on URL``.

    Raises:
        ManifestError: the fault file is not valid: every problem, with its place.
        SettingsError: it cannot be served so.
    """
    import asyncio

    try:
        import liteparse  # noqa: F401 - so that it is missed now and not in the middle of a batch

        from reconciler.emulator.server import Listener
    except ImportError as error:
        raise SettingsError(
            "the emulator is not installed",
            why=str(error),
            next="Install it: pip install 'batch-reconciler[local]'",
        ) from error

    def ready(url: str) -> None:
        for line in _welcome(settings, url):
            say(line)

    # The port comes first, so that a start which fails has moved no clock and made no database.
    with _in_our_words(settings):
        _check(settings)
        with Listener(settings.host, settings.port) as listener:
            host = _host(settings)
            try:
                ended = asyncio.run(host.serve(listener, ready))
            finally:
                host.close()
    # Nothing but a signal ends it in good order.
    assert ended is not None
    return ended


@contextlib.contextmanager
def _in_our_words(settings: EmulatorSettings) -> Iterator[None]:
    from reconciler.emulator.errors import ClockRangeError, ClockSetError, EmulatorError, Refused
    from reconciler.emulator.faults.errors import CannotListenError, FaultFileError

    database = str(settings.database)
    try:
        yield
    except CannotListenError as error:
        raise SettingsError(f"cannot listen on {error.host}, port {error.port}", why=error.reason) from error
    except FaultFileError as error:
        raise ManifestError(
            [Diagnostic(Source(error.source, each.line, each.column), str(each)) for each in error.problems]
        ) from error
    except ClockRangeError as error:
        raise SettingsError(str(error), where=database, next="Give another --clock-offset") from error
    except ClockSetError as error:
        hint = "Leave --clock-offset out, or name another database"
        raise SettingsError(str(error), where=database, next=hint) from error
    except Refused as error:
        raise SettingsError(str(error.detail), where=str(settings.configurations)) from error
    except EmulatorError as error:
        raise SettingsError(str(error)) from error


def _check(settings: EmulatorSettings) -> None:
    """Look at what is read again with each request, so that a mistake in it shows now."""
    from reconciler.emulator.llamacloud.configuration_files import ConfigurationFiles

    for option, folder in (("--root", settings.root), ("--configurations", settings.configurations)):
        _check_folder(option, folder)
    ConfigurationFiles(settings.configurations).saved(None)
    if settings.fail_batches + settings.cancel_batches > 1:
        raise SettingsError("--fail-batches and --cancel-batches come to more than all batches")


def _check_folder(option: str, folder: Path | None) -> None:
    if folder is None:
        return
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise SettingsError(
            f"the folder of {option} cannot be read",
            where=str(folder),
            why=error.strerror or type(error).__name__,
        ) from error


def _host(settings: EmulatorSettings) -> Host:
    from reconciler.emulator.faults.document import NO_FAULTS, load_faults
    from reconciler.emulator.host import Host
    from reconciler.emulator.life.pace import Pace
    from reconciler.emulator.talonic.pace import Pace as TalonicPace

    threshold = settings.talonic_threshold
    minimum = (
        min(_TALONIC_MINIMUM, threshold) if settings.talonic_minimum is None else settings.talonic_minimum
    )
    if minimum > threshold:
        raise SettingsError(
            f"--talonic-minimum {minimum} is above --talonic-threshold {threshold}:"
            " no batch would ever be submitted"
        )
    return Host(
        root=settings.root,
        database=settings.database,
        configurations=settings.configurations,
        project_id=settings.project_id,
        api_key=settings.api_key,
        talonic_key=settings.talonic_key,
        pace=Pace(
            pending=_micros(settings.pending),
            per_file=_micros(settings.per_file),
            job_lag=_micros(settings.job_lag),
            cancel_lag=_micros(settings.cancel_lag),
            max_running=settings.max_running,
            failing_files=settings.fail_files,
            failing_batches=settings.fail_batches,
            cancelled_batches=settings.cancel_batches,
            seed=settings.seed,
            read=settings.read,
        ),
        talonic_pace=TalonicPace(
            threshold=threshold,
            timer=_micros(settings.talonic_timer),
            minimum=minimum,
            turnaround=_micros(settings.talonic_turnaround),
            failing_items=settings.fail_files,
            failing_batches=settings.fail_batches,
            seed=settings.seed,
        ),
        speed=settings.speed,
        offset=None if settings.clock_offset is None else _micros(settings.clock_offset),
        faults=NO_FAULTS if settings.faults is None else load_faults(settings.faults),
    )


def _micros(seconds: float) -> int:
    return round(seconds * _MICROS)


def _welcome(settings: EmulatorSettings, url: str) -> list[str]:
    from reconciler.emulator.talonic.documents import SOURCE_ID

    lines = [
        f"Listening on {url}",
        f"  LlamaCloud: LLAMA_CLOUD_BASE_URL={url} LLAMA_CLOUD_API_KEY={settings.api_key}",
        f"  Talonic:    TALONIC_BASE_URL={url} TALONIC_API_KEY={settings.talonic_key} (source {SOURCE_ID})",
        f"  The contract: {url}/openapi.json; clock, faults, requests, duplicates: {url}/__admin/…",
        "Ctrl-C ends it.",
    ]
    if settings.host not in _LOOPBACK:
        lines.insert(-1, "Whoever can reach this address can use /__admin without a key.")
    return lines
