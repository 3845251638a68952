"""`explain`: each batch over a directory, judged by the very functions that plan, in words with dates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.explain import expected_ids, explain, places_of, subject_of
from reconciler.core.match import Moment
from reconciler.core.plan import plan
from reconciler.core.select import Selection
from reconciler.core.ways import policy_of, ways_out
from reconciler.model.batch import Address, Batch, Configuration, Directory, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.explanation import Difference, Sighting, Standing
from reconciler.model.intent import Intent
from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job, OnCancelled, OnChange, Rerun
from reconciler.model.plan import Action, ActionKind, Reason, ReasonCode
from reconciler.model.project import Limits
from reconciler.model.snapshot import Facts, Snapshot, Unknown
from reconciler.model.source import Source

if TYPE_CHECKING:
    from reconciler.model.explanation import Explanation

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
ADDRESS = Address("invoices", "dir-1")
H, D = timedelta(hours=1), timedelta(days=1)
COMPLETED, RUNNING, FAILED, CANCELLED = Status.COMPLETED, Status.RUNNING, Status.FAILED, Status.CANCELLED


def live(name: str, status: Status, age: timedelta | None = H, **key: Any) -> Batch:  # noqa: ANN401 - the fields of Key
    return Batch(name, KEY._replace(**key), status, None if age is None else NOW - age)


def rec(batch: Batch, origin: Origin = Origin.CREATED, **evidence: Any) -> Recorded:  # noqa: ANN401 - the fields of Evidence
    made_for = Evidence("missing", **evidence) if origin is not Origin.ADOPTED else None
    return Recorded(batch.id, batch.status, origin, batch.created_at or NOW, batch.created_at, None, made_for)


def entry(*recorded: Recorded, address: Address = ADDRESS, key: Key = KEY) -> Entry:
    return Entry(key=key, address=address, current=recorded[-1].id, batches=recorded)


def want(rerun: Rerun | None = None, key: Key = KEY, name: str = "invoices") -> DesiredBatch:
    batch_set = BatchSet(
        name=name,
        provider="p",
        job=Job(key.job, ById(key.configuration)),
        directories=(ById(key.directory),),
        source=Source("f"),
        digest="d",
        locate=lambda path, *, key=False: Source("f", 3, 5),
        rerun=rerun or Rerun(),
    )
    return DesiredBatch(Address(name, key.directory), key, batch_set, 0)


def facts(inputs: str = "sha256:now", version: str = "", saved: datetime | None = None) -> Facts:
    configuration = Configuration("cfg", "c", "parse_v2", version, saved) if version else None
    return Facts(
        directory=Directory("dir-1", "September", "prj"),
        files=3,
        inputs=inputs,
        newest_file_at=NOW,
        configuration=configuration,
    )


def explained(
    *batches: Batch,
    recorded: tuple[Entry, ...] = (),
    desired: tuple[DesiredBatch, ...] = (),
    given: Facts | None = None,
    address: Address = ADDRESS,
    intents: tuple[Intent, ...] = (),
    **sighted: Any,  # noqa: ANN401 - the fields of Sighting
) -> Explanation:
    """As the engine does it: the same values to the plan and to the explanation."""
    lock = Lock(entries={item.key: item for item in recorded})
    all_desired = Desired(desired, {item.set.name: "d" for item in desired})
    subject = subject_of(address, all_desired, lock, intents)
    assert subject is not None
    seen = tuple(batch for batch in batches if batch.key == subject.key)
    made = plan(
        desired=all_desired,
        snapshot=Snapshot(
            {subject.key: Unknown("no") if sighted.get("unknown") else seen}, {KEY.endpoint: NOW}
        ),
        lock=lock,
        intents=intents,
        facts={subject.key: given} if given else {},
        now=NOW,
        limits=Limits(),
        selection=Selection(addresses=frozenset({address, *(item.address for item in desired)})),
    )
    actions = [action for action in made.actions if action.key == subject.key]
    return explain(
        subject,
        Sighting(batches, **sighted),
        actions,
        desired=all_desired,
        lock=lock,
        facts=given,
        moment=Moment(NOW, NOW),
    )


@dataclass(frozen=True)
class Case:
    """What is live, and per batch, the oldest first: its standing, its rule, and words of the sentence."""

    says: str
    batches: tuple[Batch, ...]
    then: tuple[tuple[Standing, str, str], ...]
    recorded: tuple[Entry, ...] = ()
    rerun: Rerun = field(default_factory=Rerun)
    facts: Facts | None = None

    def __str__(self) -> str:
        return self.says


A, B = live("a", COMPLETED, 3 * H), live("b", COMPLETED, 2 * H)
F1, F2, F3 = live("f1", FAILED, 5 * H), live("f2", FAILED, 4 * H), live("f3", FAILED, H)
S = Standing
CASES = [
    Case("nothing is there", (), ()),
    Case("a live one that nobody recorded", (A,), ((S.STANDS, "R4", "not recorded"),)),
    Case(
        "the recorded one stands before a newer one",
        (B, A),
        ((S.STANDS, "R5", "the recorded one"), (S.SATISFIES, "R2", "it would do, and a stands")),
        (entry(rec(A)),),
    ),
    Case(
        "every field of the key that differs is named",
        (live("x", COMPLETED, H, job=JobType.EXTRACT_V2, configuration="cfg-2"),),
        (
            (
                S.OTHER_WORK,
                "key",
                "other work: job extract_v2, not parse_v2; configuration cfg-2, not cfg; no manifest",
            ),
        ),
    ),
    Case(
        "attempts are counted since the last one that completed",
        (F1, A, F3),
        (
            (S.FAILED, "R6", "it failed, and is no attempt any more: a later one completed"),
            (S.OUTDATED, "R2", "(it is from 2026-09-15T09:00:00Z, rerun.maxAge is 1h)"),
            (S.FAILED, "R6", "it failed: attempt 1 of 3"),
        ),
        rerun=Rerun(max_age=H),
    ),
    Case(
        "attempts before `after` are none",
        (F1, F3),
        (
            (S.FAILED, "R6", "no attempt any more: f1 was created before 2026-09-15T09:30:00Z"),
            (S.FAILED, "R6", "it failed: attempt 1 of 3"),
        ),
        rerun=Rerun(after=NOW - 2.5 * H),
    ),
    Case(
        "of two the second attempt",
        (F1, F2),
        ((S.FAILED, "R6", "attempt 1 of 2"), (S.FAILED, "R6", "attempt 2 of 2")),
        rerun=Rerun(max_attempts=2),
    ),
    Case(
        "a cancelled one is held, and it says by what",
        (live("c", CANCELLED),),
        ((S.CANCELLED, "R6", "it was cancelled: attempt 1 of 3; rerun.onCancelled is hold"),),
    ),
    Case(
        "outdated by after, with both dates",
        (A,),
        (
            (
                S.OUTDATED,
                "R2",
                "before 2026-09-15T11:00:00Z (it is from 2026-09-15T09:00:00Z, rerun.after is 2026-",
            ),
        ),
        rerun=Rerun(after=NOW - H),
    ),
    Case(
        "where the recorded one is outdated, a newer one stands",
        (A, B),
        ((S.OUTDATED, "R2", "a was created before"), (S.STANDS, "R4", "not recorded as the one that stands")),
        (entry(rec(A)),),
        Rerun(after=NOW - 2.5 * H),
    ),
    Case(
        "an `after` that is yet to come outdates nothing",
        (A,),
        ((S.STANDS, "R4", "not recorded"),),
        rerun=Rerun(after=NOW + H),
    ),
    Case(
        "outdated by its files, with the newest one's date",
        (A,),
        ((S.OUTDATED, "R2", "the newest file from 2026-09-15T12:00:00Z"),),
        (entry(rec(A, inputs="sha256:then")),),
        Rerun(on_input_change=OnChange.RERUN),
        facts(),
    ),
    Case(
        "outdated by its configuration, with its version and date",
        (A,),
        ((S.OUTDATED, "R2", "version 2 from 2026-09-15T11:00:00Z"),),
        (entry(rec(A, configuration="1")),),
        Rerun(on_configuration_change=OnChange.RERUN),
        facts(version="2", saved=NOW - H),
    ),
    Case(
        "a batch without a time counts as the newest",
        (live("n", RUNNING, None), A),
        ((S.SATISFIES, "R2", "n stands"), (S.STANDS, "R4", "")),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_batch_is_judged_with_the_rule_and_the_dates(case: Case) -> None:
    explanation = explained(
        *case.batches, recorded=case.recorded, desired=(want(case.rerun),), given=case.facts
    )
    assert [(item.standing, item.rule) for item in explanation.verdicts] == [item[:2] for item in case.then]
    for verdict, (_, _, words) in zip(explanation.verdicts, case.then, strict=True):
        assert words in verdict.why


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_stands_is_what_the_plan_speaks_of_and_nothing_stands_where_it_creates(case: Case) -> None:
    explanation = explained(
        *case.batches, recorded=case.recorded, desired=(want(case.rerun),), given=case.facts
    )
    (course,) = explanation.courses
    standing = [item.batch for item in explanation.verdicts if item.standing is Standing.STANDS]
    if course.action.kind in {ActionKind.KEEP, ActionKind.ADOPT, ActionKind.MOVE}:
        assert standing == [course.action.batch]
    else:
        assert standing == []


def test_other_work_names_its_owner() -> None:
    other = KEY._replace(configuration="cfg-2")
    third = KEY._replace(configuration="cfg-3")
    explanation = explained(
        live("x", RUNNING, H, configuration="cfg-2"),
        live("y", RUNNING, 2 * H, configuration="cfg-3"),
        recorded=(entry(rec(live("y", RUNNING)), key=third),),
        desired=(want(), want(key=other, name="totals")),
    )
    y, x = explanation.verdicts
    assert (x.owner, x.differing) == (
        Address("totals", "dir-1"),
        (Difference("configuration", "cfg-2", "cfg"),),
    )
    assert "it is the work of totals/dir-1" in x.why
    assert y.owner is None
    assert "this address's work before" in y.why


def test_what_is_recorded_and_gone_and_what_is_not_seen_are_told_apart_r7() -> None:
    recorded = entry(rec(A), rec(B))
    gone = explained(A, recorded=(recorded,), desired=(want(),), gone=frozenset({"b"}))
    assert [item.standing for item in gone.verdicts] == [Standing.STANDS, Standing.GONE]
    unseen = explained(A, recorded=(recorded,), desired=(want(),), unknown="half of it")
    assert [item.standing for item in unseen.verdicts] == [Standing.STANDS, Standing.UNSEEN]
    assert unseen.unknown == "half of it"


def test_what_is_recorded_and_no_longer_desired_is_explained() -> None:
    explanation = explained(A, F3, recorded=(entry(rec(A)),))
    assert explanation.where is None
    assert [item.standing for item in explanation.verdicts] == [Standing.STANDS, Standing.FAILED]
    (course,) = explanation.courses
    assert course.action.kind is ActionKind.FORGET
    assert course.ways[0] == "to want it again: put the directory back into the set invoices"


def test_an_address_that_moved_is_explained_under_its_old_name_too_r11() -> None:
    explanation = explained(A, recorded=(entry(rec(A)),), desired=(want(name="bills"),))
    assert [course.action.kind for course in explanation.courses] == [ActionKind.MOVE]
    assert explanation.where == Source("f", 3, 5)


def test_an_open_create_is_explained_r8() -> None:
    intent = Intent(
        id="i",
        key=KEY,
        address=ADDRESS,
        known=frozenset({"a"}),
        evidence=Evidence("missing"),
        at=NOW - H,
        run="r",
    )
    explanation = explained(A, intents=(intent,))
    assert explanation.intents == (intent,)
    (course,) = explanation.courses
    assert course.ways[-1].endswith("`reconciler lock resolve invoices/dir-1 --absent`")


def test_work_that_the_service_renamed_is_the_same_work_c9() -> None:
    alias = rec(A)._replace(alias=Alias("dir-9", "cfg"))
    lock = Lock(entries={KEY: entry(alias)})
    subject = subject_of(ADDRESS, Desired((want(),)), lock, ())
    assert subject is not None
    assert places_of(subject) == ("dir-1", "dir-9")
    assert expected_ids(subject) == {"a"}
    renamed = live("a", COMPLETED, 3 * H, directory="dir-9")
    (verdict,) = explain(
        subject,
        Sighting((renamed,)),
        (),
        desired=Desired((want(),)),
        lock=lock,
        facts=None,
        moment=Moment(NOW, NOW),
    ).verdicts
    assert (verdict.standing, verdict.rule) == (Standing.STANDS, "R5")
    assert verdict.why.endswith("the service calls it directory dir-9")


def test_an_address_that_nothing_knows_has_no_subject() -> None:
    assert subject_of(Address("a", "b"), Desired((want(),)), Lock(), ()) is None


@pytest.mark.parametrize("kind", ActionKind)
@pytest.mark.parametrize("code", ReasonCode)
def test_commands_are_safe_to_copy_into_a_shell(kind: ActionKind, code: ReasonCode) -> None:
    address = Address("invoices", "dir-1;$(reboot)")
    action = Action(kind=kind, address=address, key=KEY, reason=Reason(code, "it says so"), batch=A)
    for way in ways_out(action, want()):
        assert "dir-1;" not in way.replace("'invoices/dir-1;$(reboot)'", "")


def test_each_blocked_and_unresolved_action_has_a_way_out() -> None:
    for code in (
        ReasonCode.HELD,
        ReasonCode.ATTEMPTS_EXHAUSTED,
        ReasonCode.PREFLIGHT,
        ReasonCode.SAME_WORK,
        ReasonCode.DEPENDS_ON,
        ReasonCode.CANARY,
    ):
        action = Action(kind=ActionKind.BLOCKED, address=ADDRESS, key=KEY, reason=Reason(code, ""))
        assert ways_out(action, want())
    for code in (ReasonCode.OPEN_INTENT, ReasonCode.UNKNOWN):
        action = Action(kind=ActionKind.UNRESOLVED, address=ADDRESS, key=KEY, reason=Reason(code, ""))
        assert ways_out(action, want())


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        (live("c", CANCELLED), ActionKind.BLOCKED),
        (live("a", COMPLETED), ActionKind.KEEP),
        (live("a", RUNNING, H - timedelta(microseconds=1)), ActionKind.KEEP),
    ],
)
def test_a_raised_after_that_is_named_really_lets_the_key_go_on(batch: Batch, kind: ActionKind) -> None:
    """The way out is tried: what `explain` says to set is set, and the plan creates."""
    recorded = (entry(rec(batch)),)
    (course,) = explained(batch, desired=(want(),), recorded=recorded).courses
    assert course.action.kind is kind
    way = next(way for way in course.ways if "rerun.after to " in way)
    named = datetime.fromisoformat(way.partition("rerun.after to ")[2].partition(" ")[0])
    (course,) = explained(batch, desired=(want(Rerun(after=named)),), recorded=recorded).courses
    assert course.action.kind is ActionKind.CREATE


def test_a_policy_is_written_as_a_manifest_has_it() -> None:
    rerun = Rerun(
        after=NOW,
        max_age=36 * H,
        max_attempts=5,
        on_cancelled=OnCancelled.RERUN,
        on_input_change=OnChange.RERUN,
    )
    assert policy_of(rerun) == {
        "after": "2026-09-15T12:00:00Z",
        "maxAge": "36h",
        "onFailed.maxAttempts": "5",
        "onCancelled": "rerun",
        "onInputChange": "rerun",
    }
    assert policy_of(Rerun()) == {}
    assert policy_of(Rerun(max_age=30 * D)) == {"maxAge": "30d"}
