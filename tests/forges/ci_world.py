"""A repository with a bare remote, the stand-in service, and a forge: what a CI job meets.

Jobs are the shell steps of examples/ci, taken out of their files and run by the shell that their runner
uses, each in a clone of its own. What the runners do around them (expressions, conditions, checking out) is
done here by as little as the files need; docs/ci.md lists it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from forge_stand import REPOSITORY, TOKEN, environment

if TYPE_CHECKING:
    from emulator_process import Emulator
    from forge_stand import Forge

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"

PROJECT = """\
apiVersion: reconciler/v1
kind: Project
metadata: {{name: documents}}
spec:
  manifests: ["batches/*.yaml"]
  providers:
    prod: {{type: llamacloud, baseUrl: "{url}", apiKey: {{env: LLAMA_CLOUD_API_KEY}}, settle: 0s}}
  state: {{type: file, path: reconciler.lock, exclusive: external}}
  limits: {{maxCreates: 3}}
"""
SET = """\
apiVersion: reconciler/v1
kind: BatchSet
metadata: {{name: {name}}}
spec:
  provider: prod
  job: {{type: parse_v2, configuration: cfg-PARSE_AGENTIC}}
  directories: [{directories}]
"""


@dataclass(frozen=True)
class Ran:
    """What a job came to."""

    code: int
    said: str
    steps: tuple[str, ...] = ()


@dataclass
class World:
    """All of it. The person who works here is Ada.

    Attributes:
        program: the folder that has the command `reconciler`.
        inside: where the project is in its repository.
    """

    folder: Path
    emulator: Emulator
    forge: Forge
    service: str
    program: Path = Path(sys.executable).parent
    inside: str = "."
    jobs: int = 0
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bin_ = self.folder / "bin"
        bin_.mkdir()
        (bin_ / "pip").write_text('#!/bin/sh\necho "pip $*"\n')
        (bin_ / "pip").chmod(0o755)
        (self.folder / "home").mkdir()
        self.environ = {
            "PATH": os.pathsep.join([str(bin_), str(self.program), os.environ["PATH"]]),
            "HOME": str(self.folder / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LLAMA_CLOUD_API_KEY": "llx-emulator",
            "CI": "true",
            "PYTHONWARNINGS": "error",
        }
        self.git(self.folder, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
        self.git(self.folder, "clone", "--quiet", "remote.git", "ada")
        for name, value in (("name", "Ada"), ("email", "ada@example.com")):
            self.git(self.ada, "config", f"user.{name}", value)
        self.project.mkdir(exist_ok=True)
        (self.project / "reconciler.yaml").write_text(PROJECT.format(url=self.emulator.url))
        (self.ada / ".gitignore").write_text(".reconciler/\n*.lock.journal\n")
        if self.service == "github":
            shutil.copytree(EXAMPLES / "github", self.ada / ".github")
        else:
            shutil.copy(EXAMPLES / "gitlab" / ".gitlab-ci.yml", self.ada)
        self.commit("main")

    @property
    def ada(self) -> Path:
        return self.folder / "ada"

    @property
    def project(self) -> Path:
        return self.ada / self.inside

    @property
    def remote(self) -> Path:
        return self.folder / "remote.git"

    def git(self, where: Path, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=where, env=self.environ, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, branch: str) -> str:
        """Ada commits all there is, and pushes it."""
        self.git(self.ada, "add", "--all")
        self.git(self.ada, "commit", "--quiet", "--allow-empty", "--message=A change")
        self.git(self.ada, "push", "--quiet", "origin", f"HEAD:{branch}")
        return self.git(self.ada, "rev-parse", "HEAD")

    def propose(self, number: int, name: str, *directories: str) -> None:
        """Ada opens a request that asks for batches, or changes the one that she opened."""
        self.git(self.ada, "fetch", "--quiet", "origin")
        self.git(self.ada, "checkout", "--quiet", "-B", f"change-{number}", "origin/main")
        asked = ", ".join(f"{{id: dir-{directory}}}" for directory in directories)
        (self.project / "batches").mkdir(exist_ok=True)
        (self.project / "batches" / f"{name}.yaml").write_text(SET.format(name=name, directories=asked))
        self.git(self.ada, "add", "--all")
        self.git(self.ada, "commit", "--quiet", "--message=Ask for batches")
        self.git(self.ada, "push", "--quiet", "--force", "origin", f"change-{number}")
        self.forge.open(number, self.git(self.ada, "rev-parse", "HEAD"))

    def merge(self, number: int) -> str:
        """Somebody merges a request; gives the commit that came of it."""
        self.git(self.ada, "fetch", "--quiet", "origin")
        self.git(self.ada, "checkout", "--quiet", "-B", "main", "origin/main")
        self.git(self.ada, "merge", "--quiet", "--no-ff", "--no-edit", f"change-{number}")
        self.git(self.ada, "push", "--quiet", "origin", "main")
        commit = self.git(self.ada, "rev-parse", "HEAD")
        self.forge.merges[commit] = number
        return commit

    def checkout(self, commit: str, *, branch: str = "") -> Path:
        """A job's clone, at a commit."""
        self.jobs += 1
        there = self.folder / f"job-{self.jobs}"
        self.git(self.folder, "clone", "--quiet", str(self.remote), str(there))
        self.git(there, "checkout", "--quiet", *(("-B", branch) if branch else ("--detach",)), commit)
        return there

    def run(self, shell: list[str], script: str, where: Path, environ: dict[str, str]) -> Ran:
        done = subprocess.run(
            [*shell, script],
            cwd=where,
            env=self.environ | environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
        assert TOKEN not in done.stdout
        return Ran(done.returncode, done.stdout)

    # What is asked afterwards

    def batches(self) -> list[str]:
        return sorted(item["source_directory_id"] for item in self.emulator.batches())

    def afresh(self, command: str) -> Ran:
        """What somebody sees who clones the main branch now."""
        return self.run(["bash", "-c"], command, self.checkout("origin/main") / self.inside, {})

    def recorded(self) -> list[str]:
        """What is on the main branch beside what Ada put there; of audit files, their folder."""
        names = self.git(self.remote, "ls-tree", "-r", "--name-only", "main")
        there = [name.removeprefix(f"{self.inside}/") for name in names.splitlines()]
        ours = {".gitignore", "reconciler.yaml", ".gitlab-ci.yml"}
        left = [n for n in there if n not in ours and not n.startswith((".github/", "batches/"))]
        return sorted({"audit/" if name.startswith("audit/") else name for name in left})


class GitHubRunner:
    """As much of GitHub's runner as the files need."""

    def __init__(self, world: World) -> None:
        self.world = world

    def pull_request(self, number: int) -> Ran:
        """The job for a request: it gets a commit that merges the request into the main branch."""
        world = self.world
        head = world.forge.heads[number]
        where = world.checkout("origin/main")
        who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        world.git(where, *who, "merge", "--quiet", "--no-ff", "--no-edit", head)
        request = {"number": number, "head": {"sha": head}, "base": {}}
        more = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": world.git(where, "rev-parse", "HEAD")}
        return self.job("reconciler-plan", where, {"pull_request": request}, more)

    def push(self, commit: str) -> Ran:
        where = self.world.checkout(commit, branch="main")
        more = {"GITHUB_EVENT_NAME": "push", "GITHUB_SHA": commit}
        return self.job("reconciler-apply", where, {}, more)

    def dispatch(self, workflow: str, **inputs: str) -> Ran:
        where = self.world.checkout("origin/main", branch="main")
        commit = self.world.git(where, "rev-parse", "HEAD")
        more = {"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_SHA": commit}
        return self.job(workflow, where, {}, more, inputs)

    def job(
        self,
        workflow: str,
        where: Path,
        event: dict[str, Any],
        more: dict[str, str],
        inputs: dict[str, str] | None = None,
    ) -> Ran:
        """Run the one job of a workflow, which checks out and then uses the action."""
        temporary = where.with_name(f"{where.name}-temp")
        temporary.mkdir()
        (temporary / "event.json").write_text(json.dumps(event))
        environ = (
            environment(self.world.forge, "github")
            | more
            | {
                "GITHUB_EVENT_PATH": str(temporary / "event.json"),
                "GITHUB_STEP_SUMMARY": str(temporary / "summary.md"),
                "GITHUB_OUTPUT": str(temporary / "output"),
                "GITHUB_WORKSPACE": str(where),
                "GITHUB_REF": "refs/heads/main",
                "GITHUB_REF_NAME": "main",
                "RUNNER_TEMP": str(temporary),
            }
        )
        del environ["GITHUB_TOKEN"]  # a step gets it where the file says so
        there = where / ".github" / "workflows" / f"{workflow}.yml"
        [job] = yaml.safe_load(there.read_text())["jobs"].values()
        checkout, use = job["steps"]
        assert (checkout["uses"], use["uses"]) == ("actions/checkout@v4", "./.github/actions/reconciler")
        assert all(value == f"${{{{ secrets.{name} }}}}" for name, value in job["env"].items())
        assert "LLAMA_CLOUD_API_KEY" in job["env"]
        # A secret that is not set is empty; the key of the service comes with the world.
        environ |= dict.fromkeys(job["env"].keys() - {"LLAMA_CLOUD_API_KEY"}, "")
        known = {f"inputs.{name}": value for name, value in ({"digest": ""} | (inputs or {})).items()}
        given = {name: self.fill(value, known) for name, value in use["with"].items()}
        return self.action(where, environ, given | {"folder": self.world.inside})

    def action(self, where: Path, environ: dict[str, str], given: dict[str, str]) -> Ran:
        action = yaml.safe_load((where / ".github" / "actions" / "reconciler" / "action.yml").read_text())
        inputs = {name: given.get(name, item.get("default")) for name, item in action["inputs"].items()}
        assert given.keys() <= inputs.keys()
        known = {f"inputs.{name}": value for name, value in inputs.items()} | {"github.token": TOKEN}
        code, said, steps = 0, "", []
        for step in action["runs"]["steps"]:
            if "uses" in step or not self.holds(step.get("if", ""), inputs, failed=bool(code)):
                continue
            own = {name: self.fill(value, known) for name, value in step.get("env", {}).items()}
            folder = where / self.fill(step.get("working-directory", "."), known)
            assert step["shell"] == "bash"
            assert "${{" not in step["run"], "what a person wrote would be run by the shell"
            shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
            ran = self.world.run(shell, step["run"], folder, environ | own)
            steps.append(step["name"])
            said += f"## {step['name']}\n{ran.said}"
            code = code or ran.code
        return Ran(code, said, tuple(steps))

    @staticmethod
    def holds(condition: str, inputs: dict[str, str], *, failed: bool) -> bool:
        """GitHub's conditions, of the forms that the file has."""
        always = False
        for part in filter(None, condition.split(" && ")):
            if part == "always()":
                always = True
            else:
                match = re.fullmatch(r"inputs\.(\w+) (==|!=) '(\w*)'", part)
                assert match, part
                if (inputs[match[1]] == match[3]) != (match[2] == "=="):
                    return False
        return always or not failed

    @staticmethod
    def fill(text: str, known: dict[str, str]) -> str:
        return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: known[match[1]], text)


