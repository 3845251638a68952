"""One key at a time, rule by rule: what is live, recorded and wanted, and what follows (R2-R8, R14)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.core.match import Moment, choose, decide
from reconciler.core.plan import plan
from reconciler.core.preflight import objection
from reconciler.core.questions import stands
from reconciler.core.select import Selection
from reconciler.model.batch import Address, Batch, Configuration, Directory, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.lock import Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job, OnCancelled, OnChange, Rerun
from reconciler.model.plan import Action, ActionKind, Reason, ReasonCode
from reconciler.model.project import Limits
from reconciler.model.snapshot import Facts, Missing, Seen, Snapshot, Unknown
from reconciler.model.source import Source

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
ADDRESS = Address("invoices", "dir-1")
H, D = timedelta(hours=1), timedelta(days=1)

CREATE, ADOPT, KEEP, MOVE = ActionKind.CREATE, ActionKind.ADOPT, ActionKind.KEEP, ActionKind.MOVE
BLOCKED, UNRESOLVED = ActionKind.BLOCKED, ActionKind.UNRESOLVED
PENDING, RUNNING, COMPLETED = Status.PENDING, Status.RUNNING, Status.COMPLETED
FAILED, CANCELLED = Status.FAILED, Status.CANCELLED
ADOPTED, CREATED, FOUND = Origin.ADOPTED, Origin.CREATED, Origin.FOUND
C = ReasonCode


def live(name: str, status: Status, age: timedelta | None = H) -> Batch:
    """A live batch that was made so long ago; None for one whose time the service does not tell."""
    return Batch(name, KEY, status, None if age is None else NOW - age)


def rec(batch: Batch, origin: Origin = CREATED, at: timedelta | None = None, **evidence: Any) -> Recorded:  # noqa: ANN401 - the fields of Evidence
    """The batch, recorded so long ago by this tool's clock, or when the service made it."""
    moment = NOW - at if at is not None else batch.created_at or NOW
    made_for = Evidence("missing", **evidence) if origin is not ADOPTED else None
    return Recorded(batch.id, batch.status, origin, moment, batch.created_at, evidence=made_for)


def entry(*recorded: Recorded, current: str = "", address: Address = ADDRESS) -> Entry:
    return Entry(key=KEY, address=address, current=current or recorded[-1].id, batches=recorded)


def want(rerun: Rerun | None = None, key: Key = KEY) -> DesiredBatch:
    batch_set = BatchSet(
        name="invoices",
        provider="p",
        job=Job(key.job, ById(key.configuration)),
        directories=(ById(key.directory),),
        source=Source("f"),
        digest="d",
        locate=lambda path, *, key=False: Source("f"),
        rerun=rerun or Rerun(),
    )
    return DesiredBatch(Address("invoices", key.directory), key, batch_set, 0)


def facts(inputs: str | None = "sha256:now", version: str = "", **other: Any) -> Facts:  # noqa: ANN401 - the fields of Facts
    saved = Configuration("cfg", "c", "parse_v2", version, other.pop("saved_at", None)) if version else None
    usual: dict[str, Any] = {"directory": Directory("dir-1", "September", "prj"), "files": 3}
    return Facts(inputs=inputs, configuration=saved, **usual | other)


def planned(
    seen: Seen,
    recorded: Entry | None = None,
    rerun: Rerun | None = None,
    given: Facts | None = None,
    *,
    clock: timedelta = timedelta(),
) -> Action:
    """The one action that a plan has for the one key. ``clock``: how far the service's is ahead of ours."""
    made = plan(
        desired=Desired((want(rerun),), {"invoices": "d"}),
        snapshot=Snapshot({KEY: seen}, {KEY.endpoint: NOW + clock}),
        lock=Lock(entries={KEY: recorded} if recorded else {}),
        intents=(),
        facts={KEY: given} if given else {},
        now=NOW,
        limits=Limits(),
        selection=Selection(),
    )
    assert len(made.actions) == 1
    return made.actions[0]


