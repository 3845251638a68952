"""How a team with hundreds of batches starts, over HTTP: export, plan, apply, and nothing is created."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from emulator_process import Emulator, documents, emulator
from session import EXAMPLES, Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: adopting}
spec:
  manifests: ["batches/*.yaml"]
  providers:
    prod: {type: llamacloud, apiKey: {env: CLOUD_KEY}, settle: 1s}
"""
_DIRECTORIES = [f"pile-{number:03}" for number in range(150)]


@pytest.fixture
def service(tmp_path: Path, quick: Path) -> Iterator[Emulator]:
    """150 directories, and a service on which a fifth of the batches fails and a tenth is cancelled."""
    documents(tmp_path, *_DIRECTORIES, files=1)
    fates = ("--fail-batches", "0.2", "--cancel-batches", "0.1", "--seed", "11", "--no-read")
    fields = str(EXAMPLES / "quickstart" / "configurations")
    root = ("--root", "documents", "--configurations", fields)
    with emulator(tmp_path, *root, *fates, quick=quick) as process:
        yield process


@pytest.fixture
def session(tmp_path: Path, service: Emulator, quick: Path) -> Session:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "reconciler.yaml").write_text(_PROJECT)
    session = Session(folder, quick)
    session.environment |= {"CLOUD_KEY": "llx-emulator", "LLAMA_CLOUD_BASE_URL": service.url}
    return session


def _create(service: Emulator, directory: str, job: str, configuration: str) -> None:
    config = {"job": {"type": job, "configuration_id": configuration}}
    body = {"source_directory_id": f"dir-{directory}", "config": config}
    service.client.post("/api/v2/batches", json=body).raise_for_status()


def test_pages_of_batches_of_all_states_are_exported_and_adopted_and_none_is_created(
    session: Session, service: Emulator
) -> None:
    for name in _DIRECTORIES:
        _create(service, name, "parse_v2", "cfg-PARSE_AGENTIC")
    for name in _DIRECTORIES[:75]:
        _create(service, name, "extract_v2", "cfg-invoice-fields")
    service.advance("10m")  # these end, well or badly
    for name in _DIRECTORIES[:30]:
        _create(service, name, "parse_v2", "cfg-PARSE_AGENTIC")  # of some a second attempt, of others surplus
    for name in _DIRECTORIES[145:]:
        service.client.delete(f"/api/v1/beta/directories/dir-{name}").raise_for_status()
    live = service.batches()
    assert len(live) == 255  # three pages
    assert set(Counter(batch["status"] for batch in live)) >= {"COMPLETED", "FAILED", "CANCELLED", "PENDING"}
    gone = {f"dir-{name}" for name in _DIRECTORIES[145:]}
    usable = [
        batch
        for batch in live
        if batch["status"] not in {"FAILED", "CANCELLED"} and batch["source_directory_id"] not in gone
    ]
    standing = {
        (batch["source_directory_id"], batch["config"]["job"]["configuration_id"]) for batch in usable
    }
    assert session.run("reconciler drift")[-1] == f"Drift: {len(usable)} not desired."

    told = session.run("reconciler export --out-dir batches")
    assert told[-1] == (
        f"Exported: {len(standing)} directories in 2 sets; {255 - len(standing)} batches only as comments."
    )
    plan = json.loads("\n".join(session.run("reconciler plan --format json", steady=False)))
    assert Counter(action["action"] for action in plan["actions"]) == {"adopt": len(standing)}
    assert {(action["directory"], action["configuration"]) for action in plan["actions"]} == standing

    assert session.run("reconciler apply --auto-approve")[-1] == f"Apply: {len(standing)} adopted."
    assert len(service.batches()) == 255  # not one was made
    assert session.run("reconciler drift --detailed-exitcode") == ["No drift."]  # nor is one nobody's
