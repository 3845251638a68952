"""Somebody creates the same batch by hand while `apply` asks: it is decided again before the send (C2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import neighbour_town
from neighbour_project import forget_requests, requests
from terminal import QUESTION, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emulator_process import Emulator
    from neighbour_project import Project

town = neighbour_town.town
new_project = neighbour_town.new_project
service = neighbour_town.service


def _at_the_question(project: Project) -> Terminal:
    environment = project.environment | {"NO_COLOR": "1", "TERM": "dumb"}
    terminal = Terminal(project.folder, "apply", **environment)
    assert QUESTION in terminal.until(QUESTION), terminal.shown
    assert "Plan: 3 to create (3 files)." in terminal.shown
    return terminal


def _by_hand(service: Emulator, directory: str) -> str:
    batch = service.create(directory).raise_for_status().json()
    return str(batch["id"])


def test_what_somebody_created_meanwhile_is_adopted_and_not_created_again(
    new_project: Callable[..., Project], service: Emulator, tmp_path: Path
) -> None:
    project = new_project(tmp_path / "project")
    terminal = _at_the_question(project)
    first, second, third = project.directories
    batch = _by_hand(service, second)
    forget_requests(service)
    terminal.type("yes\n")
    assert terminal.end() == 0, terminal.shown
    assert terminal.shown.endswith("Apply: 2 created, 1 adopted.\r\n")
    assert f"papers/{second}  adopted  {batch}\r\n" in terminal.shown
    project.assert_whole()
    assert requests(service, method="POST") == ["POST /api/v2/batches"] * 2
    origins = {
        entry.key.directory: entry.recorded.origin.value for entry in project.state()[0].entries.values()
    }
    assert origins == {first: "created", second: "adopted", third: "created"}
    (audited,) = [line for line in project.audited() if line["batch"] == batch]
    assert audited["outcome"] == "adopted"
    assert audited["why"].endswith("it appeared since the plan was made")


def test_what_somebody_created_and_cancelled_meanwhile_is_not_created_again(
    new_project: Callable[..., Project], service: Emulator, tmp_path: Path
) -> None:
    project = new_project(tmp_path / "project")
    terminal = _at_the_question(project)
    first, second, third = project.directories
    batch = _by_hand(service, second)
    service.client.post(f"/api/v2/batches/{batch}/cancel").raise_for_status()
    service.advance("5s")
    forget_requests(service)
    terminal.type("yes\n")
    assert terminal.end() == 6, terminal.shown
    assert terminal.shown.endswith("Apply: 2 created, 1 blocked.\r\n")
    reason = f"{batch} was cancelled; to run again, raise rerun.after or set rerun.onCancelled: rerun"
    assert f"papers/{second}  blocked  (since the plan was made: {reason})\r\n" in terminal.shown
    assert requests(service, method="POST") == ["POST /api/v2/batches"] * 2
    assert {name: len(ids) for name, ids in project.live().items()} == dict.fromkeys(project.directories, 1)
    assert {key.directory for key in project.state()[0].entries} == {first, third}
    assert any(reason in line for line in project.run("plan").lines)
