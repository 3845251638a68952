"""What CI systems read: commands that cannot be forged, XML that is read back, SARIF, events."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import render_hostile as hostile

from reconciler.model import events as happenings
from reconciler.model.batch import Address, Status
from reconciler.model.errors import ManifestError, SettingsError
from reconciler.model.intent import Intent
from reconciler.model.lock import Evidence
from reconciler.model.plan import ActionKind, Plan, ReasonCode
from reconciler.model.result import Outcome
from reconciler.model.source import Diagnostic, Severity, Source
from reconciler.render import events, github, remarks
from reconciler.render.harmless import harmless
from reconciler.render.junit import junit_text
from reconciler.render.sarif import sarif_document

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCHEMAS = Path(__file__).parents[2] / "schemas"


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((_SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


# GitHub's commands --------------------------------------------------------------------------------


def _runner(line: str) -> tuple[str, dict[str, str], str] | None:
    """What a runner takes a line for: a command, its properties and its text, unescaped; both forms."""
    if "##[" in line:
        return "old form", {}, line
    if not line.strip().startswith("::"):
        return None
    told = re.fullmatch(r"\s*::([a-z-]+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)", line)
    assert told, line
    properties = dict(part.split("=", 1) for part in (told[2] or "").split(",") if part)
    plain = {name: _plain(value) for name, value in properties.items()}
    return told[1], plain, _plain(told[3])


def _plain(text: str) -> str:
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def _at(name: str) -> Source:
    return Source(f"batches/{name}.yaml", 7, 9)


_REMARKS = {
    "plan": lambda names: remarks.plan_remarks(hostile.plan(names)),
    "apply": lambda names: remarks.applied_remarks(hostile.applied(names)),
    "status": lambda names: remarks.status_remarks(hostile.status(names)),
    "drift": lambda names: remarks.drift_remarks(hostile.drift(names)),
    "validate": lambda names: remarks.diagnostics_remarks(hostile.diagnostics(names)),
    "error": lambda names: remarks.error_remarks(SettingsError(names[0], next=names[0])),
}


@pytest.mark.parametrize("kind", sorted(_REMARKS))
def test_no_name_forges_a_command(kind: str) -> None:
    for name in hostile.NAMES:
        told = list(_REMARKS[kind]((name,)))
        lines = list(github.annotation_lines(told, lambda _, there: _at(there), f"{name}/"))
        # What is printed is as many lines as there are remarks, whatever ends a line for whoever reads it.
        assert "\n".join(lines).splitlines() == lines, name
        for line in lines:
            command = _runner(line)
            assert command is not None
            assert command[0] in {"error", "warning", "notice"}, name
            assert set(command[1]) <= {"file", "line", "col", "title"}, name


def test_what_a_runner_reads_is_what_was_to_be_said() -> None:
    """Percent signs, colons and commas come back as they were, in properties and in texts."""
    place = Source("batches/50%,a:b.yaml", 3, 5)
    line = next(
        github.annotation_lines(
            [remarks.Remark(remarks.Level.ERROR, "Invalid", "50%0A, a::b", place)], _nowhere, "p,q/"
        )
    )
    assert _runner(line) == (
        "error",
        {"file": "p,q/batches/50%,a:b.yaml", "line": "3", "col": "5", "title": "Invalid"},
        "50%0A, a::b",
    )
    assert line == "::error file=p%2Cq/batches/50%25%2Ca%3Ab.yaml,line=3,col=5,title=Invalid::50%250A, a::b"


def _nowhere(_: Address, __: str) -> Source | None:
    return None


def test_what_waits_for_its_turn_is_a_notice_and_what_is_not_known_an_error() -> None:
    kinds = [
        (ActionKind.BLOCKED, ReasonCode.DEPENDS_ON),
        (ActionKind.BLOCKED, ReasonCode.HELD),
        (ActionKind.UNRESOLVED, ReasonCode.OPEN_INTENT),
        (ActionKind.CREATE, ReasonCode.MISSING),
    ]
    plan = Plan(actions=tuple(hostile.action(kind, "a", code) for kind, code in kinds))
    lines = github.annotation_lines(remarks.plan_remarks(plan), lambda *_: Source("b.yaml", 2, 4))
    assert list(lines) == [
        "::error file=b.yaml,line=2,col=4,title=Unresolved::set/a: no: a",
        "::warning file=b.yaml,line=2,col=4,title=Blocked::set/a: no: a",
        "::notice file=b.yaml,line=2,col=4,title=Blocked::set/a: no: a",
    ]


def test_more_than_is_shown_is_counted_and_no_place_is_looked_up_for_it() -> None:
    asked = []

    def place(address: Address, _: str) -> None:
        asked.append(address)

    plan = Plan(actions=tuple(hostile.action(ActionKind.BLOCKED, str(number)) for number in range(1_234)))
    lines = list(github.annotation_lines(remarks.plan_remarks(plan), place))
    assert len(lines) == github.MOST_SHOWN
    assert lines[-1] == "::warning title=More::1,225 more; the step's summary counts them all"
    assert len(asked) == github.MOST_SHOWN - 1


def test_no_line_of_a_log_is_a_command() -> None:
    for name in hostile.NAMES:
        for text in (harmless(name), f"   {harmless(name)}", f"x {harmless(name)}"):
            assert _runner(github.unforgeable(text)) is None
    assert github.unforgeable("a: b::c") == "a: b::c"


def test_no_value_sets_another_output() -> None:
    for name in hostile.NAMES:
        read = _outputs(github.outputs_text({"changes": "true", "name": name, "z": ""}))
        assert read == {"changes": "true", "name": harmless(name), "z": ""}


def _outputs(text: str) -> dict[str, str]:
    """As the runner reads the file: NAME=VALUE, or NAME<<END, lines, END."""
    lines, read = iter(text.split("\n")[:-1]), {}
    for line in lines:
        at_equals, at_here = line.find("="), line.find("<<")
        if at_equals >= 0 and not 0 <= at_here < at_equals:
            read[line[:at_equals]] = line[at_equals + 1 :]
        else:
            end, value = line[at_here + 2 :], []
            for inner in lines:
                if inner == end:
                    break
                value.append(inner)
            read[line[:at_here]] = "\n".join(value)
    return read


def test_outputs_say_what_steps_decide_by() -> None:
    plan = Plan(actions=(hostile.action(ActionKind.CREATE, "a"), hostile.action(ActionKind.BLOCKED, "b")))
    assert github.plan_outputs(plan) == {
        "adopts": "0",
        "blocked": "1",
        "cancels": "0",
        "changes": "true",
        "creates": "1",
        "digest": plan.digest,
        "files": "3",
        "forgets": "0",
        "keeps": "0",
        "moves": "0",
        "closed": "false",
        "over-limit": "false",
        "policies-violated": "false",
        "protected": "false",
        "unresolved": "0",
    }


# JUnit and SARIF ----------------------------------------------------------------------------------


def test_what_is_read_back_from_junit_is_what_was_said() -> None:
    said = hostile.diagnostics()
    root = ET.fromstring(junit_text(said))
    cases = list(root.iter("testcase"))
    assert len(cases) == len(said) == int(root.attrib["tests"])
    assert len(list(root.iter("failure"))) == len(hostile.NAMES) == int(root.attrib["failures"])
    for case, item in zip(cases, said, strict=True):
        shown = harmless(item.message).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
        inner = case[0]
        assert case.attrib["classname"] == shown
        assert inner.tag == ("failure" if item.severity is Severity.ERROR else "system-out")
        assert inner.text == f"{shown}:3:5: " + ("" if inner.tag == "failure" else "warning: ") + shown
        if inner.tag == "failure":
            assert inner.attrib["message"] == shown
    assert "##[" not in junit_text(said)


def test_where_nothing_is_to_be_said_one_case_passes() -> None:
    root = ET.fromstring(junit_text(()))
    assert [case.attrib for case in root.iter("testcase")] == [
        {"classname": "reconciler.yaml", "name": "valid"}
    ]
    assert root.attrib["tests"] == "1"


def test_sarif_is_as_published() -> None:
    validator = jsonschema.Draft202012Validator(_schema("sarif"))
    for said in ((), hostile.diagnostics()):
        validator.validate(json.loads(json.dumps(sarif_document(said, "0.1.0", "a b/"))))


def test_a_name_is_no_link_and_no_placeholder_in_sarif() -> None:
    said = [
        Diagnostic(Source("ba tches/ü#1.yaml", 3, 5), "[x](y) \\ {0}"),
        Diagnostic(Source("a"), "[a] {b}"),
    ]
    first, second = sarif_document(said, "0.1.0", "p/")["runs"][0]["results"]
    assert first["message"]["text"] == r"\[x\](y) \\ {{0}}"
    assert second["message"]["text"] == "[a] {{b}}"
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "p/ba%20tches/%C3%BC%231.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 3, "startColumn": 5},
            }
        }
    ]


def test_a_fault_that_moved_to_another_line_keeps_its_fingerprint() -> None:
    said = [Diagnostic(Source("a", line), text) for line, text in ((1, "x"), (9, "x"), (1, "y"))]
    prints = [
        result["partialFingerprints"]["messageHash/v1"]
        for result in sarif_document(said, "0.1.0")["runs"][0]["results"]
    ]
    assert prints[0] == prints[1] != prints[2]


# Events -------------------------------------------------------------------------------------------


def _intent(name: str) -> Intent:
    evidence = Evidence("missing")
    return Intent(
        id=name,
        key=hostile.key(name),
        address=Address("set", name),
        known=frozenset(),
        evidence=evidence,
        at=hostile.NOW,
        run=name,
    )


def _all_events() -> Iterable[dict[str, Any]]:
    yield events.version_event("0.1.0", "plan")
    for name in hostile.NAMES:
        about = hostile.action(ActionKind.CREATE, name)
        address, batch = about.address, hostile.batch(name)
        for event in (
            happenings.Observing(3, 4),
            happenings.Waiting(name, 2.5),
            happenings.Resolving(_intent(name)),
            happenings.Starting(3),
            happenings.Done(about, Outcome.CREATED, batch),
            happenings.Done(about, Outcome.FORGOTTEN, None),
            happenings.Failed(about, Outcome.REJECTED, name),
            happenings.Progressed(address, batch, Status.RUNNING),
            happenings.Pending(1, 2),
            happenings.FileFailed(address, name, name),
            happenings.Stored(name),
            happenings.Warned(name),
        ):
            yield from events.run_events(event)
    yield from events.run_events(happenings.Planned(hostile.plan()))
    yield from events.applied_events(hostile.applied())
    yield from events.status_events(hostile.status())
    yield from events.drift_events(hostile.drift())
    yield from events.diagnostics_events(hostile.diagnostics())
    yield events.validated_event(hostile.diagnostics())
    yield events.error_event(ManifestError(hostile.diagnostics()), 1)
    yield events.end_event(0)


def test_every_event_is_as_published_and_every_type_is_told() -> None:
    schema = _schema("events")
    validator = jsonschema.Draft202012Validator(schema)
    by_type = {
        item["if"]["properties"]["type"]["const"]: set(item["then"].get("properties", ()))
        for item in schema["allOf"]
    }
    assert sorted(by_type) == sorted(schema["properties"]["type"]["enum"])
    seen = set()
    for event in _all_events():
        line = json.dumps(event | {"@timestamp": "2026-11-22T00:00:00.000Z"})
        assert "\n" not in line
        read = json.loads(line)
        if read["type"] not in seen or read["@message"].isascii():
            validator.validate(read)
        seen.add(read["type"])
        assert set(read) - set(schema["properties"]) == by_type[read["type"]], read["type"]
        assert harmless(read["@message"]) == read["@message"]
    assert seen == set(by_type)


def test_an_event_means_by_an_action_a_row_and_a_deviation_what_the_documents_mean() -> None:
    ours = _schema("events")["$defs"]
    plan = _schema("plan")["$defs"]
    for name in ("batch", "tracked", "watched"):
        assert ours[name] == plan[name]
    # Only a plan says which files a create would process.
    assert ours["action"]["properties"] == plan["action"]["properties"]
    assert ours["action"]["required"] == [name for name in plan["action"]["required"] if name != "inputs"]
    assert ours["finding"] == _schema("applied")["properties"]["findings"]["items"]
    assert ours["row"] == _schema("status")["properties"]["rows"]["items"]
    assert ours["diagnostic"] == _schema("diagnostics")["properties"]["diagnostics"]["items"]
    theirs = _schema("drift")["$defs"]
    assert json.loads(json.dumps(ours["deviation"]).replace("seenBatch", "batch")) == theirs["deviation"]
    assert ours["seenBatch"] == theirs["batch"]
