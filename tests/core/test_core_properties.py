"""Laws of planning, held against a small service: order, rest (R1, R9), and bounds over 30 days (R2-R6)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from reconciler.core.plan import plan
from reconciler.core.record import recorded, refreshed
from reconciler.core.select import Selection
from reconciler.model.batch import Address, Batch, Configuration, Directory, JobType, Key, Status
from reconciler.model.desired import Desired, DesiredBatch
from reconciler.model.intent import Intent
from reconciler.model.lock import Alias, Entry, Evidence, Lock, Origin, Recorded
from reconciler.model.manifest import BatchSet, ById, Job, OnCancelled, OnChange, OnRemove, Rerun
from reconciler.model.plan import ActionKind
from reconciler.model.project import Limits
from reconciler.model.snapshot import Facts, Missing, Snapshot, Unknown
from reconciler.model.source import Source

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.model.plan import Plan
    from reconciler.model.snapshot import Seen

START = datetime(2026, 9, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STOPPED = {Status.FAILED, Status.CANCELLED}
ENDPOINT = "https://api.example"

_Item = TypeVar("_Item")

LAW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: Of lives of a month, each of them hundreds of plans.
MONTHS = settings(LAW, max_examples=LAW.max_examples * 4 // 5)


def nowhere(path: object, *, key: bool = False) -> Source:
    return Source("f")


def key(directory: str, configuration: str = "cfg") -> Key:
    return Key(ENDPOINT, "prj", directory, JobType.PARSE_V2, configuration)


def want(where: Key, rerun: Rerun, name: str = "set", on_remove: OnRemove = OnRemove.KEEP) -> DesiredBatch:
    item = BatchSet(
        name=name,
        provider="p",
        job=Job(where.job, ById(where.configuration)),
        directories=(ById(where.directory),),
        source=Source("f"),
        digest=f"text of {name}",
        locate=nowhere,
        rerun=rerun,
        on_remove=on_remove,
    )
    return DesiredBatch(Address(name, where.directory), where, item, 0)


def desire(wants: Iterable[DesiredBatch]) -> Desired:
    batches = tuple(sorted(wants, key=lambda item: item[:2]))
    return Desired(batches, {item.set.name: item.set.digest for item in batches}, "m")


# A service --------------------------------------------------------------------------------------------


class Fate(NamedTuple):
    """What becomes of a batch, after how many hours, and whether the service tells its times."""

    status: Status
    hours: int
    timed: bool


@dataclass
class Service:
    """A service in memory: what is created is listed at once, and ends as its fate has it."""

    skew: timedelta
    fates: Sequence[Fate]
    made: list[tuple[Batch, datetime, Fate]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def put(self, where: Key, now: datetime, fate: Fate) -> Batch:
        created = now + self.skew if fate.timed else None
        batch = Batch(f"bat-{len(self.made):04}", where, Status.PENDING, created)
        self.made.append((batch, now, fate))
        return batch

    def create(self, where: Key, now: datetime) -> Batch:
        batch = self.put(where, now, self.fates[len(self.calls) % len(self.fates)])
        self.calls.append(f"create {batch.id}")
        return batch

    def cancel(self, name: str) -> None:
        self.calls.append(f"cancel {name}")

    def batches(self, now: datetime) -> list[Batch]:
        return [
            batch._replace(status=fate.status if now - since >= fate.hours * HOUR else batch.status)
            for batch, since, fate in self.made
        ]

    def snapshot(self, now: datetime, keys: Iterable[Key]) -> Snapshot:
        seen: dict[Key, list[Batch]] = {item: [] for item in keys}
        for batch in self.batches(now):
            if batch.key in seen:
                seen[batch.key].append(batch)
        return Snapshot({item: tuple(there) for item, there in seen.items()}, {ENDPOINT: now + self.skew})


def make(
    desired: Desired,
    snapshot: Snapshot,
    lock: Lock,
    now: datetime,
    *,
    facts: Mapping[Key, Facts] | None = None,
    intents: Iterable[Intent] = (),
) -> Plan:
    return plan(
        desired=desired,
        snapshot=snapshot,
        lock=lock,
        intents=intents,
        facts=facts or {},
        now=now,
        limits=Limits(),
        selection=Selection(),
    )


def carry_out(made: Plan, desired: Desired, lock: Lock, service: Service, now: datetime) -> Lock:
    """What an apply does with a plan, with a service that never fails."""
    wanted = {item.key: item for item in desired.batches}
    entries = refreshed(lock, service.snapshot(now, {*wanted, *lock.entries}))
    for action in made.actions:
        before = entries.get(action.key)
        match action.kind:
            case ActionKind.CREATE:
                batch = service.create(action.key, now)
                entries[action.key] = recorded(
                    before,
                    wanted[action.key],
                    batch,
                    origin=Origin.CREATED,
                    now=now,
                    evidence=action.evidence,
                )
            case ActionKind.ADOPT:
                assert action.batch is not None
                entries[action.key] = recorded(
                    before, wanted[action.key], action.batch, origin=Origin.ADOPTED, now=now
                )
            case ActionKind.MOVE:
                entries[action.key] = entries[action.key]._replace(address=action.address)
            case ActionKind.CANCEL:
                assert action.batch is not None
                service.cancel(action.batch.id)
                del entries[action.key]
            case ActionKind.FORGET:
                del entries[action.key]
            case ActionKind.KEEP | ActionKind.BLOCKED | ActionKind.UNRESOLVED:
                pass
    return replace(lock, lineage="l", entries=entries, sets=dict(desired.sets))


# Values -----------------------------------------------------------------------------------------------

hours = st.integers(-6, 6).map(lambda number: number * HOUR)
fates = st.builds(
    Fate,
    st.sampled_from([Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.RUNNING]),
    st.integers(1, 60),
    st.booleans(),
)
reruns = st.builds(
    Rerun,
    after=st.none() | st.integers(-240, 900).map(lambda number: START + number * HOUR),
    max_age=st.none() | st.integers(1, 400).map(lambda number: number * HOUR),
    max_attempts=st.integers(1, 4),
    on_cancelled=st.sampled_from(OnCancelled),
    on_input_change=st.sampled_from(OnChange),
    on_configuration_change=st.sampled_from(OnChange),
)
moments = st.integers(-96, 6).map(lambda number: START + number * HOUR)
KEYS = [key("d1"), key("d2"), key("d3"), key("d1", "other")]
statuses = st.sampled_from(Status)
batches = st.builds(Batch, st.sampled_from("abcdefgh"), st.sampled_from(KEYS), statuses, st.none() | moments)
evidences = st.builds(Evidence, st.just("missing"), st.none() | moments, st.none() | st.sampled_from("xy"))
facts_ = st.builds(
    Facts,
    directory=st.sampled_from([Directory("d", "D", "prj"), Directory("d", "D", "else"), Missing("gone")]),
    files=st.sampled_from([0, 1, 1000, 1001]),
    newest_file_at=st.none() | moments,
    inputs=st.sampled_from("xy"),
    configuration=st.none() | st.just(Configuration("cfg", "c", "parse_v2", "1", START)),
)


class World(NamedTuple):
    """Everything that a plan is made from."""

    desired: Desired
    snapshot: Snapshot
    lock: Lock
    intents: tuple[Intent, ...]
    facts: Mapping[Key, Facts]

    def plan(self) -> Plan:
        return make(self.desired, self.snapshot, self.lock, START, facts=self.facts, intents=self.intents)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any state at all, also such as should not come about."""
    wanted = draw(st.lists(st.sampled_from(KEYS), unique=True))
    desired = desire(
        want(item, draw(reruns), draw(st.sampled_from(["s", "t"])), draw(st.sampled_from(OnRemove)))
        for item in wanted
    )
    live = draw(st.lists(batches, unique_by=lambda batch: batch.id, max_size=8))
    seen: dict[Key, Seen] = {}
    for item in KEYS:
        if draw(st.integers(0, 5)):
            seen[item] = tuple(batch for batch in live if batch.key == item)
        elif draw(st.booleans()):
            seen[item] = Unknown("page 2 failed")
    entries = {}
    for item in draw(st.lists(st.sampled_from(KEYS), unique=True)):
        there = [batch for batch in live if batch.key == item] + draw(
            st.lists(batches, min_size=1, max_size=2)
        )
        names = sorted({batch.id: batch for batch in there}.items())
        entries[item] = Entry(
            key=item,
            address=Address(draw(st.sampled_from(["s", "t", "gone"])), item.directory),
            current=draw(st.sampled_from(names))[0],
            batches=tuple(
                Recorded(
                    name,
                    draw(statuses),
                    draw(st.sampled_from(Origin)),
                    draw(moments),
                    batch.created_at,
                    evidence=draw(st.none() | evidences),
                    alias=Alias("d2", "cfg") if draw(st.integers(0, 9)) == 0 else None,
                )
                for name, batch in names
            ),
            on_remove=draw(st.sampled_from(OnRemove)),
        )
    sets = draw(st.dictionaries(st.sampled_from(["s", "t", "gone"]), st.sampled_from(["text of s", "old"])))
    intents = tuple(
        Intent(
            id=name,
            key=draw(st.sampled_from(KEYS)),
            address=Address("s", "d"),
            known=frozenset(),
            evidence=Evidence("missing"),
            at=draw(moments),
            run="r",
        )
        for name in draw(st.lists(st.sampled_from("pqr"), unique=True, max_size=2))
    )
    snapshot = Snapshot(seen, {ENDPOINT: START + draw(hours)} if draw(st.booleans()) else {})
    given_facts = {item: draw(facts_) for item in KEYS if draw(st.booleans())}
    return World(desired, snapshot, Lock(lineage="l", entries=entries, sets=sets), intents, given_facts)


