"""How the files of batches fared, as text, JSON, NDJSON and CSV: piece by piece, as batches are read.

Each form is a `Sheet`. What a sheet gives is written as it is: its line ends are its own. Foreign text
is harmless in all forms: in JSON because that is ASCII only, elsewhere because of `harmless`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from reconciler.model.batch import Status
from reconciler.model.watched import FileStatus
from reconciler.render.harmless import harmless
from reconciler.render.spreadsheet import csv_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.outcomes import BatchOutcomes, Rerun, Tally
    from reconciler.model.watched import FileOutcome

FORMAT_VERSION = "1.0"

#: What a CSV row has, in this order. A batch without files to show has one row, whose ``file`` is empty.
COLUMNS = ("address", "batch", "batch_status", "file", "name", "status", "job_type", "job", "error")

_WORDS = (
    (FileStatus.SUCCEEDED, "succeeded"),
    (FileStatus.FAILED, "failed"),
    (FileStatus.MISSING, "missing"),
    (FileStatus.PROCESSING, "processing"),
    (FileStatus.UNKNOWN, "unknown"),
    (FileStatus.NEWER, "newer than their batch"),
)


class Sheet(Protocol):
    """One form of the results."""

    def begin(self) -> str:
        """What stands before the first batch."""
        ...

    def batch(self, read: BatchOutcomes) -> str:
        """One batch."""
        ...

    def end(self, tally: Tally) -> str:
        """What stands after the last one."""
        ...


def sheet(form: str) -> Sheet:
    """The sheet of a format: text, json, ndjson or csv."""
    return _SHEETS[form]()


def closing_line(tally: Tally) -> str:
    """Everything that was read, in one sentence. Frozen: programs read it, and a test holds it."""
    counts = ", ".join(f"{count:,} {words}" for status, words in _WORDS if (count := tally.files.get(status)))
    batches = f"{tally.batches:,} {'batch' if tally.batches == 1 else 'batches'}"
    text = f"Files: {counts or 'none'}; in {batches}"
    if tally.ended_badly:
        text += f", {tally.ended_badly:,} FAILED or CANCELLED"
    if tally.unread_batches:
        text += f", {tally.unread_batches:,} not read"
    return text + "."


def rerun_lines(rerun: Rerun, *, ended_badly: bool) -> Iterator[str]:
    """What was written to have directories processed once more, and what a person has to do for that."""
    for item in rerun.left_out:
        yield harmless(f"Not in it: {item.address} {item.batch}: {item.why}.")
    if ended_badly:
        yield "Not in it: batches that are FAILED or CANCELLED; what follows that, rerun of their set says."
    if not rerun.sets:
        yield "No manifest was written: there is nothing to process once more."
        return
    for again in rerun.sets:
        count = len(again.directories)
        words = "1 directory" if count == 1 else f"{count:,} directories"
        yield harmless(f"Wrote {rerun.file}: {words} of {again.of} as set {again.name}.")
    yield "Each is processed as a whole once more, and costs again. To have that:"
    for again in rerun.sets:
        for edit in again.edits:
            yield harmless(f"  {edit.source}: {edit.text}")
    if not rerun.found:
        yield harmless(f"  reconciler.yaml: add {rerun.file} to spec.manifests, or move it to where they are")
    yield "  reconciler validate && reconciler plan"


class Text:
    """A table per batch, for people."""

    def __init__(self) -> None:
        self._some = False

    def begin(self) -> str:
        """Nothing."""
        return ""

    def batch(self, read: BatchOutcomes) -> str:
        """The batch's line, and one for each file."""
        self._some = True
        return "".join(f"{harmless(line.rstrip())}\n" for line in _table(read))

    def end(self, tally: Tally) -> str:
        """The closing line."""
        return ("\n" if self._some else "") + closing_line(tally) + "\n"


class Json:
    """One document, whose members are written as they come. It is whole once its ``summary`` is there."""

    def __init__(self) -> None:
        self._some = False

    def begin(self) -> str:
        """All that stands before the batches."""
        return f'{{\n  "formatVersion": {json.dumps(FORMAT_VERSION)},\n  "kind": "Results",\n  "batches": ['

    def batch(self, read: BatchOutcomes) -> str:
        """One member, on a line of its own."""
        comma, self._some = ("," if self._some else ""), True
        return f"{comma}\n    {json.dumps(batch_document(read))}"

    def end(self, tally: Tally) -> str:
        """The summary, which ends the document."""
        close = "\n  ]" if self._some else "]"
        return f'{close},\n  "summary": {json.dumps(summary_document(tally))}\n}}\n'


