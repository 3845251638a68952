"""Exports as a table: what live batches become, and that a plan with them adopts and never creates."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.export import Found, export
from reconciler.core.plan import plan
from reconciler.core.select import Selection
from reconciler.model.batch import Address, Batch, Directory, Home, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.export import Omitted
from reconciler.model.lock import Alias, Entry, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job
from reconciler.model.plan import ActionKind
from reconciler.model.project import Limits
from reconciler.model.snapshot import Missing, Snapshot
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.export import Export, ExportedSet

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
KEY = Key("https://api.example", "prj", "dir-1", JobType.PARSE_V2, "cfg")
HOME = KEY.home
H = timedelta(hours=1)
COMPLETED, RUNNING, FAILED, CANCELLED = Status.COMPLETED, Status.RUNNING, Status.FAILED, Status.CANCELLED


def live(name: str, status: Status = COMPLETED, age: timedelta | None = H, **key: Any) -> Batch:  # noqa: ANN401 - the fields of Key
    return Batch(name, KEY._replace(**key), status, None if age is None else NOW - age)


def batch_set(item: ExportedSet) -> BatchSet:
    return BatchSet(
        name=item.name,
        provider=item.provider,
        job=Job(item.job, ById(item.configuration)),
        directories=tuple(ById(directory.id) for directory in item.directories),
        source=Source("f"),
        digest=item.name,
        locate=lambda path, *, key=False: Source("f"),
    )


def exported(*batches: Batch, **given: Any) -> Export:  # noqa: ANN401 - the fields of Found
    blocks: dict[str, tuple[Batch, ...]] = given.pop("live", {"prod": batches})
    everything = [batch for there in blocks.values() for batch in there]
    missing: Iterable[str] = given.pop("missing", ())
    directories: dict[tuple[Home, str], Directory | Missing] = {
        (batch.key.home, batch.key.directory): Missing("its directory does not exist any more")
        if batch.key.directory in missing
        else Directory(batch.key.directory, f"name of {batch.key.directory}", batch.key.project)
        for batch in everything
    }
    usual: dict[str, Any] = {
        "desired": Desired(),
        "lock": Lock(),
        "taken": frozenset(),
        "writable": lambda text: " " not in text,
    }
    return export(Found(live=blocks, directories=directories, **usual | given))


@dataclass(frozen=True)
class Case:
    """What is live, the directories that are asked for with their batches, and the remarks."""

    says: str
    batches: tuple[Batch, ...]
    asked: tuple[tuple[str, str], ...] = ()
    remarks: tuple[tuple[str, Omitted], ...] = ()
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.says


O = Omitted  # noqa: E741 - a table reads better so
CASES = [
    Case("nothing is live", ()),
    Case("one that completed", (live("a"),), (("dir-1", "a"),)),
    Case("one that runs", (live("a", RUNNING),), (("dir-1", "a"),)),
    Case("one of an unknown status", (live("a", Status.OTHER),), (("dir-1", "a"),)),
    Case("one that failed is a remark", (live("a", FAILED),), (), (("a", O.FAILED),)),
    Case("one that was cancelled is a remark", (live("a", CANCELLED),), (), (("a", O.CANCELLED),)),
    Case(
        "the newest that satisfies is asked for, the others are remarks",
        (live("a", age=3 * H), live("b", age=2 * H), live("c", FAILED)),
        (("dir-1", "b"),),
        (("a", O.SURPLUS), ("c", O.FAILED)),
    ),
    Case(
        "one without a time counts as the newest",
        (live("a"), live("n", age=None)),
        (("dir-1", "n"),),
        (("a", O.SURPLUS),),
    ),
    Case("of a directory that is no more", (live("a"),), (), (("a", O.NO_DIRECTORY),), ("dir-1",)),
    Case("an id that no manifest can hold", (live("a", directory="dir 1"),), (), (("a", O.UNWRITABLE),)),
    Case("a configuration's as well", (live("a", configuration="c 1"),), (), (("a", O.UNWRITABLE),)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_satisfies_is_asked_for_and_the_rest_is_remarked_on(case: Case) -> None:
    made = exported(*case.batches, missing=case.missing)
    asked = [(item.id, item.batch.id) for there in made.sets for item in there.directories]
    remarks = [(item.batch.id, item.reason) for there in made.sets for item in there.remarks]
    assert (asked, remarks) == (list(case.asked), list(case.remarks))
    assert (made.asked_for, made.remarked) == (len(asked), len(remarks))


def test_one_set_for_each_provider_job_and_configuration_sorted() -> None:
    elsewhere = live("e", endpoint="https://eu.example", directory="dir-9")
    made = exported(
        live={
            "prod": (
                live("b", directory="dir-2"),
                live("a"),
                live("c", configuration="cfg-2"),
                live("d", job=JobType.EXTRACT_V2),
            ),
            "eu": (elsewhere,),
        }
    )
    assert [(item.name, [there.id for there in item.directories]) for item in made.sets] == [
        ("eu-parse-v2-cfg", ["dir-9"]),
        ("prod-extract-v2-cfg", ["dir-1"]),
        ("prod-parse-v2-cfg", ["dir-1", "dir-2"]),
        ("prod-parse-v2-cfg-2", ["dir-1"]),
    ]
    assert made.sets[2].directories[0].name == "name of dir-1"


def test_what_manifests_ask_for_already_is_left_out_whatever_the_service_r12() -> None:
    (there,) = exported(live("a")).sets
    want = DesiredBatch(
        Address("s", "dir-1"), KEY._replace(endpoint="https://eu.example"), batch_set(there), 0
    )
    made = exported(live("a"), live("b", FAILED), live("c", directory="dir-2"), desired=Desired((want,)))
    assert (made.desired, [item.id for item in made.sets[0].directories]) == (2, ["dir-2"])


def test_two_services_with_the_same_ids_give_one_set_and_a_remark_r12() -> None:
    made = exported(live={"b": (live("x", endpoint="https://eu.example"),), "a": (live("y"),)})
    one, other = made.sets
    assert [item.batch.id for item in one.directories] == ["y"]
    assert [(item.batch.id, item.reason) for item in other.remarks] == [("x", Omitted.SAME_WORK)]


def test_what_the_service_renamed_is_asked_for_under_the_name_that_was_sent_c9() -> None:
    recorded = Recorded("a", COMPLETED, Origin.CREATED, NOW, NOW, alias=Alias("dir-9", "cfg"))
    entry = Entry(key=KEY, address=Address("s", "dir-1"), current="a", batches=(recorded,))
    renamed = live("a", directory="dir-9")
    made = export(
        Found(
            live={"prod": (renamed,)},
            directories={(HOME, "dir-1"): Directory("dir-1", "n", "prj")},
            desired=Desired(),
            lock=Lock(entries={KEY: entry}),
            taken=frozenset(),
            writable=lambda _: True,
        )
    )
    assert [item.id for item in made.sets[0].directories] == ["dir-1"]


_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text("aB-_. é", min_size=1, max_size=4),
        st.sets(st.text("aA_-.ü/", max_size=80), min_size=1, max_size=3),
        max_size=3,
    ),
    st.frozensets(st.sampled_from(["a-parse-v2-a", "a-parse-v2", "parse-v2-a", "b-parse-v2"])),
)
def test_names_are_valid_unique_and_the_same_every_time(
    groups: dict[str, set[str]], taken: frozenset[str]
) -> None:
    blocks = {
        block: tuple(
            live(f"{block}{number}", endpoint=block, directory=f"{block}{number}", configuration=name)
            for number, name in enumerate(sorted(names))
        )
        for block, names in groups.items()
    }
    made = exported(live=blocks, taken=taken, writable=lambda _: True)
    names = [item.name for item in made.sets]
    assert len({*names, *taken}) == len(names) + len(taken)
    assert all(_NAME.fullmatch(name) and len(name) <= 63 for name in names)
    again = {block: tuple(reversed(there)) for block, there in reversed(list(blocks.items()))}
    assert exported(live=again, taken=taken, writable=lambda _: True) == made


def test_a_second_export_finds_another_name() -> None:
    names = set()
    taken: frozenset[str] = frozenset()
    for number in range(3):
        (there,) = exported(live("a", directory=f"dir-{number}"), taken=taken).sets
        names.add(there.name)
        taken |= {there.name}
    assert len(names) == 3


_statuses = st.sampled_from(Status)
_ages = st.none() | st.integers(0, 9)
_batches = st.lists(
    st.tuples(
        _statuses, _ages, st.sampled_from("123"), st.sampled_from(["cfg", "cfg-2"]), st.sampled_from(JobType)
    ),
    max_size=12,
)


@settings(max_examples=150)
@given(_batches, st.frozensets(st.sampled_from(["dir-1", "dir-2"])), st.booleans())
def test_a_plan_with_the_export_adopts_and_creates_nothing(
    drawn: list[tuple[Status, int | None, str, str, JobType]],
    missing: frozenset[str],
    recorded: bool,  # noqa: FBT001 - drawn
) -> None:
    """The promise, for any live batches; with and without a lockfile that still knows one of them."""
    batches = tuple(
        live(
            f"b{number}",
            status,
            None if age is None else age * H,
            directory=f"dir-{directory}",
            configuration=configuration,
            job=job,
        )
        for number, (status, age, directory, configuration, job) in enumerate(drawn)
    )
    lock = Lock()
    if recorded and batches:
        first = batches[0]
        item = Recorded(first.id, first.status, Origin.CREATED, NOW, first.created_at)
        entry = Entry(key=first.key, address=Address("old", "x"), current=first.id, batches=(item,))
        lock = Lock(entries={first.key: entry})
    made = exported(*batches, missing=missing, lock=lock)
    desired = tuple(
        DesiredBatch(
            Address(item.name, there.id),
            Key(HOME.endpoint, HOME.project, there.id, item.job, item.configuration),
            batch_set(item),
            position,
        )
        for item in made.sets
        for position, there in enumerate(item.directories)
    )
    keys = {want.key for want in desired}
    made_plan = plan(
        desired=Desired(tuple(sorted(desired, key=lambda want: want[:2]))),
        snapshot=Snapshot({key: tuple(batch for batch in batches if batch.key == key) for key in keys}),
        lock=lock,
        intents=(),
        facts={},
        now=NOW,
        limits=Limits(),
        selection=Selection(),
    )
    mine = [action for action in made_plan.actions if action.key in keys]
    assert {action.kind for action in mine} <= {ActionKind.ADOPT, ActionKind.MOVE}
    assert {action.batch for action in mine} == {
        there.batch for item in made.sets for there in item.directories
    }
    standing = {
        batch.key
        for batch in batches
        if batch.status not in {FAILED, CANCELLED} and batch.key.directory not in missing
    }
    assert keys == standing  # all that can be adopted is
    told = [there.batch for item in made.sets for there in item.directories]
    told += [there.batch for item in made.sets for there in item.remarks]
    assert sorted(batch.id for batch in told) == sorted(batch.id for batch in batches)  # and nothing is lost


def test_a_directory_that_was_deleted_is_remarked_on() -> None:
    batch = live("a")
    deleted = replace(Directory("dir-1", "n", "prj"), deleted_at=NOW)
    made = export(
        Found(
            live={"prod": (batch,)},
            directories={(HOME, "dir-1"): deleted},
            desired=Desired(),
            lock=Lock(),
            taken=frozenset(),
            writable=lambda _: True,
        )
    )
    (remark,) = made.sets[0].remarks
    assert (remark.reason, remark.why) == (Omitted.NO_DIRECTORY, "its directory was deleted on 2026-09-15")
