"""What goes wrong in the campaign: a cell for each kind of fault and each `when`, and a few mixtures.

Whatever strikes a create strikes reads as well, though less often: a look that fails leaves a create out, and
a campaign of creates that were never sent would prove nothing. Kinds that only change replies or lists come
with lost replies, since what a list says decides about a create only after a reply was lost.

Seconds of `lag`, Retry-After and the settle time are the run's and the service's (`PACE` of them are a second
of the machine); those of all other faults are the machine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faults_miniature import BATCHES, JSON, PACE

if TYPE_CHECKING:
    from collections.abc import Iterable

CREATE: JSON = {"method": "POST", "path": BATCHES}
LIST: JSON = {"method": "GET", "path": BATCHES}
READ: JSON = {"method": "GET", "path": "/api/**"}
ANY: JSON = {"path": "/api/**"}

#: Seconds of the run: half a second of the machine; and a second, where effects and lists are late.
SETTLE, LONG_SETTLE = 10, 20
#: Of the short form, where nothing is late: what takes effect before its reply is lost needs no time at all.
SHORT_SETTLE = 4
#: Of the short form, so much longer where something is late: other tests may keep the machine busy.
LEEWAY = 10


@dataclass(frozen=True)
class Cell:
    """One row of the table.

    Attributes:
        faults: entries of a fault file, the first that strikes has the request.
        settle: the project's settle time, in seconds of the run.
        impatient: whether the client gives a reply up soon, because the faults keep it waiting.
        page_size: of listings of batches; small where pages matter.
        forgetful: whether the lockfile and the journal get lost between the runs (R9). Then what stands is
            known from lists alone, and one that seems to be whole and is not would have it created again.
    """

    name: str
    faults: tuple[JSON, ...]
    settle: int = SETTLE
    impatient: bool = False
    page_size: int = 100
    forgetful: bool = False

    @property
    def kind(self) -> str:
        """The kind of fault, or that it is a mixture."""
        return self.name.partition("-")[0]


LOST = {"fault": "closed", "when": "after", "on": CREATE, "probability": 0.1, "name": "lost replies"}


def struck(fault: str, *, create: float = 0.1, read: float = 0.01, **fields: JSON) -> tuple[JSON, ...]:
    """A kind that strikes creates, and reads less often."""
    return (
        {"fault": fault, **fields, "on": CREATE, "probability": create},
        {"fault": fault, **fields, "on": READ, "probability": read},
    )


def each_status(statuses: Iterable[int], *, create: float, read: float, **fields: JSON) -> tuple[JSON, ...]:
    """Several statuses, one as often as the other."""
    return tuple(
        entry
        for status in statuses
        for entry in struck("status", create=create, read=read, status=status, **fields)
    )


def when(name: str, *, impatient: bool = False, **fields: JSON) -> tuple[Cell, Cell]:
    """A kind before and after its request takes effect."""
    return (
        Cell(f"{name}-before", struck(name, when="before", **fields), impatient=impatient),
        Cell(f"{name}-after", struck(name, when="after", **fields), impatient=impatient),
    )


def reply(name: str, *more: JSON, **fields: JSON) -> Cell:
    """A kind that changes replies, together with lost ones."""
    return Cell(name, (LOST, *more, {"fault": name, **fields, "on": ANY, "probability": 0.2}))


def listing(name: str, probability: float, *, forgetful: bool = True) -> Cell:
    """A kind that changes lists, together with lost replies; with pages of one batch, a look has several."""
    entry = {"fault": name, "on": LIST, "probability": probability}
    return Cell(name, (LOST, entry), page_size=1, forgetful=forgetful)


def late(*, hold: float | None, delays: Iterable[float], lag: float) -> tuple[JSON, ...]:
    """Creates that take effect after their client left, and lists that lag, together within `LONG_SETTLE`."""
    held = {} if hold is None else {"hold": hold}
    creates = tuple(
        {"fault": "late", **held, "delay": delay, "on": CREATE, "probability": 0.04} for delay in delays
    )
    assert all(delay * PACE + lag < LONG_SETTLE for delay in delays)
    if not lag:
        return creates
    return (*creates, {"fault": "lag", "seconds": lag, "on": LIST, "probability": 1})


_AMBIGUOUS = (408, 409, 500, 502, 503, 504)
_REFUSED = (400, 404, 422)
_ENDING = (401, 402, 403)

#: Each lags as long as it may, with what a busy machine needs left over: 0.3 s of its own.
_LATE = Cell("late", late(hold=None, delays=(0, 0.3, 0.6), lag=0), settle=LONG_SETTLE, impatient=True)
_LATE_AND_LAG = Cell(
    "late-and-lag", late(hold=0.05, delays=(0, 0.1, 0.3, 0.4), lag=6), settle=LONG_SETTLE, impatient=True
)
_LAG = Cell(
    "lag",
    (LOST, {"fault": "lag", "seconds": 14, "on": LIST, "probability": 1}),
    settle=LONG_SETTLE,
    forgetful=True,
)

KINDS: tuple[Cell, ...] = (
    Cell("refused-before", struck("refused", create=0.03, read=0.002, when="before", seconds=0.05)),
    Cell("refused-after", struck("refused", create=0.03, read=0.002, when="after", seconds=0.05)),
    *when("reset"),
    *when("closed"),
    _LATE,
    *when("timeout", impatient=True, create=0.05, read=0.005),
    Cell("status-before", each_status(_AMBIGUOUS, create=0.02, read=0.002, when="before")),
    Cell("status-after", each_status(_AMBIGUOUS, create=0.02, read=0.002, when="after")),
    Cell("status-429", each_status((429,), create=0.1, read=0.01, retryAfter=1)),
    Cell("status-429-after", each_status((429,), create=0.1, read=0.01, when="after")),
    Cell("status-refused", each_status(_REFUSED, create=0.05, read=0.003)),
    # The service took it and said no: what it says is believed, and the next run adopts what is there.
    Cell("status-refused-after", each_status(_REFUSED, create=0.05, read=0.003, when="after")),
    # Each of these ends a run: one run, or both.
    Cell(
        "status-ending",
        tuple(
            {"fault": "status", "status": status, "on": CREATE, "nth": number}
            for status, number in zip(_ENDING, (360, 370, 800), strict=True)
        ),
    ),
    Cell("truncated", struck("truncated")),
    Cell("cut", struck("cut")),
    *when("html"),
    *when("empty"),
    *when("redirect"),
    reply("extraFields"),
    reply("unknownStatus"),
    reply("nulls"),
    listing("emptyPage", 0.3),
    listing("repeatedToken", 0.3),
    listing("inserted", 0.3),
    # A page that lacks an item, in a list that repeats none, looks like any other: who has lost the lockfile
    # as well cannot know better.
    listing("reordered", 0.3, forgetful=False),
    _LAG,
    reply("clock", hours=12),
    Cell(
        "drip",
        (
            LOST,
            {"fault": "drip", "bytes": 4, "seconds": 0.05, "on": CREATE, "probability": 0.01},
            {"fault": "drip", "bytes": 128, "seconds": 0.01, "on": ANY, "probability": 0.1},
        ),
        impatient=True,
    ),
)

_STORM = (
    *({**entry, "probability": 0.02} for entry in late(hold=0.05, delays=(0, 0.2, 0.4), lag=0)),
    {"fault": "closed", "when": "before", "on": CREATE, "probability": 0.03},
    {"fault": "closed", "when": "after", "on": CREATE, "probability": 0.03},
    {"fault": "timeout", "when": "after", "on": CREATE, "probability": 0.01},
    {"fault": "truncated", "on": CREATE, "probability": 0.03},
    {"fault": "status", "status": 429, "retryAfter": 1, "on": ANY, "probability": 0.005},
    {"fault": "status", "status": 503, "on": READ, "probability": 0.02},
    {"fault": "refused", "seconds": 0.05, "on": ANY, "probability": 0.0005},
    {"fault": "lag", "seconds": 6, "on": LIST, "probability": 1},
)
_GATEWAY = (
    *each_status((502, 503, 504), create=0.04, read=0.01, when="after"),
    *each_status((500, 408), create=0.03, read=0.005, when="before"),
    {"fault": "html", "when": "after", "on": CREATE, "probability": 0.03},
    {"fault": "redirect", "when": "after", "on": CREATE, "probability": 0.02},
    {"fault": "clock", "hours": -12, "on": ANY, "probability": 0.1},
    {"fault": "drip", "bytes": 128, "seconds": 0.01, "on": ANY, "probability": 0.03},
)
_LISTS = (
    LOST,
    {"fault": "reset", "when": "before", "on": CREATE, "probability": 0.05},
    {"fault": "emptyPage", "on": LIST, "probability": 0.05},
    {"fault": "inserted", "on": LIST, "probability": 0.1},
    {"fault": "reordered", "on": LIST, "probability": 0.1},
    {"fault": "repeatedToken", "on": LIST, "probability": 0.03},
    {"fault": "nulls", "on": LIST, "probability": 0.05},
    {"fault": "lag", "seconds": 12, "on": LIST, "probability": 0.5},
)

MIXTURES: tuple[Cell, ...] = (
    _LATE_AND_LAG,
    Cell("mixture-storm", _STORM, settle=LONG_SETTLE, impatient=True),
    Cell("mixture-gateway", _GATEWAY),
    Cell("mixture-lists", _LISTS, settle=LONG_SETTLE, page_size=1),
)


def brief() -> tuple[Cell, ...]:
    """The short form: every kind once, before and after in one, striking twice as often; and one mixture."""
    by_kind: dict[str, list[Cell]] = {}
    for cell in KINDS:
        by_kind.setdefault(cell.kind, []).append(cell)
    return tuple(_merged(kind, cells) for kind, cells in (*by_kind.items(), ("mixture", [MIXTURES[1]])))


def _merged(name: str, cells: list[Cell]) -> Cell:
    faults = [entry for cell in cells for entry in cell.faults]
    settle = max(cell.settle for cell in cells)
    return Cell(
        name,
        tuple(
            entry | {"probability": min(1, 2 * entry["probability"])}
            for entry in faults
            if "nth" not in entry
        ),
        settle=SHORT_SETTLE if settle == SETTLE else settle + LEEWAY,
        impatient=any(cell.impatient for cell in cells),
        page_size=min(cell.page_size for cell in cells),
        forgetful=any(cell.forgetful for cell in cells),
    )
