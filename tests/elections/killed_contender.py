"""Contenders for a file store's lock that are processes, each killed by SIGKILL soon after it leads.

    killed_contender.py FOLDER SEED DEATHS CONTENDERS

keeps so many contenders alive until so many have died as leaders. What they do is written to ``FOLDER/told``,
a line at a time, by who does it: the order of lines is that of what was done. ``begin`` says of the one whose
act has no end what the kernel says of it: that it is dying or dead, or that it lives.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from store_values import Some

from reconciler.adapters.stores.file import FileStore
from reconciler.model.intent import Closing, Settled

POINTS = ("idle", "noted", "acting", "acted", "settled", "committed")
_EXITING = 0x4  # PF_EXITING of the kernel: it runs no code of its own any more
_SOME = Some()


def _dead(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    state, *rest = stat.rpartition(") ")[2].split()
    return state in "ZX" or bool(int(rest[5]) & _EXITING)


class Witness:
    """The file that all write to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "told"
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def say(self, *words: object) -> None:
        os.write(self._file, (" ".join(str(word) for word in (os.getpid(), *words)) + "\n").encode())

    def begin(self, name: str) -> None:
        acting = None
        for line in self.path.read_text().splitlines():
            pid, what, *_ = line.split()
            acting = int(pid) if what == "begin" else None if what == "end" else acting
        state = "nobody" if acting is None else "dead" if _dead(acting) else "alive"
        self.say("begin", name, state)


def _contend(folder: Path, draw: random.Random) -> NoReturn:
    """Lead once, and die of it."""
    witness = Witness(folder)
    point = draw.choice(POINTS)
    store = FileStore(folder / "reconciler.lock", "reconciler.lock", str(os.getpid()), datetime.now(UTC))

    def pass_by(here: str) -> None:
        if here == point:
            witness.say("dies", here)
            os.kill(os.getpid(), signal.SIGKILL)

    with store.hold(600) as session:
        found = ",".join(sorted(intent.id for intent in session.journal.open)) or "-"
        there = len(session.lock.entries)
        witness.say("leads", found, there, session.lock.serial)
        if session.journal.open:
            session.note([Settled(intent.id, Closing.ABSENT) for intent in session.journal.open])
        witness.say("cleared")
        pass_by("idle")
        name = f"int-{os.getpid()}"
        session.note([_SOME.intent(name, f"dir-{name}")])
        witness.say("noted", name)
        pass_by("noted")
        session.confirm()
        witness.begin(name)
        pass_by("acting")
        witness.say("end", name)
        pass_by("acted")
        entry = _SOME.entry(f"dir-{name}", f"bat-{name}")
        session.note([Settled(name, Closing.CREATED, entry=entry)])
        witness.say("settled", name)
        pass_by("settled")
        session.commit(replace(session.lock, entries={**session.lock.entries, entry.key: entry}))
        pass_by("committed")
    raise AssertionError(point)


def main() -> None:
    folder, seed, deaths, contenders = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    living: set[int] = set()
    for number in range(deaths):
        while len(living) < min(contenders, deaths - number):
            child = os.fork()
            if child == 0:
                try:
                    _contend(folder, random.Random(f"{seed} {number} {len(living)}"))
                finally:
                    os._exit(1)  # only who was not killed comes here
            living.add(child)
        pid, status = os.wait()
        living.discard(pid)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise SystemExit(f"{pid} ended with {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