class Ndjson:
    """A line per file, and one for a batch without files to show; each says whose it is."""

    def begin(self) -> str:
        """Nothing."""
        return ""

    def batch(self, read: BatchOutcomes) -> str:
        """A line per file."""
        of = {"address": str(read.address), "batch": read.batch, "batchStatus": read.status.value}
        members = [_file(item) for item in read.files] if read.files else [_no_file(read)]
        return "".join(f"{json.dumps({**of, **member})}\n" for member in members)

    def end(self, tally: Tally) -> str:  # noqa: ARG002 - a stream of rows has no end of its own
        """Nothing."""
        return ""


class Csv:
    """RFC 4180, with a header; no cell begins a formula."""

    def begin(self) -> str:
        """The header."""
        return csv_rows([COLUMNS])

    def batch(self, read: BatchOutcomes) -> str:
        """A row per file."""
        of = (str(read.address), read.batch, read.status.value)
        if read.files:
            rows = [
                (*of, item.file, item.name, item.status.value, item.job_type, item.job, item.error)
                for item in read.files
            ]
        else:
            rows = [(*of, "", "", _word_without_files(read).value, "", "", _words_without_files(read))]
        return csv_rows(rows)

    def end(self, tally: Tally) -> str:  # noqa: ARG002 - as above
        """Nothing."""
        return ""


_SHEETS: Mapping[str, type[Text | Json | Ndjson | Csv]] = {
    "text": Text,
    "json": Json,
    "ndjson": Ndjson,
    "csv": Csv,
}


def batch_document(read: BatchOutcomes) -> dict[str, Any]:
    """One batch."""
    return {
        "address": str(read.address),
        "batch": read.batch,
        "status": read.status.value,
        "read": not read.why,
        "why": read.why,
        "files": None if read.files is None else [_file(item) for item in read.files],
    }


def summary_document(tally: Tally) -> dict[str, Any]:
    """All batches in a few numbers."""
    return {
        "batches": tally.batches,
        "files": {status.value: tally.files.get(status, 0) for status in sorted(FileStatus)},
        "endedBadly": tally.ended_badly,
        "unreadBatches": tally.unread_batches,
        "unreadFiles": tally.unread_files,
    }


def _file(item: FileOutcome) -> dict[str, Any]:
    return {
        "file": item.file,
        "name": item.name,
        "status": item.status.value,
        "jobType": item.job_type,
        "job": item.job,
        "error": item.error,
    }


def _no_file(read: BatchOutcomes) -> dict[str, Any]:
    return {
        "file": None,
        "name": "",
        "status": _word_without_files(read).value,
        "jobType": "",
        "job": "",
        "error": _words_without_files(read),
    }


def _word_without_files(read: BatchOutcomes) -> FileStatus:
    """What a batch without files to show came to, in the words for files."""
    if read.why:
        return FileStatus.UNKNOWN
    if read.ended_badly:
        return FileStatus.FAILED
    return FileStatus.UNKNOWN if read.status.terminal else FileStatus.PROCESSING


def _words_without_files(read: BatchOutcomes) -> str:
    if read.why:
        return f"not read: {read.why}"
    if read.ended_badly:
        return f"the batch is {read.status}" + (
            ", without results for its files" if read.files is None else ""
        )
    return "no files" if read.status is Status.COMPLETED else "no results yet"


def _table(read: BatchOutcomes) -> Iterator[str]:
    head = f"{read.address}  {read.batch}  {read.status}"
    if not read.files:
        yield f"{head}  {_words_without_files(read)}"
        return
    here, total = len(read.files), len(read.files) + read.left_out
    count = f"{here:,} of {total:,}" if read.left_out else f"{here:,}"
    yield f"{head}  {count} {'file' if total == 1 else 'files'}"
    rows = [
        (item.status.value, item.file, item.name, f"{item.job_type} {item.job}".strip(), item.error)
        for item in read.files
    ]
    # Measured as shown: what is escaped is longer than what came.
    shown = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(rows[0]))]
    for row in shown:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
