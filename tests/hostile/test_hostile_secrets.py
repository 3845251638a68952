"""No secret is shown or written by any command, whatever goes wrong with the service.

The service is the stand-in, over HTTP; each kind of fault that it knows is put in force in turn. Services
that repeat what they were sent are in test_hostile_echoes.py.
"""

from __future__ import annotations

import base64
import signal
import time
from typing import TYPE_CHECKING, Any

import hostile_marks as marks
import httpx
import pytest
from emulator_process import documents, emulator
from hostile_runs import leaves
from hostile_service import Heard, Line, hostile, reply
from hostile_stage import CASES, Stage, set_up

from reconciler.emulator.faults.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emulator_process import Emulator

pytestmark = pytest.mark.early

#: What each kind of fault has to be told, so that nobody waits long for it.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "refused": [{"seconds": 0.05}],
    "late": [{"hold": 0.02}],
    "timeout": [{"seconds": 0.02}],
    "status": [
        {"status": 401},
        {"status": 403, "body": "html"},
        {"status": 404},
        {"status": 409},
        {"status": 422},
        {"status": 429, "retryAfter": 3},
        {"status": 500, "body": "empty"},
    ],
    "emptyPage": [{"times": 40}],  # for ever is test_hostile_pages.py's
    "lag": [{"seconds": 86400}],
    "drip": [{"bytes": 200, "seconds": 0.001}],
}

FAULTS = [{"fault": kind, **settings} for kind in KINDS for settings in SETTINGS.get(kind, [{}])]

ASKING = ("plan", "apply", "import", "lock resolve", "cancel")
EVERYTHING: dict[str, Any] = {}
CREATES = {"on": {"method": "POST", "path": "/api/v2/batches"}}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return set_up(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("service")
    documents(folder, *(f"{index:03}" for index in range(2 * len(FAULTS))), files=1)
    with emulator(folder, "--root", "documents", "--api-key", marks.KEY, "--no-read") as running:
        yield running
        running.client.close()
        running.process.send_signal(signal.SIGTERM)
        _, errors = running.process.communicate()  # its output says which key to send, and is not searched
        assert running.process.returncode == 143
        assert marks.found_in(errors.encode()) == []


def put(service: Emulator, *entries: dict[str, Any]) -> None:
    """Have just these faults in force; the listener may be closed for a moment still."""
    document = {"apiVersion": "reconciler/v1", "kind": "Faults", "seed": 7, "faults": list(entries)}
    for _ in range(1000):
        try:
            service.client.put("/__admin/faults", json=document).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("the stand-in's listener did not open again")


def test_every_command_has_a_case() -> None:
    assert sorted(CASES) == sorted(leaves())


def test_every_form_of_a_secret_is_found() -> None:
    for secret in marks.SECRETS.values():
        for name, form in marks.forms(secret):
            assert marks.found_in(b"<" + form.upper() + b">"), name
    assert marks.found_in(f"key {marks.KEY.swapcase()}".encode())


@pytest.mark.parametrize("scope", [EVERYTHING, CREATES], ids=["of all requests", "of creates"])
def test_no_fault_of_the_service_brings_a_secret_out(
    scope: dict[str, Any], service: Emulator, stage: Stage, *, long: bool
) -> None:
    found: dict[str, list[str]] = {}
    offset = 0 if scope is EVERYTHING else len(FAULTS)
    for number, fault in enumerate(FAULTS):
        stage.directory = f"dir-{offset + number:03}"
        stage.write(service.url)
        put(service, {**fault, **scope, "probability": 1})
        whole = long or (number == 0 and scope is EVERYTHING)
        # The others do not notice the service. What a fault comes to and the form in which it is told have
        # little to do with each other: each fault meets two forms of each command, each form many faults.
        asking = () if whole else ("apply",) if scope is CREATES else ASKING
        if said := stage.search(asking, most=None if whole else 1 if scope is CREATES else 2, turn=number):
            found[str(fault)] = said
    put(service)
    print(f"{len(FAULTS)} faults")  # noqa: T201 - people run it with -s
    assert found == {}


def test_a_proxy_that_cannot_be_reached(stage: Stage) -> None:
    stage.write("https://service.test")
    assert stage.search(ASKING) == []


@pytest.mark.parametrize(
    "style",
    ["as it came", "decoded", "as a page"],
)
def test_a_proxy_that_repeats_its_password(style: str, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    async def answer(asked: Heard, line: Line) -> None:
        sent = asked.headers["proxy-authorization"]
        heard.append(base64.b64decode(sent.split(" ")[1]))
        said = heard[-1].decode() if style == "decoded" else sent
        await line.send(reply("407 No" if style == "as a page" else f"407 {said}", said.encode()))
        line.writer.close()

    with hostile(answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:{marks.PROXY}@127.0.0.1:{proxy.port}")
        stage.write("https://service.test")
        found = stage.search(("plan", "apply"))
    assert set(heard) == {f"someone:{marks.PROXY}".encode()}
    assert found == []