@dataclass(frozen=True)
class Case:
    """What is given, and the action's kind, its reason's code and the batch that it speaks of."""

    says: str
    seen: Seen
    then: tuple[ActionKind, ReasonCode, str]
    recorded: Entry | None = None
    rerun: Rerun = field(default_factory=Rerun)
    facts: Facts | None = None
    clock: timedelta = timedelta()

    def __str__(self) -> str:
        return self.says


A, B, X = live("a", COMPLETED, 3 * H), live("b", COMPLETED, 2 * H), live("x", FAILED, 4 * H)
F1, F2, F3 = live("f1", FAILED, 3 * H), live("f2", FAILED, 2 * H), live("f3", FAILED, H)
STOP = live("c", CANCELLED, H)
NULL = live("n", COMPLETED, None)
OLD = live("old", COMPLETED, 40 * D)
RUN = live("run", RUNNING, 40 * D)


def after(ago: timedelta) -> Rerun:
    return Rerun(after=NOW - ago)


def aged(days: int) -> Rerun:
    return Rerun(max_age=days * D)


ON_INPUT = Rerun(on_input_change=OnChange.RERUN)
ON_SAVED = Rerun(on_configuration_change=OnChange.RERUN)
AGAIN = Rerun(on_cancelled=OnCancelled.RERUN)

SATISFIED = [
    Case("R3: nothing is there", (), (CREATE, C.MISSING, "")),
    Case("R4: a batch that nobody recorded is adopted", (A,), (ADOPT, C.NOT_RECORDED, "a")),
    Case("R4: a running one as well", (RUN,), (ADOPT, C.NOT_RECORDED, "run")),
    Case("R4: and one of an unknown status", (live("o", Status.OTHER),), (ADOPT, C.NOT_RECORDED, "o")),
    Case("R5: a recorded one is kept", (A,), (KEEP, C.SATISFIED, "a"), entry(rec(A))),
    Case("R2: the recorded one beats a newer one", (A, B), (KEEP, C.SATISFIED, "a"), entry(rec(A))),
    Case("R2: of two the newer", (B, A), (ADOPT, C.NOT_RECORDED, "b")),
    Case(
        "R2: of two of one age the greater id",
        (B, A._replace(created_at=B.created_at)),
        (ADOPT, C.NOT_RECORDED, "b"),
    ),
    Case("R2: one without a time counts as the newest", (A, NULL), (ADOPT, C.NOT_RECORDED, "n")),
    Case("R2: a failed one never satisfies", (X, A), (ADOPT, C.NOT_RECORDED, "a")),
    Case(
        "R2: not even a newer failure unseats one that completed",
        (A, F3),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A)),
    ),
    Case("R2: nor does a newer cancelled one", (A, STOP), (KEEP, C.SATISFIED, "a"), entry(rec(A))),
    Case(
        "R2: where the recorded one failed, another stands in",
        (F3, A),
        (ADOPT, C.NOT_RECORDED, "a"),
        entry(rec(F3)),
    ),
    Case(
        "R2: also one that is recorded and did not stand",
        (F3, A),
        (ADOPT, C.NOT_RECORDED, "a"),
        entry(rec(A), rec(F3)),
    ),
    Case("R7: unknown is never missing", Unknown("page 2 failed"), (UNRESOLVED, C.UNKNOWN, "")),
    Case("R7: nor is it kept", Unknown("page 2 failed"), (UNRESOLVED, C.UNKNOWN, ""), entry(rec(A))),
    Case(
        "O5: a recorded batch that a look lacks is unknown, not missing",
        (),
        (UNRESOLVED, C.UNKNOWN, ""),
        entry(rec(A)),
    ),
    Case("O5: nor has it failed because another did", (F1,), (UNRESOLVED, C.UNKNOWN, ""), entry(rec(A))),
    Case("R2: another one that satisfies is enough", (A,), (ADOPT, C.NOT_RECORDED, "a"), entry(rec(B))),
    Case(
        "R11: the same key under another address is moved",
        (A,),
        (MOVE, C.NEW_ADDRESS, "a"),
        entry(rec(A), address=Address("letters", "dir-1")),
    ),
    Case(
        "R11: and never created while it runs",
        (RUN,),
        (MOVE, C.NEW_ADDRESS, "run"),
        entry(rec(RUN), address=Address("letters", "dir-1")),
    ),
]