class GitLabRunner:
    """As much of GitLab's runner as the file needs."""

    def __init__(self, world: World) -> None:
        self.world = world

    def merge_request(self, number: int) -> Ran:
        head = self.world.forge.heads[number]
        return self.job("plan", self.world.checkout(head), number, {"CI_COMMIT_SHA": head})

    def push(self, commit: str) -> Ran:
        return self.job("apply", self.world.checkout(commit), None, {"CI_COMMIT_SHA": commit})

    def by_hand(self, name: str, **variables: str) -> Ran:
        where = self.world.checkout("origin/main")
        commit = self.world.git(where, "rev-parse", "HEAD")
        return self.job(name, where, None, {"CI_COMMIT_SHA": commit, **variables})

    def job(self, name: str, where: Path, number: int | None, more: dict[str, str]) -> Ran:
        there = yaml.safe_load((where / ".gitlab-ci.yml").read_text())
        job: dict[str, Any] = {}
        names = [name]
        while extended := there[names[-1]].get("extends"):
            names.append(extended)
        for part in reversed(names):
            job |= there[part]
        environ = (
            environment(self.world.forge, "gitlab", number=number)
            | more
            | {
                "CI_COMMIT_BRANCH": "main",
                "CI_DEFAULT_BRANCH": "main",
                "CI_PROJECT_DIR": str(where),
                "CI_PROJECT_PATH": REPOSITORY,
                "CI_PROJECT_URL": str(self.world.remote).removesuffix(".git"),
                "CI_SERVER_HOST": "gitlab.example.com",
            }
        )
        script = "\n".join([*job["before_script"], *job["script"]])
        # What somebody sets for the project goes before what the file sets.
        variables = job["variables"] | {"FOLDER": self.world.inside}
        return self.world.run(["bash", "-eo", "pipefail", "-c"], script, where, environ | variables)
