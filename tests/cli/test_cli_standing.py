"""`status`, `wait` and `list` over real HTTP against `reconciler emulator`, and `--watch` on a terminal."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import pytest
from emulator_process import Emulator, documents, emulator
from session import Session
from talonic_stand import TalonicStand
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SET = """apiVersion: reconciler/v1
kind: BatchSet
metadata: {name: papers}
spec:
  provider: cloud
  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}
  directories: [{id: dir-a}, {id: dir-b}]
"""


@pytest.fixture
def service(tmp_path: Path, quick: Path) -> Iterator[Emulator]:
    documents(tmp_path, "a", "b", "c")
    with emulator(tmp_path, "--root", "documents", quick=quick) as running:
        yield running


@pytest.fixture
def session(tmp_path: Path, service: Emulator, quick: Path) -> Session:
    """Two batches that are applied, on a service whose clock stands still."""
    folder = tmp_path / "project"
    (folder / "batches").mkdir(parents=True)
    (folder / "batches" / "papers.yaml").write_text(_SET)
    (folder / "reconciler.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: papers}\nspec:\n"
        '  manifests: ["batches/*.yaml"]\n  providers:\n'
        f"    cloud: {{type: llamacloud, baseUrl: '{service.url}', settle: 0s}}\n"
    )
    session = Session(folder, quick)
    session.environment["LLAMA_CLOUD_API_KEY"] = "llx-emulator"
    assert session.run("reconciler apply --auto-approve")[-1] == "Apply: 2 created."
    return session


def test_the_life_of_two_batches_and_of_a_third_that_is_nobodys(session: Session, service: Emulator) -> None:
    running = session.run("reconciler status")
    assert re.fullmatch(r"  papers/dir-a  a  Synced  Progressing  <bat-1>  PENDING  \d+ s", running[1]), (
        running
    )
    assert running[-1] == "Status: 2 Synced. Health: 2 Progressing. Batches: 2 PENDING."
    lock = (session.folder / "reconciler.lock").read_bytes()

    service.create("dir-c").raise_for_status()
    service.create("dir-a").raise_for_status()
    listed = session.run("reconciler list --format json", steady=False)
    batches = json.loads("\n".join(listed))["batches"]
    assert sorted((item["directory"], item["owner"], item["role"]) for item in batches) == [
        ("dir-a", "papers/dir-a", "stands"),
        ("dir-a", "papers/dir-a", "unrecorded"),
        ("dir-b", "papers/dir-b", "stands"),
        ("dir-c", None, "none"),
    ]
    few = session.run("reconciler list --directory dir-c --status PENDING --provider cloud --since 1d")
    assert few[-1] == "List: 1 batch, 1 of them nobody's."
    told = session.run("reconciler status")
    assert told[-1].endswith("Batches: 2 PENDING. 1 surplus.")
    assert [line for line in told if "To cancel it: reconciler cancel papers/dir-a <bat-" in line]

    waited = session.run("reconciler wait --timeout 3s")
    assert waited[-2:] == ["Wait: the time of --timeout was up; 2 Progressing.", "[exit 8]"]
    assert [line.split("  ")[-1] for line in waited[-4:-2]] == ["still runs"] * 2
    assert (session.folder / "reconciler.lock").read_bytes() == lock

    service.advance("1h")
    done = session.run("reconciler wait")
    assert done[-1] == "Wait: 2 Healthy."
    document = json.loads("\n".join(session.run("reconciler status --format json", steady=False)))
    assert [row["files"] for row in document["rows"]] == [{"total": 2, "failed": 0}] * 2
    serial = json.loads(lock)["serial"]
    assert json.loads((session.folder / "reconciler.lock").read_text())["serial"] == serial

    fault = {"fault": "status", "status": 403, "every": 1}
    service.client.post("/__admin/faults", json=fault).raise_for_status()
    printed = session.run("reconciler list")
    assert printed[0] == "List: 0 batches; incomplete."
    assert printed[1].startswith("Error: the batches of provider cloud could not all be listed: ")
    assert printed[2:] == ["[exit 1]"]


def test_watch_redraws_in_place_until_ctrl_c(session: Session, service: Emulator) -> None:
    terminal = Terminal(
        session.folder, "status", "--watch", "--interval", "1s", LLAMA_CLOUD_API_KEY="llx-emulator"
    )
    terminal.until("2 Progressing")
    service.advance("1h")
    terminal.until("2 Completed")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 128 + signal.SIGINT
    height = len(["time", "", "papers", "dir-a", "dir-b", "", "sum"])
    assert f"\x1b[{height}F" in terminal.shown
    assert "\x1b[36mProgressing\x1b[0m" in terminal.shown
    assert terminal.shown.endswith("2 COMPLETED.\x1b[K\r\n\x1b[J\x1b[?7h")


def test_what_is_only_watched_stands_beside_what_is_made(tmp_path: Path, quick: Path) -> None:
    """R16: Talonic forms its batches by itself; they are waited for, and an apply records them."""
    stand = TalonicStand(tmp_path, key="tlnc_key")
    folder = tmp_path / "project"
    (folder / "batches").mkdir(parents=True)
    (folder / "reconciler.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: watching}\nspec:\n"
        '  manifests: ["batches/*.yaml"]\n  providers:\n    talonic: {type: talonic}\n'
    )
    (folder / "batches" / "nightly.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: TrackedBatch\nmetadata: {name: nightly}\n"
        "spec: {provider: talonic, since: 2026-09-01T00:00:00Z}\n"
    )
    session = Session(folder, quick)
    with stand.served() as base_url:
        session.environment |= {"TALONIC_API_KEY": "tlnc_key", "TALONIC_BASE_URL": base_url}
        stand.ingest("a", "b", "c")

        printed = session.run("reconciler status")
        assert printed[0] == "nightly"
        assert "  OutOfSync  Progressing  <uuid-1>  submitted  " in printed[1], printed
        assert printed[-1] == "Status: 1 OutOfSync. Health: 1 Progressing. Batches: 1 PENDING."
        assert session.run("reconciler wait --timeout 3s")[-2:] == [
            "Wait: the time of --timeout was up; 1 Progressing.",
            "[exit 8]",
        ]
        stand.advance(hours=1)
        assert session.run("reconciler wait") == ["Wait: 1 Healthy."]
        assert session.run("reconciler list --provider talonic") == [
            "Error: reconciler.yaml: provider talonic forms batches by itself, and they are only watched",
            "  next: `reconciler status` shows those that a TrackedBatch asks for",
            "[exit 1]",
        ]