AFTER = [
    Case("R2: created before `after`", (A,), (CREATE, C.STALE_AFTER, "a"), entry(rec(A)), after(H)),
    Case(
        "R2: created at that very moment counts", (A,), (KEEP, C.SATISFIED, "a"), entry(rec(A)), after(3 * H)
    ),
    Case(
        "R2: a running one is outdated by `after` too",
        (RUN,),
        (CREATE, C.STALE_AFTER, "run"),
        entry(rec(RUN)),
        after(H),
    ),
    Case("R2: one that nobody recorded as well", (A,), (CREATE, C.STALE_AFTER, "a"), None, after(H)),
    Case(
        "R2: a null time outdates nothing",
        (NULL,),
        (KEEP, C.SATISFIED, "n"),
        entry(rec(NULL, at=40 * D)),
        after(H),
    ),
    Case("R2: an `after` to come outdates nothing", (A,), (KEEP, C.SATISFIED, "a"), entry(rec(A)), after(-H)),
    Case(
        "R2: even if our clock has passed it, as long as the service's has not",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A)),
        after(H),
        clock=-2 * H,
    ),
    Case(
        "R2: and at once when the service's has, whatever ours says",
        (A,),
        (CREATE, C.STALE_AFTER, "a"),
        entry(rec(A)),
        after(-H),
        clock=2 * H,
    ),
    Case(
        "R3: a batch made for this `after` is not made again, though the service's clock says it is older",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, after=NOW - H)),
        after(H),
    ),
    Case(
        "R3: a later `after` is another piece of evidence",
        (A,),
        (CREATE, C.STALE_AFTER, "a"),
        entry(rec(A, after=NOW - 2 * H)),
        after(H),
    ),
    Case(
        "R3: an earlier one is covered",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, after=NOW - H)),
        after(2 * H),
    ),
    Case(
        "R2: a newer one satisfies in its place",
        (A, F1, B),
        (ADOPT, C.NOT_RECORDED, "b"),
        entry(rec(A)),
        after(2.5 * H),
    ),
    Case(
        "R6: a failure before `after` is no attempt",
        (F1,),
        (CREATE, C.STALE_AFTER, "f1"),
        entry(rec(F1)),
        after(H),
    ),
    Case(
        "R6: nor is a cancelled one",
        (live("c", CANCELLED, 3 * H),),
        (CREATE, C.STALE_AFTER, "c"),
        None,
        after(H),
    ),
    Case(
        "R6: a failure made for it is one, though the service's clock says it is older",
        (F1,),
        (CREATE, C.FAILED, "f1"),
        entry(rec(F1, after=NOW - H)),
        after(H),
    ),
    Case(
        "R6: attempts begin anew with `after`",
        (F1, F2, F3),
        (CREATE, C.FAILED, "f3"),
        entry(rec(F1), rec(F2), rec(F3)),
        after(1.5 * H),
    ),
    Case("R6: and run out anew", (F1, F2, F3), (BLOCKED, C.ATTEMPTS_EXHAUSTED, "f3"), None, after(4 * H)),
]

