"""One address explained: every live batch over its directory, and why it does or does not count for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.batch import Address, Batch, Key
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Recorded
    from reconciler.model.plan import Action
    from reconciler.model.source import Source


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a look over a directory saw that is to be explained, and not decided on.

    Attributes:
        batches: everything that was seen, whatever its job or configuration.
        gone: ids that are recorded and that the service answers 404 for.
        unlisted: ids of ``batches`` that the listing lacks, though the service knows them.
        unknown: why what was seen need not be everything, or "" (R7).
    """

    batches: tuple[Batch, ...] = ()
    gone: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()
    unknown: str = ""


class Standing(StrEnum):
    """What a batch is to the work that an address asks for. Closed."""

    STANDS = "stands"  # it satisfies, and is the one that counts
    SATISFIES = "satisfies"  # it would do, and another one stands
    OTHER_WORK = "other-work"  # its key is another one
    OUTDATED = "outdated"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GONE = "gone"  # recorded, and not known to the service any more
    UNSEEN = "unseen"  # recorded, and what is live is not known


class Difference(NamedTuple):
    """A field of the key in which a batch is other work."""

    field: str
    theirs: str
    ours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One batch, judged.

    Attributes:
        batch: as seen; as recorded where it was not seen.
        rule: the rule that says so.
        why: in a sentence.
        differing: for other work, how it is another one.
        attempt: for one that failed or was cancelled, which attempt it was; None where it does not count.
        owner: the address that desires or recorded its work, if that is another one.
        recorded: what the lockfile holds of it.
    """

    batch: Batch
    standing: Standing
    rule: str
    why: str
    differing: tuple[Difference, ...] = ()
    attempt: int | None = None
    owner: Address | None = None
    recorded: Recorded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a plan would do, and what would change that, each a sentence with the edit or the command."""

    action: Action
    ways: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that there is to say about one address.

    Attributes:
        key: the work that is desired there, or else recorded or open.
        where: where a manifest asks for it; None when none does.
        policy: how ``rerun`` of its set differs from nothing being said.
        verdicts: the oldest first.
        courses: one for each action of a plan at this address.
        intents: creates whose outcome is not known, the oldest first.
        unknown: why there may be batches that are not among the verdicts, or "".
    """

    address: Address
    key: Key
    where: Source | None
    directory_name: str
    policy: Mapping[str, str]
    verdicts: tuple[Verdict, ...]
    courses: tuple[Course, ...]
    intents: tuple[Intent, ...]
    unknown: str = ""
