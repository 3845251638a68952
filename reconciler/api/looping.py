"""`run`, put together: projects, a checkout, what wakes the loop, what it counts, and the HTTP around it.

The order of rounds is the engine's, one round is in `rounds`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.running import PARALLELISM
from reconciler.model.errors import SettingsError
from reconciler.model.rounds import Began, Called, Fetched, Paused, Verdict, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.adapters.git.checkout import Checkout
    from reconciler.adapters.git.program import Git
    from reconciler.adapters.loop import endpoints
    from reconciler.adapters.loop.bell import QueueBell
    from reconciler.adapters.loop.metrics import Metrics
    from reconciler.adapters.loop.pulse import Pulse
    from reconciler.adapters.loop.webhook import Webhook
    from reconciler.api.rounds import Terms
    from reconciler.engine.stop import Stop
    from reconciler.model.rounds import LoopEvent, LoopListener, Round

#: Where LlamaCloud's webhooks are taken.
WEBHOOK_PATH = "/webhooks/llamacloud"

_STATUS = {
    Verdict.ACCEPTED: 202,
    # Genuine, and nothing to be sent again.
    Verdict.REPEATED: 200,
    Verdict.STALE: 200,
    Verdict.UNSIGNED: 401,
    Verdict.FORGED: 401,
    Verdict.TOO_LARGE: 413,
}
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """What `run` is told.

    Attributes:
        projects: folders of projects; within the checkout, where there is a remote.
        interval: seconds between the beginnings of two rounds of a project.
        jitter: which share of it may come on top.
        approved: whether plans may be applied without asking; else the loop only looks.
        rounds: how many rounds each project has; None for no end.
        remote: the address of a git remote that has the manifests, or "".
        ref: which of its refs.
        into: the folder of the checkout.
        listen: where HTTP is answered: host and port; None for nowhere.
        secret_env: the variable with the webhook's signing secret, or "".
        secret_file: the file with its signing secrets, or None.
        pause: while this file is there, nothing is applied; None for no such file.
        parallelism: how many requests may be under way at once.
        timeout: seconds that an apply may take, or None.
    """

    projects: tuple[str, ...] = (".",)
    interval: float = 60.0
    jitter: float = 0.1
    approved: bool = False
    rounds: int | None = None
    remote: str = ""
    ref: str = "HEAD"
    into: Path = Path(".reconciler/checkout")
    listen: tuple[str, int] | None = None
    secret_env: str = ""
    secret_file: Path | None = None
    pause: Path | None = None
    parallelism: int = PARALLELISM
    timeout: float | None = None


class Hub:
    """What wakes a loop: signal handlers are given it."""

    def __init__(self) -> None:
        from reconciler.adapters.loop.bell import QueueBell

        self.bell: QueueBell = QueueBell()

    def look(self) -> None:
        """Have every project looked at now. From signal handlers, too."""
        self.bell.ring(Why.HANGUP)

    def hint(self) -> None:
        """Say that there may be something to see. From any thread."""
        self.bell.ring(Why.WEBHOOK)

    def wake(self) -> None:
        """Have the loop see that it is to end. From signal handlers, too."""
        self.bell.ring(None)


def run_loop(settings: LoopSettings, hub: Hub, *, stop: Stop, tell: LoopListener) -> tuple[Round, ...]:
    """Hold rounds until each project has had all of its own, or a signal comes; gives the last ones.

    Args:
        settings: what it is told.
        hub: what wakes it.
        stop: ends it.
        tell: told what happens; `Called` comes from another thread.

    Raises:
        SettingsError: it cannot begin like that. Once it has begun, what goes wrong is a round's result.
    """
    from reconciler.adapters.loop.pulse import Pulse
    from reconciler.api.rounds import ProjectRounds, Terms
    from reconciler.api.running import system_clock
    from reconciler.core.schedule import Pace
    from reconciler.engine.loop import Loop

    _refuse_twice(settings.projects)
    clock = system_clock()
    pulse = Pulse(settings.projects, clock.monotonic, lambda: stop.signal is not None)
    listeners: list[LoopListener] = [pulse.heard]

    def told(event: LoopEvent) -> None:
        for listener in listeners:
            listener(event)

    with contextlib.ExitStack() as stack:
        checkout = _checkout(settings, stop)
        if checkout is not None:
            stack.callback(checkout.close)
        address = ""
        if settings.listen is not None:
            address = stack.enter_context(_listening(settings, pulse, hub, listeners, told))
        elif settings.secret_env or settings.secret_file:
            raise SettingsError(
                "webhooks come over HTTP, and the loop does not listen",
                where="--webhook-secret-env",
                next="Give --listen HOST:PORT as well",
            )
        listeners.append(tell)
        terms = Terms(
            approved=settings.approved,
            pause=settings.pause,
            tell=told,
            stop=stop,
            commit=(lambda: checkout.commit) if checkout else lambda: "",
            fetched=checkout is not None,
            parallelism=settings.parallelism,
            timeout=settings.timeout,
        )
        base = checkout.folder if checkout else Path()
        loop = Loop(
            works=[ProjectRounds(name, base / name, terms) for name in settings.projects],
            pace=Pace(settings.interval, settings.jitter),
            fetch=_fetching(checkout, told),
            bell=hub.bell,
            clock=clock,
            chance=random.random,
            stop=stop,
            tell=told,
            alive=_alive(pulse, terms, told),
            rounds=settings.rounds,
        )
        told(Began(settings.projects, settings.interval, settings.approved, address))
        loop.run()
    return tuple(done for done in loop.last if done is not None)


def _refuse_twice(projects: tuple[str, ...]) -> None:
    normal = [os.path.normpath(name) for name in projects]
    for name in normal:
        if normal.count(name) > 1:
            raise SettingsError(f"the project {name!r} is there twice", where="--project")


def _checkout(settings: LoopSettings, stop: Stop) -> Checkout | None:
    from reconciler.adapters.audit import KEY_VARIABLE
    from reconciler.adapters.git.checkout import Checkout
    from reconciler.adapters.git.program import git_in
    from reconciler.api.pushing import USUAL_KEYS

    if not settings.remote:
        return None
    for name in settings.projects:
        if os.path.isabs(name) or os.path.normpath(name).startswith(".."):  # noqa: PTH117 - a path that is not there yet
            raise SettingsError(
                f"{name!r} is not in the checkout",
                where="--project",
                next="With --git-remote, projects are folders of the repository",
            )
    folder = Path(os.path.abspath(settings.into))  # noqa: PTH100 - links are not followed
    secrets = {KEY_VARIABLE, *USUAL_KEYS, settings.secret_env}
    git = git_in(folder, os.environ, secrets)
    return Checkout(_until(git, stop), folder, settings.remote, settings.ref)


def _until(git: Git, stop: Stop) -> Git:
    """The same git, which ends when the loop is to end."""
    from dataclasses import replace

    return replace(git, over=lambda: stop.signal is not None)


def _fetching(checkout: Checkout | None, tell: LoopListener) -> Callable[[], None]:
    before = ""

    def fetch() -> None:
        nonlocal before
        if checkout is None:
            return
        commit = checkout.update()
        if commit != before:
            tell(Fetched(checkout.ref, commit, before))
            before = commit

    return fetch


def _alive(pulse: Pulse, terms: Terms, tell: LoopListener) -> Callable[[], None]:
    before = False

    def alive() -> None:
        nonlocal before
        pulse.beat()
        if terms.paused != before:
            before = not before
            tell(Paused(before, str(terms.pause)))

    return alive


@contextlib.contextmanager
def _listening(
    settings: LoopSettings,
    pulse: Pulse,
    hub: Hub,
    listeners: list[LoopListener],
    tell: LoopListener,
) -> Iterator[str]:
    """Answer HTTP meanwhile; gives where."""
    from reconciler.adapters.loop.metrics import Metrics

    assert settings.listen is not None
    metrics = Metrics(time.time)
    listeners.append(metrics.heard)
    webhook = _webhook(settings)
    try:
        import h11  # noqa: F401 - it is missed now, and not by the first request

        from reconciler.adapters.loop.endpoints import Endpoints, address_of, listening
    except ImportError as error:  # it comes with httpx, as things are
        raise SettingsError(
            "what --listen needs is not installed",
            why=str(error),
            next="Install it: pip install 'batch-reconciler[run]'",
        ) from error
    with (
        contextlib.closing(listening(*settings.listen)) as listener,
        Endpoints(listener, served_paths(pulse, metrics, webhook, hub, tell)).serving(),
    ):
        yield address_of(listener)


def _webhook(settings: LoopSettings) -> Webhook | None:
    from reconciler.adapters.loop.webhook import SecretFile, Webhook, secret_of

    if settings.secret_env and settings.secret_file:
        raise SettingsError(
            "the webhook's signing secret is either in a variable or in a file",
            where="--webhook-secret-file",
            next="A file may have several, one a line",
        )
    if settings.secret_env:
        secrets = secret_of(os.environ, settings.secret_env)
        return Webhook(lambda: secrets, time.time)
    return Webhook(SecretFile(settings.secret_file), time.time) if settings.secret_file else None


def served_paths(
    pulse: Pulse, metrics: Metrics, webhook: Webhook | None, hub: Hub, tell: LoopListener
) -> Mapping[str, endpoints.Path]:
    """What is answered where: probes, metrics, and webhooks where there is a secret."""
    from reconciler.adapters.loop.endpoints import Path as At
    from reconciler.adapters.loop.endpoints import Reply
    from reconciler.adapters.loop.webhook import LARGEST_BODY

    def healthy(_: endpoints.Request) -> Reply:
        return Reply(200, b"alive\n") if pulse.alive else Reply(503, b"no sign of life for long\n")

    def ready(_: endpoints.Request) -> Reply:
        ready, reasons = pulse.readiness()
        text = json.dumps({"ready": ready, "reasons": dict(reasons)})
        return Reply(200 if ready else 503, text.encode() + b"\n", _JSON)

    def measured(request: endpoints.Request) -> Reply:
        body, kind = metrics.shown(request.headers.get("accept", ""))
        return Reply(200, body, kind)

    def called(request: endpoints.Request) -> Reply:
        assert webhook is not None
        verdict = webhook.judge(request.body, request.headers.get("lc-signature"))
        tell(Called(verdict, 1))
        if verdict is Verdict.ACCEPTED:
            hub.hint()
        text = json.dumps({"verdict": verdict.value})
        return Reply(_STATUS[verdict], text.encode() + b"\n", _JSON)

    paths = {"/healthz": At("GET", healthy), "/readyz": At("GET", ready), "/metrics": At("GET", measured)}
    if webhook is not None:
        paths[WEBHOOK_PATH] = At(
            "POST", called, LARGEST_BODY, too_large=lambda: tell(Called(Verdict.TOO_LARGE, 1))
        )
    return paths