def shuffled(world: World, dice: random.Random) -> World:
    def mixed(items: Iterable[_Item]) -> list[_Item]:
        there = list(items)
        dice.shuffle(there)
        return there

    def turned(seen: Seen) -> Seen:
        return tuple(mixed(seen)) if isinstance(seen, tuple) else seen

    desired, snapshot, lock = world.desired, world.snapshot, world.lock
    return World(
        replace(desired, batches=tuple(mixed(desired.batches)), sets=dict(mixed(desired.sets.items()))),
        Snapshot({item: turned(seen) for item, seen in mixed(snapshot.seen.items())}, snapshot.clocks),
        replace(
            lock,
            sets=dict(mixed(lock.sets.items())),
            entries={
                item: entry._replace(batches=tuple(mixed(entry.batches)))
                for item, entry in mixed(lock.entries.items())
            },
        ),
        tuple(mixed(world.intents)),
        dict(mixed(world.facts.items())),
    )


# Laws of one plan -------------------------------------------------------------------------------------


@LAW
@given(worlds(), st.randoms(use_true_random=False))
def test_any_order_of_input_gives_the_same_bytes(world: World, dice: random.Random) -> None:
    assert repr(shuffled(world, dice).plan()) == repr(world.plan())


@LAW
@given(worlds())
def test_each_key_has_one_action_and_all_are_in_order(world: World) -> None:
    actions = world.plan().actions
    assert [(a.address, a.key) for a in actions] == sorted((a.address, a.key) for a in actions)
    assert len({a.key for a in actions}) == len(actions)
    assert {a.key for a in actions} == {w.key for w in world.desired.batches} | set(world.lock.entries) | {
        intent.key for intent in world.intents
    }


