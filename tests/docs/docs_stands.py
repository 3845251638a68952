"""Where the pages' sessions start from: a folder and what runs beside it, under the name that pages give."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from docs_shell import Shell
from emulator_process import documents, emulator
from session import EXAMPLES, copy_example

if TYPE_CHECKING:
    from pathlib import Path


class Beside(ExitStack):
    """What runs beside a session, until it ends; `quick` is the fixture of that name."""

    def __init__(self, quick: Path) -> None:
        super().__init__()
        self.quick = quick


def _quiet(shell: Shell, *commands: str) -> None:
    for command in commands:
        said = shell.run(command)
        assert not said or not said[-1].startswith("[exit"), said


def _committed(shell: Shell) -> None:
    _quiet(
        shell,
        "printf '.reconciler/\\n*.lock.journal\\n' > .gitignore",
        "git init -q -b main . && git config user.name Ada && git config user.email ada@example.com",
        "git add . && git commit -qm 'The project'",
    )


def _empty(folder: Path, stack: Beside) -> Shell:
    """A new folder."""
    folder.mkdir()
    return Shell(folder, stack.quick)


def _clone(folder: Path, _: Beside) -> Shell:
    """What a clone of this repository has, as far as the pages use it; the environment is this one.

    What bash runs of README's tour is the command as it is installed.
    """
    for example in ("quickstart", "rehearsal", "provider"):
        copy_example(example, folder / "examples" / example)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").write_text("")
    shell = Shell(folder)
    _committed(shell)
    return shell


def _quickstart(folder: Path, stack: Beside) -> Shell:
    """A copy of examples/quickstart, in a repository of its own."""
    copy_example("quickstart", folder)
    shell = Shell(folder, stack.quick)
    _committed(shell)
    return shell


def _applied(folder: Path, stack: Beside) -> Shell:
    """The same after `reconciler apply`, one create after the other."""
    shell = _quickstart(folder, stack)
    _quiet(shell, "reconciler apply --auto-approve --parallelism 1")
    return shell


def _remote(folder: Path, stack: Beside) -> Shell:
    """The quickstart, pushed to a bare repository, which is `origin`."""
    shell = _quickstart(folder, stack)
    _quiet(
        shell,
        "git init -q --bare -b main ../remote.git && git remote add origin ../remote.git",
        "git push -qu origin main 2>&1",
    )
    return shell


def _forked(folder: Path, stack: Beside) -> Shell:
    """Two branches, `main` and `theirs`, that have each created a batch for the same work."""
    shell = _quickstart(folder, stack)
    apply = "reconciler apply --auto-approve --parallelism 1 --target"
    _quiet(
        shell,
        "reconciler lock merge --install",
        f"{apply} invoices",
        "git add . && git commit -qm 'Invoices'",
        "git clone -q . ../theirs && cp -R .reconciler reconciler.lock.journal ../theirs",
        f"{apply} receipts",
        "git add . && git commit -qm 'Receipts, here'",
        "cd ../theirs && git config user.name Bob && git config user.email bob@example.com",
        f"{apply} receipts",
        "git add . && git commit -qm 'Receipts, there'",
        "cd ../project && git fetch -q ../theirs main:theirs",
    )
    return shell


def _adopting(folder: Path, stack: Beside, invoices: int = 30) -> Shell:
    """A service with batches that nobody has manifests for, in a new repository.

    `advance 10m` moves the service's clock, `create DIRECTORY JOB CONFIGURATION` is somebody else's doing.
    """
    folder.mkdir()
    beside = folder.parent / "beside"
    beside.mkdir()
    bills = [f"invoices-{number:03}" for number in range(1, invoices + 1)]
    letters = [f"letters-{number:03}" for number in range(1, invoices + 1)]
    documents(beside, *bills, *letters, files=1)
    fields = str(EXAMPLES / "quickstart" / "configurations")
    fails = ("--fail-files", "0.06", "--fail-batches", "0.06", "--cancel-batches", "0.02", "--seed", "7")
    root = ("--root", "documents", "--configurations", fields)
    service = stack.enter_context(emulator(beside, *root, *fails, "--no-read", quick=stack.quick))

    def create(names: list[str], job: str, configuration: str) -> None:
        for name in names:
            body = {
                "source_directory_id": f"dir-{name}",
                "config": {"job": {"type": job, "configuration_id": configuration}},
            }
            service.client.post("/api/v2/batches", json=body).raise_for_status()

    create(letters, "parse_v2", "cfg-PARSE_AGENTIC")
    create(bills, "parse_v2", "cfg-PARSE_AGENTIC")
    create(bills, "extract_v2", "cfg-invoice-fields")
    service.advance("10m")
    create(letters[: invoices // 3], "parse_v2", "cfg-PARSE_AGENTIC")
    service.advance("10m")
    shell = Shell(folder, stack.quick)
    shell.environment |= {"LLAMA_CLOUD_API_KEY": "llx-emulator", "LLAMA_CLOUD_BASE_URL": service.url}
    _new_repository(shell)
    _program(shell, "advance", _ADVANCE.replace("URL", service.url))
    _program(shell, "create", _CREATE.replace("URL", service.url))
    return shell


def _two_hundred(folder: Path, stack: Beside) -> Shell:
    """The same with 200 batches."""
    return _adopting(folder, stack, invoices=60)


def _talonic(folder: Path, stack: Beside) -> Shell:
    """A service that makes a batch of each three documents: `ingest a b c` sends some, `advance` as above."""
    folder.mkdir()
    options = [
        "--talonic-threshold",
        "3",
        "--talonic-minimum",
        "2",
        "--talonic-timer",
        "1d",
        "--fail-files",
        "0.5",
        "--seed",
        "2",
    ]
    service = stack.enter_context(emulator(folder, *options, quick=stack.quick))
    shell = Shell(folder, stack.quick)
    shell.environment |= {"TALONIC_API_KEY": "tlnc_emulator", "TALONIC_BASE_URL": service.url}
    _program(shell, "advance", _ADVANCE.replace("URL", service.url))
    _program(shell, "ingest", _INGEST.replace("URL", service.url))
    return shell


def _rehearsal(folder: Path, stack: Beside) -> Shell:
    """A copy of examples/rehearsal, whose service runs where pages say; its clock stands still."""
    copy_example("rehearsal", folder)
    shell = Shell(folder, stack.quick)
    stack.enter_context(emulator(folder, "--root", "documents", "--port", shell.port, quick=stack.quick))
    return shell


def _repository(folder: Path, stack: Beside) -> Shell:
    """A repository with nothing in it whose `origin` has nothing either; a service has three directories."""
    folder.mkdir()
    copy_example("quickstart", folder.parent / "beside")
    options = ("--root", "documents", "--configurations", "configurations", "--speed", "600")
    service = stack.enter_context(emulator(folder.parent / "beside", *options, quick=stack.quick))
    shell = Shell(folder, stack.quick)
    shell.environment |= {"LLAMA_CLOUD_API_KEY": "llx-emulator", "LLAMA_CLOUD_BASE_URL": service.url}
    _new_repository(shell)
    return shell


def _new_repository(shell: Shell) -> None:
    _quiet(
        shell,
        "git init -q -b main . && git init -q --bare -b main ../remote.git",
        "git remote add origin ../remote.git",
        "git config user.name Ada && git config user.email ada@example.com",
    )


def _auditor(folder: Path, stack: Beside) -> Shell:
    """What an auditor was given: log, lockfile, public key and a checkpoint, of a project that signs."""
    shell = _quickstart(folder, stack)
    apply = "RECONCILER_AUDIT_KEY=../team-key reconciler apply --auto-approve --parallelism 1"
    reviewed = "-m 'Invoices of the quarter' -m 'Reviewed-by: Grace <grace@example.com>'"
    _quiet(
        shell,
        "reconciler audit keygen ../team-key",
        f"git commit -q --allow-empty {reviewed}",
        f"{apply} --target invoices",
        "git add . && git commit -qm 'What was created'",
        f"{apply} --approved-by Linus --target receipts",
        "RECONCILER_AUDIT_KEY=../team-key reconciler audit checkpoint --out ../2026-q4.signed",
        "mkdir ../given && cp -R audit reconciler.lock ../team-key.pub ../2026-q4.signed ../given",
        "cd ../given",
    )
    return shell


_ADVANCE = """\
import httpx, sys
httpx.post("URL/__admin/clock", json={"advance": sys.argv[1]}).raise_for_status()
"""
_CREATE = """\
import httpx, sys
directory, job, configuration = sys.argv[1:]
body = {"source_directory_id": directory, "config": {"job": {"type": job, "configuration_id": configuration}}}
key = {"Authorization": "Bearer llx-emulator"}
httpx.post("URL/api/v2/batches", json=body, headers=key).raise_for_status()
"""
_INGEST = """\
import httpx, sys
with httpx.Client(base_url="URL", headers={"Authorization": "Bearer tlnc_emulator"}) as client:
    [source] = client.get("/v1/sources").json()["data"]
    for name in sys.argv[1:]:
        files, data = {"file": (f"{name}.txt", name.encode())}, {"processing_mode": "batch"}
        client.post(f"/v1/sources/{source['id']}/documents", files=files, data=data).raise_for_status()
"""


def _program(shell: Shell, name: str, text: str) -> None:
    """Something to type that readers are not shown."""
    program = shell.top.parent / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/usr/bin/env python\n{text}")
    program.chmod(0o755)
    path = shell.environment["PATH"]
    if str(program.parent) not in path:
        shell.environment["PATH"] = f"{program.parent}:{path}"


STANDS = {
    "empty": _empty,
    "clone": _clone,
    "quickstart": _quickstart,
    "applied": _applied,
    "remote": _remote,
    "forked": _forked,
    "adopting": _adopting,
    "two hundred": _two_hundred,
    "talonic": _talonic,
    "rehearsal": _rehearsal,
    "repository": _repository,
    "auditor": _auditor,
}
