"""Batches that are only watched, from the command line over real HTTP: Talonic's, and LlamaCloud's (R16)."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpx
import jsonschema
import pytest
from emulator_process import documents, emulator
from session import Session
from talonic_stand import TalonicStand

from reconciler.cli.main import run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = "tlnc_this_key_must_never_be_shown"
_SCHEMAS = Path(__file__).parents[2] / "schemas"
_PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: watching}
spec:
  manifests: ["batches/*.yaml"]
  providers:
    talonic: {type: talonic}
    cloud: {type: llamacloud, settle: 0s}
    here: {type: local, root: documents}
"""
_NIGHTLY = """\
apiVersion: reconciler/v1
kind: TrackedBatch
metadata: {name: nightly, labels: {team: finance}}
spec: {provider: talonic, since: 2026-09-01T00:00:00Z}
"""


class Watching:
    """A project beside a service that forms batches by itself."""

    def __init__(self, folder: Path, stand: TalonicStand) -> None:
        self.stand = stand
        (folder / "batches").mkdir(parents=True)
        (folder / "reconciler.yaml").write_text(_PROJECT)
        self.session = Session(folder)
        self.write("nightly", _NIGHTLY)

    def write(self, name: str, text: str) -> None:
        (self.session.folder / "batches" / f"{name}.yaml").write_text(text)

    def run(self, command: str) -> list[str]:
        """What a command prints, as a session gives it; in this process, since one of its own takes long."""
        out = io.StringIO()
        with contextlib.redirect_stderr(out):
            code, said = self._run(command, out)
        lines = [line.rstrip() for line in self.session.steady(said).rstrip().splitlines()]
        return lines + ([f"[exit {code}]"] if code else [])

    def document(self, command: str) -> Any:  # noqa: ANN401 - JSON
        """The JSON document that a command prints."""
        with contextlib.redirect_stderr(io.StringIO()):
            return json.loads(self._run(command, io.StringIO())[1])

    def _run(self, command: str, out: io.StringIO) -> tuple[int, str]:
        before, thresholds = Path.cwd(), gc.get_threshold()
        os.chdir(self.session.folder)
        try:
            with (
                mock.patch.dict(os.environ, self.session.environment, clear=True),
                mock.patch.object(sys, "argv", shlex.split(command)),
                contextlib.redirect_stdout(out),
            ):
                code = run_command()
        finally:
            os.chdir(before)
            gc.set_threshold(*thresholds)
        return code, out.getvalue()

    def recorded(self) -> list[dict[str, Any]]:
        lock = json.loads((self.session.folder / "reconciler.lock").read_text())
        return list(lock.get("tracked", []))

    def audited(self) -> list[tuple[str, str, str]]:
        lines = [
            json.loads(line)
            for path in sorted((self.session.folder / "audit").glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        # Files of one second sort by the run's name, which is drawn at random.
        lines.sort(key=lambda line: line["time"])
        return [(line["action"], line["outcome"], line["why"]) for line in lines if line["kind"] == "action"]


@pytest.fixture
def watching(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watching]:
    stand = TalonicStand(tmp_path, key=_KEY, **getattr(request, "param", {}))
    there = Watching(tmp_path / "project", stand)
    with stand.served() as base_url:
        there.session.environment |= {"TALONIC_API_KEY": _KEY, "TALONIC_BASE_URL": base_url}
        yield there


def test_a_project_that_only_watches(watching: Watching) -> None:
    assert watching.session.run("reconciler plan") == ["No changes. 0 batches as desired."]
    watching.stand.ingest("a", "b", "c", "d")
    new = [
        "nightly",
        "  * nightly/<uuid-1>  Progressing  1 file   seen for the first time, accumulating",
        "  * nightly/<uuid-2>  Progressing  3 files  seen for the first time, submitted",
        "",
        "No changes. 0 batches as desired. 2 batches tracked, 2 new.",
    ]
    assert sorted(_unnumbered(watching.run("reconciler plan --detailed-exitcode"))) == sorted(
        _unnumbered(new)
    )
    assert not (watching.session.folder / "reconciler.lock").exists()  # plan writes nothing
    assert watching.run("reconciler apply --auto-approve")[-1] == new[-1]
    assert watching.run("reconciler plan") == ["No changes. 0 batches as desired. 2 batches tracked."]
    serial = json.loads((watching.session.folder / "reconciler.lock").read_text())["serial"]

    watching.stand.advance(hours=1)
    changed = watching.run("reconciler apply --auto-approve")
    assert _unnumbered(changed) == [
        "nightly",
        *sorted(
            [
                "  * nightly/<uuid>  Healthy      3 files  submitted -> completed",
                "  * nightly/<uuid>  Progressing  1 file   accumulating -> submitted",
            ],
            key=lambda line: _unnumbered(changed).index(line),
        ),
        "",
        "No changes. 0 batches as desired. 2 batches tracked, 2 changed.",
    ]
    lock = json.loads((watching.session.folder / "reconciler.lock").read_text())
    assert lock["serial"] == serial  # statuses are no change
    assert sorted((item["word"], item["status"]) for item in watching.recorded()) == [
        ("completed", "COMPLETED"),
        ("submitted", "PENDING"),
    ]
    assert sorted(watching.audited()) == [
        ("track", "accumulating", "seen for the first time, accumulating"),
        ("track", "completed", "submitted -> completed"),
        ("track", "submitted", "accumulating -> submitted"),
        ("track", "submitted", "seen for the first time, submitted"),
    ]
    assert [line for line in watching.run("reconciler plan -v") if "as recorded" in line]


@pytest.mark.parametrize(
    ("watching", "row"),
    [
        ({"failing_items": 1.0}, "  * nightly/<uuid>  Degraded  3 files, 3 failed  submitted -> completed"),
        (
            {"turnaround": 4 * 24 * 3_600_000_000},
            "  * nightly/<uuid>  Degraded  3 files, 3 failed  submitted -> expired",
        ),
        ({"failing_batches": 1.0}, "  * nightly/<uuid>  Degraded  3 files, 3 failed  submitted -> failed"),
    ],
    indirect=["watching"],
)
def test_errored_expired_and_failed_batches_are_degraded(watching: Watching, row: str) -> None:
    watching.stand.ingest("a", "b", "c")
    watching.run("reconciler apply --auto-approve")
    watching.stand.advance(hours=60)
    assert _unnumbered(watching.run("reconciler refresh")) == [
        "nightly",
        row,
        "",
        "Refresh: 1 batch tracked, 1 changed. 1 degraded.",
    ]


@pytest.mark.parametrize("watching", [{"turnaround": 60_000_000}], indirect=True)
def test_refresh_has_talonic_look_at_its_provider(watching: Watching) -> None:
    watching.stand.ingest("a", "b", "c")
    watching.run("reconciler apply --auto-approve")
    watching.stand.advance(minutes=5)  # done; the service looks in 55 minutes
    assert watching.run("reconciler plan") == ["No changes. 0 batches as desired. 1 batch tracked."]
    found = watching.document("reconciler refresh --format json nightly")
    schema = json.loads((_SCHEMAS / "refreshed.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(found)
    [item] = found["tracked"]
    assert (item["change"], item["now"]["word"], item["health"]) == ("changed", "completed", "Healthy")
    assert watching.run("reconciler plan") == ["No changes. 0 batches as desired. 1 batch tracked."]
    assert watching.audited()[-1] == ("track", "completed", "submitted -> completed")
    assert watching.run("reconciler refresh team=finance nightlyy")[-3:] == [
        "Error: TARGET 'nightlyy' fits no set, address or label",
        "  next: Did you mean 'nightly'?",
        "[exit 1]",
    ]


def test_what_cannot_be_seen_is_unknown_and_stops_no_create(watching: Watching) -> None:
    documents(watching.session.folder, "invoices")
    watching.write(
        "invoices",
        "apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {name: invoices}\nspec:\n"
        "  provider: here\n  job: {type: parse_v2, configuration: cfg-PARSE_AGENTIC}\n"
        "  directories: [{id: dir-invoices}]\n",
    )
    watching.stand.ingest("a", "b", "c")
    watching.run("reconciler apply --auto-approve --target nightly")
    before = watching.recorded()
    watching.session.environment["TALONIC_API_KEY"] = "tlnc_wrong"

    plan = watching.document("reconciler plan --format json")
    schema = json.loads((_SCHEMAS / "plan.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(plan)
    assert [(item["change"], item["address"].partition("/")[0]) for item in plan["tracked"]] == [
        ("unknown", "nightly"),
        ("unknown", "nightly"),
    ]
    printed = watching.run("reconciler apply --auto-approve")
    assert [line for line in printed if "invoices/dir-invoices" in line and "created" in line]
    assert printed[-1] == "[exit 1]"
    assert watching.recorded() == before  # R7
    assert not [line for line in printed if _KEY in line or "tlnc_wrong" in line]
    assert watching.run("reconciler plan --target invoices")[-1].startswith("No changes. 1 batch as desired")


def test_what_no_manifest_tracks_any_more_leaves_the_lockfile(watching: Watching) -> None:
    watching.stand.ingest("a", "b", "c")
    watching.run("reconciler apply --auto-approve")
    (watching.session.folder / "batches" / "nightly.yaml").unlink()
    assert watching.run("reconciler plan")[-1] == (
        "No changes. 0 batches as desired. 0 batches tracked, 1 no longer tracked."
    )
    watching.run("reconciler apply --auto-approve")
    assert watching.recorded() == []
    assert watching.audited()[-1] == ("track", "no-longer-tracked", "no manifest tracks it any more")
    assert watching.run("reconciler plan")[-1] == "No changes. 0 batches as desired."


def test_a_batch_set_on_talonic_says_why_it_cannot_be_and_what_can(watching: Watching) -> None:
    watching.write(
        "nightly",
        "apiVersion: reconciler/v1\nkind: BatchSet\nmetadata: {name: nightly}\nspec:\n"
        "  provider: talonic\n  job: {type: parse_v2, configuration: cfg}\n  directories: [{id: d}]\n",
    )
    why = "'talonic' cannot create batches, because Talonic forms them by itself"
    instead = "use kind TrackedBatch, which observes them"
    told = [f"batches/nightly.yaml:5:13: spec.provider: {why}: {instead}", "[exit 1]"]
    for command in ("validate", "plan", "apply --auto-approve", "refresh"):
        assert [line for line in watching.run(f"reconciler {command}") if line != "1 error."] == told


def test_no_key_is_one_error_that_names_the_variable(watching: Watching) -> None:
    del watching.session.environment["TALONIC_API_KEY"]
    unset = "the environment variable TALONIC_API_KEY is not set"
    told = [
        f"reconciler.yaml:7:14: {unset}: provider 'talonic' takes its API key from there",
        "[exit 1]",
    ]
    for command in ("plan", "apply --auto-approve", "refresh"):
        assert watching.run(f"reconciler {command}") == told
    watching.session.environment["TALONIC_API_KEY"] = _KEY
    watching.session.environment["TALONIC_BASE_URL"] = "ftp://example.com"
    assert watching.run("reconciler plan") == [
        "Error: the base URL of the provider is not an https:// address",
        "  next: The base URL is the provider's baseUrl in reconciler.yaml, or TALONIC_BASE_URL",
        "[exit 1]",
    ]


def test_batches_of_others_are_watched_on_the_emulator_by_id_status_and_time(
    tmp_path: Path, quick: Path
) -> None:
    """`reconciler emulator` as a process: LlamaCloud's batches and Talonic's beside each other."""
    folder = tmp_path / "project"
    root = documents(tmp_path, "theirs", "more")
    with emulator(tmp_path, "--root", str(root), "--talonic-threshold", "3", quick=quick) as service:
        there = Watching(folder, TalonicStand(tmp_path, key=_KEY))
        there.session.environment |= {
            "TALONIC_API_KEY": "tlnc_emulator",
            "TALONIC_BASE_URL": service.url,
            "LLAMA_CLOUD_API_KEY": "llx-emulator",
            "LLAMA_CLOUD_BASE_URL": service.url,
        }
        _ingest(service.url, "a", "b", "c")
        first = service.create("dir-theirs").json()["id"]
        second = service.create("dir-more").json()["id"]
        for name, choice in (
            ("given", f"ids: [{first}]"),
            ("waiting", "statuses: [PENDING, RUNNING]"),
            ("zz-late", "since: 2020-01-01T00:00:00Z"),
        ):
            spec = f"metadata: {{name: {name}}}\nspec: {{provider: cloud, {choice}}}\n"
            there.write(name, f"apiVersion: reconciler/v1\nkind: TrackedBatch\n{spec}")
        printed = there.session.run("reconciler apply --auto-approve")
        assert printed[-1] == "No changes. 0 batches as desired. 3 batches tracked, 3 new."
        assert sorted(item["address"] for item in there.recorded() if item["id"] in {first, second}) == [
            f"given/{first}",
            f"waiting/{second}",
        ]
        service.advance("3h")
        found = {item["id"]: item for item in there.document("reconciler refresh --format json")["tracked"]}
        assert {found[first]["now"]["word"], found[second]["now"]["word"]} == {"COMPLETED"}
        assert [item["now"]["word"] for item in found.values() if item["endpoint"] == service.url].count(
            "completed"
        ) == 1
        assert there.run("reconciler plan") == ["No changes. 0 batches as desired. 3 batches tracked."]
        assert there.run(f"reconciler plan -v --target given/{first}")[-1] == (
            "No changes. 0 batches as desired. 1 batch tracked."
        )


def _ingest(url: str, *names: str) -> None:
    headers = {"Authorization": "Bearer tlnc_emulator"}
    source = httpx.get(f"{url}/v1/sources", headers=headers).json()["data"][0]["id"]
    for name in names:
        httpx.post(
            f"{url}/v1/sources/{source}/documents",
            headers=headers,
            files={"file": (f"{name}.txt", name.encode())},
            data={"processing_mode": "batch"},
        ).raise_for_status()


def _unnumbered(lines: list[str]) -> list[str]:
    """Ids are drawn at random and sort in any order."""
    return [re.sub(r"<uuid-\d+>", "<uuid>", line) for line in lines]
