"""docs/gates.md, letter by letter: its files are written, its commands typed, and print what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from session import Session, copy_example

from reconciler.cli.exits import Exit, of_apply
from reconciler.model.batch import Address, JobType, Key
from reconciler.model.plan import Action, ActionKind, Closed, Plan, Reason, ReasonCode
from reconciler.model.result import Applied, Outcome, Result

_DOC = Path(__file__).parents[2] / "docs" / "gates.md"
_BLOCK = re.compile(r"^```(yaml|json|console)(?: (\S+))?\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_everything_in_the_guide_is_as_it_says(tmp_path: Path, quick: Path) -> None:
    folder = tmp_path / "quickstart"
    copy_example("quickstart", folder)
    session, shown = Session(folder, quick), Session(folder)
    project = (folder / "reconciler.yaml").read_text()
    ran = 0
    for kind, file, text in _BLOCK.findall(_DOC.read_text()):
        if kind == "console":
            commands = [part.split("\n", 1) for part in text.removeprefix("$ ").split("\n$ ")]
            for command, *expected in commands:
                wanted = shown.steady("\n".join(expected).rstrip()).splitlines()
                assert session.run(command) == wanted, command
                ran += 1
        elif file == "reconciler.yaml":  # what it shows stands in the spec, and by itself
            (folder / file).write_text(project.replace("spec:\n", f"spec:\n{text}", 1))
        elif file:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
    assert ran == 8


def _applied(*outcomes: Outcome, closed: bool) -> Applied:
    key = Key("https://api.test", "prj", "d", JobType.PARSE_V2, "cfg")
    what = Action(
        kind=ActionKind.CREATE, address=Address("a", "d"), key=key, reason=Reason(ReasonCode.MISSING, "")
    )
    shut = (Closed("", "outside", "reconciler.yaml:7:5"),) if closed else ()
    results = tuple(Result(what, outcome) for outcome in outcomes)
    return Applied(plan=Plan(actions=(what,)), results=results, closed=shut)


@pytest.mark.parametrize(
    ("outcomes", "closed", "code"),
    [
        ((Outcome.CREATED, Outcome.NOT_STARTED), True, Exit.LIMIT),
        ((Outcome.CREATED, Outcome.NOT_STARTED), False, Exit.FAILED),
        ((Outcome.REJECTED, Outcome.NOT_STARTED), True, Exit.FAILED),
        ((Outcome.UNKNOWN, Outcome.NOT_STARTED), True, Exit.UNRESOLVED),
        ((Outcome.CREATED,), False, Exit.DONE),
    ],
)
def test_a_window_that_closed_meanwhile_is_a_gate_and_no_failure(
    outcomes: tuple[Outcome, ...], *, closed: bool, code: Exit
) -> None:
    assert of_apply(_applied(*outcomes, closed=closed)) == code
