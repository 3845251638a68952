"""The machine: what may happen in a project's life, and what has to hold after each step.

The rules are in the order edits, the service and other people, time and faults, losses, runs, ways out. The
invariants cite the rules of docs/rules.md that they hold; what the service should hold is judged by
`stateful_oracle`, never by `core`.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from engine_world import SETTLE, Lost
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from stateful_draws import (
    CONFIGURATIONS,
    DIRECTORIES,
    ENDS,
    HOUR,
    INSTANTS,
    POLICIES,
    SETS,
    SOURCES,
    SPANS,
    THEIRS,
    WEATHERS,
    WHICH,
)
from stateful_manifests import Set, owner, policies, put, swap
from stateful_oracle import Verdict, effective_after, judge
from stateful_project import JOURNAL, LOCKFILE, Project, names_key
from stateful_rest import check_rest, take_ways_out
from stateful_service import CALM, Weather

from reconciler.model.errors import AuthenticationError, StateError
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from reconciler.model.batch import Batch, Key, Status
    from reconciler.model.plan import Plan
    from reconciler.model.result import Applied

#: What all machines of a test did together.
COUNTS: Counter[str] = Counter()


class Life(RuleBasedStateMachine):
    """A project's life."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.project = Project(Path(self._folder.name), DIRECTORIES, 0)
        self.project.service.on_create = self._judge_post
        self.project.service.on_cancel = self._judge_cancel
        self.commits: list[bytes] = []
        self.before = Lock()
        self.tampered = False
        self.wrong: list[str] = []
        COUNTS["machines"] += 1

    @initialize(
        lag=st.sampled_from([0.0, SETTLE / 2, SETTLE]),
        skew=st.sampled_from([0, -2 * HOUR, 2 * HOUR]),
        at_once=st.sampled_from([8, 1]),
        on_remove=st.sampled_from(["keep", "cancel"]),
    )
    def a_project(self, lag: float, skew: int, at_once: int, on_remove: str) -> None:
        """How long this service takes to list a batch, and by how much its clock is off (seconds)."""
        self.first = Set("cfg-1", DIRECTORIES[:1], on_remove=on_remove)
        self.project.service.lag = lag
        self.project.service.ahead = timedelta(seconds=skew)
        self.project.at_once = at_once
        self.project.manifests = put((), "a", self.first)

    def teardown(self) -> None:
        self._folder.cleanup()

    # Edits of the manifests

    @rule(name=SETS, directory=SOURCES, configuration=CONFIGURATIONS)
    def add_directory(self, name: str, directory: str, configuration: str) -> None:
        item = self._sets.get(name, replace(self.first, configuration=configuration, directories=()))
        self._write(name, replace(item, directories=tuple({*item.directories, directory})))

    @rule(name=SETS, directory=SOURCES)
    def remove_directory(self, name: str, directory: str) -> None:
        if item := self._sets.get(name):
            self._write(name, replace(item, directories=tuple({*item.directories} - {directory})))

    @rule(source=SETS, to=SETS, directory=SOURCES)
    def move_directory(self, source: str, to: str, directory: str) -> None:
        """The same work under another address, if the other set has the same configuration."""
        item = self._sets.get(source)
        if item and directory in item.directories and source != to:
            there = self._sets.get(to, replace(item, directories=()))
            if owner(self.project.manifests, directory, there.configuration) in (None, source):
                self._write(source, replace(item, directories=tuple({*item.directories} - {directory})))
                self._write(to, replace(there, directories=(*there.directories, directory)))

    @rule(source=SETS, to=SETS)
    def rename_set(self, source: str, to: str) -> None:
        if source in self._sets and to not in self._sets:
            item = self._sets[source]
            self._write(source, replace(item, directories=()))
            self._write(to, item)

    @rule(one=SETS, other=SETS)
    def swap_configurations(self, one: str, other: str) -> None:
        self.project.manifests = swap(self.project.manifests, one, other)

    @rule(name=SETS, configuration=CONFIGURATIONS)
    def change_configuration(self, name: str, configuration: str) -> None:
        if item := self._sets.get(name):
            self._write(name, replace(item, configuration=configuration))

    @rule(name=SETS, policy=POLICIES)
    def change_policy(self, name: str, policy: str) -> None:
        item = self._sets.get(name)
        if item is None:
            return
        now = int(self.project.time.seconds + self.project.service.ahead.total_seconds())
        match policy.split(": "):
            case "after", when:
                after = {"now": now, "an hour ago": now - HOUR, "in an hour": now + HOUR}.get(when)
                item = replace(item, after=after)
            case "maxAttempts", number:
                item = replace(item, attempts=int(number))
            case "onCancelled", value:
                item = replace(item, on_cancelled=value)
            case _, value:
                item = replace(item, on_remove=value)
        self._write(name, item)

    # The service and other people

    @rule(directory=SOURCES, configuration=THEIRS)
    def somebody_creates(self, directory: str, configuration: str) -> None:
        name = self.project.service.put_by_others(directory, configuration)
        note(f"      {name} by somebody else over {directory} {configuration}")

    @rule(which=WHICH, status=ENDS)
    def a_batch_ends(self, which: int, status: Status) -> None:
        """By itself, or since somebody cancelled it."""
        self._end(which, status)

    # Time and faults

    @rule(seconds=SPANS)
    def time_goes_by(self, seconds: int) -> None:
        self.project.time.seconds += seconds

    # Losses

    @rule(what=st.sampled_from([(LOCKFILE,), (JOURNAL,), (LOCKFILE, JOURNAL)]))
    def files_are_lost(self, what: tuple[str, ...]) -> None:
        for name in what:
            self.project.lose(name)
        self.tampered = True

    @rule(which=WHICH)
    def an_older_lockfile_is_checked_out(self, which: int) -> None:
        """One from before everything was lost is not this journal's: the message says what to do then."""
        if self.commits:
            (self.project.folder / LOCKFILE).write_bytes(self.commits[-1 - which % len(self.commits)])
            self.tampered = True
            try:
                assert self.project.lock is not None
            except StateError as error:
                assert f"remove {JOURNAL}" in error.next  # noqa: PT017 - both ends are right
                self.project.lose(JOURNAL)
                COUNTS["lockfiles of another lineage"] += 1

    # Runs

    @rule(weather=WEATHERS)
    def plan(self, weather: Weather) -> None:
        """R1: only reads, and says the same of the same."""
        self.project.begin(weather)
        with self.project.untouched():
            first = self._planned()
        self.project.begin(weather)
        with self.project.untouched():
            assert self._planned() == first
        self.project.calm()

    @rule(weather=WEATHERS)
    def apply(self, weather: Weather) -> None:
        began = self.project.service.clock
        applied = self._apply(weather)
        if weather == CALM:
            assert applied is not None
            if not self._passed(began):
                with self.project.untouched():
                    plan = self.project.plan()
                assert not plan.changes, f"a plan right after an apply: {_told(plan)}"

    @rule()
    def decline(self) -> None:
        """What a run looked up and found of earlier ones is recorded, and nothing is sent."""
        self._apply(approve=False)

    @rule(weather=WEATHERS, instant=INSTANTS)
    def apply_and_be_killed(self, weather: Weather, instant: int) -> None:
        self.project.at_instant[instant] = self.project.kill
        self._apply(weather)
        COUNTS["kills"] += self.project.dead

    @rule(weather=WEATHERS, instant=INSTANTS)
    def apply_and_lose_power(self, weather: Weather, instant: int) -> None:
        self.project.at_instant[instant] = self.project.lose_power
        self._apply(weather)
        COUNTS["power losses"] += self.project.dead

    @rule(weather=WEATHERS, instant=INSTANTS)
    def apply_and_be_interrupted(self, weather: Weather, instant: int) -> None:
        self.project.at_instant[instant] = self.project.interrupt
        self._apply(weather)
        COUNTS["stops"] += self.project.stop is not None and self.project.stop.over

    @rule(weather=WEATHERS, instant=INSTANTS, directory=SOURCES, configuration=THEIRS)
    def apply_while_somebody_creates(
        self, weather: Weather, instant: int, directory: str, configuration: str
    ) -> None:
        self.project.at_instant[instant] = lambda: self.somebody_creates(directory, configuration)
        self._apply(weather)

    @rule(weather=WEATHERS, instant=INSTANTS, which=WHICH, status=ENDS)
    def apply_while_a_batch_ends(self, weather: Weather, instant: int, which: int, status: Status) -> None:
        self.project.at_instant[instant] = lambda: self._end(which, status)
        self._apply(weather)

    @rule(weather=WEATHERS, instant=INSTANTS)
    def apply_while_another_process_tries(self, weather: Weather, instant: int) -> None:
        """C1, and whoever only reads finds whole files at any instant."""

        def another() -> None:
            COUNTS["second processes"] += 1
            if not self.project.is_locked_for_others():
                self.wrong.append("C1: a second process got the lock")
            assert self.project.lock is not None

        self.project.at_instant[instant] = another
        self._apply(weather)

    @rule(name=SETS)
    def do_without_a_set_for_a_moment(self, name: str) -> None:
        """What was forgotten is desired again at once."""
        manifests = self.project.manifests
        if item := self._sets.get(name):
            self._write(name, replace(item, directories=()))
            self._apply()
            self.holds()
            self.project.manifests = manifests
            self._apply()

    @rule(effect=st.sampled_from([None, 0.0, SETTLE / 2]), name=SETS, to=SETS)
    def rerun_a_set_and_lose_a_reply_beside_a_stranger(
        self, effect: float | None, name: str, to: str
    ) -> None:
        """C5's ambiguity: the new batch of another configuration may be ours under another name.

        Before anybody looks into it, the set may have got a new name.
        """
        self.change_policy(name, "after: now")
        posted = self.project.service.posted

        def stranger() -> None:
            self.somebody_creates(posted[-1].directory, "cfg-9")

        self.project.after_create = stranger
        self._apply(Weather(fates=(Lost(effect), Lost(effect))))
        self.rename_set(name, to)

    # Ways out

    @rule()
    def calm_down(self) -> None:
        """Never lost: faults end, time goes by, and two applies at most bring everything to rest."""
        self.project.calm()
        while self.project.service.is_unlisted():
            self.project.time.seconds += SETTLE
        began = self.project.service.clock
        self._apply()
        if self._peek().changes:
            self._apply()
        plan = self._peek()
        assert self._passed(began) or not plan.changes, f"not at rest after two applies: {_told(plan)}"
        COUNTS["ways out"] += take_ways_out(self.project)
        if not self._passed(began):
            check_rest(self.project, self._peek())
        COUNTS["rests"] += 1

    # What has to hold after each step

    @invariant()
    def holds(self) -> None:
        """Never twice and C3, as `_judge_post` saw it; and the state on the disk is whole."""
        assert not self.wrong, self.wrong
        lock = self.project.lock
        real = {row.batch.id for row in self.project.service.rows}
        for key, entry in lock.entries.items():
            ids = {item.id for item in entry.batches}
            assert entry.current in ids
            assert ids <= real, f"{names_key(key)}: {ids - real} is recorded and was never made"
            if not self.tampered and key in self.before.entries:
                lost = {item.id for item in self.before.entries[key].batches} - ids
                assert not lost, f"{names_key(key)}: {lost} is recorded no more"
        assert self.tampered or lock.serial >= self.before.serial
        self.before, self.tampered = lock, False
        path = self.project.folder / LOCKFILE
        if path.exists() and (text := path.read_bytes()) not in self.commits[-1:]:
            self.commits.append(text)
        COUNTS["steps"] += 1

    # Machinery

    @property
    def _sets(self) -> dict[str, Set]:
        return dict(self.project.manifests)

    def _write(self, name: str, item: Set) -> None:
        self.project.manifests = put(self.project.manifests, name, item)

    def _end(self, which: int, status: Status) -> None:
        """Counted from the newest that runs."""
        running = [batch for batch in self.project.service.existing() if not batch.status.terminal]
        if running:
            batch = running[-1 - which % len(running)]
            self.project.service.set(batch.id, status)
            note(f"      {batch.id} {status}")

    def _apply(self, weather: Weather = CALM, *, approve: bool = True) -> Applied | None:
        self.project.begin(weather)
        COUNTS["applies"] += 1
        made = len(self.project.service.rows)
        applied = self.project.run_apply(approve=approve)
        self.project.calm()
        if applied is not None:
            for result in applied.results:
                note(f"      {result.action.kind} {result.action.address}: {result.outcome} {result.why}")
        else:
            how = "died" if self.project.dead else "ended early"
            note(f"      it {how} at instant {self.project.instants - 1}")
        for row in self.project.service.rows[made:]:
            if row.batch.id not in self.project.service.others:
                COUNTS["creates"] += 1
                note(
                    f"      {row.batch.id} made over {names_key(row.batch.key)}, listed at {row.listed:,.0f}"
                )
        return applied

    def _peek(self) -> Plan:
        with self.project.untouched():
            return self.project.plan()

    def _planned(self) -> Plan | str:
        try:
            return self.project.plan()
        except AuthenticationError as error:
            assert self.project.service.weather.locked_from is not None
            return str(error)

    def _passed(self, began: object) -> bool:
        """Whether an `after` came to count since then, so that something new is to be done."""
        now = self.project.service.clock
        assert isinstance(began, datetime)
        assert now is not None
        return any(
            effective_after(item, now) != effective_after(item, began) for _, item in self.project.manifests
        )

    def _judge_post(self, key: Key) -> None:
        """Called by the service when a create arrives."""
        service = self.project.service
        where = f"{names_key(key)} at {self.project.time.seconds:,.1f}"
        COUNTS["sends"] += 1
        service.posted.append(key)
        if [intent.key for intent in self.project.durable_intents()].count(key) != 1:
            self.wrong.append(f"C3: {where} was sent without one durable intent")
        want = policies(self.project.manifests).get(key)
        now = service.clock
        assert now is not None
        if want is None:
            self.wrong.append(f"{where} was sent, which nobody desires")
        elif (verdict := judge(want, service.could_be_seen(key), now)) is not Verdict.WANTED:
            there = [(batch.id, str(batch.status)) for batch in service.could_be_seen(key)]
            self.wrong.append(f"never twice: {where} was sent, but {verdict.value}: {there}")

    def _judge_cancel(self, batch: Batch) -> None:
        """R10: only what we made ourselves, and what nobody desires any more."""
        if batch.id in self.project.service.others or batch.key in policies(self.project.manifests):
            self.wrong.append(f"R10: {batch.id} was cancelled")
        COUNTS["cancels"] += 1


def _told(plan: Plan) -> list[str]:
    return [f"{item.kind} {item.address}: {item.reason.text}" for item in plan.actions if item.changes]
