"""Looking at batches that are only watched (R16): listings, then what they leave open, then a refresh.

A service that does not answer, or does not accept the key, makes its batches unknown and nothing else: what
is watched stands in nobody's way (R7). What to ask and what it means is decided in `core.tracking`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.core.tracking import changes, first_questions, further_questions, record_tracked, running
from reconciler.engine.concurrent import each
from reconciler.model.errors import NotFoundError, ServiceError
from reconciler.model.snapshot import Gone, Unknown
from reconciler.model.tracking import Sightings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from reconciler.core.select import Selection
    from reconciler.core.tracking import Tracking
    from reconciler.engine.run import Run
    from reconciler.model.manifest import TrackedBatch
    from reconciler.model.plan import Plan
    from reconciler.model.ports import Watcher
    from reconciler.model.tracking import Question, TrackedChange
    from reconciler.model.watched import Watched


@dataclass(frozen=True, slots=True)
class Lookout:
    """What watching needs.

    Attributes:
        watchers: by provider block.
        at_once: how many requests may be under way.
    """

    watchers: Mapping[str, Watcher]
    at_once: int


async def observe_tracked(lookout: Lookout, tracking: Tracking) -> tuple[TrackedChange, ...]:
    """What happened to every watched batch that is selected, since it was recorded."""
    return changes(tracking, await _look(lookout, tracking))


async def refresh_tracked(lookout: Lookout, tracking: Tracking) -> tuple[TrackedChange, ...]:
    """As `observe_tracked`, after each service was asked to look after what has not ended."""
    seen = await _look(lookout, tracking)
    asked = await _ask(lookout, running(tracking, seen), refresh=True)
    return changes(tracking, Sightings(seen.listed, {**seen.asked, **asked}))


async def _look(lookout: Lookout, tracking: Tracking) -> Sightings:
    questions = first_questions(tracking)
    listed: dict[str, tuple[Watched, ...] | Unknown] = {}

    async def read(manifest: TrackedBatch) -> None:
        watcher = lookout.watchers[manifest.provider]
        try:
            found = [item async for item in watcher.watch(manifest.since, manifest.statuses)]
        except ServiceError as error:
            listed[manifest.name] = Unknown(f"the listing is incomplete: {error}")
        else:
            listed[manifest.name] = tuple(found)

    await each(questions.listings, lookout.at_once, read)
    asked = await _ask(lookout, questions.ids)
    seen = Sightings(listed, asked)
    further = await _ask(lookout, further_questions(tracking, seen))
    return Sightings(listed, {**asked, **further})


async def _ask(
    lookout: Lookout, questions: tuple[Question, ...], *, refresh: bool = False
) -> dict[Question, Watched | Unknown]:
    """Ask for batches by their ids."""
    answers: dict[Question, Watched | Unknown] = {}

    async def ask(question: Question) -> None:
        watcher = lookout.watchers[question.provider]
        get: Callable[[str], Awaitable[Watched]] = watcher.refresh if refresh else watcher.watched
        try:
            answers[question] = await get(question.id.id)
        except NotFoundError as error:
            answers[question] = Gone(str(error))
        except ServiceError as error:
            answers[question] = Unknown(str(error))

    await each(questions, lookout.at_once, ask)
    return answers


async def with_watched(run: Run, plan: Plan, selection: Selection) -> Plan:
    """The plan with what happened to the watched batches; as it is, where the run is to end meanwhile."""
    if run.watch is None:
        return plan
    return replace(plan, tracked=await run.stop.unless_over(run.watch(selection)) or ())


def record_watched(run: Run, found: Sequence[TrackedChange]) -> None:
    """Have what happened to watched batches in the lockfile, and what matters of it in the audit log.

    A batch that only counts further, or was touched, is no event.
    """
    from reconciler.model.audit import AuditLine  # late: a plan looks at watched batches and writes no audit

    for change in found:
        before, now = change.before, change.now
        if change.recordable and not (before and now and before.word == now.word):
            run.write_audit(
                AuditLine(
                    time=run.eyes.clock.now(),
                    action="track",
                    address=str(change.address),
                    key=change.id.endpoint,
                    batch=change.id.id,
                    outcome=now.word if now else change.happened.value,
                    why=change.reason,
                    plan=run.plan_digest,
                )
            )
    tracked = record_tracked(run.lock.tracked, found, run.eyes.clock.now())
    run.lock = replace(run.lock, tracked=tracked)