AGE = [
    Case("R2: older than maxAge", (OLD,), (CREATE, C.STALE_AGE, "old"), entry(rec(OLD)), aged(30)),
    Case("R2: not yet", (OLD,), (KEEP, C.SATISFIED, "old"), entry(rec(OLD)), aged(41)),
    Case("R2: exactly as old as allowed", (OLD,), (KEEP, C.SATISFIED, "old"), entry(rec(OLD)), aged(40)),
    Case(
        "R2: maxAge never outdates what runs", (RUN,), (KEEP, C.SATISFIED, "run"), entry(rec(RUN)), aged(30)
    ),
    Case(
        "R2: nor what is pending or of an unknown status",
        (live("o", Status.OTHER, 40 * D),),
        (ADOPT, C.NOT_RECORDED, "o"),
        None,
        aged(30),
    ),
    Case(
        "R2: nor what has no time", (NULL,), (KEEP, C.SATISFIED, "n"), entry(rec(NULL, at=40 * D)), aged(30)
    ),
    Case(
        "R2: an adopted one is as old as the service says, not as its record",
        (OLD,),
        (CREATE, C.STALE_AGE, "old"),
        entry(rec(OLD, ADOPTED, at=H)),
        aged(30),
    ),
    Case(
        "R2: one of our own is no older than its record, whatever the service's clock says",
        (OLD,),
        (KEEP, C.SATISFIED, "old"),
        entry(rec(OLD, at=H)),
        aged(30),
    ),
    Case(
        "R2: so is one that was found",
        (OLD,),
        (KEEP, C.SATISFIED, "old"),
        entry(rec(OLD, FOUND, at=H)),
        aged(30),
    ),
    Case(
        "R2: nor older than the service says",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, at=40 * D)),
        aged(30),
    ),
    Case(
        "R2: age is held against the service's clock",
        (A,),
        (CREATE, C.STALE_AGE, "a"),
        entry(rec(A, ADOPTED)),
        Rerun(max_age=4 * H),
        clock=2 * H,
    ),
    Case(
        "R2: also when it is behind",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, ADOPTED)),
        Rerun(max_age=2 * H),
        clock=-2 * H,
    ),
    Case(
        "R2: a batch from the service's future is young",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A)),
        Rerun(max_age=H),
        clock=-6 * H,
    ),
    Case(
        "R6: a failure after the stale one is an attempt",
        (OLD, F3),
        (CREATE, C.FAILED, "f3"),
        entry(rec(OLD), rec(F3)),
        aged(30),
    ),
    Case(
        "R6: a failure without a time is newer than what it replaced, though the service is hours ahead",
        (live("a", COMPLETED, -4 * H), live("n", FAILED, None)),
        (CREATE, C.FAILED, "n"),
        entry(rec(live("a", COMPLETED, -4 * H), at=2 * H), rec(live("n", FAILED, None), at=H)),
        Rerun(max_age=H),
        clock=6 * H,
    ),
]

CHANGED = [
    Case(
        "R2: other files than those it was made for",
        (A,),
        (CREATE, C.INPUT_CHANGED, "a"),
        entry(rec(A, inputs="sha256:then")),
        ON_INPUT,
        facts(),
    ),
    Case(
        "R2: the same files, though one has a newer time",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, inputs="sha256:now")),
        ON_INPUT,
        facts(newest_file_at=NOW),
    ),
    Case(
        "R2: no digest recorded, and a newer file",
        (A,),
        (CREATE, C.INPUT_CHANGED, "a"),
        entry(rec(A, ADOPTED)),
        ON_INPUT,
        facts(newest_file_at=NOW),
    ),
    Case(
        "R2: no digest recorded, and all files older",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, ADOPTED)),
        ON_INPUT,
        facts(newest_file_at=NOW - D),
    ),
    Case(
        "R2: no digest recorded, and no times",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, ADOPTED)),
        ON_INPUT,
        facts(),
    ),
    Case(
        "R2: files that could not be looked up are no change",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, inputs="sha256:then")),
        ON_INPUT,
        Facts(directory=Missing("gone")),
    ),
    Case(
        "R2: changed files are ignored unless the manifest says otherwise",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, inputs="sha256:then")),
        Rerun(),
        facts(),
    ),
    Case(
        "R2: they never outdate what runs",
        (RUN,),
        (KEEP, C.SATISFIED, "run"),
        entry(rec(RUN, inputs="sha256:then")),
        ON_INPUT,
        facts(),
    ),
    Case(
        "R2: nor what has no time",
        (NULL,),
        (KEEP, C.SATISFIED, "n"),
        entry(rec(NULL, inputs="sha256:then")),
        ON_INPUT,
        facts(),
    ),
    Case(
        "R2: back to the files of an earlier batch, that one counts again",
        (A, B),
        (ADOPT, C.NOT_RECORDED, "a"),
        entry(rec(A, inputs="sha256:now"), rec(B, inputs="sha256:then")),
        ON_INPUT,
        facts(),
    ),
    Case(
        "R2: another version of the configuration",
        (A,),
        (CREATE, C.CONFIGURATION_CHANGED, "a"),
        entry(rec(A, configuration="1")),
        ON_SAVED,
        facts(version="2"),
    ),
    Case(
        "R2: the same version, though saved again",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, configuration="2")),
        ON_SAVED,
        facts(version="2", saved_at=NOW),
    ),
    Case(
        "R2: no version recorded, and saved since",
        (A,),
        (CREATE, C.CONFIGURATION_CHANGED, "a"),
        entry(rec(A, ADOPTED)),
        ON_SAVED,
        facts(version="2", saved_at=NOW),
    ),
    Case(
        "R2: no version recorded, and saved before",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, ADOPTED)),
        ON_SAVED,
        facts(version="2", saved_at=NOW - D),
    ),
    Case(
        "R2: a configuration that is not listed is no change",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, configuration="1")),
        ON_SAVED,
        facts(),
    ),
    Case(
        "R2: nor is a version that the service does not tell any more",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, configuration="1")),
        ON_SAVED,
        replace(facts(), configuration=Configuration("cfg", "c", "parse_v2", "")),
    ),
    Case(
        "R2: ignored unless the manifest says otherwise",
        (A,),
        (KEEP, C.SATISFIED, "a"),
        entry(rec(A, configuration="1")),
        Rerun(),
        facts(version="2"),
    ),
]

