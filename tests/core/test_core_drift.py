"""Drift as a table: what is desired, recorded and live, and what of it somebody can act on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.drift import Given, drift, recorded_on, strange_directories
from reconciler.model.batch import Address, Batch, Configuration, Directory, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.drift import Census, DriftKind
from reconciler.model.intent import Intent
from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Recorded, TrackedEntry
from reconciler.model.manifest import BatchSet, ById, Job, OnChange, Rerun
from reconciler.model.snapshot import Facts
from reconciler.model.source import Source
from reconciler.model.watched import Watched, WatchedId

if TYPE_CHECKING:
    from reconciler.model.drift import Drift

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
HOME = KEY.home
ADDRESS = Address("invoices", "dir-1")
H = timedelta(hours=1)
COMPLETED, RUNNING, FAILED, CANCELLED = Status.COMPLETED, Status.RUNNING, Status.FAILED, Status.CANCELLED


def live(name: str, status: Status = COMPLETED, age: timedelta = H, **key: Any) -> Batch:  # noqa: ANN401 - the fields of Key
    return Batch(name, KEY._replace(**key), status, NOW - age)


def rec(batch: Batch, alias: Alias | None = None, **evidence: Any) -> Recorded:  # noqa: ANN401 - the fields of Evidence
    made_for = Evidence("missing", **evidence)
    return Recorded(
        batch.id, batch.status, Origin.CREATED, NOW, batch.created_at, evidence=made_for, alias=alias
    )


def entry(*recorded: Recorded, key: Key = KEY) -> Entry:
    return Entry(
        key=key, address=Address("invoices", key.directory), current=recorded[-1].id, batches=recorded
    )


def want(rerun: Rerun | None = None) -> DesiredBatch:
    batch_set = BatchSet(
        name="invoices",
        provider="prod",
        job=Job(KEY.job, ById(KEY.configuration)),
        directories=(ById(KEY.directory),),
        source=Source("f"),
        digest="d",
        locate=lambda path, *, key=False: Source("f"),
        rerun=rerun or Rerun(),
    )
    return DesiredBatch(ADDRESS, KEY, batch_set, 0)


def drifted(
    *batches: Batch,
    recorded: tuple[Entry, ...] = (),
    rerun: Rerun | None = None,
    gone: tuple[str, ...] = (),
    unknown: str = "",
    closed: tuple[str, ...] = (),
    **given: Any,  # noqa: ANN401 - the fields of Given
) -> Drift:
    usual: dict[str, Any] = {
        "desired": Desired((want(rerun),)),
        "lock": Lock(entries={item.key: item for item in recorded}),
        "intents": (),
        "blocks": {HOME: "prod"},
        "facts": {},
        "now": NOW,
        "clocks": {},
    }
    return drift(Given(**usual | given), {HOME: Census(batches, frozenset(gone), frozenset(closed), unknown)})


K = DriftKind
A, B = live("a"), live("b", RUNNING, H / 2)
SWAPPED = live("a", configuration="cfg-9")


@dataclass(frozen=True)
class Case:
    """Each deviation that is to be found: its kind, its batch, whether it counts, and its next command."""

    says: str
    batches: tuple[Batch, ...]
    then: tuple[tuple[DriftKind, str, bool, str], ...] = ()
    recorded: tuple[Entry, ...] = ()
    gone: tuple[str, ...] = ()
    rerun: Rerun | None = None

    def __str__(self) -> str:
        return self.says


CASES = [
    Case("what stands is no drift", (A,), recorded=(entry(rec(A)),)),
    Case("a batch that a plan adopts is no drift", (A,)),
    Case("a missing batch is the plan's business", ()),
    Case("a status that changed is no drift", (A._replace(status=FAILED),), recorded=(entry(rec(A)),)),
    Case(
        "over a directory that nobody asks for",
        (live("x", directory="dir-9"),),
        ((K.NOT_DESIRED, "x", True, "reconciler export --provider prod --directory dir-9"),),
    ),
    Case(
        "over a desired directory, with another configuration or job",
        (live("x", configuration="cfg-9"), live("y", RUNNING, job=JobType.EXTRACT_V2)),
        (
            (
                K.OTHER_WORK,
                "y",
                True,
                "reconciler export --provider prod --directory dir-1 --configuration cfg",
            ),
            (
                K.OTHER_WORK,
                "x",
                True,
                "reconciler export --provider prod --directory dir-1 --configuration cfg-9",
            ),
        ),
    ),
    Case(
        "one that failed or was cancelled cannot be acted on",
        (live("x", FAILED, directory="dir-9"), live("y", CANCELLED, configuration="cfg-9")),
        ((K.NOT_DESIRED, "x", False, ""), (K.OTHER_WORK, "y", False, "")),
    ),
    Case(
        "what is recorded and no longer desired is somebody's: the plan forgets it",
        (live("x", directory="dir-9"),),
        recorded=(entry(rec(live("x", directory="dir-9")), key=KEY._replace(directory="dir-9")),),
    ),
    Case(
        "recorded, and gone",
        (),
        ((K.GONE, "a", True, "reconciler lock resolve invoices/dir-1 --absent"),),
        (entry(rec(A)),),
        ("a",),
    ),
    Case(
        "recorded, and other work than was recorded",
        (SWAPPED,),
        ((K.DIFFERENT, "a", True, "reconciler explain invoices/dir-1"),),
        (entry(rec(A)),),
    ),
    Case(
        "what the service renamed, as recorded, is shown on request",
        (SWAPPED,),
        ((K.DIFFERENT, "a", False, "reconciler explain invoices/dir-1"),),
        (entry(rec(A, Alias("dir-1", "cfg-9"))),),
    ),
    Case(
        "a twin that runs can still be cancelled",
        (A, B),
        ((K.SURPLUS, "b", True, "reconciler cancel invoices/dir-1 b"),),
        (entry(rec(A)),),
    ),
    Case(
        "where nothing is recorded, one is adopted first",
        (A, live("c", RUNNING, 2 * H)),
        ((K.SURPLUS, "c", True, "reconciler apply --target invoices/dir-1"),),
    ),
    Case(
        "a twin that has ended is shown on request",
        (A, live("b")),
        ((K.SURPLUS, "b", False, ""),),
        (entry(rec(A)),),
    ),
    Case(
        "what was done before a rerun is no twin, also when the rerun is out of the manifest",
        (A, live("b", age=9 * H)),
        recorded=(entry(rec(live("b", age=9 * H)), rec(A)._replace(evidence=Evidence("stale-after"))),),
    ),
    Case(
        "a twin of a rerun that is younger is one",
        (A, live("b", age=H / 2)),
        ((K.SURPLUS, "b", False, ""),),
        (entry(rec(A)._replace(evidence=Evidence("stale-after"))),),
    ),
    Case("one that failed is no twin", (A, live("b", FAILED)), recorded=(entry(rec(A)),)),
    Case(
        "one that is outdated is no twin",
        (A, live("b", age=9 * H)),
        recorded=(entry(rec(A)),),
        rerun=Rerun(after=NOW - 5 * H),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_drift_is_what_somebody_can_act_on_with_the_next_command(case: Case) -> None:
    found = drifted(*case.batches, recorded=case.recorded, gone=case.gone, rerun=case.rerun)
    assert [(item.kind, item.batch.id, item.counts, item.next) for item in found.deviations] == list(
        case.then
    )
    assert found.found == any(counts for _, _, counts, _ in case.then)
    assert found.unseen == ()


def test_what_differs_is_told_field_by_field() -> None:
    (item,) = drifted(SWAPPED, recorded=(entry(rec(A)),)).deviations
    assert {name for name in item.live if item.live[name] != item.recorded[name]} == {"configuration"}


def test_what_sets_ignore_is_told_on_request_and_never_counts() -> None:
    saved = Configuration("cfg", "c", "parse_v2", "2", NOW)
    facts = Facts(directory=Directory("dir-1", "n", "prj"), files=3, inputs="sha256:now", configuration=saved)
    recorded = (entry(rec(A, inputs="sha256:then", configuration="1")),)
    (item,) = drifted(A, recorded=recorded, facts={KEY: facts}).deviations
    assert not item.counts
    assert item.recorded == {"inputs": "sha256:then", "configurationVersion": "1"}
    assert item.live == {"inputs": "sha256:now", "configurationVersion": "2"}
    watched = Rerun(on_input_change=OnChange.RERUN, on_configuration_change=OnChange.RERUN)
    assert drifted(A, recorded=recorded, facts={KEY: facts}, rerun=watched).deviations == ()


@pytest.mark.parametrize("pattern", ["dir-*", "cfg", "x", "*", "[a-x]"])
def test_patterns_over_ids_leave_out_and_are_counted(pattern: str) -> None:
    found = drifted(live("x", directory="dir-9"), ignore=(pattern,))
    assert (found.deviations, found.ignored, found.found) == ((), 1, False)


@pytest.mark.parametrize("pattern", ["DIR-*", "dir-", "prj", ""])
def test_other_patterns_leave_nothing_out(pattern: str) -> None:
    assert drifted(live("x", directory="dir-9"), ignore=(pattern,)).ignored == 0


def test_what_is_not_seen_is_never_gone_and_never_nothing_r7() -> None:
    found = drifted(recorded=(entry(rec(A)),), unknown="the listing is incomplete: 503")
    assert found.deviations == ()
    assert [(item.home, item.why) for item in found.unseen] == [(HOME, "the listing is incomplete: 503")]
    nowhere = drift(
        Given(
            desired=Desired(),
            lock=Lock(entries={KEY: entry(rec(A))}),
            intents=(),
            blocks={},
            facts={},
            now=NOW,
            clocks={},
        ),
        {},
    )
    assert [item.home for item in nowhere.unseen] == [HOME]


def test_what_an_open_create_may_have_made_is_not_nobodys_r8() -> None:
    key = KEY._replace(directory="dir-9")
    intent = Intent(
        id="i",
        key=key,
        address=Address("invoices", "dir-9"),
        known=frozenset(),
        evidence=Evidence("missing"),
        at=NOW,
        run="r",
    )
    assert drifted(live("x", directory="dir-9"), intents=(intent,)).deviations == ()


def test_over_a_directory_that_is_no_more_only_what_runs_can_be_acted_on() -> None:
    ended, running = live("x", directory="dir-9"), live("y", RUNNING, directory="dir-9")
    found = drifted(ended, running, closed=("dir-9",))
    assert [(item.batch.id, item.counts) for item in found.deviations] == [("x", False), ("y", True)]
    assert strange_directories(Desired(), Lock(), HOME, [ended, running]) == {"dir-9"}
    assert strange_directories(Desired((want(),)), Lock(), HOME, [A, live("z", FAILED)]) == frozenset()


def test_what_is_watched_is_not_nobodys_r16() -> None:
    watched = Watched(id=WatchedId(KEY.endpoint, "x"), status=COMPLETED, word="COMPLETED")
    item = TrackedEntry(address=Address("watched", "x"), watched=watched, recorded_at=NOW)
    lock = Lock(tracked={watched.id: item})
    assert drifted(live("x", directory="dir-9"), lock=lock).deviations == ()


def test_the_order_of_what_is_seen_does_not_matter_r17() -> None:
    batches = [live(name, directory=f"dir-{name}") for name in "zyxw"]
    assert drifted(*batches) == drifted(*reversed(batches))


def test_a_bounded_listing_has_to_show_only_what_is_as_young() -> None:
    lock = Lock(entries={KEY: entry(rec(live("old", age=9 * H)), rec(live("new")))})
    assert recorded_on(HOME, lock, None) == {"old", "new"}
    assert recorded_on(HOME, lock, NOW - 2 * H) == {"new"}
    assert recorded_on(HOME._replace(project="other"), lock, None) == frozenset()


def test_commands_are_safe_to_copy_into_a_shell() -> None:
    (item,) = drifted(live("x", directory="dir 9;$(reboot)")).deviations
    assert item.next == "reconciler export --provider prod --directory 'dir 9;$(reboot)'"
