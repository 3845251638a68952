"""R13: what names and patterns stand for, what has to be looked up for that, and what a pin keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.expand import expand
from reconciler.core.names import (
    Catalogue,
    Wanted,
    WantedConfiguration,
    moved,
    pins_after,
    selected,
    wanted_names,
)
from reconciler.model.batch import Address, Configuration, Directory, Home, JobType, Key, Status
from reconciler.model.errors import ManifestError
from reconciler.model.lock import Entry, Origin, Pin, PinKind, Recorded
from reconciler.model.manifest import BatchSet, ById, ByName, ByPattern, Job
from reconciler.model.plan import Selected
from reconciler.model.project import FileState, Limits, Project, ProjectFile
from reconciler.model.source import Diagnostic, Severity, Source

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.model.manifest import Selector

HOMES = {"p": Home("https://api.example", "prj"), "q": Home("https://eu.example", "other")}


def _at(path: tuple[str | int, ...], *, key: bool = False) -> Source:
    return Source(f"a.yaml#{'.'.join(str(step) for step in path)}{'!' if key else ''}")


def a_set(*directories: Selector, name: str = "s", configuration: object = "cfg", **more: Any) -> BatchSet:  # noqa: ANN401 - the fields of BatchSet
    chosen = ById(configuration) if isinstance(configuration, str) else configuration
    return BatchSet(
        name=name,
        provider=more.pop("provider", "p"),
        job=Job(JobType.PARSE_V2, chosen),  # type: ignore[arg-type]
        directories=directories,
        source=Source("a.yaml"),
        digest=f"sha256:{name}",
        locate=_at,
        **more,
    )


def project(*sets: BatchSet) -> Project:
    file = ProjectFile(
        name="x",
        source=Source("reconciler.yaml"),
        manifests=(),
        providers={},
        state=FileState(),
        limits=Limits(),
        digest="p",
        locate=_at,
    )
    return Project(folder="/", file=file, sets=sets, tracked=(), digest="m")


def there(*names: str, block: str = "p") -> Catalogue:
    """Directories ``id=name``."""
    pairs = [name.split("=") for name in names]
    return Catalogue({block: tuple(Directory(one, other, "prj") for one, other in pairs)})


def saved(*rows: tuple[str, str, str]) -> Catalogue:
    """Configurations (id, product, version), all of the name ``fields``."""
    return Catalogue(
        {}, {"p": tuple(Configuration(one, "fields", product, version) for one, product, version in rows)}
    )


def name_pin(text: str, directory: str, set_name: str = "s") -> Pin:
    return Pin(set_name, PinKind.NAME, text, directory)


def match_pin(text: str, directory: str, name: str, set_name: str = "s") -> Pin:
    return Pin(set_name, PinKind.MATCH, text, directory, name=name)


def directories(desired: Desired) -> list[str]:
    return [batch.key.directory for batch in desired.batches]


# What is chosen -----------------------------------------------------------------------------------


def test_a_name_is_the_directory_that_has_it_and_is_pinned() -> None:
    desired = expand(project(a_set(ByName("one"))), HOMES, there("d1=one", "d2=two"))
    assert directories(desired) == ["d1"]
    assert desired.batches[0].name == "one"
    assert desired.pins == (name_pin("one", "d1"),)


def test_a_pattern_is_every_directory_whose_name_fits_but_those_excluded() -> None:
    pattern = ByPattern("in-*", ("*-draft", "in-9"))
    catalogue = there("d3=in-3", "d1=in-1", "d2=in-2-draft", "d4=out-1", "d9=in-9", "d5=IN-5")
    desired = expand(project(a_set(pattern)), HOMES, catalogue)
    assert directories(desired) == ["d1", "d3"]
    assert desired.pins == (match_pin("in-*", "d1", "in-1"), match_pin("in-*", "d3", "in-3"))


def test_a_pattern_that_fits_nothing_is_a_warning() -> None:
    desired = expand(project(a_set(ById("d1"), ByPattern("x*"))), HOMES, there("d1=one"))
    assert directories(desired) == ["d1"]
    place = _at(("spec", "directories", 1))
    assert desired.warnings == (Diagnostic(place, "no directory's name fits 'x*'", Severity.WARNING),)


def test_a_configuration_is_the_latest_version_of_its_name_and_job_type() -> None:
    catalogue = saved(
        ("c1", "parse_v2", "2026-01-01"), ("c2", "parse_v2", "2026-03-01"), ("c3", "extract_v2", "2026-09-01")
    )
    desired = expand(project(a_set(ById("d1"), configuration=ByName("fields"))), HOMES, catalogue)
    assert desired.batches[0].key.configuration == "c2"
    assert desired.pins == (Pin("s", PinKind.CONFIGURATION, "fields", "c2", "2026-03-01"),)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("9", "10"), ("v9", "v10"), ("1.9.9", "1.10.0"), ("2026-09-30", "2026-10-01"), ("", "1"), ("1", "1-a")],
)
def test_the_latest_version_is_the_one_that_people_would_call_so(older: str, newer: str) -> None:
    for rows in (("c1", older), ("c2", newer)), (("c2", newer), ("c1", older)):
        catalogue = saved(*((name, "parse_v2", version) for name, version in rows))
        desired = expand(project(a_set(ById("d1"), configuration=ByName("fields"))), HOMES, catalogue)
        assert desired.batches[0].key.configuration == "c2"


def test_what_is_pinned_stays_whatever_has_the_name_now() -> None:
    pins = (name_pin("one", "d1"), Pin("s", PinKind.CONFIGURATION, "fields", "c1", "2026-01-01"))
    catalogue = Catalogue(
        there("d2=one", "d3=one").directories, saved(("c2", "parse_v2", "9")).configurations
    )
    desired = expand(project(a_set(ByName("one"), configuration=ByName("fields"))), HOMES, catalogue, pins)
    assert [(batch.key.directory, batch.key.configuration) for batch in desired.batches] == [("d1", "c1")]
    assert desired.pins == tuple(sorted(pins))


FIRST = _at(("spec", "directories", 0))

FAULTS = [
    (a_set(ByName("on")), there("d1=one"), ["there is no directory named 'on': did you mean 'one'?"]),
    (a_set(ByName("x")), Catalogue(), ["there is no directory named 'x'"]),
    (
        a_set(ByName("one")),
        there("d2=one", "d1=one"),
        ["2 directories are named 'one': d1, d2; give the id of one of them"],
    ),
    (
        a_set(ById("d1"), configuration=ByName("fields")),
        saved(("c3", "extract_v2", "1")),
        ["no saved configuration for parse_v2 is named 'fields'"],
    ),
    (
        a_set(ById("d1"), ByPattern("o*")),
        there("d1=one"),
        [f"s/d1 is chosen twice, here and at {FIRST}; a pattern leaves a directory out with exclude"],
    ),
    (
        a_set(ById("d1"), removed=("s/d1", "s", "t/x")),
        Catalogue(),
        [
            f"s/d1 is removed here and still asked for at {FIRST}",
            f"s is removed here and still asked for at {FIRST}",
        ],
    ),
]


@pytest.mark.parametrize(("item", "catalogue", "messages"), FAULTS)
def test_faults_name_the_place_and_what_there_is(
    item: BatchSet, catalogue: Catalogue, messages: list[str]
) -> None:
    with pytest.raises(ManifestError) as caught:
        expand(project(item), HOMES, catalogue)
    assert [fault.message for fault in caught.value.diagnostics] == messages


# What has to be looked up -------------------------------------------------------------------------


def test_only_what_is_not_pinned_is_looked_up_but_patterns_always() -> None:
    sets = (
        a_set(ById("d0"), ByName("one"), ByName("two"), ByPattern("in-*"), configuration=ByName("fields")),
        a_set(ByName("one"), name="t", provider="q", configuration=ByName("fields")),
    )
    pins = (
        name_pin("one", "d1"),
        match_pin("in-*", "d3", "in-3"),
        Pin("t", PinKind.CONFIGURATION, "fields", "c1"),
        name_pin("three", "d7"),
    )
    assert wanted_names(sets, pins, (), HOMES) == Wanted(
        names={"p": frozenset({"two"}), "q": frozenset({"one"})},
        listings=frozenset({"p"}),
        standing={"p": frozenset()},
        configurations=frozenset({WantedConfiguration("p", JobType.PARSE_V2, "fields")}),
    )


def entry(address: str, home: Home = HOMES["p"], configuration: str = "cfg") -> Entry:
    name, _, directory = address.partition("/")
    made = datetime(2026, 9, 1, tzinfo=UTC)
    key = Key(*home, directory, JobType.PARSE_V2, configuration)
    item = Recorded("bat", Status.COMPLETED, Origin.CREATED, made)
    return Entry(key=key, address=Address(name, directory), current="bat", batches=(item,))


def test_what_has_a_batch_is_asked_for_however_it_was_chosen_before() -> None:
    """A listing that comes short must not have a batch forgotten, or cancelled (R7, R10)."""
    entries = [entry("s/d1"), entry("renamed/d2"), entry("t/d3"), entry("s/d4", HOMES["q"])]
    sets = (a_set(ByPattern("i*")), a_set(ById("d3"), name="t"))
    assert wanted_names(sets, (), entries, HOMES).standing == {"p": frozenset({"d1", "d2"})}


PINS = (name_pin("one", "d1"), Pin("s", PinKind.CONFIGURATION, "fields", "c1", "1"))
ONE = a_set(ByName("one"), configuration=ByName("fields"))
ASKED = {"one", "fields"}


@pytest.mark.parametrize(
    ("item", "entries", "asked"),
    [
        (ONE, (), set()),
        (ONE, [entry("s/d1", configuration="c1")], set()),
        # As R11 has it, the work of a set that is called otherwise is the same work.
        (replace(ONE, name="renamed"), [entry("s/d1", configuration="c1")], set()),
        (replace(ONE, name="renamed"), (), ASKED),
        (replace(ONE, provider="q"), [entry("s/d1", configuration="c1")], ASKED),
        (
            replace(ONE, job=Job(JobType.EXTRACT_V2, ByName("fields"))),
            [entry("s/d1", configuration="c1")],
            {"fields"},
        ),
    ],
)
def test_a_pin_speaks_for_the_project_and_the_job_that_it_was_looked_up_for(
    item: BatchSet, entries: list[Entry], asked: set[str]
) -> None:
    wanted = wanted_names((item,), PINS, entries, HOMES)
    names = {name for there in wanted.names.values() for name in there}
    assert names | {name for _, _, name in wanted.configurations} == asked
    if not asked:
        desired = expand(project(item), HOMES, Catalogue(), PINS, entries)
        assert desired.batches[0].key[2:] == ("d1", JobType.PARSE_V2, "c1")
        assert {pin.set for pin in desired.pins} == {item.name}


def test_pins_of_sets_that_are_no_more_have_to_agree() -> None:
    pins = (name_pin("one", "d1", "x"), name_pin("one", "d2", "y"))
    wanted = wanted_names((a_set(ByName("one")),), pins, [entry("x/d1"), entry("y/d2")], HOMES)
    assert wanted.names == {"p": frozenset({"one"})}


# What moved ---------------------------------------------------------------------------------------


def test_a_pattern_says_how_many_are_new_and_how_many_left() -> None:
    before = [match_pin("in-*", name, name) for name in ("d1", "d2")]
    now = [match_pin("in-*", name, f"new {name}") for name in ("d2", "d3", "d4")]
    assert selected(now, [*before, name_pin("gone", "d9", "other")]) == (
        Selected("s", PinKind.MATCH, "in-*", "", 3, 2, 1),
    )
    assert moved(now, before) == (
        "s: match in-* → d1 is not selected any more",
        "s: match in-* → d3 is new",
        "s: match in-* → d4 is new",
    )


def test_another_name_of_a_directory_and_another_version_move_no_pin() -> None:
    before = (match_pin("in-*", "d1", "in-1"), Pin("s", PinKind.CONFIGURATION, "fields", "c1", "1"))
    now = (match_pin("in-*", "d1", "in-one"), Pin("s", PinKind.CONFIGURATION, "fields", "c1", "2"))
    assert moved(now, before) == ()


def test_an_apply_pins_what_it_was_about_and_leaves_the_rest() -> None:
    before = (name_pin("a", "d1"), name_pin("b", "d2", "t"), name_pin("c", "d3", "gone"))
    now = (name_pin("a", "d9"), name_pin("b", "d8", "t"), match_pin("x*", "d5", "x5", "t"))
    everything = frozenset({"s", "t", "gone"})
    assert pins_after(now, before, everything, ()) == tuple(sorted(now))
    only = pins_after(now, before, frozenset({"s"}), {Address("t", "d5")})
    assert only == tuple(sorted((now[0], before[1], before[2], now[2])))


def test_an_apply_of_a_part_pins_the_configuration_that_it_creates_with() -> None:
    """Else the rest, and this part once more, would be made with what has the name by then."""
    other = Pin("t", PinKind.CONFIGURATION, "fields", "c0", "0")  # of another job type that the set had
    saved_first = Pin("t", PinKind.CONFIGURATION, "fields", "c1", "1")
    now = (saved_first, name_pin("b", "d2", "t"), Pin("u", PinKind.CONFIGURATION, "fields", "c1", "1"))
    assert pins_after(now, (other,), frozenset(), {Address("t", "d5")}) == (saved_first,)


def test_a_twin_of_two_sets_found_by_a_pattern_names_both_places() -> None:
    sets = (a_set(ByPattern("o*")), a_set(ByName("one"), name="t"))
    with pytest.raises(ManifestError, match=r"t/d1 is the same work as s/d1 at a\.yaml"):
        expand(project(*sets), HOMES, there("d1=one"))
    other = replace(sets[1], job=Job(JobType.EXTRACT_V2, ById("cfg")))
    assert len(expand(project(sets[0], other), HOMES, there("d1=one")).batches) == 2
