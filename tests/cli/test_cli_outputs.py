"""Files beside what is printed: whole or not at all, and nothing of anybody else's is ever written over."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import click
import pytest
from audit_written import StillClock, line

from reconciler.adapters.audit import AuditFolder
from reconciler.adapters.scaffold import write_project
from reconciler.api import load
from reconciler.cli.console import Console, console, piece
from reconciler.cli.exits import Exit
from reconciler.cli.into import Into
from reconciler.cli.main import cli
from reconciler.cli.outputs import Output
from reconciler.cli.views import plan_view
from reconciler.model.batch import Address, JobType, Key
from reconciler.model.errors import SettingsError
from reconciler.model.events import Event, Planned, Starting
from reconciler.model.plan import Action, ActionKind, Plan, Reason, ReasonCode
from reconciler.model.ports import Environment
from reconciler.render.page import STEP_SUMMARY

_SIGN = b"### "


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (
        "GITHUB_ACTIONS",
        "GITHUB_WORKSPACE",
        "GITHUB_OUTPUT",
        "GITHUB_STEP_SUMMARY",
        "CI_PROJECT_DIR",
    ):
        monkeypatch.delenv(name, raising=False)


def _there() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(Path().iterdir()) if path.is_file()}


def test_a_file_is_written_whole_or_not_at_all() -> None:
    Path("page.md").write_text("### old")
    begun = Into("--markdown-into", "page.md", _SIGN)
    assert _there()["page.md"] == "### old"
    begun.close()
    assert _there() == {"page.md": "### old"}
    Path("reader").hardlink_to("page.md")  # whoever reads the old one reads all of it
    again = Into("--markdown-into", "page.md", _SIGN)
    again.write("### new ü\n")
    again.close()
    assert _there() == {"page.md": "### new ü\n", "reader": "### old"}
    assert stat.S_IMODE(Path("page.md").stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_stays_one_and_leads_to_what_was_written() -> None:
    Path("real").mkdir()
    Path("page.md").symlink_to("real/page.md")
    begun = Into("--markdown-into", "page.md", _SIGN)
    begun.write("### x")
    begun.close()
    assert Path("page.md").is_symlink()
    assert Path("real/page.md").read_text() == "### x"
    assert [path.name for path in Path("real").iterdir()] == ["page.md"]


@pytest.mark.parametrize("text", ["# Readme\n\n### Part\n", "apiVersion: x", " ### x", "##"])
def test_what_is_no_result_is_not_written_over(text: str) -> None:
    Path("notes.md").write_text(text)
    with pytest.raises(SettingsError, match="something else stands in it") as raised:
        Into("--markdown-into", "notes.md", _SIGN)
    assert raised.value.where == "notes.md"
    assert _there() == {"notes.md": text}


@pytest.mark.parametrize("name", ["/dev/null", "/dev/full", ".", "nowhere/x", "a\0b", "x" * 300])
def test_what_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="--json-into cannot be written"):
        Into("--json-into", name, _SIGN)
    assert _there() == {}


def test_an_empty_file_may_be_written() -> None:
    Path("page.md").touch()
    Into("--markdown-into", "page.md", _SIGN).close()


def test_a_dash_is_no_file() -> None:
    with pytest.raises(click.UsageError, match="for standard output there is --format"):
        Into("--json-into", "-", _SIGN)


def test_one_file_is_not_both_and_nothing_is_left_of_either() -> None:
    with pytest.raises(SettingsError, match="names a file that is written already"):
        Output("plan", "text", "a", ("./a", "none"))
    assert _there() == {}


def test_a_runners_file_that_cannot_be_written_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", "nowhere/out")
    with pytest.raises(SettingsError, match="the file of GITHUB_OUTPUT cannot be written"):
        Output("plan", "github", "a.json", (None, "github"))
    assert _there() == {}
    Output("plan", "text", None, (None, "github")).close()


def test_a_file_of_the_project_is_not_written_over_even_if_it_is_not_there_yet() -> None:
    write_project(Path())
    before = _there()
    output = Output("plan", "text", "reconciler.lock", ("page.md", "none"))
    with pytest.raises(SettingsError) as raised:
        output.of(load())
    output.failed(raised.value)
    output.close()
    assert _there() == before


def test_a_saved_plan_is_not_written_over_by_the_document_beside_it() -> None:
    write_project(Path())
    output = Output("plan", "text", "plan.json", (None, "none"))
    with pytest.raises(SettingsError, match="of the project or the command"):
        output.of(load(), None, "./plan.json")
    output.close()
    assert "plan.json" not in _there()


def _plan(count: int) -> Plan:
    return Plan(
        actions=tuple(
            Action(
                kind=ActionKind.BLOCKED,
                address=Address("set", name),
                key=Key("e", "p", name, JobType.PARSE_V2, "c"),
                reason=Reason(ReasonCode.PREFLIGHT, "##[error] x"),
            )
            for name in (f"::dir {number}" for number in range(count))
        )
    )


def _shown(output: Output, count: int = 1) -> int:
    write_project(Path())
    project = load()
    output.show(
        Console(colour=False, live=False, quiet=True), plan_view(project, _plan(count), verbose=False)
    )
    code = output.finished(Exit.DONE)
    output.close()
    return code


def test_a_file_that_cannot_be_written_in_the_end_is_said_and_hides_no_worse_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("late").mkdir()
    output = Output("plan", "json", "late/a.json", (None, "github"))
    Path("late/a.json").mkdir()
    Path("late/a.json/x").touch()
    assert _shown(output) == Exit.ERROR
    said = capsys.readouterr()
    assert "late/a.json: --json-into cannot be written" in said.err
    assert json.loads(said.out)["kind"] == "Plan"
    assert sorted(path.name for path in Path("late").iterdir()) == ["a.json"]


def test_the_summary_is_added_and_keeps_what_earlier_steps_left_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary")
    before = "x" * 1_000_000 + "\n"
    Path("summary").write_text(before)
    _shown(Output("plan", "github", None, (None, "github")), 3_000)
    assert STEP_SUMMARY.size is not None
    text = Path("summary").read_text()
    assert text.startswith(before + "### Plan for ")
    assert STEP_SUMMARY.size * 0.99 < len(text.encode()) <= STEP_SUMMARY.size
    assert "more; the whole plan: `reconciler plan`" in text


def test_who_is_asked_about_a_plan_sees_it_beside_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Event] = []
    output = Output("apply", "ndjson", None, (None, "github"))
    listener = output.listener(heard.append)
    for event in (planned := Planned(_plan(1))), Starting(1):
        listener(event)
    assert heard == [planned]
    told = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert told == ["planned", "plan", "starting"]
    output.close()


@pytest.mark.parametrize("form", ["text", "json", "ndjson", "markdown", "github"])
def test_in_a_runner_nothing_that_is_printed_is_a_forged_command(
    form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _shown(Output("plan", form, None, (None, "github")))
    console(no_color=True, output_format=form).say(["::error::forged", "  ::x", "a ##[error]b"])
    said = capsys.readouterr()
    lines = [*said.out.splitlines(), *said.err.splitlines()]
    assert not any("##[" in line for line in lines)
    commands = [line for line in lines if line.strip().startswith("::")]
    assert all(line.startswith("::warning title=Blocked::set/") for line in commands)
    assert len(commands) == (1 if form == "github" else 0)


_NAME = "::error::a ##[error]b"


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_in_a_runner_no_name_in_the_audit_log_is_a_forged_command(
    form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    who = Environment(_NAME, "git", _NAME, _NAME, False, _NAME, "approved-by")
    log = AuditFolder(Path("audit")).begin("run-1", who, (), StillClock())
    log.append(line(_NAME, address=_NAME, why=_NAME))
    log.close()
    words = ["audit", "log", "--folder", "audit", "--format", form]
    assert cli.main(words, prog_name="reconciler", standalone_mode=False) == Exit.DONE
    said = capsys.readouterr().out
    assert "##[" not in said
    if form == "json":
        assert json.loads(said)["lines"][0]["actor"] == _NAME


@pytest.mark.parametrize("form", ["text", "json", "ndjson", "csv", "yaml"])
def test_in_a_runner_no_part_of_what_is_printed_piece_by_piece_is_a_forged_command(
    form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    written = json.dumps({"name": _NAME}) if form in ("json", "ndjson") else f"{_NAME}\r\n  {_NAME}"
    piece(f"{written}\n", form)
    said = capsys.readouterr().out
    assert "##[" not in said
    assert not any(at.lstrip().startswith("::") for at in said.splitlines())
    assert len(said.splitlines()) == len(written.splitlines())
    if form in ("json", "ndjson"):
        assert json.loads(said) == {"name": _NAME}