@LAW
@given(worlds())
def test_what_is_open_unknown_or_objected_to_is_never_created(world: World) -> None:
    """R7, R8, R14."""
    for action in world.plan().actions:
        if action.kind is ActionKind.CREATE:
            assert action.key not in {intent.key for intent in world.intents}
            assert isinstance(world.snapshot.of(action.key), tuple)
            facts = world.facts.get(action.key)
            if facts is not None:
                assert isinstance(facts.directory, Directory)
                assert (facts.directory.project, 1 <= facts.files <= 1000) == ("prj", True)
            assert action.evidence is not None


@LAW
@given(worlds())
def test_nothing_that_lives_is_created_again(world: World) -> None:
    """R2: unless the policy says that it does not count, and then the reason says which."""
    wanted = {item.key: item for item in world.desired.batches}
    for action in world.plan().actions:
        if action.kind is not ActionKind.CREATE:
            continue
        seen = world.snapshot.of(action.key)
        assert isinstance(seen, tuple)
        rerun = wanted[action.key].set.rerun
        for batch in seen:
            if batch.status in STOPPED:
                continue
            old = rerun.after is not None and batch.created_at is not None and batch.created_at < rerun.after
            policies = (
                rerun.max_age,
                rerun.on_input_change is OnChange.RERUN,
                rerun.on_configuration_change is OnChange.RERUN,
            )
            assert old or (
                batch.status is Status.COMPLETED and batch.created_at is not None and any(policies)
            )


@LAW
@given(worlds())
def test_cancelled_is_only_what_meets_every_condition(world: World) -> None:
    """R10."""
    wanted = {item.key for item in world.desired.batches}
    for action in world.plan().actions:
        if action.kind is not ActionKind.CANCEL:
            continue
        entry = world.lock.entries[action.key]
        seen = world.snapshot.of(action.key)
        assert isinstance(seen, tuple)
        assert action.batch in seen
        assert action.batch is not None
        assert (action.batch.id, action.batch.status.terminal) == (entry.current, False)
        assert (entry.on_remove, entry.recorded.origin) == (OnRemove.CANCEL, Origin.CREATED)
        assert world.lock.sets.get(entry.address.set) != world.desired.sets.get(entry.address.set)
        assert action.key not in wanted


