"""The faults there are, as values. The meaning, unit and default of each field: `schemas/faults.json`.

What each does is decided in `injector`, `answers`, `bodies` and `lists`; how it is written, in `document`.
Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

When: TypeAlias = Literal["before", "after"]
BodyStyle: TypeAlias = Literal["json", "html", "empty"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The listener is closed for a time, and so is every kept-alive connection."""

    seconds: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """The connection is reset (TCP RST)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """The connection is closed without an answer. After the effect, this is the lost reply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """No answer; the request is carried out only after the client has left, or after `hold` at the latest."""

    hold: float | None = None
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeout:
    """No answer, until the client leaves or `seconds` have passed."""

    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryAfter:
    """The header `Retry-After`: so many seconds, or the date so many seconds from the service's time."""

    seconds: int
    as_date: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """An error status instead of the answer."""

    status: int
    body: BodyStyle = "json"
    retry_after: RetryAfter | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncated:
    """Valid HTTP with JSON that ends in the middle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """The connection closes in the middle of the body: less arrives than `Content-Length` says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Html:
    """Status 200 with an HTML page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Empty:
    """Status 200 with an empty body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Redirect:
    """A redirect; to the same URL unless `location` is given."""

    status: int = 307
    location: str | None = None
    other_host: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraFields:
    """Unknown fields in every object of the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownStatus:
    """Every text `status` in the answer has a value that the contract does not know."""

    value: str = "ARCHIVED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Nulls:
    """Every value that the contract allows to be null is null."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmptyPage:
    """A page without items, and with a token that goes on at the same place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepeatedToken:
    """A page whose next token is the one that was sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inserted:
    """A page that begins with the last item of the page before it, as if one had been inserted earlier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reordered:
    """A shuffled page; one that is not the first also lacks its last item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lag:
    """A list without the items that were created less than `seconds` ago."""

    seconds: float = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockOff:
    """The header `Date` is so many hours off."""

    hours: float = 12.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Drip:
    """The body arrives in pieces of `bytes`, one every `seconds`."""

    bytes: int = 16
    seconds: float = 0.1


Silent: TypeAlias = Refused | Reset | Closed | Timeout
Instead: TypeAlias = Status | Html | Empty | Redirect
Changed: TypeAlias = Truncated | ExtraFields | UnknownStatus | Nulls | ClockOff
Listed: TypeAlias = EmptyPage | RepeatedToken | Inserted | Reordered | Lag
Fault: TypeAlias = Silent | Late | Instead | Changed | Listed | Cut | Drip

# The name in the file, the class, and the default of `when`; None where there is no choice, because the
# fault needs the application's answer, or because it says itself when the request takes effect.
_TABLE: tuple[tuple[str, type[Fault], When | None], ...] = (
    ("refused", Refused, "before"),
    ("reset", Reset, "before"),
    ("closed", Closed, "after"),
    ("late", Late, None),
    ("timeout", Timeout, "before"),
    ("status", Status, "before"),
    ("truncated", Truncated, None),
    ("cut", Cut, None),
    ("html", Html, "before"),
    ("empty", Empty, "before"),
    ("redirect", Redirect, "before"),
    ("extraFields", ExtraFields, None),
    ("unknownStatus", UnknownStatus, None),
    ("nulls", Nulls, None),
    ("emptyPage", EmptyPage, None),
    ("repeatedToken", RepeatedToken, None),
    ("inserted", Inserted, None),
    ("reordered", Reordered, None),
    ("lag", Lag, None),
    ("clock", ClockOff, None),
    ("drip", Drip, None),
)
KINDS: Mapping[str, type[Fault]] = MappingProxyType({name: kind for name, kind, _ in _TABLE})
DEFAULT_WHEN: Mapping[str, When | None] = MappingProxyType({name: when for name, _, when in _TABLE})
_NAMES: Mapping[type[Fault], str] = MappingProxyType({kind: name for name, kind, _ in _TABLE})


def kind_name(fault: Fault) -> str:
    """Give the name by which a fault file calls this kind."""
    return _NAMES[type(fault)]
