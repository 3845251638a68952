"""What stands, as text and as a document: a table per set with two columns, and counts that programs read."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.model.status import Health, Sync
from reconciler.render.harmless import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime, timedelta

    from reconciler.model.batch import Batch, FileCounts
    from reconciler.model.status import StatusReport, StatusRow, Waited

FORMAT_VERSION = "1.0"

_SYNC_COLOURS = {
    Sync.SYNCED: "2",
    Sync.OUT_OF_SYNC: "33",
    Sync.UNKNOWN: "35",
    Sync.AMBIGUOUS: "35",
}

_HEALTH_COLOURS = {
    Health.UNKNOWN: "35",
    Health.MISSING: "33",
    Health.PROGRESSING: "36",
    Health.COMPLETED: "2",
    Health.HEALTHY: "32",
    Health.DEGRADED: "31",
}

#: What a wait did not see end well, each with the sentence that says so.
_STILL = "still runs"
_LEFT = {
    Health.COMPLETED: "ended, and what became of its files is not known",
    Health.DEGRADED: "ended badly",
}


def status_lines(report: StatusReport, *, colour: bool = False) -> Iterator[str]:
    """The status, line by line: address, name, sync, health, batch, status, age, files, why not Synced."""
    table = [_cells(row) for row in report.rows]
    widths = [max((len(cells[column]) for cells in table), default=0) for column in range(_COLUMNS)]
    pairs = zip(report.rows, table, strict=True)
    for name, members in groupby(pairs, key=lambda pair: pair[0].address.set):
        yield harmless(name)
        for row, cells in members:
            padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
            padded[_SYNC] = _painted(padded[_SYNC], _SYNC_COLOURS[row.sync], colour)
            padded[_HEALTH] = _painted(padded[_HEALTH], _HEALTH_COLOURS[row.health], colour)
            shown = [cell for cell, width in zip(padded, widths, strict=True) if width]
            yield ("  " + "  ".join((*shown, harmless(row.why)))).rstrip()
            yield from _surplus_lines(row)
    if report.rows:
        yield ""
    yield closing_line(report)


def closing_line(report: StatusReport) -> str:
    """The status in one line. Frozen: programs read it, and a test holds it."""
    if not report.rows:
        text = "Status: nothing is desired or recorded."
    else:
        text = f"Status: {_counts(report.by_sync, Sync)}. Health: {_counts(report.by_health, Health)}."
        if report.by_status:
            text += f" Batches: {_counts(report.by_status, sorted(report.by_status))}."
    if surplus := sum(len(row.surplus) for row in report.rows):
        text += f" {surplus:,} surplus."
    if report.not_selected:
        word = "desired batch" if report.not_selected == 1 else "desired batches"
        text += f" {report.not_selected:,} {word} not selected."
    return text


def waited_lines(waited: Waited) -> Iterator[str]:
    """What waiting came to: what did not end well, line by line, and the sum."""
    for row in waited.report.rows:
        if row.address in waited.gone:
            yield harmless(f"  {row.address}  {row.why}")
        elif words := _STILL if row.running else _LEFT.get(row.health):
            files = f": {_files(row.files)}" if row.files and row.files.failed else ""
            yield harmless(f"  {row.address}  {row.batch}  {row.word or row.status}  {words}{files}")
    yield waited_line(waited)


def waited_line(waited: Waited) -> str:
    """A wait in one line. Frozen like the status's closing line."""
    rows = waited.report.rows
    if not rows:
        if waited.stopped is not None:
            return "Wait: stopped before anything was seen."
        if waited.timed_out:
            return "Wait: the time of --timeout was up before anything was seen."
        if waited.not_recorded:
            return f"Wait: nothing to wait for; {_not_recorded(waited.not_recorded)}."
        return "Wait: nothing to wait for."
    if waited.stopped is not None:
        text = "Wait: stopped; "
    elif waited.timed_out and any(row.running for row in rows):
        text = "Wait: the time of --timeout was up; "
    else:
        text = "Wait: "
    text += f"{_counts(waited.report.by_health, Health)}."
    if failed := waited.report.failed_files:
        text += f" {failed:,} {'file' if failed == 1 else 'files'} failed."
    if waited.not_recorded:
        text += f" {_not_recorded(waited.not_recorded)[:1].upper()}{_not_recorded(waited.not_recorded)[1:]}."
    return text


