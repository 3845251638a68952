"""Any order of sessions, notes, commits, closes and crashes, over every store, against a model of ten lines.

``pytest --long tests/stores/test_stores_stateful.py`` goes on for minutes. Hypothesis prints the steps that
fail as code.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from store_shelf import STORES
from store_values import Some

from reconciler.adapters.stores.lockfile import read_lock
from reconciler.model.batch import Status
from reconciler.model.errors import LockHeldError, StateError
from reconciler.model.intent import Closing, Intent, JournalState, Settled
from reconciler.model.lock import Entry, Lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from store_shelf import Reopen

    from reconciler.model.batch import Key
    from reconciler.model.ports import Tenure

DIRECTORIES = [f"dir-{number}" for number in range(4)]
_SOME = Some()
_NAMES = itertools.count()

directories = st.sampled_from(DIRECTORIES)


class Machine(RuleBasedStateMachine):
    """One store, used by one session after another. What it should hold is kept beside it."""

    make: ClassVar[Callable[[], Reopen]]

    def __init__(self) -> None:
        super().__init__()
        self.reopen = type(self).make()
        self.lock = Lock()
        self.opened: dict[str, Intent] = {}
        self.recovered: list[Entry] = []
        self.warm = False
        self.session: Tenure | None = None
        self.stack = contextlib.ExitStack()

    @property
    def held(self) -> Tenure:
        assert self.session is not None
        return self.session

    def whole(self) -> Lock:
        """What stands, with what came back since."""
        entries: dict[Key, Entry] = dict(self.lock.entries)
        for entry in self.recovered:
            there = entries[entry.key].batches if entry.key in entries else ()
            known = {item.id: item for item in (*entry.batches, *there)}
            entries[entry.key] = entry._replace(batches=tuple(known[name] for name in sorted(known)))
        return replace(self.lock, entries=entries)

    def journal(self) -> JournalState:
        return JournalState(tuple(self.opened.values()), tuple(self.recovered), self.warm)

    @precondition(lambda self: self.session is None)
    @rule()
    def take_the_lock(self) -> None:
        self.session = self.stack.enter_context(self.reopen().hold(0))
        assert (self.session.lock, self.session.journal) == (self.whole(), self.journal())
        self.session.confirm()

    @precondition(lambda self: self.session is not None)
    @rule()
    def leave(self) -> None:
        """Without closing, as a crash would; whoever ends well has closed before."""
        self.stack.close()
        self.session = None

    @precondition(lambda self: self.session is not None)
    @rule(directory=directories)
    def intend(self, directory: str) -> None:
        intent = _SOME.intent(f"int-{next(_NAMES)}", directory)
        if any(other.key == intent.key for other in self.opened.values()):
            with pytest.raises(StateError, match="open already"):
                self.held.note([intent])
            return
        self.held.note([intent])
        self.opened[intent.id] = intent
        self.warm = False

    @precondition(lambda self: self.session is not None and self.opened)
    @rule(data=st.data(), left=st.booleans(), again=st.booleans())
    def settle(self, data: st.DataObject, *, left: bool, again: bool) -> None:
        intent = self.opened.pop(data.draw(st.sampled_from(sorted(self.opened))))
        entry = (
            _SOME.entry(intent.key.directory, f"bat-{next(_NAMES)}")._replace(key=intent.key)
            if left
            else None
        )
        notes: list[Intent | Settled] = [
            Settled(intent.id, Closing.FOUND if left else Closing.ABSENT, entry=entry)
        ]
        if again:  # C5: after absent, a new intent, in one write
            notes.append(other := replace(intent, id=f"int-{next(_NAMES)}"))
            self.opened[other.id] = other
        self.held.note(notes)
        self.recovered += [entry] if entry else []
        self.warm = False

    @precondition(lambda self: self.session is not None)
    @rule(gone=st.none() | directories, new=st.none() | directories, status=st.sampled_from(Status))
    def commit(self, gone: str | None, new: str | None, status: Status) -> None:
        lock = self.whole()
        entries = {key: entry for key, entry in lock.entries.items() if key.directory != gone}
        if new:
            entry = _SOME.entry(new, f"bat-{next(_NAMES)}", status=status)
            entries[entry.key] = entry
        lock = replace(lock, entries=entries, lineage="", serial=99)
        before = self.lock
        if lock == Lock(lineage="", serial=99) and not before.lineage:
            lock = Lock()
        written = self.held.commit(lock)
        assert written == self.held.lock
        if written == Lock():
            return
        same = written.entries == before.entries and bool(before.lineage)
        assert written.lineage == (before.lineage or written.lineage) != ""
        assert written.entries == entries
        assert before.serial <= written.serial <= before.serial + 1
        self.warm = self.warm and same and not self.recovered
        self.lock, self.recovered = written, []

    @precondition(lambda self: self.session is not None)
    @rule()
    def close(self) -> None:
        self.held.close()
        if not self.opened:
            self.warm, self.recovered = True, []

    @precondition(lambda self: self.session is not None)
    @rule()
    def meet(self) -> None:
        """Another one cannot have it meanwhile."""
        with pytest.raises(LockHeldError), self.reopen("bob@sofa").hold(0):
            pass  # pragma: no cover - not reached

    @invariant()
    def what_stands_is_what_is_read(self) -> None:
        store = self.reopen("a reader")
        lock, journal = store.read()
        assert (lock, journal.open, list(journal.recovered)) == (
            self.whole(),
            tuple(self.opened.values()),
            self.recovered,
        )
        if self.session is None:
            assert journal.warm == self.warm
        text = store.read_lockfile().decode()
        assert (read_lock(text, store.shown) if text else Lock()) == self.lock

    def teardown(self) -> None:
        self.stack.close()


@pytest.mark.parametrize("kind", sorted(STORES))
def test_any_order_of_events(kind: str, request: pytest.FixtureRequest, *, long: bool) -> None:
    examples, steps = (150, 40) if long else (5, 20)
    chosen: Any = settings(max_examples=examples, stateful_step_count=steps)
    here = type("Here", (Machine,), {"make": staticmethod(lambda: STORES[kind](request))})
    run_state_machine_as_test(here, settings=chosen)
