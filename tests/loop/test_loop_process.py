"""The loop as it runs: real processes, signals, the stand-in's webhooks, two replicas, a moving remote."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from emulator_process import Emulator, documents, emulator
from loop_process import LoopProcess, looping
from loop_remote import Remote
from neighbour_project import until
from shared_project import shared_project
from test_loop_webhook import signed

from reconciler.adapters.stores.file import FileStore
from reconciler.model.intent import JournalState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import Server

SECRET = "whsec-of-the-loop"
LISTEN = ("--listen", "127.0.0.1:0")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("service")
    documents(folder, "nobody", files=1)
    options = ("--root", "documents", "--no-read", "--speed", "1", "--pending", "0s", "--per-file", "0s")
    with emulator(folder, *options) as made:
        yield made


class World:
    """A project over directories of its own on the stand-in, state in a file."""

    def __init__(self, folder: Path, service: Emulator, name: str) -> None:
        self.folder, self.service, self.name = folder, service, name
        self.environ = {
            "LLAMA_CLOUD_BASE_URL": service.url,
            "LLAMA_CLOUD_API_KEY": "llx-emulator",
            "HOOK_SECRET": SECRET,
        }
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, *directories: str, **spec: object) -> None:
        """A project that asks for these directories."""
        for name in directories:
            folder = self.service.folder
            if not (folder / "documents" / f"{self.name}-{name}").exists():
                documents(folder, f"{self.name}-{name}", files=1)
        provider = {"type": "llamacloud", "settle": "1s"}
        project = {"manifests": ["batches/*"], "providers": {"cloud": provider}}
        self._write("reconciler.yaml", "Project", **project)
        ids = [{"id": f"dir-{self.name}-{name}"} for name in directories]
        job = {"type": "parse_v2", "configuration": "cfg-PARSE_AGENTIC"}
        self._write("batches/papers.yaml", "BatchSet", provider="cloud", job=job, directories=ids, **spec)

    def _write(self, file: str, kind: str, **spec: object) -> None:
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        named = {"apiVersion": "reconciler/v1", "kind": kind, "metadata": {"name": self.name}}
        path.write_text(json.dumps(named | {"spec": spec}))

    def live(self) -> list[str]:
        """The directories of this project that have a batch, once for each."""
        names = [batch["source_directory_id"] for batch in self.service.batches()]
        return sorted(name for name in names if name.startswith(f"dir-{self.name}-"))

    @property
    def store(self) -> FileStore:
        return FileStore(self.folder / "reconciler.lock", "reconciler.lock", "a test", datetime.now(UTC))

    def loop(self, *options: str) -> LoopProcess:
        return LoopProcess(self.folder, self.environ, *options)


@pytest.fixture
def world(tmp_path: Path, service: Emulator, request: pytest.FixtureRequest) -> World:
    number = request.node.nodeid.encode()
    return World(tmp_path / "project", service, f"papers-{hashlib.sha256(number).hexdigest()[:6]}")


def reasons(loop: LoopProcess) -> list[str]:
    return [record["why"] for record in loop.all("round-ended")]


def test_it_looks_when_it_is_told_to_and_ends_when_it_is_told_to(world: World) -> None:
    world.write("a")
    with looping(world.folder, world.environ, "--auto-approve", "--interval", "1h", *LISTEN) as loop:
        assert loop.wait("round-ended")["result"] == "applied"
        assert loop.get("/healthz").text == "alive\n"
        assert loop.get("/readyz").json() == {"ready": True, "reasons": {}}
        assert loop.metric("reconciler_leader", project=world.name) == 1

        world.write("a", "b")
        loop.send(signal.SIGHUP)
        second = loop.wait("round-ended", count=2)
        assert (second["why"], second["result"], second["created"]) == ("hangup", "applied", 1)
        assert world.live() == sorted(f"dir-{world.name}-{name}" for name in "ab")
        created = {"project": world.name, "action": "create", "outcome": "created"}
        assert loop.metric("reconciler_actions_total", **created) == 2

        assert loop.end() == 143
    assert loop.all("ending", signal=15)
    with world.store.hold(0) as session:
        assert session.journal == JournalState(warm=True)
    assert all(json.loads(line) for line in loop.lines)
    assert "llx-emulator" not in "\n".join(loop.lines)


def test_c8_a_signal_in_the_middle_of_an_apply_finishes_what_is_in_flight(world: World) -> None:
    world.write(*"abcdefgh")
    with looping(world.folder, world.environ, "--auto-approve", "--parallelism", "1") as loop:
        loop.wait("done")
        assert loop.end(signal.SIGINT) == 130
    ended = loop.wait("round-ended")
    assert ended["result"] == "stopped"
    with world.store.hold(0) as session:
        assert session.journal.open == ()
        recorded = sorted(key.directory for key in session.lock.entries)
    assert recorded == world.live()


def test_c8_a_signal_ends_a_fetch_that_nobody_answers(world: World, tmp_path: Path) -> None:
    asked, slow = tmp_path / "asked", tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\ntouch {asked}\nexec sleep 600\n")
    slow.chmod(0o755)
    remote = ("--git-remote", "ssh://nowhere.test/x")
    with looping(world.folder, world.environ | {"GIT_SSH": str(slow)}, *remote) as loop:
        until("git has asked", asked.exists)
        assert loop.end() == 143
    assert [record["event"] for record in loop.records] == ["started", "ending"]


def test_a_webhook_of_the_services_makes_an_early_round(world: World) -> None:
    world.write("a")
    options = ("--auto-approve", "--interval", "20s", "--webhook-secret-env", "HOOK_SECRET", *LISTEN)
    with looping(world.folder, world.environ, *options) as loop:
        loop.wait("round-ended")
        hook = {
            "webhook_url": f"{loop.url}/webhooks/llamacloud",
            "webhook_signing_secret": {"env": "HOOK_SECRET"},
        }
        world.write("a", "b", webhooks=[hook])
        loop.send(signal.SIGHUP)
        loop.wait("round-ended", result="applied", created=1)
        early = loop.wait("round-ended", why="webhook")
        assert early["result"] in {"applied", "unchanged"}
        assert (loop.metric("reconciler_webhooks_total", verdict="accepted") or 0) >= 1
        assert loop.metric("reconciler_webhooks_total", verdict="forged") == 0
        assert loop.end() == 143
    assert SECRET not in "\n".join(loop.lines)


def test_whoever_does_not_know_the_secret_wakes_nobody(world: World) -> None:
    world.write("a")
    options = ("--interval", "1h", "--webhook-secret-env", "HOOK_SECRET", *LISTEN)
    with looping(world.folder, world.environ, *options) as loop:
        loop.wait("round-ended")
        there, body = f"{loop.url}/webhooks/llamacloud", b"{}"
        for headers, status in (
            ({}, 401),
            ({"LC-Signature": signed(body, "another-secret")}, 401),
            ({"LC-Signature": signed(b"{ }", SECRET)}, 401),
        ):
            assert httpx.post(there, content=body, headers=headers).status_code == status
        large = b"x" * (64 * 1024 + 1)
        headers = {"LC-Signature": signed(large, SECRET)}
        assert httpx.post(there, content=large, headers=headers).status_code == 413
        assert httpx.get(there).status_code == 405
        shown = [
            loop.metric("reconciler_webhooks_total", verdict=verdict)
            for verdict in ("unsigned", "forged", "too-large", "accepted")
        ]
        assert shown == [1, 2, 1, 0]
        loop.send(signal.SIGHUP)
        loop.wait("round-ended", count=2)
        assert reasons(loop) == ["start", "hangup"]
        # A flood is one line of the log.
        assert [record["verdict"] for record in loop.all("webhook")] == ["unsigned", "forged", "too-large"]
        good = httpx.post(there, content=body, headers={"LC-Signature": signed(body, SECRET)})
        assert (good.status_code, good.json()) == (202, {"verdict": "accepted"})


def test_a_project_that_cannot_be_read_is_said_and_keeps_no_other_from_going_on(
    world: World, tmp_path: Path
) -> None:
    world.write("a")
    (tmp_path / "broken").mkdir()
    options = ("--auto-approve", "--project", "project", "--project", "broken", "--interval", "1h", *LISTEN)
    with looping(tmp_path, world.environ, *options) as loop:
        broken = loop.wait("round-ended", project="broken")
        assert (broken["result"], broken["level"], broken["failures"]) == ("error", "error", 1)
        assert loop.wait("round-ended", project=world.name)["result"] == "applied"
        loop.wait("diagnostic", project="broken")
        reply = loop.get("/readyz")
        assert reply.status_code == 503
        assert reply.json() == {"ready": False, "reasons": {"broken": "its manifests cannot be read"}}
        assert loop.get("/healthz").status_code == 200


def test_pausing_and_going_on(world: World, tmp_path: Path) -> None:
    world.write("a")
    pause = tmp_path / "pause"
    pause.touch()
    options = ("--auto-approve", "--interval", "1h", "--pause-file", str(pause), *LISTEN)
    with looping(world.folder, world.environ, *options) as loop:
        assert loop.wait("round-ended")["result"] == "paused"
        assert loop.metric("reconciler_paused") == 1
        assert loop.metric("reconciler_plan_actions", project=world.name, action="create") == 1
        assert world.live() == []
        # Without a secret there is no webhook.
        assert httpx.post(f"{loop.url}/webhooks/llamacloud", content=b"{}").status_code == 404
        pause.unlink()
        loop.send(signal.SIGHUP)
        assert loop.wait("round-ended", count=2)["result"] == "applied"
        loop.wait("resumed")
        assert loop.metric("reconciler_paused") == 0


def test_two_replicas_never_act_at_once(tmp_path: Path, service: Emulator, postgres: Server) -> None:
    """C1: the database's lock says who acts. Whoever finds it held is ready all the same."""
    project = shared_project(
        tmp_path / "shared",
        service,
        service.folder / "documents",
        postgres,
        directories=3,
    )
    options = ("--auto-approve", "--interval", "1s", *LISTEN)
    with contextlib.ExitStack() as stack:
        with project.store.hold(60):
            replicas = [
                stack.enter_context(looping(project.folder, project.environment, *options)) for _ in range(2)
            ]
            for loop in replicas:
                loop.wait("round-ended", result="standby")
                assert loop.get("/readyz").status_code == 200
            assert not any(project.live().values())
        for loop in replicas:
            loop.wait("round-ended", result="unchanged")
        assert {len(ids) for ids in project.live().values()} == {1}
        assert sum(len(loop.all("done", outcome="created")) for loop in replicas) == 3
        one, other = replicas
        assert one.end() == 143
        seen = len(other.all("round-ended", result="unchanged"))
        other.wait("round-ended", result="unchanged", count=seen + 1)
        assert other.end() == 143
    project.assert_whole()


