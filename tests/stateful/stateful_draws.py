"""What may be drawn: names, spans, fates, weathers. What is done with it is the machine's."""

from __future__ import annotations

from engine_world import SETTLE, Fault, Lost
from hypothesis import strategies as st
from stateful_service import Weather

from reconciler.model.batch import Status
from reconciler.model.intent import NotSent, Rejected, Throttled

DIRECTORIES = ("dir-1", "dir-2", "dir-3")
HOUR = 3600

SETS = st.sampled_from(["a", "b", "c"])
SOURCES = st.sampled_from(DIRECTORIES)
CONFIGURATIONS = st.sampled_from(["cfg-1", "cfg-2"])
#: Over our directories others also run what no manifest asks for.
THEIRS = st.sampled_from(["cfg-1", "cfg-2", "cfg-9"])
INSTANTS = st.integers(0, 15) | st.integers(0, 50)
WHICH = st.integers(0, 5)
ENDS = st.sampled_from([Status.COMPLETED, Status.FAILED, Status.CANCELLED])
SPANS = st.sampled_from([1, 10, 47, 49, HOUR, 24 * HOUR, 7 * 24 * HOUR])

FATES: list[Fault] = [
    None,
    Lost(0.0),
    Lost(SETTLE / 2),
    Lost(SETTLE),
    Lost(None),
    NotSent("no connection"),
    Throttled(None, "429"),
    Throttled(3.0, "429"),
    Throttled(HOUR, "429"),
    Rejected(422, "no", final=False),
    Rejected(401, "no", final=True),
]
WEATHERS = st.builds(
    Weather,
    fates=st.lists(st.sampled_from(FATES), max_size=4).map(tuple),
    latency=st.sampled_from([0.0, 0.25, 2.0]),
    failing=st.frozensets(st.integers(0, 15), max_size=3),
    deaf_from=st.none() | st.integers(0, 15),
    locked_from=st.none() | st.integers(0, 15),
    cancels_lost=st.booleans(),
    page_size=st.sampled_from([100, 2, 1]),
    order=st.sampled_from(["as made", "newest first", "turning"]),
)
POLICIES = st.sampled_from(
    [
        "after: now",
        "after: now",
        "after: now",
        "after: an hour ago",
        "after: in an hour",
        "after: none",
        "maxAttempts: 1",
        "maxAttempts: 3",
        "onCancelled: hold",
        "onCancelled: rerun",
        "onRemove: keep",
        "onRemove: cancel",
    ]
)