ATTEMPTS = [
    Case("R6: one failure", (F1,), (CREATE, C.FAILED, "f1")),
    Case("R6: two failures", (F2, F1), (CREATE, C.FAILED, "f2")),
    Case("R6: three are enough", (F1, F3, F2), (BLOCKED, C.ATTEMPTS_EXHAUSTED, "f3")),
    Case("R6: one attempt only", (F1,), (BLOCKED, C.ATTEMPTS_EXHAUSTED, "f1"), None, Rerun(max_attempts=1)),
    Case(
        "R6: FAILED after COMPLETED begins to count again",
        (OLD, F3),
        (CREATE, C.FAILED, "f3"),
        None,
        aged(30),
    ),
    Case(
        "R6: those before the last COMPLETED one do not count",
        (F1, F2, live("a", COMPLETED, 1.5 * H), F3),
        (CREATE, C.FAILED, "f3"),
        None,
        Rerun(max_age=H),
    ),
    Case(
        "R6: nor do they when nothing failed since",
        (F1, F2, live("a", COMPLETED, 1.5 * H)),
        (CREATE, C.STALE_AGE, "a"),
        None,
        Rerun(max_age=H),
    ),
    Case(
        "R6: a recorded failure counts where the listing no longer has it",
        (F3,),
        (BLOCKED, C.ATTEMPTS_EXHAUSTED, "f3"),
        entry(rec(F1), rec(F2), rec(F3)),
    ),
    Case(
        "R6: by key, never by address",
        (F3,),
        (BLOCKED, C.ATTEMPTS_EXHAUSTED, "f3"),
        entry(rec(F1), rec(F2), rec(F3), address=Address("old", "d")),
    ),
    Case(
        "R6: what is seen beats what is recorded",
        (F3._replace(status=COMPLETED),),
        (KEEP, C.SATISFIED, "f3"),
        entry(rec(F1), rec(F2), rec(F3)),
    ),
    Case(
        "R6: failures without times are counted too",
        (live("n1", FAILED, None), live("n2", FAILED, None), F1),
        (BLOCKED, C.ATTEMPTS_EXHAUSTED, "n2"),
    ),
    Case("R6: CANCELLED is held, because a person stopped it", (STOP,), (BLOCKED, C.HELD, "c")),
    Case("R6: also after a failure", (F2, STOP), (BLOCKED, C.HELD, "c")),
    Case(
        "R6: a failure after it goes on, and both count",
        (live("c", CANCELLED, 3 * H), F2),
        (CREATE, C.FAILED, "f2"),
    ),
    Case("R6: onCancelled: rerun", (STOP,), (CREATE, C.CANCELLED, "c"), None, AGAIN),
    Case("R6: and it counts", (F1, F2, STOP), (BLOCKED, C.ATTEMPTS_EXHAUSTED, "c"), None, AGAIN),
    Case(
        "R6: held even where its file list changed",
        (STOP,),
        (BLOCKED, C.HELD, "c"),
        entry(rec(STOP, inputs="sha256:then")),
        ON_INPUT,
        facts(),
    ),
    Case(
        "R7: what completed after the failure and was not seen leaves it unknown",
        (F1,),
        (UNRESOLVED, C.UNKNOWN, "f1"),
        entry(rec(F1), rec(B), current="f1"),
    ),
]

