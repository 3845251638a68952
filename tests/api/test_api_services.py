"""Which provider block becomes which service, and how many voices may speak for one project."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from reconciler import ManifestError, Outcome, SettingsError, apply, load
from reconciler.adapters.clock import SystemClock
from reconciler.api import Stop
from reconciler.api.services import Connections, Services
from reconciler.emulator import Service
from reconciler.model.batch import Home
from reconciler.model.events import Planned
from reconciler.model.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.events import Event

_SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {{name: {name}}}
spec:
  provider: {name}
  job: {{type: parse_v2, configuration: cfg-PARSE_AGENTIC}}
  directories: [{{id: dir-{name}}}]
"""


def _project(folder: Path, providers: str, *names: str) -> Path:
    (folder / "reconciler.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Project\nmetadata: {name: many}\nspec:\n"
        f'  manifests: ["*.set.yaml"]\n  providers:\n{providers}'
    )
    for name in names:
        (folder / f"{name}.set.yaml").write_text(_SET.format(name=name))
    return folder


def _connect(folder: Path, **environ: str) -> Connections:
    services = Services(load(folder), environ, SystemClock(), lambda _: None, 1, Stop())

    async def connect() -> Connections:
        async with services.connected(Lock(), ()) as there:
            return there

    return asyncio.run(connect())


def test_two_projects_of_one_service_have_a_connection_each(tmp_path: Path) -> None:
    folder = _project(
        tmp_path,
        "    a: {type: llamacloud, baseUrl: 'https://api.test', projectId: prj-a, apiKey: {env: KEY_A}}\n"
        "    b: {type: llamacloud, baseUrl: 'https://api.test/', projectId: prj-b, apiKey: {env: KEY_B},"
        " settle: 9s}\n",
        "a",
        "b",
    )
    there = _connect(folder, KEY_A="llx-of-a", KEY_B="llx-of-b")
    assert there.homes == {"a": Home("https://api.test", "prj-a"), "b": Home("https://api.test", "prj-b")}
    settled = {home.project: provider.settle for home, provider in there.eyes.providers.items()}
    assert settled == {"prj-a": 30.0, "prj-b": 9.0}
    assert there.pins == {"a https://api.test": "prj-a", "b https://api.test": "prj-b"}


@pytest.mark.parametrize("differing", ["settle: 9s", "apiKey: {env: KEY_B}", "organizationId: org-1"])
def test_two_blocks_that_lead_to_one_project_and_differ_are_refused(tmp_path: Path, differing: str) -> None:
    folder = _project(
        tmp_path,
        "    a: {type: llamacloud, baseUrl: 'https://api.test', projectId: prj-a}\n"
        f"    b: {{type: llamacloud, baseUrl: 'https://api.test', projectId: prj-a, {differing}}}\n",
        "a",
        "b",
    )
    with pytest.raises(SettingsError, match="providers a and b lead to one project, prj-a, and differ"):
        _connect(folder, LLAMA_CLOUD_API_KEY="llx-of-a", KEY_B="llx-of-b")


def test_a_project_has_one_embedded_service(tmp_path: Path) -> None:
    for name in ("documents", "other"):
        (tmp_path / name).mkdir()
    same = "    a: {type: local, root: documents}\n    b: {type: local, root: documents}\n"
    assert len(_connect(_project(tmp_path, same, "a", "b")).eyes.providers) == 1
    two = "    a: {type: local, root: documents}\n    b: {type: local, root: other}\n"
    with pytest.raises(SettingsError, match="providers a and b are both local and differ"):
        _connect(_project(tmp_path, two, "a", "b"))


def test_only_blocks_that_sets_use_need_their_key(tmp_path: Path) -> None:
    two = (
        "    a: {type: llamacloud, projectId: prj-a, apiKey: {env: KEY_A}}\n"
        "    b: {type: llamacloud, projectId: prj-b, apiKey: {env: KEY_B}}\n"
    )
    assert list(_connect(_project(tmp_path, two, "a"), KEY_A="llx-of-a").homes) == ["a"]
    with pytest.raises(ManifestError, match="KEY_A is not set"):
        _connect(tmp_path)


def _local(folder: Path) -> Path:
    (folder / "documents" / "local").mkdir(parents=True)
    (folder / "documents" / "local" / "a.txt").write_text("Paid.")
    return _project(folder, "    local: {type: local, root: documents}\n", "local")


def test_a_listener_that_fails_is_not_called_again_and_harms_nothing(tmp_path: Path) -> None:
    calls: list[Event] = []

    def listen(event: Event) -> None:
        calls.append(event)
        if not isinstance(event, Planned):
            raise BrokenPipeError

    applied = apply(load(_local(tmp_path)), listen=listen)
    assert [result.outcome for result in applied.results] == [Outcome.CREATED]
    assert [batch.status for batch in applied.batches] == ["COMPLETED"]
    assert len(calls) == 2


def test_a_plan_that_could_not_be_shown_is_not_carried_out(tmp_path: Path) -> None:
    def listen(_: Event) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        apply(load(_local(tmp_path)), listen=listen)
    assert not (tmp_path / "reconciler.lock").exists()


def test_a_worker_that_dies_ends_the_wait_and_the_next_apply_carries_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load(_local(tmp_path))

    def die(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Service, "work", die)
        with pytest.raises(SettingsError) as raised:
            apply(project)
    assert raised.value.what == "the embedded service stopped working"
    assert raised.value.why == "[Errno 28] No space left on device"
    applied = apply(project)
    assert (applied.results, [batch.status for batch in applied.batches]) == ((), ["COMPLETED"])
