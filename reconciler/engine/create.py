"""One create: look, intent, send, outcome (C2 to C4, C6, C9). It reads like the protocol.

What a lost reply means is found out in `resolve`; which creates there are, and when, in `apply`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, assert_never

from reconciler.core.match import decide
from reconciler.core.record import recorded
from reconciler.engine.listing import FATAL, Pass, look, renamed
from reconciler.engine.observe import places, recorded_ids
from reconciler.engine.resolve import Absent, Found, StillOpen, resolve
from reconciler.model.errors import StateError
from reconciler.model.events import Waiting, Warned
from reconciler.model.intent import (
    Closing,
    Created,
    Intent,
    NotSent,
    Rejected,
    Throttled,
    Unanswered,
    Withheld,
)
from reconciler.model.lock import Origin
from reconciler.model.plan import ActionKind
from reconciler.model.result import Outcome
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from reconciler.engine.run import Run
    from reconciler.model.batch import Batch
    from reconciler.model.intent import SendOutcome
    from reconciler.model.plan import Action
    from reconciler.model.snapshot import Facts

#: A look must be at most so many seconds old when the create is sent (C3).
FRESH = 10.0
#: How often a create may be begun: waits for 429 and for a connection are bounded (C6).
MOST_TRIES = 6
#: After an unknown outcome that turned out absent, a create is sent again so many times in a run (C5).
MOST_RESENDS = 1

#: A longer Retry-After, in seconds, fails the create: a run shall not hold its lock for hours.
LONGEST_WAIT = 600.0

_LONGEST_BACKOFF = 60.0

_TOO_OLD = "the look is too old"


async def create(run: Run, action: Action, facts: Facts | None) -> None:
    """Carry out one CREATE, whatever that takes, and say how it ended.

    Raises:
        LockLostError: the lock is no longer this run's; nothing was sent after that was seen.
        StateError: a note could not be made durable; nothing was sent without one.
    """
    try_ = _Create(run, action, facts)
    async with run.turn(action.key):
        while not run.over:
            if await try_.once():
                return
            if try_.begun == MOST_TRIES:
                run.finish(action, Outcome.FAILED, why=try_.why)
                return
    run.finish(action, Outcome.NOT_STARTED, why=run.ended)


class _Create:
    """What one create has come through so far."""

    def __init__(self, run: Run, action: Action, facts: Facts | None) -> None:
        self.run = run
        self.action = action
        self.facts = facts
        self.want = run.wanted[action.key]
        self.provider = run.provider(action.key)
        self.begun = 0
        self.resends = 0
        self.why = "the service is too slow to be looked at and sent to within 10 s"

    async def once(self) -> bool:
        """Look, note, send. True when the create is over, one way or another."""
        run = self.run
        if shut := run.against(self.action):  # R15: the window has closed while this waited
            run.finish(self.action, Outcome.NOT_STARTED, why=shut)
            return True
        self.begun += 1
        if run.aliases.get(self.want.key, self.want.key) != self.want.key:  # C9: learnt in this run
            why = "the service calls it the same work as another batch"
            run.finish(self.action, Outcome.BLOCKED, why=why)
            return True
        seen = await self._look()  # C2
        if seen is None:
            return True
        again = self._decide(seen)
        if again.kind is not ActionKind.CREATE:
            self._settled_elsewhere(again)
            return True
        intent = self._intent(again, seen)
        await run.notes.write(intent)  # C3
        webhooks = run.webhooks.get(self.want.set.name, ())
        outcome = await self.provider.create(  # C4
            self.want.key, webhooks, objection=lambda: self._objection(seen)
        )
        return await self._after(intent, outcome)

    def _objection(self, seen: Pass) -> str:
        """What is against sending, asked right before the first byte, since a turn can take long to come.

        Raises:
            LockLostError: the lock is no longer this run's (C1).
        """
        if self.run.over:
            return "the run is to end"  # C8
        if self._is_old(seen):
            return _TOO_OLD
        if shut := self.run.against(self.action):
            return shut  # R15
        self.run.session.confirm()
        return _TOO_OLD if self._is_old(seen) else ""  # a database can take its time to answer

    def _is_old(self, seen: Pass) -> bool:
        return self.run.eyes.clock.monotonic() - seen.begun > FRESH  # C3

    async def _look(self) -> Pass | None:
        """C2: everything over the directory, by the directory alone; not what the plan was made from."""
        run, key = self.run, self.want.key
        try:
            seen = await run.stop.unless_over(
                look(
                    self.provider,
                    places(key, run.lock),
                    recorded_ids(key, run.lock),
                    run.eyes.clock,
                    beside=run.listed_over(key),
                )
            )
        except FATAL as error:  # every other create would meet it too, and what is in flight shall finish
            run.ended = str(error)
            run.finish(self.action, Outcome.REJECTED, why=str(error), request_id=error.request_id)
            return None
        if seen is None:
            run.finish(self.action, Outcome.NOT_STARTED)
            return None
        if isinstance(seen, Unknown):
            run.finish(self.action, Outcome.UNSEEN, why=seen.why)
            return None
        return seen

    def _decide(self, seen: Pass) -> Action:
        """Decide the key again on what was just seen (C2)."""
        run, key = self.run, self.want.key
        batches = renamed(seen.batches.values(), run.aliases)
        of_key = tuple(batch for batch in batches if batch.key == key)
        return decide(self.want, of_key, run.lock.entries.get(key), self.facts, run.moment(key))

    def _settled_elsewhere(self, again: Action) -> None:
        """C2: somebody else was quicker, or what they did forbids it now."""
        run, action = self.run, self.action
        if again.kind is ActionKind.ADOPT and again.batch is not None:
            adopt(run, again, again.batch)
            run.finish(action, Outcome.ADOPTED, why="it appeared since the plan was made", batch=again.batch)
        elif again.kind is ActionKind.KEEP:
            run.finish(action, Outcome.KEPT, why="it was recorded since the plan was made", batch=again.batch)
        elif again.kind is ActionKind.UNRESOLVED:  # R7
            run.finish(action, Outcome.UNSEEN, why=again.reason.text)
        else:
            run.finish(action, Outcome.BLOCKED, why=f"since the plan was made: {again.reason.text}")

    def _intent(self, again: Action, seen: Pass) -> Intent:
        """What is about to be sent. Whatever else shows up there later may be its doing (C3)."""
        assert again.evidence is not None
        return Intent(
            id=uuid.uuid4().hex,
            key=again.key,
            address=again.address,
            known=frozenset(seen.batches) | self.run.ids_over(again.key),
            evidence=again.evidence,
            at=self.run.eyes.clock.now(),
            run=self.run.id,
            directory_name=self.action.directory_name,
        )

    async def _after(self, intent: Intent, outcome: SendOutcome) -> bool:
        """C4: what each outcome of a send means."""
        run = self.run
        if intent.key in run.second_looks:
            run.doubt(intent, run.eyes.clock.monotonic())
        match outcome:
            case Created(batch):
                if stray := _stray(intent, batch):
                    return await self._unanswered(intent, stray)
                await self._keep(intent, outcome)
                return True
            case Rejected(status, why, final, request_id):
                await run.settle(intent, Closing.REJECTED, why)
                if final:
                    run.ended = f"the service answered {status}: {why}"
                run.finish(self.action, Outcome.REJECTED, why=why, request_id=request_id)
                return True
            case Withheld(why):
                await run.settle(intent, Closing.WITHDRAWN, why)
                return False
            case NotSent(why):
                await run.settle(intent, Closing.WITHDRAWN, why)
                await self._wait(why, self._backoff())
                return False
            case Throttled():
                return await self._throttled(intent, outcome)
            case Unanswered(why):
                return await self._unanswered(intent, why)
            case unreachable:
                assert_never(unreachable)

    async def _throttled(self, intent: Intent, outcome: Throttled) -> bool:
        """C4: wait as told, unless that is too long."""
        retry_after, why = outcome.retry_after, outcome.why
        await self.run.settle(intent, Closing.WITHDRAWN, why)
        if retry_after is not None and retry_after > LONGEST_WAIT:
            why = f"{why}; the service asks to wait {retry_after:,.0f} s"
            self.run.finish(self.action, Outcome.FAILED, why=why)
            return True
        await self._wait(why, self._backoff() if retry_after is None else retry_after)
        return False

    async def _keep(self, intent: Intent, created: Created) -> None:
        """C9: what has come back is recorded at once, under the key that was asked for."""
        run = self.run
        entry = recorded(
            run.lock.entries.get(self.want.key),
            self.want,
            created.batch,
            origin=Origin.CREATED,
            now=run.eyes.clock.now(),
            evidence=intent.evidence,
            directory_name=self.action.directory_name,
        )
        try:
            await run.settle(intent, Closing.CREATED, entry=entry)
        except StateError:  # nobody else has heard of this batch yet
            run.eyes.listen(
                Warned(
                    f"{intent.address}: {created.batch.id} was created, and could not be written down;"
                    " the next apply looks for it"
                )
            )
            raise
        run.finish(self.action, Outcome.CREATED, batch=created.batch, request_id=created.request_id)

    async def _unanswered(self, intent: Intent, why: str) -> bool:
        """C5: find out; and when nothing came of it, send again, once."""
        run, sent = self.run, self.run.eyes.clock.monotonic()
        match await resolve(run, intent):
            case Found(batch):
                run.doubt(intent, sent)
                run.finish(self.action, Outcome.FOUND, why=f"the reply was lost: {why}", batch=batch)
                return True
            case StillOpen(because):
                run.finish(self.action, Outcome.UNKNOWN, why=f"{why}; {because}")
                return True
            case Absent():
                run.doubt(intent, sent)
                self.why = why
                if self.resends == MOST_RESENDS:
                    run.finish(self.action, Outcome.FAILED, why=why)
                    return True
                self.resends += 1
                return False
            case unreachable:
                assert_never(unreachable)

    async def _wait(self, why: str, seconds: float) -> None:
        self.why = why
        self.run.eyes.listen(Waiting(f"{self.action.address}: {why}", seconds))
        await self.run.stop.pause(seconds)

    def _backoff(self) -> float:
        """Full jitter: somewhere between nothing and twice as long as at the try before."""
        return min(_LONGEST_BACKOFF, 2.0**self.begun) * self.run.random()


def _stray(intent: Intent, batch: Batch) -> str | None:
    """Why a reply that names this batch tells nothing about the create, if so.

    Another directory or configuration is an alias (C9). Another project or job, or a batch that was there
    before, is no answer to what was sent.
    """
    if batch.id in intent.known:
        return f"the reply names {batch.id}, which was there before"
    if batch.key.home != intent.key.home or batch.key.job is not intent.key.job:
        return f"the reply names {batch.id}, which is {batch.key.job} in project {batch.key.project}"
    return None


def adopt(run: Run, action: Action, batch: Batch) -> None:
    """R4: record, and never post."""
    want = run.wanted[action.key]
    run.put(
        recorded(
            run.lock.entries.get(want.key),
            want,
            batch,
            origin=Origin.ADOPTED,
            now=run.eyes.clock.now(),
            directory_name=action.directory_name,
        )
    )
