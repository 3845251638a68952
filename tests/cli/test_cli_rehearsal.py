"""README.md's rehearsal: its commands, typed in two terminals, with the port that is free here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from emulator_process import emulator
from session import Session, copy_example

if TYPE_CHECKING:
    from collections.abc import Iterator

_README = Path(__file__).parents[2] / "README.md"
_PORT = "8642"


def commands() -> Iterator[str]:
    """The commands of the section, but for those that change the folder."""
    section = _README.read_text().split("\n## Rehearse\n")[1].split("\n## ")[0]
    for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        yield from (line for line in block.splitlines() if "&& cd " not in line)


@pytest.mark.early
def test_an_apply_survives_the_faults_of_the_rehearsal(tmp_path: Path, quick: Path) -> None:
    folder = tmp_path / "rehearsal"
    copy_example("rehearsal", folder)
    serve, apply, ask = commands()
    program, command, *options = shlex.split(serve)
    assert (program, command) == ("reconciler", "emulator")
    with emulator(folder, *options, "--speed", "1", quick=quick) as there:
        port = there.url.rpartition(":")[2]
        project = folder / "reconciler.yaml"
        project.write_text(project.read_text().replace(_PORT, port))
        session = Session(folder, quick)
        printed = session.run(apply)
        ends = [line for line in printed if "  created" in line]
        assert len(ends) == 12
        assert any("found after its reply was lost" in line for line in ends)
        # The closing line that the README shows: with one seed, the same requests meet the same faults.
        assert printed[-1] == "Apply: 7 created, 5 found."
        assert printed[-1] in _README.read_text()
        # Asked without curl, which a machine with only Python and git need not have.
        address = ask.removeprefix("curl -s ").replace(_PORT, port)
        assert httpx.get(address).json() == {"count": 0, "duplicates": []}
        there.client.delete("/__admin/faults").raise_for_status()  # a listing that lags is one of them
        assert len(there.batches()) == 12
        # How many still run hangs on how long the apply took.
        [line] = session.run("REHEARSAL_API_KEY=llx-emulator reconciler plan --detailed-exitcode")
        assert line.startswith("No changes. 12 batches as desired")