def test_it_follows_a_branch_that_is_pushed_over(tmp_path: Path, service: Emulator, postgres: Server) -> None:
    project = shared_project(
        tmp_path / "shared",
        service,
        service.folder / "documents",
        postgres,
        directories=2,
    )
    (tmp_path / "git").mkdir()
    remote = Remote(tmp_path / "git")
    names = ("reconciler.yaml", "batches/papers.yaml")
    whole = {f"finance/{name}": (project.folder / name).read_text() for name in names}
    first = whole["finance/batches/papers.yaml"]
    half = json.loads(first)
    half["spec"]["directories"] = half["spec"]["directories"][:1]
    begun = remote.push(whole | {"finance/batches/papers.yaml": json.dumps(half)})
    options = (
        *("--git-remote", remote.address, "--git-ref", "main", "--project", "finance"),
        *("--auto-approve", "--interval", "1h", *LISTEN),
    )
    work = tmp_path / "work"
    work.mkdir()
    with looping(work, project.environment, *options) as loop:
        done = loop.wait("round-ended")
        assert (done["result"], done["created"], done["commit"]) == ("applied", 1, begun)
        over = remote.push(whole, amend=True)
        loop.send(signal.SIGHUP)
        done = loop.wait("round-ended", count=2)
        assert (done["result"], done["created"], done["commit"]) == ("applied", 1, over)
        assert loop.wait("fetched", count=2)["before"] == begun

        (tmp_path / "git" / "remote.git").rename(tmp_path / "git" / "away")
        loop.send(signal.SIGHUP)
        done = loop.wait("round-ended", count=3)
        assert (done["result"], done["commit"]) == ("error", "")
        assert loop.get("/readyz").json()["reasons"] == {"finance": "its manifests cannot be fetched"}
        assert loop.end() == 143
    assert {len(ids) for ids in project.live().values()} == {1}
    [audited] = {
        json.loads(line).get("commit")
        for content in project.store.audit().values()
        for line in content.decode().splitlines()
        if over in line
    }
    assert audited == over
