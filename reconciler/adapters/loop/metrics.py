"""What the loop counts, for Prometheus. docs/loop.md has the names: they are an interface.

The package prometheus-client is imported here alone, and late.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from reconciler import __version__
from reconciler.model.errors import SettingsError
from reconciler.model.events import Done, Failed
from reconciler.model.plan import ActionKind
from reconciler.model.result import Outcome
from reconciler.model.rounds import WELL, Began, Called, Happening, Paused, RoundEnded, RoundResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.rounds import LoopEvent, Round

#: Seconds. A round over few directories takes a second, a campaign's some minutes, one of `local` its work.
_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)

_ENDS_OF_CREATES = (Outcome.CREATED, Outcome.FOUND, Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)


class Metrics:
    """Counts what is told.

    Args:
        now: the time, in seconds since 1970.
        process: whether what the machine says of this process is shown as well.

    Raises:
        SettingsError: prometheus-client is not installed.
    """

    def __init__(self, now: Callable[[], float], *, process: bool = True) -> None:
        client = _client()
        client.disable_created_metrics()
        self._now = now
        self.registry = client.CollectorRegistry()
        if process:
            client.ProcessCollector(registry=self.registry)

        def made(kind: Any, name: str, says: str, *labels: str, **more: Any) -> Any:  # noqa: ANN401 - untyped calls
            return kind(name, says, labels, namespace="reconciler", registry=self.registry, **more)

        counter, gauge = client.Counter, client.Gauge
        made(gauge, "build_info", "Which reconciler this is; always 1.", "version", "python").labels(
            __version__, platform.python_version()
        ).set(1)
        self._rounds = made(counter, "rounds", "Rounds, by what they came to.", "project", "result")
        self._seconds = made(
            client.Histogram,
            "round_duration_seconds",
            "How long a round took.",
            "project",
            buckets=_BUCKETS,
        )
        self._success = made(
            gauge,
            "last_success_timestamp_seconds",
            "When a round last left everything as it may be.",
            "project",
        )
        self._failures = made(gauge, "consecutive_failures", "Rounds that failed in a row.", "project")
        self._plan = made(
            gauge, "plan_actions", "Actions of the last plan, before it was applied.", "project", "action"
        )
        self._actions = made(
            counter, "actions", "Actions that were carried out.", "project", "action", "outcome"
        )
        self._duplicates = made(
            counter, "duplicates", "Batches found to be work that is done twice.", "project"
        )
        self._ambiguous = made(
            counter, "ambiguous", "Batches found that may be ours under another configuration.", "project"
        )
        self._unresolved = made(gauge, "unresolved_creates", "Creates whose outcome is not known.", "project")
        self._leader = made(
            gauge, "leader", "1 where this process was given the lock when it last asked.", "project"
        )
        self._paused = made(gauge, "paused", "1 while the pause file is there.")
        self._approved = made(gauge, "auto_approve", "1 where it may apply, 0 where it only looks.")
        self._interval = made(gauge, "interval_seconds", "Seconds between two rounds of a project.")
        self._webhooks = made(counter, "webhooks", "Calls of the webhook's address.", "verdict")
        for verdict in Verdict:
            self._webhooks.labels(verdict.value)
        self._names: dict[str, str] = {}

    def heard(self, event: LoopEvent) -> None:
        """Count what is told."""
        match event:
            case Began(interval=interval, approved=approved):
                self._interval.set(interval)
                self._approved.set(int(approved))
            case Happening(project, Done(action, outcome, _) | Failed(action, outcome, _)):
                self._actions.labels(project, action.kind.value, outcome.value).inc()
            case RoundEnded(done, failures):
                self._named(done)
                self._count(done, failures)
            case Paused(paused):
                self._paused.set(int(paused))
            case Called(verdict, times):
                self._webhooks.labels(verdict.value).inc(times)
            case _:
                pass

    def shown(self, accept: str) -> tuple[bytes, str]:
        """All of it in the form that is asked for, and that form's name."""
        from prometheus_client.exposition import choose_encoder

        encoder, kind = choose_encoder(accept)
        return encoder(self.registry), kind

    def _named(self, done: Round) -> None:
        """What is shown of a project begins with nothing, so that the first of anything is an increase."""
        before = self._names.get(done.folder)
        if before == done.project:
            return
        self._names[done.folder] = done.project
        if before is not None and before not in self._names.values():
            self._forget(before)
        for result in RoundResult:
            self._rounds.labels(done.project, result.value)
        for outcome in _ENDS_OF_CREATES:
            self._actions.labels(done.project, ActionKind.CREATE.value, outcome.value)
        for metric in (self._duplicates, self._ambiguous, self._leader, self._unresolved):
            metric.labels(done.project)

    def _forget(self, project: str) -> None:
        """A project's folder has another name now: what stood under the first one would stand for ever."""
        from contextlib import suppress

        for metric in (self._success, self._failures, self._unresolved, self._leader):
            with suppress(KeyError):
                metric.remove(project)
        for kind in ActionKind:
            with suppress(KeyError):
                self._plan.remove(project, kind.value)

    def _count(self, done: Round, failures: int) -> None:
        name = done.project
        self._rounds.labels(name, done.result.value).inc()
        self._seconds.labels(name).observe(done.seconds)
        self._failures.labels(name).set(failures)
        if done.result in WELL:
            self._success.labels(name).set(self._now())
        if done.plan is not None:
            for kind in ActionKind:
                self._plan.labels(name, kind.value).set(done.plan.count(kind))
            self._unresolved.labels(name).set(done.unresolved)
        if done.result is RoundResult.STANDBY:
            self._leader.labels(name).set(0)
        if done.applied is not None:
            self._leader.labels(name).set(1)
            for finding in done.applied.findings:
                if finding.ambiguous:
                    self._ambiguous.labels(name).inc(len(finding.batches))
                else:
                    self._duplicates.labels(name).inc(len(finding.batches) - 1)


def _client() -> Any:  # noqa: ANN401 - a module
    try:
        import prometheus_client
    except ImportError as error:
        raise SettingsError(
            "what --listen needs is not installed",
            why=str(error),
            next="Install it: pip install 'batch-reconciler[run]'",
        ) from error
    return prometheus_client
