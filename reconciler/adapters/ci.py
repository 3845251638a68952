"""Who runs this, where and on what: from GitHub Actions, GitLab CI, else git, else the operating system.

Nothing here fails and nothing is decided: what cannot be found out is "" or None. git is run without a
shell, without locks on the repository, with a bounded time and with none of the caller's secrets in its
environment. The names of the variables are those that GitHub and GitLab document for their runners.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.model.ports import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Seconds for one call of git; a huge work tree on a slow disk is then of unknown cleanliness.
GIT_TIMEOUT = 10.0

#: What git needs of the environment. GIT_DIR and its like are left out: the folder decides.
_FOR_GIT = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "LANG")

#: The variables that carry configuration into containers, ``safe.directory`` first of all.
_GIT_CONFIG = "GIT_CONFIG_"


def environment(environ: Mapping[str, str], folder: Path) -> Environment:
    """What the audit log says about this run.

    Args:
        environ: environment variables.
        folder: a folder of the work tree that the manifests are in.
    """
    git = _Git(environ, folder)
    actor, source = _actor(environ, git)
    return Environment(
        actor=actor,
        actor_source=source,
        run=_run(environ),
        commit=_commit(environ, git),
        dirty=git.dirty(),
    )


def _github(environ: Mapping[str, str]) -> bool:
    return environ.get("GITHUB_ACTIONS") == "true"


def _gitlab(environ: Mapping[str, str]) -> bool:
    return environ.get("GITLAB_CI") == "true"


def _actor(environ: Mapping[str, str], git: _Git) -> tuple[str, str]:
    if _github(environ):
        # Who pressed "re-run" is who acts; GITHUB_ACTOR stays the one of the first attempt.
        actor = environ.get("GITHUB_TRIGGERING_ACTOR") or environ.get("GITHUB_ACTOR")
        if actor:
            return actor, "github-actions"
    if _gitlab(environ) and environ.get("GITLAB_USER_LOGIN"):
        return environ["GITLAB_USER_LOGIN"], "gitlab-ci"
    actor = git.person()
    if actor:
        return actor, "git"
    return f"{_user(environ)}@{os.uname().nodename}", "os"


def _run(environ: Mapping[str, str]) -> str:
    if _github(environ):
        server, repository, run = (
            environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
        )
        if not (server and repository and run):
            return ""
        attempt = environ.get("GITHUB_RUN_ATTEMPT", "")
        return f"{server}/{repository}/actions/runs/{run}" + (f"/attempts/{attempt}" if attempt else "")
    if _gitlab(environ):
        # A pipeline's job can be retried, so the job's address says more.
        return environ.get("CI_JOB_URL") or environ.get("CI_PIPELINE_URL") or ""
    return ""


def _commit(environ: Mapping[str, str], git: _Git) -> str:
    named = ""
    if _github(environ):
        named = environ.get("GITHUB_SHA", "")
    elif _gitlab(environ):
        named = environ.get("CI_COMMIT_SHA", "")
    return named or git.commit()


def _user(environ: Mapping[str, str]) -> str:
    named = next(filter(None, (environ.get(name) for name in ("LOGNAME", "USER"))), "")
    if named:
        return named
    import pwd

    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        # Containers run under numbers that no password file knows.
        return f"uid-{uid}"


class _Git:
    """git's answers about one folder."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._folder = folder
        self._environ = {
            name: value for name, value in environ.items() if name in _FOR_GIT or name.startswith(_GIT_CONFIG)
        }
        # Reading must neither wait for nor disturb somebody's commit, ask for a password, or translate.
        self._environ |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def person(self) -> str:
        """``NAME <ADDRESS>`` as commits here would be signed, or as much of it as is set."""
        name = (self._ask("config", "user.name") or "").strip()
        address = (self._ask("config", "user.email") or "").strip()
        return f"{name} <{address}>" if name and address else name or address

    def commit(self) -> str:
        """The commit that is checked out, or ""."""
        return (self._ask("rev-parse", "--verify", "--quiet", "HEAD") or "").strip()

    def dirty(self) -> bool | None:
        """Whether anything differs from the commit, files that git does not know included."""
        said = self._ask("status", "--porcelain")
        return None if said is None else bool(said)

    def _ask(self, *question: str) -> str | None:
        import subprocess

        # A repository's own settings may name a program to run as file system monitor.
        command = ["git", "-c", "core.fsmonitor=false", "-C", str(self._folder), *question]
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, without a shell
                command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=GIT_TIMEOUT,
                check=False,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
