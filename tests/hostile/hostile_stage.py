"""A project with marked secrets, in places that can be searched whole, and its commands run in turn."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hostile_marks as marks
from hostile_runs import Ran, hurry, leaves, run, takes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

#: Of each command, the words with which it is run; in a project whose one directory is DIR.
CASES: dict[tuple[str, ...], list[list[str]]] = {
    ("apply",): [
        ["--auto-approve"],
        ["--auto-approve", "--format", "json", "--verbose"],
        [
            "--auto-approve",
            "--format",
            "ndjson",
            "--json-into",
            "applied.json",
            "--markdown-into",
            "applied.md",
        ],
    ],
    ("audit", "checkpoint"): [[]],
    ("audit", "keygen"): [["signing-key"]],
    ("audit", "log"): [[], ["--format", "csv"], ["--format", "json"]],
    ("audit", "verify"): [[], ["--format", "json"]],
    ("audit", "why"): [["bat-1"], ["dfl-nowhere", "--format", "json"]],
    ("cancel",): [["invoices/DIR", "--auto-approve"], ["invoices/nowhere"]],
    ("comment",): [["reconciler.yaml"], ["nowhere", "--service", "github"]],
    ("completion",): [["bash"]],
    ("drift",): [[], ["--verbose", "--format", "json"], ["--format", "markdown"]],
    ("emulator",): [["--root", "nowhere"], ["--faults", "reconciler.yaml"]],
    ("explain",): [["invoices/DIR"], ["invoices/nowhere"]],
    ("export",): [[], ["--out-dir", "exported"]],
    ("import",): [["invoices/DIR", "bat-1"], ["invoices/nowhere", "bat-1"]],
    ("init",): [["."], ["new"]],
    ("list",): [[], ["--format", "ndjson"]],
    ("lock", "merge"): [["--install"], ["reconciler.yaml", "reconciler.yaml", "nowhere"]],
    ("lock", "push"): [[], ["--remote", "https://someone:secret@nowhere.test/"]],
    ("lock", "resolve"): [["invoices/DIR", "--absent"]],
    ("lock", "upgrade"): [[], ["invoices"]],
    ("plan",): [
        [],
        ["--format", "json", "--verbose"],
        ["--changed-since", "HEAD"],
        ["--format", "github", "--json-into", "plan.json", "--markdown-into", "plan.md"],
        ["--html-into", "plan.html"],
    ],
    ("policy", "test"): [[], ["reconciler.yaml"], ["--plan", "nowhere.json", "--format", "json"]],
    ("refresh",): [[], ["--format", "json"]],
    ("report",): [["--failed-files"], ["--offline", "--out", "offline.html"]],
    ("results",): [["--deep"], ["--format", "csv"]],
    ("run",): [
        ["--once"],
        ["--once", "--auto-approve", "--log-format", "json"],
        ["--once", "--git-remote", "https://someone:secret@nowhere.test/"],
    ],
    ("schema",): [["lock"], ["no-such-kind"]],
    ("state", "init"): [[], ["--print-sql", "--apply-role", "applier"]],
    ("state", "migrate"): [["--from", "{type: file, path: old.lock}"], ["--to", "{type: nowhere}"]],
    ("state", "pull"): [[]],
    ("state", "push"): [["nowhere.lock"], ["reconciler.yaml", "--force"]],
    ("status",): [[], ["--format", "json"], ["--format", "markdown"]],
    ("validate",): [[], ["--format", "json"], ["--format", "sarif"], ["--format", "junit"]],
    ("wait",): [["--timeout", "1s"]],
}

PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {{name: marked}}
spec:
  manifests: ["batches/*.yaml"]
  providers:
    prod: {{type: llamacloud, baseUrl: "{url}", apiKey: {{env: MARKED_KEY}}, settle: 1s}}
"""
SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {{name: invoices}}
spec:
  provider: prod
  job: {{type: parse_v2, configuration: cfg-PARSE_AGENTIC}}
  directories: [{{id: {directory}}}]
  webhooks:
    - webhook_url: https://hook.test/
      webhook_signing_secret: {{env: MARKED_SIGNING}}
      webhook_headers: {{X-Marked: {{env: MARKED_HEADER}}}}
"""


@dataclass
class Stage:
    """A project in a folder of its own, and the places that a run may write to."""

    folder: Path
    home: Path
    temporary: Path
    directory: str = "dir-a"

    def write(self, url: str) -> None:
        """Begin anew, against the service at an address."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "batches").mkdir(parents=True)
        (self.folder / "reconciler.yaml").write_text(PROJECT.format(url=url))
        (self.folder / "batches" / "invoices.yaml").write_text(SET.format(directory=self.directory))

    def run(self, *words: str) -> Ran:
        """Run one command, with as much said as can be."""
        path = next(path for path in leaves() if words[: len(path)] == path)
        log = ("--log-level", "debug") if takes(path, "--log-level") else ()
        return run(self.folder, *path, *log, *words[len(path) :])

    def search(self, only: tuple[str, ...] = (), *, most: int | None = None, turn: int = 0) -> list[str]:
        """Run commands, all their cases or a few; give what is found of secrets and defects.

        Args:
            only: commands; all, if it is empty.
            most: so many cases of each.
            turn: where its cases are begun with, so that in many turns each of them has its own.
        """
        found: list[str] = []
        for path in leaves():
            if only and " ".join(path) not in only:
                continue
            cases = CASES[path]
            begin = turn % len(cases)
            for words in (cases[begin:] + cases[:begin])[:most]:
                ran = self.run(*path, *(word.replace("DIR", self.directory) for word in words))
                found += [f"{ran.said}: {what}" for what in marks.found_in(ran.said.encode())]
                if "Traceback" in ran.said or "a defect" in ran.said:
                    found.append(f"a defect: {ran.said}")
        return found + marks.found_below((self.folder, self.home, self.temporary))


def set_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage below a folder, with an environment full of secrets."""
    made = Stage(folder / "project", folder / "home", folder / "tmp")
    for place in (made.folder, made.home, made.temporary):
        place.mkdir()
    environment = {
        "HOME": str(made.home),
        "TMPDIR": str(made.temporary),
        "MARKED_KEY": marks.KEY,
        "MARKED_SIGNING": marks.SIGNING,
        "MARKED_HEADER": marks.HEADER,
        "HTTPS_PROXY": f"http://someone:{marks.PROXY}@127.0.0.1:9",
        "RECONCILER_EMULATOR_API_KEY": marks.KEY,
        "RECONCILER_EMULATOR_DB": str(folder / "other.db"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "LLAMA_CLOUD_BASE_URL", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    hurry(monkeypatch)
    return made
