"""A plan that was written to a file, to be reviewed and then applied just so, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from reconciler.model.plan import Since


class SavedAction(NamedTuple):
    """One action of a saved plan: data, to be held against what a new plan says.

    Attributes:
        kind: the action's kind.
        address: where.
        key: the key, as text.
        reason: the reason's code.
        inputs: digest of the directory's files that a create would process, or "".
    """

    kind: str
    address: str
    key: str
    reason: str
    inputs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A saved plan, as far as applying it goes. Nothing in it says where to read, what to reach or run.

    Attributes:
        file: where it was read, for messages.
        own: the digest of the whole document, which it bears itself.
        digest: names what would be done (see `Plan.digest`).
        lineage: of the lockfile that it was made from.
        state: digest of that lockfile's entries.
        manifests: digest of the manifests.
        targets: what it was made for; everything if empty.
        since: what it was narrowed to by what had changed: the sets, so that git is not asked again.
        actions: all of its actions, sorted as in the plan.
    """

    file: str
    own: str
    digest: str
    lineage: str
    state: str
    manifests: str
    targets: tuple[str, ...]
    actions: tuple[SavedAction, ...]
    since: Since | None = None