def status_document(report: StatusReport) -> dict[str, Any]:
    """The status as a JSON document."""
    return {
        "formatVersion": FORMAT_VERSION,
        "kind": "Status",
        "at": _time(report.at),
        "summary": {
            "sync": _numbers(report.by_sync, Sync),
            "health": _numbers(report.by_health, Health),
            "status": _numbers(report.by_status, sorted(report.by_status)),
        },
        "notSelected": report.not_selected,
        "rows": [_row(row) for row in report.rows],
    }


def waited_document(waited: Waited) -> dict[str, Any]:
    """The status at the end of a wait, with what the wait itself has to say."""
    return status_document(waited.report) | {
        "wait": {
            "gone": [str(address) for address in waited.gone],
            "failedFiles": waited.report.failed_files,
            "notRecorded": waited.not_recorded,
            "notWrittenDown": waited.unrecorded,
            "interrupted": waited.stopped is not None,
            "timedOut": waited.timed_out,
        }
    }


_COLUMNS = 8
_SYNC, _HEALTH = 2, 3


def _cells(row: StatusRow) -> tuple[str, ...]:
    name = "" if row.directory_name == row.address.directory else row.directory_name
    return (
        harmless(str(row.address)),
        harmless(name),
        row.sync.value,
        row.health.value,
        harmless(row.batch or "-"),
        harmless(row.word or row.status or "-"),
        _age(row.age),
        _files(row.files),
    )


def _surplus_lines(row: StatusRow) -> Iterator[str]:
    for batch in row.surplus:
        yield harmless(f"      surplus: {batch.id} ({batch.status}) does the same work")
        if not batch.status.terminal:
            yield harmless(f"      To cancel it: reconciler cancel {row.address} {batch.id}")


def _age(age: timedelta | None) -> str:
    if age is None:
        return "-"
    seconds = int(age.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _files(files: FileCounts | None) -> str:
    if files is None:
        return ""
    text = f"{files.total:,} {'file' if files.total == 1 else 'files'}"
    return f"{text}, {files.failed:,} failed" if files.failed else text


def _counts(counts: Mapping[Any, int], order: Iterable[Any]) -> str:
    return ", ".join(f"{counts[word]:,} {word.value}" for word in order if counts.get(word))


def _not_recorded(count: int) -> str:
    is_one = count == 1
    return f"{count:,} desired {'batch is' if is_one else 'batches are'} not recorded, so apply comes first"


def _painted(text: str, code: str, colour: bool) -> str:  # noqa: FBT001 - a style, not a mode
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _numbers(counts: Mapping[Any, int], order: Iterable[Any]) -> dict[str, int]:
    return {word.value: counts[word] for word in order if counts.get(word)}


def _row(row: StatusRow) -> dict[str, Any]:
    batch = None
    if row.batch:
        batch = {
            "id": row.batch,
            "status": row.status.value if row.status else None,
            "word": row.word,
            "createdAt": _time(row.created_at),
        }
    return {
        "address": str(row.address),
        "set": row.address.set,
        "directory": row.address.directory,
        "directoryName": row.directory_name,
        "key": row.place,
        "sync": row.sync.value,
        "health": row.health.value,
        "why": row.why,
        "batch": batch,
        "ageSeconds": None if row.age is None else int(row.age.total_seconds()),
        "files": row.files._asdict() if row.files else None,
        "surplus": [_batch(item) for item in row.surplus],
        "tracked": row.tracked,
    }


def _batch(batch: Batch) -> dict[str, Any]:
    return {"id": batch.id, "status": batch.status.value, "createdAt": _time(batch.created_at)}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