# Laws of plan and apply -------------------------------------------------------------------------------


class Life(NamedTuple):
    """A service with a past, and what is asked of it."""

    service: Service
    desired: Desired
    past: tuple[tuple[Key, int, Fate], ...]


@st.composite
def lives(draw: st.DrawFn) -> Life:
    service = Service(draw(hours), draw(st.lists(fates, min_size=1, max_size=6)))
    past = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 200), fates), max_size=5))
    for where, ago, fate in past:
        service.put(where, START - ago * HOUR, fate)
    wanted = draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=1))
    return Life(service, desire(want(item, draw(reruns)) for item in wanted), tuple(past))


@LAW
@given(lives(), st.lists(st.sampled_from(KEYS), unique=True), st.integers(1, 300))
def test_after_an_apply_there_is_nothing_left_to_do(life: Life, fewer: list[Key], later: int) -> None:
    """R1: at the same moment, with any manifest, and again after the manifest has changed."""
    service, lock, now = life.service, Lock(), START
    moved = desire(want(w.key, w.set.rerun, "moved") for w in life.desired.batches if w.key not in fewer)
    for desired in (life.desired, moved):
        for _ in range(2):
            keys = {item.key for item in desired.batches} | set(lock.entries)
            lock = carry_out(
                made := make(desired, service.snapshot(now, keys), lock, now), desired, lock, service, now
            )
        assert [action for action in made.actions if action.changes] == []
        now += later * HOUR


@LAW
@given(lives())
def test_a_lost_lockfile_creates_nothing_that_exists(life: Life) -> None:
    """R9."""
    service, desired = life.service, life.desired
    keys = [item.key for item in desired.batches]
    lock = carry_out(
        make(desired, service.snapshot(START, keys), Lock(), START), desired, Lock(), service, START
    )
    before = list(service.calls)
    known = make(desired, service.snapshot(START, keys), lock, START)
    lost = make(desired, service.snapshot(START, keys), Lock(), START)
    assert lost.count(ActionKind.CREATE) == known.count(ActionKind.CREATE) == 0
    assert {a.key for a in lost.actions if a.kind is ActionKind.ADOPT} == {
        a.key for a in known.actions if a.kind is ActionKind.KEEP
    }
    carry_out(lost, desired, Lock(), service, START)
    assert service.calls == before


@LAW
@given(lives())
def test_forgetting_never_touches_a_batch(life: Life) -> None:
    """R10."""
    service, desired = life.service, life.desired
    keys = [item.key for item in desired.batches]
    lock = carry_out(
        make(desired, service.snapshot(START, keys), Lock(), START), desired, Lock(), service, START
    )
    before = list(service.calls)
    empty = desire(())
    gone = make(empty, service.snapshot(START, keys), lock, START)
    assert {action.kind for action in gone.actions} <= {ActionKind.FORGET}
    assert carry_out(gone, empty, lock, service, START).entries == {}
    assert service.calls == before


# Thirty days ------------------------------------------------------------------------------------------

MONTH = 30 * 24


class Month(NamedTuple):
    """One key over 30 days."""

    service: Service
    rerun: Rerun
    changes: tuple[int, ...]
    versions: tuple[int, ...]
    losses: frozenset[int]


@st.composite
def months(draw: st.DrawFn) -> Month:
    service = Service(draw(hours), draw(st.lists(fates, min_size=1, max_size=6)))
    for ago, fate in draw(st.lists(st.tuples(st.integers(0, 200), fates), max_size=3)):
        service.put(KEYS[0], START - ago * HOUR, fate)
    at = st.lists(st.integers(1, MONTH), unique=True, max_size=3).map(lambda items: tuple(sorted(items)))
    return Month(
        service, draw(reruns), draw(at), draw(at), draw(st.frozensets(st.integers(1, MONTH), max_size=2))
    )


