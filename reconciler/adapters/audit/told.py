"""What the audit log tells: its lines in the order of time, over all files, read as they are asked for.

Whether the lines are sound is for `chains` to say; what cannot be read as a line is counted and left out.
"""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING

from reconciler.adapters.audit.lines import audit_files, explained, read_line, whole_lines
from reconciler.model.audit import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_TIME = re.compile(rb'"time":"([^"\\]*)"')
_IN_NAMES = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-")


class Reading:
    """One reading of the log.

    Attributes:
        lines: how many lines of actions were looked at so far.
        unread: how many lines could not be read, so far.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lines = 0
        self.unread = 0

    def told(self, about: Sequence[str] = ()) -> Iterator[Told]:
        """The lines of actions, sorted by time, then file, then line.

        Files are opened when their time has come, so that of many thousand few are open at once.

        Args:
            about: only lines that have one of these words in them; all by default.

        Raises:
            StateError: the folder or a file cannot be read.
        """
        from reconciler.adapters.audit.form import written

        words = tuple(written(word) for word in about)
        waiting = sorted(
            ((_begin(path.name), path.name, path) for path in audit_files(self._folder)), reverse=True
        )
        open_ones: list[tuple[str, str, int, Told, Iterator[Told]]] = []

        def take(lines: Iterator[Told]) -> None:
            if (line := next(lines, None)) is not None:
                heapq.heappush(open_ones, (_comparable(line.time), line.file, line.line, line, lines))

        while waiting or open_ones:
            while waiting and (not open_ones or waiting[-1][0] <= open_ones[0][0]):
                take(self._of_file(waiting.pop()[2], words))
            if open_ones:
                *_, line, lines = heapq.heappop(open_ones)
                yield line
                take(lines)

    def _of_file(self, path: Path, words: Sequence[bytes]) -> Iterator[Told]:
        lines = self._as_written(path, words)
        # A clock that was set back while the run went on is rare; only then is the file held in memory.
        yield from (
            lines if _rises(path) else sorted(lines, key=lambda line: (_comparable(line.time), line.line))
        )

    def _as_written(self, path: Path, words: Sequence[bytes]) -> Iterator[Told]:
        shown = f"{self._folder.name}/{path.name}"
        header: Mapping[str, object] = {}
        with explained(path, "read"), path.open("rb") as file:
            for number, raw in enumerate(whole_lines(file), 1):
                self.lines += number > 1
                if number > 1 and words and not any(word in raw for word in words):
                    continue
                line = read_line(raw)
                if number == 1 and line is not None and line.get("kind") == "run":
                    header = line
                elif line is not None and line.get("kind") == "action":
                    yield _told(line, header, shown, number)
                else:
                    self.unread += 1


def _told(line: Mapping[str, object], header: Mapping[str, object], shown: str, number: int) -> Told:
    def text(name: str, of: Mapping[str, object] = line, default: str = "") -> str:
        value = of.get(name, default)
        return value if isinstance(value, str) else default

    dirty = line.get("dirty")
    return Told(
        file=shown,
        line=number,
        time=text("time"),
        run=text("run"),
        actor=text("actor"),
        actor_source=text("actorSource", header),
        approver=text("approver", header),
        approver_source=text("approverSource", header, "unknown"),
        ci_run=text("ciRun"),
        commit=text("commit"),
        dirty=dirty if isinstance(dirty, bool) else None,
        plan=text("plan"),
        action=text("action"),
        address=text("address"),
        key=text("key"),
        batch=text("batch"),
        outcome=text("outcome"),
        why=text("why"),
        request_id=text("requestId"),
    )


def _rises(path: Path) -> bool:
    """Whether no line of a file has an earlier time than the one before it."""
    last = ""
    with explained(path, "read"), path.open("rb") as file:
        for raw in whole_lines(file):
            match = _TIME.search(raw)
            time = _comparable(match[1].decode("ascii", "replace")) if match else last
            if time < last:
                return False
            last = time
    return True


def _begin(name: str) -> str:
    """When a run began, by its file's name; before all others if that does not say."""
    match = _IN_NAMES.match(name)
    return "{}-{}-{}T{}:{}:{}".format(*match.groups()) if match else ""


def _comparable(time: str) -> str:
    """A time in UTC whose order as text is that of time: without the Z, 08:00:00 is before 08:00:00.5."""
    return time.removesuffix("Z")