CASES = SATISFIED + AFTER + AGE + CHANGED + ATTEMPTS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_follows_for_one_key(case: Case) -> None:
    action = planned(case.seen, case.recorded, case.rerun, case.facts, clock=case.clock)
    assert (action.kind, action.reason.code, action.batch.id if action.batch else "") == case.then
    assert (action.address, action.key) == (ADDRESS, KEY)
    assert action.reason.text


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_order_in_which_batches_are_listed_decides_nothing(case: Case) -> None:
    if not isinstance(case.seen, Unknown):
        mirrored = planned(case.seen[::-1], case.recorded, case.rerun, case.facts, clock=case.clock)
        assert mirrored == planned(case.seen, case.recorded, case.rerun, case.facts, clock=case.clock)


def test_a_create_tells_everything_about_itself() -> None:
    rerun = Rerun(after=NOW - H, on_configuration_change=OnChange.RERUN)
    assert planned((A,), entry(rec(A)), rerun, facts(version="2")) == Action(
        kind=CREATE,
        address=ADDRESS,
        key=KEY,
        reason=Reason(C.STALE_AFTER, "a was created before 2026-09-15T11:00:00Z"),
        batch=A,
        directory_name="September",
        files=3,
        evidence=Evidence("stale-after", NOW - H, "sha256:now", "2"),
    )


def test_an_adoption_a_move_and_what_is_kept_tell_which_batch_stands() -> None:
    elsewhere = Address("letters", "dir-1")
    assert [
        planned((A,)),
        planned((A,), entry(rec(A), address=elsewhere)),
        planned((A,), entry(rec(A))._replace(directory_name="Old name")),
        planned((A, F3), entry(rec(A), rec(F3))),
    ] == [
        Action(
            kind=ADOPT,
            address=ADDRESS,
            key=KEY,
            reason=Reason(C.NOT_RECORDED, "a is COMPLETED and not recorded"),
            batch=A,
        ),
        Action(
            kind=MOVE,
            address=ADDRESS,
            key=KEY,
            reason=Reason(C.NEW_ADDRESS, "a was recorded as letters/dir-1"),
            batch=A,
            previous=elsewhere,
        ),
        Action(
            kind=KEEP,
            address=ADDRESS,
            key=KEY,
            reason=Reason(C.SATISFIED, "a is COMPLETED"),
            batch=A,
            directory_name="Old name",
        ),
        Action(
            kind=ADOPT,
            address=ADDRESS,
            key=KEY,
            reason=Reason(C.NOT_RECORDED, "a is COMPLETED and counts again"),
            batch=A,
        ),
    ]


def test_what_is_blocked_names_its_way_out() -> None:
    assert planned((F1, F2, F3)).reason == Reason(
        C.ATTEMPTS_EXHAUSTED,
        "3 of 3 attempts ended badly, the last was f3 (FAILED);"
        " to go on, raise rerun.after or rerun.onFailed.maxAttempts",
    )
    assert planned((STOP,)).reason == Reason(
        C.HELD, "c was cancelled; to run again, raise rerun.after or set rerun.onCancelled: rerun"
    )


def test_ages_are_told_in_their_largest_unit() -> None:
    ages = [40 * D, 30 * H, 90 * timedelta(minutes=1), 90 * timedelta(seconds=1), timedelta(seconds=5)]
    rerun = Rerun(max_age=timedelta(seconds=1))
    texts = [planned((live("a", COMPLETED, age),), None, rerun).reason.text for age in ages]
    assert texts == ["a is 40 d old", "a is 1 d old", "a is 1 h old", "a is 1 min old", "a is 5 s old"]


