"""What a person sees of state that rotted: exit 1, one error with its place and the next command."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest
from session import Session

if TYPE_CHECKING:
    from pathlib import Path

LOCKFILE = (
    b'{\n"lockVersion": 1,\n"lineage": "a",\n"serial": 1,\n"heads": [],\n"projects": {\n},\n"sets": {\n},\n'
)
WHOLE = LOCKFILE + b'"entries": {\n}\n}\n'
NOTE = b'1c0c7d8d {"lockfile":"sha256:0","note":"closed"}\n'

PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {name: rot}
spec:
  manifests: ["batches/*.yaml"]
  providers:
    prod: {type: llamacloud, baseUrl: "http://127.0.0.1:PORT", projectId: prj-1, apiKey: {env: ROT_KEY}}
---
"""
BATCHES = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {name: claims}
spec:
  provider: prod
  job: {type: parse_v2, configuration: cfg-1}
  directories: [{id: dir-1}]
"""


@pytest.mark.parametrize(
    ("file", "content", "error"),
    [
        pytest.param(
            "reconciler.lock.journal",
            NOTE.replace(b"sha256:0", b"sha256:1"),
            r"Error: reconciler\.lock\.journal:1: the journal is damaged: .* restore it from a backup",
            id="a flip in the journal",
        ),
        pytest.param(
            "reconciler.lock",
            LOCKFILE,
            r"Error: reconciler\.lock:9:3: not valid JSON: .* Restore it from git, or delete it",
            id="a lockfile that was cut",
        ),
        pytest.param(
            "reconciler.lock",
            WHOLE.replace(b"lineage", b"linea\xe7e"),
            r"Error: reconciler\.lock:3: not UTF-8 at byte \d+.* Restore it from git",
            id="a flip in the lockfile",
        ),
    ],
)
def test_plan_and_apply_say_where_and_what_helps_and_do_nothing(
    tmp_path: Path, quick: Path, file: str, content: bytes, error: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.setblocking(False)
        text = PROJECT.replace("PORT", str(service.getsockname()[1])).removesuffix("---\n")
        (tmp_path / "reconciler.yaml").write_text(text)
        (tmp_path / "batches").mkdir()
        (tmp_path / "batches" / "claims.yaml").write_text(BATCHES)
        (tmp_path / file).write_bytes(content)
        session = Session(tmp_path, quick)
        session.environment["ROT_KEY"] = "llx-rot"
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

        for command in ("plan", "apply --auto-approve"):
            printed = session.run(f"reconciler {command}")
            assert printed[-1] == "[exit 1]", printed
            assert re.match(error, " ".join(line.strip() for line in printed)), printed
            assert sum(line.startswith("Error:") for line in printed) == 1, printed

        with pytest.raises(BlockingIOError):
            service.accept()  # nobody connected
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert after | before == after
        assert {path.name for path in after.keys() - before.keys()} <= {"reconciler.lock.journal"}
        assert all(after[path] == b"" for path in after.keys() - before.keys())
