"""What shows up after everybody has stopped looking for it: the second look, and the look back (C10).

Nothing is sent here, and nothing that is found undoes what stands: it is recorded beside it, and reported.
It gets into the lockfile with the end of the run, which tells of it: what is recorded is not told again.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reconciler.core.match import choose
from reconciler.core.recent import recent, surplus
from reconciler.core.record import record_batch
from reconciler.engine.concurrent import each
from reconciler.engine.listing import FATAL, MOST_PAGES, Pass, look, renamed
from reconciler.engine.observe import places
from reconciler.engine.resolve import found_for
from reconciler.engine.scan import Scanner
from reconciler.model.events import Waiting, Warned
from reconciler.model.lock import Origin
from reconciler.model.ports import Listing
from reconciler.model.result import Outcome
from reconciler.model.snapshot import Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.core.recent import Recent
    from reconciler.engine.run import Run
    from reconciler.model.batch import Batch, Home, Key
    from reconciler.model.intent import Intent
    from reconciler.model.lock import Entry
    from reconciler.model.snapshot import Facts


#: From so many keys of the last day on, their listing is read in windows.
_MANY = 2_000


async def look_again(run: Run) -> None:
    """A settle time after the last uncertain send, look once more for what came late."""
    pending = run.second_looks
    if not pending:
        return
    clock = run.eyes.clock
    due = max(item.sent + run.provider(key).settle for key, item in pending.items())
    left = due - clock.monotonic()
    if left > 0:
        run.eyes.listen(Waiting("looking once more for batches that came late", left))
        await run.stop.pause(left)
    if run.stop.over:
        return  # what is left in `second_looks` keeps the journal from being closed
    await each(
        [item.intent for item in pending.values()], run.eyes.at_once, lambda intent: _late(run, intent)
    )


async def _late(run: Run, intent: Intent) -> None:
    """What came late is recorded beside what stands, and reported; alone, it is what the create came to."""
    key = intent.key
    seen: Pass | Unknown | None
    try:
        beside = run.listed_over(key)
        seen = await run.stop.unless_over(
            look(run.provider(key), places(key, run.lock), (), run.eyes.clock, beside=beside)
        )
    except FATAL as error:  # all that the run did is to be told, so this does not end it as an error
        seen = Unknown(str(error))
    if seen is None:
        return
    if isinstance(seen, Unknown):
        run.eyes.listen(Warned(f"{intent.address}: the last look failed, so it proves nothing: {seen.why}"))
        return
    del run.second_looks[key]
    new = [batch for batch in seen.batches.values() if batch.id not in intent.known]
    mine = [batch for batch in renamed(new, run.aliases) if batch.key == key]
    late = [batch for batch in mine if batch.id not in run.ids_over(key)]
    result = run.results.get(key)
    if not late or (result is not None and result.outcome is Outcome.UNKNOWN):
        return  # an intent that is open still is the next run's to close, with all that it finds
    entry = run.lock.entries.get(key)
    # What was sent again is recorded, and need not be listed yet.
    known_since = {item.id for item in entry.batches if item.id not in intent.known} if entry else set()
    ours = {batch.id for batch in mine} | known_since
    alone = len(ours) == len(late)
    for batch in late:
        entry = found_for(run, entry, intent, batch, stands=alone)
    assert entry is not None
    chosen = choose(late, None)
    run.put(entry._replace(current=chosen.id) if alone else entry)
    if len(ours) > 1:
        stands = chosen.id if alone else entry.current
        why = f"it came late after a create that had no reply, beside {stands}"
        run.tell_duplicates(entry.address, key, ours, stands, why)
    if alone and result is not None:
        run.finish(result.action, Outcome.FOUND, why="its batch came late", batch=chosen)


async def look_back(run: Run, facts: Mapping[Key, Facts]) -> None:
    """Look for what came late to the runs of the last day, by one listing from then on of each service.

    This comes after the plan was carried out: a batch that the plan adopts is no surplus.

    Args:
        run: the run.
        facts: by which the plan decided what is outdated (R2).
    """
    providers = run.eyes.providers
    clocks = {home: provider.clock for home, provider in providers.items()}
    for home, lately in sorted(recent(run.before, run.eyes.clock.now(), clocks).items()):
        if home in providers and not run.over:
            await _look_back_on(run, home, lately, facts)


async def _look_back_on(run: Run, home: Home, lately: Recent, facts: Mapping[Key, Facts]) -> None:
    about = frozenset(key.directory for key in (*lately.keys, *run.aliases))
    listing = Listing(created_on_or_after=lately.since, about=about)
    # Of some pages windows would ask for twice as many; they are worth it where pages follow on pages.
    at_once = run.eyes.at_once if len(lately.keys) > _MANY else 1
    try:
        scanner = Scanner(
            run.eyes.providers[home],
            run.eyes.clock,
            at_once,
            MOST_PAGES,
            lambda batch: run.aliases.get(batch.key, batch.key) in lately.keys,
            lambda: None,
            listing,
        )
        scan = await run.stop.unless_over(scanner.scan())
    except FATAL as error:  # all that the run did is to be told, so this does not end it as an error
        scan = Unknown(str(error))
    if scan is None:
        return
    if not isinstance(scan, Pass):
        run.eyes.listen(Warned(f"late twins of recent creates could not be looked for: {scan.why}"))
        return
    by_key: defaultdict[Key, list[Batch]] = defaultdict(list)
    for batch in renamed(scan.batches.values(), run.aliases):
        by_key[batch.key].append(batch)
    # A key whose outcome is open, or was a moment ago, has its own search (C7, C10).
    searched = {intent.key for intent in run.session.journal.open} | run.second_looks.keys()
    for key in sorted(((lately.keys & by_key.keys()) - searched) & run.lock.entries.keys()):
        if not run.shares(key):
            continue
        entry = run.lock.entries[key]
        twins = surplus(entry, run.wanted.get(key), facts.get(key), by_key[key], run.moment(key))
        if twins:
            _report(run, entry, twins)


def _report(run: Run, entry: Entry, twins: tuple[Batch, ...]) -> None:
    for batch in twins:
        entry = record_batch(
            entry,
            entry.key,
            entry.address,
            batch,
            origin=Origin.FOUND,
            now=run.eyes.clock.now(),
            stands=False,  # nor with evidence: what it was made for is not known
        )
    run.put(entry)
    ids = {entry.current, *(batch.id for batch in twins)}
    why = f"it stands beside {entry.current}, and no run recorded it"
    run.tell_duplicates(entry.address, entry.key, ids, entry.current, why)
