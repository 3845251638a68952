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
    from collections.abc import Callable, Mapping

    from reconciler.model.rounds import LoopEvent, Round

#: Seconds. A round over few directories takes a second, a campaign's some minutes, one of `local` its work.
_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)

_ENDS_OF_CREATES = (Outcome.CREATED, Outcome.FOUND, Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN)


#: Each metric without our name before it: its kind, what it tells, its labels.
_FAMILIES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "rounds": ("Counter", "Rounds, by what they came to.", ("project", "result")),
    "round_duration_seconds": ("Histogram", "How long a round took.", ("project",)),
    "last_success_timestamp_seconds": (
        "Gauge",
        "When a round last left everything as it may be.",
        ("project",),
    ),
    "consecutive_failures": ("Gauge", "Rounds that failed in a row.", ("project",)),
    "plan_actions": ("Gauge", "Actions of the last plan, before it was applied.", ("project", "action")),
    "actions": ("Counter", "Actions that were carried out.", ("project", "action", "outcome")),
    "duplicates": ("Counter", "Batches found to be work that is done twice.", ("project",)),
    "ambiguous": ("Counter", "Batches found that may be ours under another configuration.", ("project",)),
    "unresolved_creates": ("Gauge", "Creates whose outcome is not known.", ("project",)),
    "leader": ("Gauge", "1 where this process was given the lock when it last asked.", ("project",)),
    "paused": ("Gauge", "1 while the pause file is there.", ()),
    "auto_approve": ("Gauge", "1 where it may apply, 0 where it only looks.", ()),
    "interval_seconds": ("Gauge", "Seconds between two rounds of a project.", ()),
    "webhooks": ("Counter", "Calls of the webhook's address.", ("verdict",)),
    "build_info": ("Gauge", "Which reconciler this is; always 1.", ("version", "python")),
}


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
        self._registry = client.CollectorRegistry()
        if process:
            client.ProcessCollector(registry=self._registry)
        self._of: dict[str, Any] = {}
        for name, (kind, says, labels) in _FAMILIES.items():
            more = {"buckets": _BUCKETS} if kind == "Histogram" else {}
            make = getattr(client, kind)
            self._of[name] = make(name, says, labels, namespace="reconciler", registry=self._registry, **more)
        self._of["build_info"].labels(__version__, platform.python_version()).set(1)
        for verdict in Verdict:
            self._of["webhooks"].labels(verdict.value)
        self._names: dict[str, str] = {}

    def heard(self, event: LoopEvent) -> None:
        """Count what is told."""
        match event:
            case Began(interval=interval, approved=approved):
                self._of["interval_seconds"].set(interval)
                self._of["auto_approve"].set(int(approved))
            case Happening(project, Done(action, outcome, _) | Failed(action, outcome, _)):
                self._of["actions"].labels(project, action.kind.value, outcome.value).inc()
            case RoundEnded(done, failures):
                self._named(done)
                self._count(done, failures)
            case Paused(paused):
                self._of["paused"].set(int(paused))
            case Called(verdict, times):
                self._of["webhooks"].labels(verdict.value).inc(times)
            case _:
                pass

    def shown(self, accept: str) -> tuple[bytes, str]:
        """All of it in the form that is asked for, and that form's name."""
        from prometheus_client.exposition import choose_encoder

        encoder, kind = choose_encoder(accept)
        return encoder(self._registry), kind

    def _named(self, done: Round) -> None:
        """What is shown of a project begins with nothing, so that the first of anything is an increase."""
        before = self._names.get(done.folder)
        if before == done.project:
            return
        self._names[done.folder] = done.project
        if before is not None and before not in self._names.values():
            self._forget(before)
        for result in RoundResult:
            self._of["rounds"].labels(done.project, result.value)
        for outcome in _ENDS_OF_CREATES:
            self._of["actions"].labels(done.project, ActionKind.CREATE.value, outcome.value)
        for name in ("duplicates", "ambiguous", "leader", "unresolved_creates"):
            self._of[name].labels(done.project)

    def _forget(self, project: str) -> None:
        """A project's folder has another name now: what stood under the first one would stand for ever."""
        from contextlib import suppress

        for name in (
            "last_success_timestamp_seconds",
            "consecutive_failures",
            "unresolved_creates",
            "leader",
        ):
            with suppress(KeyError):
                self._of[name].remove(project)
        for kind in ActionKind:
            with suppress(KeyError):
                self._of["plan_actions"].remove(project, kind.value)

    def _count(self, done: Round, failures: int) -> None:
        name = done.project
        self._of["rounds"].labels(name, done.result.value).inc()
        self._of["round_duration_seconds"].labels(name).observe(done.seconds)
        self._of["consecutive_failures"].labels(name).set(failures)
        if done.result in WELL:
            self._of["last_success_timestamp_seconds"].labels(name).set(self._now())
        if done.plan is not None:
            for kind in ActionKind:
                self._of["plan_actions"].labels(name, kind.value).set(done.plan.count(kind))
            self._of["unresolved_creates"].labels(name).set(done.unresolved)
        if done.result is RoundResult.STANDBY:
            self._of["leader"].labels(name).set(0)
        if done.applied is not None:
            self._of["leader"].labels(name).set(1)
            for finding in done.applied.findings:
                if finding.ambiguous:
                    self._of["ambiguous"].labels(name).inc(len(finding.batches))
                else:
                    self._of["duplicates"].labels(name).inc(len(finding.batches) - 1)


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
