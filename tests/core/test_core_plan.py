"""Rules that need to see several keys at once: R1, R8-R12, R15, selections, aliases; and what is around."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.expand import expand
from reconciler.core.plan import aliases_of, plan, state_digest
from reconciler.core.questions import Questions, facts_wanted, questions
from reconciler.core.record import policies, record_batch, recorded, refreshed, with_status
from reconciler.core.select import Selection, select, within_reach
from reconciler.model.batch import Address, Batch, Configuration, Directory, Home, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.intent import Intent
from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job, OnChange, OnRemove, Rerun, TrackedBatch
from reconciler.model.plan import Action, ActionKind, Breach, Guarded, Plan, Reason, ReasonCode
from reconciler.model.project import FileState, Limits, Project, ProjectFile
from reconciler.model.snapshot import Facts, Snapshot, Unknown
from reconciler.model.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.snapshot import Seen

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
H = timedelta(hours=1)
CREATE, ADOPT, KEEP, MOVE = ActionKind.CREATE, ActionKind.ADOPT, ActionKind.KEEP, ActionKind.MOVE
FORGET, CANCEL = ActionKind.FORGET, ActionKind.CANCEL
BLOCKED, UNRESOLVED = ActionKind.BLOCKED, ActionKind.UNRESOLVED


def key(directory: str, configuration: str = "cfg", endpoint: str = "https://api.example") -> Key:
    return Key(endpoint, "prj", directory, JobType.PARSE_V2, configuration)


def batch_set(name: str, *directories: str, configuration: str = "cfg", **more: Any) -> BatchSet:  # noqa: ANN401 - the fields of BatchSet
    usual: dict[str, Any] = {
        "provider": "p",
        "job": Job(JobType.PARSE_V2, ById(configuration)),
        "directories": tuple(ById(directory) for directory in directories),
        "source": Source(f"{name}.yaml"),
        "digest": f"text of {name}",
        "locate": lambda path, *, key=False: Source(f"{name}.yaml"),
    }
    return BatchSet(name=name, **usual | more)


def wants(*sets: BatchSet) -> Desired:
    batches = [
        DesiredBatch(
            Address(item.name, directory.id),
            key(directory.id, item.job.configuration.id),
            item,
            position,
        )
        for item in sets
        if isinstance(item.job.configuration, ById)
        for position, directory in enumerate(item.directories)
        if isinstance(directory, ById)
    ]
    return Desired(
        tuple(sorted(batches, key=lambda want: want[:2])), {item.name: item.digest for item in sets}, "m"
    )


def live(where: Key, name: str, status: Status = Status.COMPLETED) -> Batch:
    return Batch(name, where, status, NOW - H)


def entry(batch: Batch, address: str, *, origin: Origin = Origin.CREATED, **more: Any) -> Entry:  # noqa: ANN401 - the fields of Entry
    item = Recorded(batch.id, batch.status, origin, NOW - H, batch.created_at, alias=more.pop("alias", None))
    return Entry(key=batch.key, address=Address.parse(address), current=batch.id, batches=(item,), **more)


def lock(*entries: Entry, **sets: str) -> Lock:
    return Lock(lineage="l", entries={item.key: item for item in entries}, sets=sets)


def intent(where: Key, address: str, name: str = "int", minutes: int = 0) -> Intent:
    return Intent(
        id=name,
        key=where,
        address=Address.parse(address),
        known=frozenset(),
        evidence=Evidence("missing"),
        at=NOW + timedelta(minutes=minutes),
        run="run",
    )


def planned(
    desired: Desired,
    seen: Mapping[Key, Seen] | None = None,
    recorded: Lock | None = None,
    *intents: Intent,
    limits: Limits | None = None,
    selection: Selection | None = None,
    facts: Mapping[Key, Facts] | None = None,
) -> Plan:
    return plan(
        desired=desired,
        snapshot=Snapshot(seen or {}),
        lock=recorded or Lock(),
        intents=intents,
        facts=facts or {},
        now=NOW,
        limits=limits or Limits(),
        selection=selection or Selection(),
    )


def shown(made: Plan) -> list[tuple[str, str]]:
    return [(action.kind.value, str(action.address)) for action in made.actions]


D1, D2, D3 = key("d1"), key("d2"), key("d3")
A = batch_set("a", "d1", "d2")
NOTHING: Mapping[Key, Seen] = {D1: (), D2: (), D3: ()}


def test_a_plan_is_sorted_by_address_and_says_what_it_was_made_from() -> None:
    made = planned(wants(batch_set("z", "d3"), A), NOTHING, lock())
    assert shown(made) == [("create", "a/d1"), ("create", "a/d2"), ("create", "z/d3")]
    assert (made.lineage, made.manifests, made.state, made.not_selected) == (
        "l",
        "m",
        state_digest(Lock()),
        0,
    )


def test_a_key_that_was_not_looked_for_is_unknown() -> None:
    """R7: the plan shows the rest."""
    made = planned(wants(A), {D2: ()})
    assert shown(made) == [("unresolved", "a/d1"), ("create", "a/d2")]
    assert made.actions[0].reason == Reason(ReasonCode.UNKNOWN, "it was not looked for")


def test_a_lost_lockfile_adopts_what_lives_and_creates_nothing_that_exists() -> None:
    """R9."""
    made = planned(wants(A), {D1: (live(D1, "b1"),), D2: (live(D2, "b2", Status.RUNNING),)}, Lock())
    assert shown(made) == [("adopt", "a/d1"), ("adopt", "a/d2")]


# R8 -------------------------------------------------------------------------------------------------


def test_a_key_with_an_open_intent_is_unresolved_whatever_is_seen() -> None:
    for seen in ((), (live(D1, "b1"),), Unknown("?")):
        made = planned(wants(A), {D1: seen, D2: ()}, lock(), intent(D1, "a/d1"))
        assert made.actions[0] == Action(
            kind=UNRESOLVED,
            address=Address("a", "d1"),
            key=D1,
            reason=Reason(
                ReasonCode.OPEN_INTENT,
                "a create was sent at 2026-09-15 12:00:00 UTC, 0 s ago, and its outcome is not known"
                "; `reconciler apply` looks for it first, `reconciler import a/d1 BATCH_ID` or"
                " `reconciler lock resolve a/d1 --absent` say what you know",
            ),
        )


def test_an_open_intent_of_a_key_that_is_no_longer_desired_is_shown_and_its_entry_is_not_forgotten() -> None:
    recorded_ = lock(entry(live(D3, "b3"), "z/d3"))
    made = planned(wants(), {}, recorded_, intent(D3, "z/d3"), intent(D1, "gone/d1"))
    assert shown(made) == [("unresolved", "gone/d1"), ("unresolved", "z/d3")]


def test_a_selection_leaves_out_open_intents_elsewhere() -> None:
    made = planned(wants(A), NOTHING, lock(), intent(D3, "z/d3"), selection=Selection(sets=frozenset({"a"})))
    assert shown(made) == [("create", "a/d1"), ("create", "a/d2")]


def test_of_two_open_intents_of_a_key_the_older_speaks_in_any_order() -> None:
    one, two = intent(D1, "a/d1", "z", 0), intent(D1, "a/d1", "a", 5)
    assert planned(wants(A), NOTHING, lock(), one, two) == planned(wants(A), NOTHING, lock(), two, one)
    assert "12:00:00" in planned(wants(A), NOTHING, lock(), two, one).actions[0].reason.text


# R10, R11 -------------------------------------------------------------------------------------------


def _removed(**more: Any) -> tuple[Entry, Lock]:  # noqa: ANN401 - the fields of Entry
    batch = live(D3, "b3", more.pop("status", Status.RUNNING))
    there = entry(batch, "a/d3", **{"on_remove": OnRemove.CANCEL} | more)
    return there, lock(there, a="text of a before")


def test_what_is_no_longer_desired_is_forgotten_and_its_batch_left_alone() -> None:
    there, recorded_ = _removed(on_remove=OnRemove.KEEP, directory_name="March")
    assert planned(wants(A), {**NOTHING, D3: (live(D3, "b3", Status.RUNNING),)}, recorded_).actions[
        -1
    ] == Action(
        kind=FORGET,
        address=there.address,
        key=D3,
        reason=Reason(ReasonCode.NOT_DESIRED, "no longer in the manifests; b3 (RUNNING) is left alone"),
        batch=live(D3, "b3", Status.RUNNING),
        directory_name="March",
    )


def test_it_is_cancelled_when_everything_speaks_for_it() -> None:
    there, recorded_ = _removed()
    running = live(D3, "b3", Status.RUNNING)
    assert planned(wants(A), {**NOTHING, D3: (running,)}, recorded_).actions[-1] == Action(
        kind=CANCEL,
        address=there.address,
        key=D3,
        reason=Reason(ReasonCode.NOT_DESIRED, "no longer in the manifests; b3 (RUNNING) is cancelled"),
        batch=running,
    )


@pytest.mark.parametrize("status", list(Status))
def test_only_what_is_not_terminal_is_cancelled(status: Status) -> None:
    _, recorded_ = _removed()
    kind = FORGET if status.terminal else CANCEL
    assert planned(wants(A), {**NOTHING, D3: (live(D3, "b3", status),)}, recorded_).actions[-1].kind is kind


@pytest.mark.parametrize("origin", list(Origin))
def test_only_what_a_reply_to_our_own_create_named_is_cancelled(origin: Origin) -> None:
    """C5, R10."""
    _, recorded_ = _removed(origin=origin)
    seen = {**NOTHING, D3: (live(D3, "b3", Status.RUNNING),)}
    kind = CANCEL if origin is Origin.CREATED else FORGET
    assert planned(wants(A), seen, recorded_).actions[-1].kind is kind


@pytest.mark.parametrize(
    ("before", "kind"), [("text of a", FORGET), ("another text", CANCEL), (None, CANCEL)]
)
def test_only_when_the_sets_text_changed_is_anything_cancelled(before: str | None, kind: ActionKind) -> None:
    there, _ = _removed()
    recorded_ = lock(there, **({"a": before} if before else {}))
    seen = {**NOTHING, D3: (live(D3, "b3", Status.RUNNING),)}
    assert planned(wants(A), seen, recorded_).actions[-1].kind is kind


def test_a_set_that_is_gone_has_changed() -> None:
    _, recorded_ = _removed()
    assert shown(planned(wants(), {D3: (live(D3, "b3", Status.RUNNING),)}, recorded_)) == [("cancel", "a/d3")]


@pytest.mark.parametrize("seen", [Unknown("no reply"), (), (live(D3, "b4", Status.RUNNING),)], ids=repr)
def test_what_may_have_ended_is_neither_cancelled_nor_lost_from_sight(seen: Seen) -> None:
    """R7: forgetting it would let it run on, and be paid for, against what the manifest asked."""
    _, recorded_ = _removed()
    action = planned(wants(A), {**NOTHING, D3: seen}, recorded_).actions[-1]
    assert (action.kind, action.reason.code) == (UNRESOLVED, ReasonCode.UNKNOWN)


def test_what_has_ended_is_forgotten_without_being_asked_for() -> None:
    """O1."""
    _, recorded_ = _removed(status=Status.COMPLETED)
    assert planned(wants(A), NOTHING, recorded_).actions[-1].kind is FORGET


def test_a_key_under_a_new_address_is_moved_and_nothing_else() -> None:
    """R11."""
    recorded_ = lock(entry(live(D1, "b1"), "old/d1"))
    made = planned(wants(batch_set("new", "d1")), {D1: (live(D1, "b1"),)}, recorded_)
    assert [(a.kind, a.address, a.previous) for a in made.actions] == [
        (MOVE, Address("new", "d1"), Address("old", "d1"))
    ]


def test_one_address_may_carry_a_forget_and_a_create() -> None:
    """R11: the configuration changed, so it is other work."""
    new = key("d1", "cfg-2")
    recorded_ = lock(entry(live(D1, "b1"), "a/d1"))
    made = planned(wants(batch_set("a", "d1", configuration="cfg-2")), {new: ()}, recorded_)
    assert [(a.kind, str(a.address), a.key) for a in made.actions] == [
        (FORGET, "a/d1", D1),
        (CREATE, "a/d1", new),
    ]


# Selections -----------------------------------------------------------------------------------------


def test_what_a_selection_leaves_out_is_neither_forgotten_moved_nor_cancelled() -> None:
    there, recorded_ = _removed()
    moved = entry(live(D1, "b1"), "old/d1")
    recorded_ = replace(recorded_, entries={**recorded_.entries, D1: moved})
    seen = {D1: (live(D1, "b1"),), D2: (), D3: (live(D3, "b3", Status.RUNNING),)}
    made = planned(wants(A), seen, recorded_, selection=Selection(addresses=frozenset({Address("a", "d2")})))
    assert (shown(made), made.not_selected) == ([("create", "a/d2")], 1)
    made = planned(wants(A), seen, recorded_, selection=Selection(sets=frozenset({"old"})))
    assert (shown(made), made.not_selected) == ([], 2)
    made = planned(wants(A), seen, recorded_, selection=Selection(sets=frozenset({"a"})))
    assert shown(made) == [("move", "a/d1"), ("create", "a/d2"), ("cancel", "a/d3")]
    made = planned(wants(A), seen, recorded_, selection=Selection(addresses=frozenset({there.address})))
    assert (shown(made), made.not_selected) == ([("cancel", "a/d3")], 2)


def test_labels_select_what_is_desired_and_never_what_is_only_recorded() -> None:
    labelled = batch_set("a", "d1", labels={"team": "finance"})
    selection = select(["team=finance"], wants(labelled, batch_set("b", "d2")), lock())
    assert selection == Selection(labels=frozenset({("team", "finance")}))
    _, recorded_ = _removed()
    made = planned(wants(labelled, batch_set("b", "d2")), NOTHING, recorded_, selection=selection)
    assert (shown(made), made.not_selected) == ([("create", "a/d1")], 1)


def test_targets_are_sets_addresses_and_labels_desired_or_recorded() -> None:
    labelled = batch_set("a", "d1", "deep/er", labels={"team": "finance"})
    recorded_ = lock(entry(live(D3, "b3"), "old/d3"))
    targets = ["a", "old", "a/deep/er", "old/d3", "team=finance"]
    assert select(targets, wants(labelled), recorded_) == Selection(
        frozenset({"a", "old"}),
        frozenset({Address("a", "deep/er"), Address("old", "d3")}),
        frozenset({("team", "finance")}),
    )
    assert select([], wants(labelled), recorded_).everything


@pytest.mark.parametrize(
    ("targets", "reach"),
    [
        ((), None),
        (("a",), {"a"}),
        (("a/d1",), {"a"}),
        (("b",), {"b", "a"}),  # b waits for a
        (("team=finance",), {"team=finance", "a"}),
        (("kind=nightly",), {"kind=nightly", "watched"}),
        (("c",), {"c", "b", "a"}),
        (("nowhere",), {"nowhere"}),
    ],
)
def test_what_targets_reach_is_known_from_the_manifests_alone(
    targets: tuple[str, ...], reach: set[str] | None
) -> None:
    sets = (
        batch_set("a", "d1", labels={"team": "finance"}),
        batch_set("b", "d2", depends_on=("a",)),
        batch_set("c", "d3", depends_on=("b",)),
    )
    watched = TrackedBatch(
        name="watched", provider="talonic", source=Source("w.yaml"), labels={"kind": "nightly"}
    )
    assert within_reach(targets, sets, [watched]) == (None if reach is None else frozenset(reach))


def test_what_another_set_may_ask_for_is_neither_forgotten_nor_cancelled() -> None:
    there, recorded_ = _removed()
    seen = {**NOTHING, D3: (live(D3, "b3", Status.RUNNING),)}
    assert planned(wants(A), seen, recorded_).actions[-1].kind is CANCEL
    assert planned(replace(wants(A), whole=False), seen, recorded_).actions[-1] == Action(
        kind=UNRESOLVED,
        address=there.address,
        key=D3,
        reason=Reason(
            ReasonCode.UNKNOWN,
            "not asked for here any more, and whether another set asks for it is not known",
        ),
        batch=there.recorded.as_batch(D3),
    )


@pytest.mark.parametrize(
    ("target", "next_"),
    [
        ("b", "Sets: a."),
        ("a/d", "Did you mean 'a/d1'?"),
        ("", "Sets: a."),
        ("team=legal", "Sets: a."),
        ("a/", "Did you mean 'a/d1'?"),
    ],
)
def test_a_target_that_fits_nothing_is_an_error_with_a_way_out(target: str, next_: str) -> None:
    desired = wants(batch_set("a", "d1", labels={"team": "finance"}))
    with pytest.raises(SettingsError) as caught:
        select(["a", target], desired, Lock())
    assert (caught.value.what, caught.value.next) == (
        f"--target {target!r} fits no set, address or label",
        next_,
    )


# Aliases (C9) ---------------------------------------------------------------------------------------


def test_work_that_the_service_calls_the_same_is_not_created_twice() -> None:
    there = entry(live(D1, "b1"), "a/d1", alias=Alias("d2", "cfg"))
    made = planned(wants(A), {D1: (live(D1, "b1"),), D2: ()}, lock(there))
    assert shown(made) == [("keep", "a/d1"), ("blocked", "a/d2")]
    assert made.actions[1].reason == Reason(
        ReasonCode.SAME_WORK,
        "the service calls this the same work as a/d1; desire only one of the two, and apply again",
    )


def test_nor_when_only_the_other_name_is_still_desired() -> None:
    """Its batch is known under the first name until that is forgotten; then it is seen, and adopted."""
    there = entry(live(D1, "b1"), "a/d1", alias=Alias("d2", "cfg"))
    desired = wants(batch_set("a", "d2"))
    assert shown(planned(desired, {D2: ()}, lock(there))) == [("forget", "a/d1"), ("blocked", "a/d2")]
    assert shown(planned(desired, {D2: (live(D2, "b1"),)}, lock(there))) == [
        ("forget", "a/d1"),
        ("adopt", "a/d2"),
    ]
    assert shown(planned(desired, {D2: (live(D2, "b1"),)}, lock())) == [("adopt", "a/d2")]


def test_aliases_do_not_depend_on_the_order_of_entries() -> None:
    one = entry(live(D1, "b1"), "a/d1", alias=Alias("d3", "cfg"))
    two = entry(live(D2, "b2"), "a/d2", alias=Alias("d3", "cfg"))
    assert aliases_of(lock(one, two)) == aliases_of(lock(two, one)) == {D3: D1}


# R15 ------------------------------------------------------------------------------------------------

_FULL = Facts(directory=Directory("d", "D", "prj"), files=600)


@pytest.mark.parametrize(
    ("limits", "breaches"),
    [
        (Limits(), ()),
        (Limits(max_creates=2, max_files=1200, max_cancels=1), ()),
        (Limits(max_creates=1), (Breach("maxCreates", 1, 2),)),
        (Limits(max_files=1199), (Breach("maxFiles", 1199, 1200),)),
        (Limits(max_cancels=0), (Breach("maxCancels", 0, 1),)),
        (
            Limits(max_creates=0, max_files=0, max_cancels=0),
            (Breach("maxCreates", 0, 2), Breach("maxFiles", 0, 1200), Breach("maxCancels", 0, 1)),
        ),
    ],
)
def test_a_plan_names_the_limits_that_it_goes_past(limits: Limits, breaches: tuple[Breach, ...]) -> None:
    _, recorded_ = _removed()
    seen = {D1: (), D2: (), D3: (live(D3, "b3", Status.RUNNING),)}
    made = planned(wants(A), seen, recorded_, limits=limits, facts={D1: _FULL, D2: _FULL})
    assert made.breaches == breaches


def test_a_digest_names_what_would_be_done_and_not_how_it_is_told() -> None:
    made = planned(wants(A), {D1: (), D2: (live(D2, "b2"),)}, lock(entry(live(D2, "b2"), "a/d2")))
    same = planned(wants(batch_set("a", "d1")), {D1: (live(D1, "f", Status.FAILED),)})
    assert shown(made) == [("create", "a/d1"), ("keep", "a/d2")]
    assert made.digest == same.digest
    assert made.digest != planned(wants(A), NOTHING).digest


def test_a_state_is_stale_when_another_batch_stands_and_not_when_it_has_moved_on() -> None:
    before = lock(entry(live(D1, "b1"), "a/d1"))
    refreshed_ = lock(entry(live(D1, "b1", Status.FAILED), "a/d1"))
    others = [lock(), lock(entry(live(D1, "b2"), "a/d1")), lock(entry(live(D1, "b1"), "z/d1"))]
    assert state_digest(before) == state_digest(refreshed_)
    assert len({state_digest(item) for item in (before, *others)}) == 4


# R12 ------------------------------------------------------------------------------------------------


def _project(*sets: BatchSet) -> Project:
    file = ProjectFile(
        name="x",
        source=Source("reconciler.yaml"),
        manifests=(),
        providers={},
        state=FileState(),
        limits=Limits(),
        digest="p",
        locate=_nowhere,
    )
    return Project(folder="/", file=file, sets=sets, tracked=(), digest="m")


def _nowhere(path: object, *, key: bool = False) -> Source:
    return Source("reconciler.yaml")


HOMES = {"p": Home("https://api.example", "prj"), "q": Home("https://eu.example", "other")}


def test_manifests_expand_to_one_batch_a_directory_sorted_by_address() -> None:
    sets = (batch_set("z", "d3"), batch_set("a", "d2", "d1"))
    desired = expand(_project(*sets), HOMES)
    assert [(str(w.address), w.key, w.position) for w in desired.batches] == [
        ("a/d1", D1, 1),
        ("a/d2", D2, 0),
        ("z/d3", D3, 0),
    ]
    assert (desired.sets, desired.digest) == ({"z": "text of z", "a": "text of a"}, "m")
    assert expand(_project(*sets[::-1]), HOMES).batches == desired.batches


@pytest.mark.parametrize(
    ("sets", "text"),
    [
        (
            (batch_set("a", "d1"), batch_set("b", "d1")),
            "b.yaml:1:1: b/d1 is the same work as a/d1 at a.yaml:1:1",
        ),
        (
            (batch_set("a", "d1"), batch_set("b", "d2", "d1", provider="q")),
            "b.yaml:2:1: b/d1 is the same work as a/d1 at a.yaml:1:1",
        ),
        ((batch_set("a", "d1", "d2", "d1"),), "a.yaml:3:1: a/d1 is chosen twice, here and at a.yaml:1:1"),
    ],
    ids=["two sets", "two providers", "one set"],
)
def test_the_same_work_twice_names_both_places(sets: tuple[BatchSet, ...], text: str) -> None:
    placed = [
        replace(
            item,
            locate=lambda path, *, key=False, name=item.name: Source(f"{name}.yaml", int(path[-1]) + 1),
        )
        for item in sets
    ]
    for order in (placed, placed[::-1]):
        with pytest.raises(ManifestError) as caught:
            expand(_project(*order), HOMES)
        assert str(caught.value) == text


def test_another_job_configuration_or_directory_is_other_work() -> None:
    extract = Job(JobType.EXTRACT_V2, ById("cfg"))
    sets = (
        batch_set("a", "d1", "d2"),
        batch_set("b", "d1", configuration="cfg-2"),
        batch_set("c", "d1", job=extract),
    )
    assert len(expand(_project(*sets), HOMES).batches) == 4


# R10, another service ------------------------------------------------------------------------------


def test_a_provider_that_leads_elsewhere_now_forgets_nothing_without_a_word() -> None:
    here, there = key("d1"), key("d1", endpoint="https://eu.example")
    recorded_there = lock(entry(live(there, "b1"), "a/d1"), entry(live(key("d2"), "b2"), "a/d2"))
    desired = wants(batch_set("a", "d1"))
    made = planned(desired, {here: ()}, recorded_there)
    assert shown(made) == [("create", "a/d1"), ("forget", "a/d1"), ("forget", "a/d2")]
    one, other = "https://eu.example, project prj", "https://api.example, project prj"
    led = f"recorded on {one}, and its provider leads to {other} now"
    assert made.guarded == (Guarded(Address("a", "d1"), f"it was {led}", "a.yaml:1:1"),)
    forgotten = next(action for action in made.actions if action.key == there)
    assert forgotten.reason.text == f"{led}; b1 (COMPLETED) is left alone"
    assert planned(wants(batch_set("a", "d3")), {key("d3"): ()}, recorded_there).guarded == ()


# O1-O3 ----------------------------------------------------------------------------------------------


def test_only_what_is_new_or_running_is_asked_for() -> None:
    keys = [key(f"d{number}") for number in range(6)]
    desired = wants(batch_set("a", *(item.directory for item in keys)))
    there = [
        entry(live(keys[0], "done"), "a/d0"),
        entry(live(keys[1], "runs", Status.RUNNING), "a/d1"),
        entry(live(keys[2], "failed", Status.FAILED), "a/d2"),
        entry(live(keys[3], "moved"), "old/d3"),
        entry(live(keys[4], "odd", Status.OTHER), "a/d4"),
    ]
    assert questions(desired.batches, lock(*there), (), NOW) == Questions(
        trusted={keys[0]: (live(keys[0], "done"),), keys[3]: (live(keys[3], "moved"),)},
        refresh=(keys[1], keys[4]),
        look=(keys[2], keys[5]),
    )


def test_what_might_be_cancelled_is_refreshed() -> None:
    cancel, keep, ended, adopted = (
        entry(live(key(str(number)), f"b{number}", status), f"a/{number}", on_remove=policy)
        for number, (status, policy) in enumerate(
            [
                (Status.RUNNING, OnRemove.CANCEL),
                (Status.RUNNING, OnRemove.KEEP),
                (Status.COMPLETED, OnRemove.CANCEL),
                (Status.FAILED, OnRemove.KEEP),
            ]
        )
    )
    assert questions((), lock(), (cancel, keep, ended, adopted), NOW).refresh == (cancel.key,)


def test_directories_are_looked_up_for_creates_and_where_changes_rerun() -> None:
    watch = Rerun(on_input_change=OnChange.RERUN)
    watch_too = Rerun(on_configuration_change=OnChange.RERUN)
    desired = wants(
        batch_set("a", "d1"),
        batch_set("b", "d2", "d3", "d4", rerun=watch),
        batch_set("c", "d5", "d6", rerun=watch_too),
        batch_set("z", "d7"),
    )
    d4, d5, d6, d7 = (key(f"d{number}") for number in (4, 5, 6, 7))
    seen: Mapping[Key, Seen] = {
        D1: (),
        D2: (live(D2, "done"),),
        D3: (live(D3, "runs", Status.RUNNING),),
        d4: Unknown("?"),
        d5: (live(d5, "moved"),),
        d6: (live(d6, "stopped", Status.CANCELLED),),
        d7: (live(d7, "done"),),
    }
    recorded_ = lock(entry(live(d5, "moved"), "old/d5"), entry(live(key("d9"), "gone"), "a/d9"))
    made = planned(desired, seen, recorded_)
    assert {action.kind for action in made.actions} == {CREATE, ADOPT, MOVE, FORGET, BLOCKED, UNRESOLVED}
    assert facts_wanted(made, {want.key: want for want in desired.batches}) == (D1, D2, d5)


# Recording (C9) -------------------------------------------------------------------------------------

WANT = wants(batch_set("a", "d1", on_remove=OnRemove.CANCEL)).batches[0]


def test_a_created_batch_stands_beside_those_that_were_recorded() -> None:
    before = entry(live(D1, "z", Status.FAILED), "old/d1", directory_name="March")
    made = recorded(
        before,
        WANT,
        live(D1, "b", Status.PENDING),
        origin=Origin.CREATED,
        now=NOW,
        evidence=Evidence("failed"),
    )
    fresh = Recorded("b", Status.PENDING, Origin.CREATED, NOW, NOW - H, evidence=Evidence("failed"))
    assert made == Entry(
        key=D1,
        address=Address("a", "d1"),
        current="b",
        batches=(fresh, *before.batches),
        on_remove=OnRemove.CANCEL,
        directory_name="March",
    )


def test_seeing_a_recorded_batch_again_tells_its_status_and_nothing_of_where_it_came_from() -> None:
    before = entry(live(D1, "b", Status.PENDING), "a/d1")
    made = recorded(before, WANT, live(D1, "b"), origin=Origin.ADOPTED, now=NOW + H)
    assert made.batches == (before.batches[0]._replace(status=Status.COMPLETED),)


def test_a_reply_under_another_name_is_recorded_with_both() -> None:
    made = recorded(None, WANT, live(D2, "b"), origin=Origin.CREATED, now=NOW)
    assert (made.key, made.recorded.alias) == (D1, Alias("d2", "cfg"))
    assert aliases_of(lock(made)) == {D2: D1}


def test_a_batch_that_does_not_stand_is_only_added() -> None:
    before = entry(live(D1, "b1"), "a/d1", on_remove=OnRemove.CANCEL)
    made = record_batch(
        before, D1, before.address, live(D1, "b2"), origin=Origin.FOUND, now=NOW, stands=False
    )
    assert ([item.id for item in made.batches], made.current, made.on_remove) == (
        ["b1", "b2"],
        "b1",
        OnRemove.CANCEL,
    )


def test_a_refresh_keeps_times_that_the_service_no_longer_tells_and_what_it_did_not_see() -> None:
    one, two = entry(live(D1, "b1", Status.RUNNING), "a/d1"), entry(live(D2, "b2"), "a/d2")
    seen: Mapping[Key, Seen] = {
        D1: (live(D1, "b1")._replace(created_at=None, updated_at=NOW), live(D1, "stranger")),
        D2: Unknown("?"),
    }
    assert refreshed(lock(one, two), Snapshot(seen)) == {
        D1: with_status(one, live(D1, "b1")._replace(updated_at=NOW)),
        D2: two,
    }
    assert refreshed(lock(one), Snapshot({D1: ()})) == {D1: one}


def test_policies_are_taken_over_for_the_sets_that_were_applied_in_full() -> None:
    one, two = entry(live(D1, "b1"), "a/d1"), entry(live(D2, "b2"), "b/d2")
    desired = wants(
        batch_set("a", "d1", on_remove=OnRemove.CANCEL), batch_set("b", "d2", on_remove=OnRemove.CANCEL)
    )
    entries = {D1: one, D2: two}
    assert policies(entries, desired, frozenset({"a"})) == {
        D1: one._replace(on_remove=OnRemove.CANCEL),
        D2: two,
    }


def test_a_saved_configuration_for_another_product_blocks() -> None:
    """R14, seen from the plan."""
    saved = Configuration("cfg", "c", "extract_v2", "1")
    given = {D1: replace(_FULL, configuration=saved), D2: _FULL}
    made = planned(wants(A), NOTHING, facts=given)
    assert [(a.kind, a.reason.code, a.files) for a in made.actions] == [
        (BLOCKED, ReasonCode.PREFLIGHT, 600),
        (CREATE, ReasonCode.MISSING, 600),
    ]
