"""Who runs this, where and on what: from GitHub Actions, GitLab CI, else git, else the operating system.

Nothing here fails and nothing is decided: what cannot be found out is "" or None. git is run without a
shell, without locks on the repository, with a bounded time and with none of the caller's secrets in its
environment. The names of the variables are those that GitHub and GitLab document for their runners.

`git` asks git, `approval` finds out who approved what runs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.adapters.ci.approval import find_approval
from reconciler.adapters.ci.git import Git
from reconciler.model.ports import Environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def environment(
    environ: Mapping[str, str],
    folder: Path,
    approved_by: str | None = None,
    *,
    own: Iterable[str] = (),
    decides: Iterable[str] = ("**",),
) -> Environment:
    """What the audit log says about this run.

    Args:
        environ: environment variables.
        folder: a folder of the work tree that the manifests are in.
        approved_by: who approved what runs, as whoever started it says; "" to find out, None where
            nothing was there to approve.
        own: what this tool writes into the folder, relative to it.
        decides: patterns of the files that decide what runs.
    """
    git = Git(environ, folder)
    actor, source = _actor(environ, git)
    commit = _commit(environ, git)
    who = find_approval(environ, git, commit, approved_by)
    return Environment(
        actor=actor,
        actor_source=source,
        run=_run(environ),
        commit=commit,
        dirty=git.dirty(own, decides),
        approver=who.name,
        approver_source=who.source,
    )


def _github(environ: Mapping[str, str]) -> bool:
    return environ.get("GITHUB_ACTIONS") == "true"


def _gitlab(environ: Mapping[str, str]) -> bool:
    return environ.get("GITLAB_CI") == "true"


def _actor(environ: Mapping[str, str], git: Git) -> tuple[str, str]:
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


def _commit(environ: Mapping[str, str], git: Git) -> str:
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