def live_through(month: Month, step: int = 1) -> dict[str, int]:
    """An hourly plan and apply; how many creates there were, by reason."""
    service, skew = month.service, month.service.skew
    desired = desire([want(KEYS[0], month.rerun)])
    lock, reasons = Lock(), dict[str, int]()
    for hour in range(0, MONTH + 1, step):
        now = START + hour * HOUR
        if hour in month.losses:
            lock = Lock()
        files = [change for change in month.changes if change <= hour]
        saves = [change for change in month.versions if change <= hour]
        facts = Facts(
            directory=Directory("d1", "D", "prj"),
            files=1,
            newest_file_at=START + (files[-1] if files else -9999) * HOUR + skew,
            inputs=f"files {len(files)}",
            configuration=Configuration(
                "cfg", "c", "parse_v2", f"{len(saves)}", START + (saves[-1] if saves else -9999) * HOUR + skew
            ),
        )
        made = make(desired, service.snapshot(now, KEYS[:1]), lock, now, facts={KEYS[0]: facts})
        for action in made.actions:
            if action.kind is ActionKind.CREATE:
                code = action.reason.code.value
                reasons[code] = reasons.get(code, 0) + 1
        lock = carry_out(made, desired, lock, service, now)
    return reasons


def allowed(month: Month) -> dict[str, int]:
    """How many creates each reason may have over the month, by the rules alone."""
    rerun, end = month.rerun, START + MONTH * HOUR
    age = 0 if rerun.max_age is None else int(MONTH * HOUR / rerun.max_age) + 1
    files = len(month.changes) if rerun.on_input_change is OnChange.RERUN else 0
    saves = len(month.versions) if rerun.on_configuration_change is OnChange.RERUN else 0
    after = int(rerun.after is not None and rerun.after <= end + month.service.skew)
    # Each piece of work that those begin may fail, and be tried again, as often as it has attempts left.
    begun = 1 + age + files + saves + after
    again = begun * (rerun.max_attempts - 1) + after + len(month.service.made) * (rerun.max_attempts - 1)
    return {
        "missing": 1,
        "stale-after": after,
        "stale-age": age,
        "input-changed": files,
        "configuration-changed": saves,
        "failed": again,
        "cancelled": again if rerun.on_cancelled is OnCancelled.RERUN else 0,
    }


@MONTHS
@given(months())
def test_thirty_days_of_hourly_applies_create_no_more_than_the_rules_say(month: Month) -> None:
    bound = allowed(month)
    made = live_through(month)
    event(f"{min(sum(made.values()), 20)} creates")
    assert {code: number for code, number in made.items() if number > bound[code]} == {}
    assert made.get("failed", 0) + made.get("cancelled", 0) <= bound["failed"]


@MONTHS
@given(months())
def test_between_two_batches_that_completed_no_more_fail_than_there_are_attempts(month: Month) -> None:
    """R6, counted on the service's side."""
    assume(month.rerun.after is None)
    live_through(month)
    mine = month.service.made[-len(month.service.calls) :] if month.service.calls else []
    run = worst = 0
    for _, _, fate in mine:
        run = run + 1 if fate.status in STOPPED else 0
        worst = max(worst, run)
    assert worst <= month.rerun.max_attempts


def test_a_service_without_times_is_asked_for_one_batch_and_its_attempts() -> None:
    """R2: a null created_at outdates nothing, so neither age nor `after` ever fires."""
    rerun = Rerun(after=START + 48 * HOUR, max_age=HOUR, max_attempts=3)
    done = Service(5 * HOUR, [Fate(Status.COMPLETED, 2, timed=False)])
    assert live_through(Month(done, rerun, (), (), frozenset({9}))) == {"missing": 1}
    failing = Service(-5 * HOUR, [Fate(Status.FAILED, 0, timed=False)])
    assert live_through(Month(failing, rerun, (), (), frozenset({9}))) == {"missing": 1, "failed": 2}


def test_what_always_completes_is_made_again_for_each_age_and_once_for_an_after() -> None:
    service = Service(6 * HOUR, [Fate(Status.COMPLETED, 1, timed=True)])
    rerun = Rerun(max_age=5 * DAY, after=START + 12 * DAY)
    assert live_through(Month(service, rerun, (), (), frozenset())) == {
        "missing": 1,
        "stale-age": 5,
        "stale-after": 1,
    }


def test_each_change_of_files_is_worth_one_batch() -> None:
    service = Service(-6 * HOUR, [Fate(Status.COMPLETED, 1, timed=True)])
    rerun = Rerun(on_input_change=OnChange.RERUN, on_configuration_change=OnChange.RERUN)
    assert live_through(Month(service, rerun, (50, 300), (301,), frozenset({200}))) == {
        "missing": 1,
        "input-changed": 2,
        "configuration-changed": 1,
    }
