"""A `llamacloud` provider over real HTTP: the stand-in service on a loopback port, with a key."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from session import Session, copy_example

from reconciler.emulator import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = "llx-this-key-must-never-be-shown"


@contextmanager
def _serving(service: Service) -> Iterator[str]:
    """The service on a port of its own; gives its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(service.app, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def session(tmp_path: Path, quick: Path) -> Iterator[Session]:
    folder = tmp_path / "project"
    copy_example("quickstart", folder)
    service = Service(
        folder / "documents",
        tmp_path / "cloud.db",
        configurations=folder / "configurations",
        project_id="prj-cloud",
        api_key=_KEY,
    )
    with _serving(service) as base_url:
        (folder / "reconciler.yaml").write_text(
            "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: cloud}\nspec:\n"
            '  manifests: ["batches/*.yaml"]\n  providers:\n'
            "    local: {type: llamacloud, apiKey: {env: CLOUD_KEY}, settle: 1s}\n"
        )
        session = Session(folder, quick)
        session.environment |= {"CLOUD_KEY": _KEY, "LLAMA_CLOUD_BASE_URL": base_url}
        yield session
    service.close()


def test_the_cloud_gets_each_batch_once_and_apply_does_not_stay(session: Session) -> None:
    project = session.folder / "reconciler.yaml"
    project.write_text(project.read_text().replace("settle: 1s", "settle: 3s"))  # a wait that is told of
    printed = session.run("reconciler apply --auto-approve")
    assert printed[-1] == "Apply: 3 created."
    assert [line for line in printed if "absence has to be seen twice" in line]  # cold: no journal yet (C2)
    assert session.run("reconciler plan --detailed-exitcode") == [
        "No changes. 3 batches as desired, 3 of them still running."
    ]
    lock = json.loads((session.folder / "reconciler.lock").read_text())
    assert list(lock["projects"].values()) == ["prj-cloud"]  # as the replies said
    assert {batch["status"] for entry in lock["entries"].values() for batch in entry["batches"]} == {
        "PENDING"
    }
    session.run("rm reconciler.lock")
    asked = [
        line for line in session.run("reconciler plan --log-level debug") if "source_directory_id=" in line
    ]
    assert len(asked) == 3
    assert all("project_id=prj-cloud" in line for line in asked)  # where the creates are sent to (C2)
    assert session.run("reconciler apply --auto-approve")[-1] == "Apply: 3 adopted."


def test_a_duplicate_is_told_even_by_a_run_that_has_nothing_else_to_do(session: Session) -> None:
    session.run("reconciler apply --auto-approve")
    base_url = session.environment["LLAMA_CLOUD_BASE_URL"]
    job = {"type": "parse_v2", "configuration_id": "cfg-PARSE_AGENTIC"}
    body = {"source_directory_id": "dir-receipts", "config": {"job": job}}
    headers = {"Authorization": f"Bearer {_KEY}"}
    httpx.post(f"{base_url}/api/v2/batches", json=body, headers=headers).raise_for_status()

    printed = session.run("reconciler apply --auto-approve")

    told = [line for line in printed if line.startswith(("DUPLICATE", "  To cancel", "[exit"))]
    assert len(told) == 3
    assert told[0].startswith("DUPLICATE receipts/dir-receipts: ")
    assert told[1].startswith("  To cancel the surplus one: reconciler cancel receipts/dir-receipts <bat")
    assert told[2] == "[exit 5]"
    assert session.run("reconciler apply --auto-approve") == [
        "No changes. 3 batches as desired, 3 of them still running."
    ]


def test_a_wrong_key_is_one_error_and_no_key_is_ever_shown(session: Session) -> None:
    session.environment["CLOUD_KEY"] = f"{_KEY}-wrong"
    printed = session.run(
        "reconciler plan --log-level debug; reconciler apply --auto-approve --log-level debug"
    )
    errors = [line for line in printed if line.startswith("Error:")]
    assert len(errors) == 2
    assert all("401" in line for line in errors)
    assert not [line for line in printed if _KEY in line or "Traceback" in line]
    session.environment["CLOUD_KEY"] = _KEY
    session.run("reconciler apply --auto-approve --log-level debug > out 2>&1")
    left = [
        path for path in session.folder.rglob("*") if path.is_file() and _KEY in path.read_text("latin-1")
    ]
    assert left == []


def test_a_batch_that_is_cancelled_already_is_not_asked_for_again(session: Session) -> None:
    session.run("reconciler apply --auto-approve")
    cancel = "reconciler cancel receipts/dir-receipts --auto-approve"

    (first,) = session.run(cancel)
    (second,) = session.run(cancel)

    assert first.startswith("Asked for the cancel of <bat")
    assert second.startswith("<bat")
    assert second.endswith("> was cancelled already.")