def test_an_after_to_come_is_no_evidence_of_a_create_made_before_it() -> None:
    """R2, R3: otherwise the rerun that was reviewed would never happen."""
    rerun = after(-D)
    first = planned((), None, rerun)
    assert first.evidence == Evidence("missing", after=None)
    made = live("a", COMPLETED, timedelta())
    recorded = Recorded("a", COMPLETED, CREATED, NOW, NOW, evidence=first.evidence)
    later = decide(want(rerun), (made,), entry(recorded), None, Moment(NOW + 2 * D, NOW + 2 * D))
    assert (later.kind, later.reason.code) == (CREATE, C.STALE_AFTER)
    assert later.evidence == Evidence("stale-after", after=NOW + D)


def test_a_refreshed_failure_is_no_reason_to_fall_over_when_a_later_batch_was_not_asked_for() -> None:
    """O2 asks for the batch that stands alone; then what is recorded beside it was not seen."""
    recorded = entry(rec(F1._replace(status=RUNNING)), rec(B), current="f1")
    assert not stands(want(), (F1,), recorded, Moment(NOW, NOW))


@pytest.mark.parametrize("current", ["a", "b", "n"])
def test_of_several_the_recorded_one_is_chosen_in_any_order(current: str) -> None:
    there = [A, B, NULL]
    recorded = entry(rec(A), rec(B), rec(NULL), current=current)
    assert {choose(order, recorded).id for order in (there, there[::-1])} == {current}
    assert {choose(order, None).id for order in (there, there[::-1])} == {"n"}


# R14 ------------------------------------------------------------------------------------------------

_HERE = Directory("dir-1", "September", "prj")

OBJECTIONS: list[tuple[Facts, str | None]] = [
    (facts(), None),
    (facts(files=1), None),
    (facts(files=1000), None),
    (facts(version="1"), None),
    (facts(directory=replace(_HERE, expires_at=NOW + H)), None),
    (facts(directory=Missing("directory dir-1 does not exist")), "directory dir-1 does not exist"),
    (
        facts(directory=replace(_HERE, project="prj-2")),
        "directory dir-1 belongs to project prj-2, not to prj",
    ),
    (facts(directory=replace(_HERE, deleted_at=NOW)), "directory dir-1 was deleted on 2026-09-15 12:00 UTC"),
    (facts(directory=replace(_HERE, expires_at=NOW)), "directory dir-1 expired on 2026-09-15 12:00 UTC"),
    (facts(files=0), "directory dir-1 holds no files"),
    (facts(files=1001), "directory dir-1 holds 1,001 files, and a batch takes 1,000 at most"),
    (facts(files=10_001), "directory dir-1 holds more than 10,000 files, and a batch takes 1,000 at most"),
    (
        replace(facts(), configuration=Configuration("cfg", "c", "extract_v2", "1")),
        "configuration cfg is for extract_v2, not for parse_v2",
    ),
]


@pytest.mark.parametrize(("given", "text"), OBJECTIONS, ids=[text or "none" for _, text in OBJECTIONS])
def test_what_speaks_against_a_create_blocks_it(given: Facts, text: str | None) -> None:
    assert objection(KEY, given, NOW) == text
    action = planned((), None, None, given)
    assert (action.kind, action.reason.text) == (
        (CREATE, "no such batch exists") if text is None else (BLOCKED, text)
    )
    if text:
        assert (action.reason.code, action.evidence) == (C.PREFLIGHT, None)


@pytest.mark.parametrize("given", [given for given, text in OBJECTIONS if text], ids=repr)
def test_what_speaks_against_a_create_does_not_unseat_what_stands(given: Facts) -> None:
    assert planned((A,), entry(rec(A)), None, given).kind is KEEP


def test_whether_a_directory_has_expired_is_asked_of_the_services_clock() -> None:
    given = facts(directory=replace(_HERE, expires_at=NOW + H))
    assert planned((), None, None, given, clock=2 * H).reason.code is C.PREFLIGHT
    assert planned((), None, None, given, clock=-2 * H).kind is CREATE
