"""``reconciler emulator``: serve the stand-in of both services, until a signal ends it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click

from reconciler.api.emulation import (
    API_KEY,
    PORT,
    TALONIC_KEY,
    EmulatorSettings,
    serve_emulator,
)
from reconciler.cli.options import output_options, with_options

_DURATION = re.compile(r"(-?)(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)", re.ASCII)
_LONGEST = 36_500 * 86_400.0  # seconds: a hundred years
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class _Duration(click.ParamType[float]):
    """Seconds, written as ``500ms``, ``30s``, ``10m``, ``2h`` or ``1d``."""

    name = "duration"

    def __init__(self, *, signed: bool = False) -> None:
        self.signed = signed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's signature
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value))
        if match is None or (match[1] and not self.signed):
            self.fail(f"{value!r} is no duration such as 500ms, 30s, 10m, 2h or 1d", param, ctx)
        seconds = float(match[2]) * _UNITS[match[3]]
        if seconds > _LONGEST:
            self.fail(f"{value!r} is longer than 36500d", param, ctx)
        return -seconds if match[1] else seconds


class _Number(click.FloatRange):
    """A number within bounds; "not a number" is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's signature
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class _Text(click.ParamType[str]):
    """A text of some characters."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's signature
        if not value or not str(value).isprintable() or not str(value).isascii() or " " in value:
            self.fail("it should be letters, digits and marks, without spaces", param, ctx)
        return str(value)


_SHARE = _Number(0, 1)
_FOLDER = click.Path(path_type=Path)

_service_options = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Listen at this address."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=PORT,
        show_default=True,
        help="Listen at this port; 0 for any that is free.",
    ),
    click.option(
        "--root",
        metavar="DIR",
        type=_FOLDER,
        help="Each folder in here is a source directory. Without it, those made through the API are all.",
    ),
    click.option(
        "--configurations", metavar="DIR", type=_FOLDER, help="Each YAML file in here is a configuration."
    ),
    click.option(
        "--db",
        metavar="FILE",
        type=_FOLDER,
        default=Path(".reconciler/emulator.db"),
        show_default=True,
        help="Where everything is kept; made if there is none.",
    ),
    click.option(
        "--project-id",
        type=_Text(),
        default="prj-emulator",
        show_default=True,
        help="The one project there is.",
    ),
    click.option(
        "--api-key", type=_Text(), default=API_KEY, show_default=True, help="The key of LlamaCloud's API."
    ),
    click.option(
        "--talonic-key",
        type=_Text(),
        default=TALONIC_KEY,
        show_default=True,
        help="The key of Talonic's API.",
    ),
    click.option("--faults", metavar="FILE", type=_FOLDER, help="What is to go wrong: a YAML file."),
)

_life_options = (
    click.option(
        "--speed",
        type=_Number(0, 1_000_000),
        help="How fast the service's clock runs: 60 makes an hour a minute, 0 leaves it to /__admin/clock."
        "  [default: 1, or as the database has it]",
    ),
    click.option(
        "--clock-offset",
        type=_Duration(signed=True),
        metavar="DURATION",
        help="Start a new database's clock so far ahead, or with - so far behind.",
    ),
    click.option(
        "--pending",
        type=_Duration(),
        default="5s",
        show_default=True,
        help="From a create to the start of its batch.",
    ),
    click.option(
        "--per-file",
        type=_Duration(),
        default="2s",
        show_default=True,
        help="How long a batch runs for each of its files.",
    ),
    click.option(
        "--job-lag",
        type=_Duration(),
        default="0s",
        show_default=True,
        help="Jobs end so much later than their batch.",
    ),
    click.option(
        "--cancel-lag", type=_Duration(), default="2s", show_default=True, help="From cancel to CANCELLED."
    ),
    click.option(
        "--max-running",
        type=click.IntRange(1),
        help="Above so many running batches others are THROTTLED.  [default: no limit]",
    ),
    click.option("--fail-files", type=_SHARE, default=0.0, help="Share of files whose job fails, 0 to 1."),
    click.option("--fail-batches", type=_SHARE, default=0.0, help="Share of batches that end as FAILED."),
    click.option("--cancel-batches", type=_SHARE, default=0.0, help="Share that the service cancels."),
    click.option("--seed", type=int, default=0, show_default=True, help="Which ones they are."),
    click.option(
        "--read/--no-read",
        default=True,
        show_default=True,
        help="Really read the documents, or take them for read.",
    ),
)

_talonic_options = (
    click.option(
        "--talonic-threshold",
        type=click.IntRange(1, 100_000),
        default=100,
        show_default=True,
        help="Talonic submits a batch when it has so many documents.",
    ),
    click.option(
        "--talonic-timer",
        type=_Duration(),
        default="15m",
        show_default=True,
        help="Talonic submits a batch when its first document has waited so long.",
    ),
    click.option(
        "--talonic-minimum",
        type=click.IntRange(1, 100_000),
        help="With fewer documents, Talonic processes them in real time instead."
        "  [default: 100, or the threshold if that is lower]",
    ),
    click.option(
        "--talonic-turnaround",
        type=_Duration(),
        default="1h",
        show_default=True,
        help="How long Talonic's provider takes.",
    ),
)


@click.command("emulator")
@with_options(*_service_options, *_life_options, *_talonic_options, *output_options)
def emulator_command(*, no_color: bool, db: Path, **settings: Any) -> int:  # noqa: ANN401 - the options above, by name
    """Serve a stand-in of both services on this machine.

    It speaks LlamaCloud's and Talonic's batch APIs, to try, test and rehearse against. docs/emulator.md
    has its routes and faults.

    Durations such as 500ms, 30s, 10m, 2h or 1d are the service's own time, which --speed makes pass faster.
    Ends at Ctrl-C or SIGTERM.
    """
    del no_color
    ended = serve_emulator(EmulatorSettings(database=db, **settings), say=click.echo)
    return 128 + ended
