"""What is watched: whose it is, what happened to it, what is recorded. Tables first, then laws."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.select import Selection, select
from reconciler.core.tracking import (
    Tracking,
    changes,
    first_questions,
    further_questions,
    health_of_watched,
    record_tracked,
    running,
)
from reconciler.model.batch import Address, FileCounts, Status
from reconciler.model.desired import Desired
from reconciler.model.errors import SettingsError
from reconciler.model.lock import Lock, TrackedEntry
from reconciler.model.manifest import TrackedBatch
from reconciler.model.snapshot import Gone, Unknown
from reconciler.model.source import Source
from reconciler.model.status import Health
from reconciler.model.tracking import Happened, Question, Sightings, TrackedChange
from reconciler.model.watched import Watched, WatchedId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDPOINT = "https://api.example"
EVERYTHING = Selection()

_WORDS = {
    "accumulating": Status.PENDING,
    "submitted": Status.PENDING,
    "in_progress": Status.RUNNING,
    "completed": Status.COMPLETED,
    "expired": Status.FAILED,
    "cancelled": Status.CANCELLED,
    "paused": Status.OTHER,
}


def batch(
    name: str = "b",
    word: str = "submitted",
    *,
    created: datetime | None = NOON,
    counts: FileCounts | None = None,
    endpoint: str = ENDPOINT,
) -> Watched:
    return Watched(
        id=WatchedId(endpoint, name), status=_WORDS[word], word=word, created_at=created, counts=counts
    )


def manifest(
    name: str = "m",
    *,
    provider: str = "p",
    ids: tuple[str, ...] = (),
    since: datetime | None = None,
    statuses: tuple[str, ...] = (),
    labels: Mapping[str, str] | None = None,
) -> TrackedBatch:
    return TrackedBatch(
        name=name,
        provider=provider,
        source=Source("f"),
        ids=ids,
        since=since,
        statuses=statuses,
        labels=labels or {},
    )


def entry(watched: Watched, name: str = "m") -> TrackedEntry:
    return TrackedEntry(address=Address(name, watched.id.id), watched=watched, recorded_at=NOON)


def tracking(
    *manifests: TrackedBatch, recorded: Sequence[TrackedEntry] = (), selection: Selection = EVERYTHING
) -> Tracking:
    endpoints = {item.provider: ENDPOINT for item in manifests}
    return Tracking(manifests, endpoints, {item.watched.id: item for item in recorded}, selection)


def told(found: Sequence[TrackedChange]) -> list[tuple[str, Happened, str]]:
    return [(str(item.address), item.happened, item.reason) for item in found]


# --- health ---


@pytest.mark.parametrize(
    ("word", "counts", "health"),
    [
        ("accumulating", None, Health.PROGRESSING),
        ("in_progress", FileCounts(3, 0), Health.PROGRESSING),
        ("paused", None, Health.PROGRESSING),
        ("in_progress", FileCounts(3, 1), Health.DEGRADED),
        ("completed", None, Health.COMPLETED),
        ("completed", FileCounts(3, 0), Health.HEALTHY),
        ("completed", FileCounts(3, 1), Health.DEGRADED),
        ("expired", FileCounts(3, 0), Health.DEGRADED),
        ("cancelled", None, Health.DEGRADED),
    ],
)
def test_health_is_what_status_and_counts_say(word: str, counts: FileCounts | None, health: Health) -> None:
    assert health_of_watched(batch(word=word, counts=counts)) is health


# --- what happened ---

_ID = WatchedId(ENDPOINT, "b")
_ASKED = Question("p", _ID)


@pytest.mark.parametrize(
    ("before", "now", "happened", "reason"),
    [
        (None, batch(), Happened.NEW, "seen for the first time, submitted"),
        (batch(), batch(), Happened.UNCHANGED, "submitted, as recorded"),
        (batch(), batch(word="completed"), Happened.CHANGED, "submitted -> completed"),
        (batch(), batch(counts=FileCounts(3, 0)), Happened.CHANGED, "still submitted, with other counts"),
        (batch(), batch(created=NOON + HOUR), Happened.CHANGED, "still submitted, with other times"),
        (batch(counts=FileCounts(3, 0)), batch(created=None), Happened.UNCHANGED, "submitted, as recorded"),
        (
            batch(),
            Gone("404"),
            Happened.GONE,
            "recorded as submitted, and the service does not know it any more (404)",
        ),
        (batch(), Unknown("it is silent"), Happened.UNKNOWN, "it is silent"),
        (None, Unknown("it is silent"), Happened.UNKNOWN, "it is silent"),
        (
            None,
            Gone("404"),
            Happened.UNKNOWN,
            "the service does not know it (404): check the id, and whose key this is",
        ),
    ],
)
def test_what_happened_to_a_batch_that_is_asked_for_by_its_id(
    before: Watched | None, now: Watched | Unknown, happened: Happened, reason: str
) -> None:
    there = tracking(manifest(ids=("b",)), recorded=[entry(before)] if before else [])
    assert told(changes(there, Sightings(asked={_ASKED: now}))) == [("m/b", happened, reason)]


def test_a_recorded_batch_that_has_ended_is_trusted_without_a_request() -> None:
    """O1, where ids are given."""
    done = batch(word="completed", counts=FileCounts(3, 0))
    there = tracking(manifest(ids=("b",)), recorded=[entry(done)])
    assert first_questions(there).ids == ()
    assert told(changes(there, Sightings())) == [("m/b", Happened.UNCHANGED, "completed, as recorded")]
    running_still = tracking(manifest(ids=("b",)), recorded=[entry(batch())])
    assert first_questions(running_still).ids == (_ASKED,)


def test_what_a_whole_listing_lacks_is_asked_for_by_its_id() -> None:
    there = tracking(manifest(since=NOON), recorded=[entry(batch())])
    seen = Sightings(listed={"m": ()})
    assert further_questions(there, seen) == (_ASKED,)
    assert further_questions(there, Sightings(listed={"m": Unknown("half")})) == ()
    assert further_questions(there, Sightings(listed={"m": (batch(),)})) == ()


def test_a_listing_that_was_not_read_to_its_end_makes_unknown_and_not_gone() -> None:
    """R7; what had ended stays as it was (O1)."""
    ended = batch("done", "completed")
    there = tracking(manifest(since=NOON), recorded=[entry(batch()), entry(ended)])
    assert told(changes(there, Sightings(listed={"m": Unknown("half of it")}))) == [
        ("m/*", Happened.UNKNOWN, "half of it"),
        ("m/b", Happened.UNKNOWN, "half of it"),
        ("m/done", Happened.UNCHANGED, "completed, as recorded"),
    ]


@pytest.mark.parametrize(
    ("manifests", "reason"),
    [
        ([], "no manifest tracks it any more"),
        ([manifest(ids=("c",))], "m does not ask for it any more"),
        ([manifest(since=NOON + HOUR)], "m does not ask for it any more"),
        ([manifest("other", ids=("c",))], "no manifest tracks it any more"),
    ],
)
def test_what_no_manifest_asks_for_is_no_longer_tracked(manifests: list[TrackedBatch], reason: str) -> None:
    there = tracking(*manifests, recorded=[entry(batch())])
    seen = Sightings(
        listed={item.name: () for item in manifests if not item.ids},
        asked={Question("p", WatchedId(ENDPOINT, "c")): batch("c")},
    )
    found = [item for item in changes(there, seen) if item.id == _ID]
    assert told(found) == [("m/b", Happened.NO_LONGER_TRACKED, reason)]
    assert _ID not in record_tracked(there.recorded, found, NOON)


def test_another_endpoint_is_another_service() -> None:
    elsewhere = Tracking([manifest(since=NOON)], {"p": "https://other"}, {_ID: entry(batch())}, EVERYTHING)
    assert [item.happened for item in changes(elsewhere, Sightings(listed={"m": ()}))] == [
        Happened.NO_LONGER_TRACKED
    ]


def test_what_was_seen_in_a_status_is_followed_to_its_end_and_stays() -> None:
    there = tracking(manifest(statuses=("Submitted",)), recorded=[entry(batch())])
    assert further_questions(there, Sightings(listed={"m": ()})) == (_ASKED,)
    done = Sightings(listed={"m": ()}, asked={_ASKED: batch(word="completed")})
    found = changes(there, done)
    assert told(found) == [("m/b", Happened.CHANGED, "submitted -> completed")]
    after = tracking(
        manifest(statuses=("Submitted",)), recorded=list(record_tracked({}, found, NOON).values())
    )
    assert told(changes(after, Sightings(listed={"m": ()}))) == [
        ("m/b", Happened.UNCHANGED, "completed, as recorded")
    ]


def test_of_two_manifests_that_fit_one_batch_the_first_by_name_owns_it() -> None:
    both = (manifest("z", ids=("b",)), manifest("a", since=NOON))
    seen = Sightings(listed={"a": (batch(),)}, asked={_ASKED: batch()})
    assert [str(item.address) for item in changes(tracking(*both), seen)] == ["a/b"]
    found = changes(tracking(*both, recorded=[entry(batch(), "z")]), seen)
    assert told(found) == [("a/b", Happened.CHANGED, "tracked by a now, and by z before; submitted")]


def test_two_accounts_of_one_service_know_their_own_batches_only() -> None:
    """A batch seen with one key is never asked for with another, whose 404 would say that it is gone."""
    first, second = manifest("a", provider="p", since=NOON), manifest("b", provider="q", since=NOON)
    there = tracking(first, second)
    seen = Sightings(listed={"a": (batch("mine"),), "b": (batch("theirs"),)})
    found = changes(there, seen)
    assert [str(item.address) for item in found] == ["a/mine", "b/theirs"]
    later = tracking(first, second, recorded=list(record_tracked({}, found, NOON).values()))
    asked = further_questions(later, Sightings(listed={"a": (), "b": ()}))
    assert [(item.provider, item.id.id) for item in asked] == [("p", "mine"), ("q", "theirs")]


def test_a_refresh_that_is_not_answered_makes_unknown_what_a_listing_had() -> None:
    there = tracking(manifest(since=NOON), recorded=[entry(batch())])
    listed = {"m": (batch(), batch("done", "completed"))}
    assert running(there, Sightings(listed)) == (_ASKED,)
    found = changes(there, Sightings(listed, {_ASKED: Unknown("it is silent")}))
    assert [(item.id.id, item.happened) for item in found] == [
        ("b", Happened.UNKNOWN),
        ("done", Happened.NEW),
    ]


def test_what_is_recorded_again_keeps_the_time_when_it_was_recorded_first() -> None:
    there = tracking(manifest(ids=("b",)), recorded=[entry(batch())])
    found = changes(there, Sightings(asked={_ASKED: batch(word="completed")}))
    assert record_tracked(there.recorded, found, NOON + HOUR) == {
        _ID: TrackedEntry(address=Address("m", "b"), watched=batch(word="completed"), recorded_at=NOON)
    }


# --- selection ---


def test_a_selection_of_one_address_leaves_all_else_alone() -> None:
    target = Selection(addresses=frozenset({Address("m", "b")}))
    there = tracking(
        manifest(since=NOON), manifest("n", ids=("c",)), recorded=[entry(batch("x"))], selection=target
    )
    assert [item.name for item in first_questions(there).listings] == ["m"]
    assert first_questions(there).ids == ()
    seen = Sightings(listed={"m": (batch(), batch("x", "completed"))})
    assert [str(item.address) for item in changes(there, seen)] == ["m/b"]
    assert told(changes(there, Sightings(listed={"m": ()}))) == [
        ("m/b", Happened.UNKNOWN, "it is none of the batches that m tracks")
    ]


def test_what_a_selection_leaves_out_is_not_dropped() -> None:
    """R10."""
    there = tracking(
        manifest("n", since=NOON + HOUR),
        recorded=[entry(batch())],
        selection=Selection(sets=frozenset({"n"})),
    )
    assert changes(there, Sightings(listed={"n": ()})) == ()


def test_targets_name_tracked_batches_by_manifest_address_and_label() -> None:
    manifests = [manifest(since=NOON, labels={"team": "x"}), manifest("n", ids=("c",))]
    lock = Lock(tracked={_ID: entry(batch(), "old")})
    chosen = select(["m", "n/c", "m/any", "old/b", "team=x"], Desired(), lock, manifests)
    assert chosen == Selection(
        frozenset({"m"}),
        frozenset({Address("n", "c"), Address("m", "any"), Address("old", "b")}),
        frozenset({("team", "x")}),
    )
    for wrong in ("x", "n/d", "m/", "team=y", "n/"):
        with pytest.raises(SettingsError, match="fits no set, address or label"):
            select([wrong], Desired(), lock, manifests)


# --- laws ---


class Account(NamedTuple):
    """Whose key it is: of which service, and which account there."""

    endpoint: str
    name: str


_BLOCKS = {
    "p": Account("https://one", "x"),
    "q": Account("https://one", "y"),
    "r": Account("https://one", "x"),  # the account of p once more
    "s": Account("https://two", "z"),
}
_ACCOUNTS = sorted(set(_BLOCKS.values()))
_TIMES = [None, NOON - HOUR, NOON, NOON + HOUR]
_IDS = ["b1", "b2", "b3", "b4"]


@dataclass(frozen=True)
class World:
    """What the services have, and what they do not answer this time."""

    batches: Mapping[tuple[Account, str], Watched]
    silent: frozenset[str] = frozenset()
    refused: frozenset[str] = field(default_factory=frozenset)

    def sees(self, block: str) -> list[Watched]:
        return [found for (account, _), found in self.batches.items() if account == _BLOCKS[block]]

    def look(self, there: Tracking) -> Sightings:
        """What the engine would bring home."""
        questions = first_questions(there)
        listed: dict[str, tuple[Watched, ...] | Unknown] = {
            item.name: Unknown("silent") if item.name in self.silent else tuple(self._listed(item))
            for item in questions.listings
        }
        asked = {question: self._answer(question) for question in questions.ids}
        further = further_questions(there, Sightings(listed, asked))
        return Sightings(listed, asked | {question: self._answer(question) for question in further})

    def _listed(self, item: TrackedBatch) -> list[Watched]:
        if item.since is not None:
            return [
                one for one in self.sees(item.provider) if not one.created_at or one.created_at >= item.since
            ]
        return [one for one in self.sees(item.provider) if one.word in item.statuses]

    def _answer(self, question: Question) -> Watched | Unknown:
        if question.id.id in self.refused:
            return Unknown("refused")
        found = {one.id: one for one in self.sees(question.provider)}
        return found.get(question.id, Gone("404"))


_words = st.sampled_from(sorted(_WORDS))
_counts = st.none() | st.builds(FileCounts, st.just(3), st.integers(0, 3))
_choices = st.one_of(
    st.builds(lambda ids: {"ids": tuple(ids)}, st.lists(st.sampled_from(_IDS), min_size=1, max_size=3)),
    st.builds(lambda since: {"since": since}, st.sampled_from([NOON, NOON + HOUR])),
    st.builds(lambda words: {"statuses": tuple(words)}, st.lists(_words, min_size=1, max_size=3)),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """An id belongs to one account of a service, and was made at one time: the same in every world."""
    batches: dict[tuple[Account, str], Watched] = {}
    for endpoint in ("https://one", "https://two"):
        accounts = [item for item in _ACCOUNTS if item.endpoint == endpoint]
        for name in draw(st.sets(st.sampled_from(_IDS))):
            created = _TIMES[_IDS.index(name)]
            found = batch(name, draw(_words), created=created, counts=draw(_counts), endpoint=endpoint)
            batches[accounts[_IDS.index(name) % len(accounts)], name] = found
    return World(batches)


@st.composite
def manifest_lists(draw: st.DrawFn) -> list[TrackedBatch]:
    names = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4))
    return [manifest(name, provider=draw(st.sampled_from("pqrs")), **draw(_choices)) for name in names]


def watch(
    manifests: Sequence[TrackedBatch],
    recorded: Mapping[WatchedId, TrackedEntry],
    selection: Selection = EVERYTHING,
) -> Tracking:
    endpoints = {item.provider: _BLOCKS[item.provider].endpoint for item in manifests}
    return Tracking(manifests, endpoints, recorded, selection)


def applied(world: World, there: Tracking) -> dict[WatchedId, TrackedEntry]:
    return record_tracked(there.recorded, changes(there, world.look(there)), NOON)


LAW = settings(deadline=None, max_examples=50)


@LAW
@given(worlds(), worlds(), manifest_lists(), manifest_lists())
def test_what_was_recorded_is_at_rest(
    early: World, late: World, before: list[TrackedBatch], now: list[TrackedBatch]
) -> None:
    """R1: whatever was recorded earlier by other manifests, one apply is enough.

    What has ended stays as it is (O1). Were a listing to bring it back to life, a second apply would be
    needed: the first does not ask for it by its id.
    """
    ended = {
        name: batch for name, batch in early.batches.items() if batch.status.terminal and name in late.batches
    }
    late = replace(late, batches={**late.batches, **ended})
    recorded = applied(late, watch(now, applied(early, watch(before, {}))))
    found = changes(watch(now, recorded), late.look(watch(now, recorded)))
    assert [item for item in found if item.recordable] == []
    assert applied(late, watch(now, recorded)) == recorded


@LAW
@given(worlds(), worlds(), manifest_lists(), st.randoms(use_true_random=False))
def test_order_does_not_matter(
    early: World, late: World, manifests: list[TrackedBatch], random: Random
) -> None:
    """R1, R17."""
    recorded = applied(early, watch(manifests, {}))
    seen = late.look(watch(manifests, recorded))
    found = changes(watch(manifests, recorded), seen)
    shuffled = random.sample(manifests, len(manifests))
    items = random.sample(sorted(recorded.items()), len(recorded))
    again = Sightings(
        {
            name: tuple(random.sample(got, len(got))) if isinstance(got, tuple) else got
            for name, got in random.sample(sorted(seen.listed.items(), key=str), len(seen.listed))
        },
        dict(random.sample(sorted(seen.asked.items(), key=str), len(seen.asked))),
    )
    assert changes(watch(shuffled, dict(items)), again) == found
    assert list(found) == sorted(found, key=lambda item: (item.address, item.id))
    seen_ids = [item.id for item in found if item.id.id and item.now is not None]
    assert len(seen_ids) == len(set(seen_ids))


@LAW
@given(
    worlds(),
    manifest_lists(),
    st.frozensets(st.sampled_from("abcd")),
    st.frozensets(st.sampled_from(_IDS)),
)
def test_silence_takes_nothing_out_of_the_lockfile(
    world: World, manifests: list[TrackedBatch], silent: frozenset[str], refused: frozenset[str]
) -> None:
    """R7: with the services as they were, a look that half fails says unknown, and never gone or dropped."""
    recorded = applied(world, watch(manifests, {}))
    failing = replace(world, silent=silent, refused=refused)
    there = watch(manifests, recorded)
    found = changes(there, failing.look(there))
    happened = {item.happened for item in found if item.id in recorded}
    assert happened <= {Happened.UNCHANGED, Happened.UNKNOWN}
    assert {item.id for item in found} >= recorded.keys()  # each is told of
    assert applied(failing, there) == recorded


@LAW
@given(worlds(), worlds(), manifest_lists(), st.sampled_from("abcd"))
def test_a_selection_tells_what_the_whole_tells_of_it(
    early: World, late: World, manifests: list[TrackedBatch], name: str
) -> None:
    """Whose a batch is does not hang on who was asked, once it is recorded."""
    recorded = applied(late, watch(manifests, applied(early, watch(manifests, {}))))
    whole = changes(watch(manifests, recorded), late.look(watch(manifests, recorded)))
    part = watch(manifests, recorded, Selection(sets=frozenset({name})))
    assert changes(part, late.look(part)) == tuple(item for item in whole if item.address.set == name)
