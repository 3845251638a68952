"""git's answers about one folder: bounded in time, without locks, and with none of the caller's secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: Seconds for one call of git; a huge work tree on a slow disk is then of unknown cleanliness.
GIT_TIMEOUT = 10.0

#: What git needs of the environment. GIT_DIR and its like are left out: the folder decides.
_FOR_GIT = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "LANG")

#: The variables that carry configuration into containers, ``safe.directory`` first of all.
_GIT_CONFIG = "GIT_CONFIG_"


class Git:
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

    def dirty(self, own: Iterable[str], decides: Iterable[str]) -> bool | None:
        """Whether what runs differs from the commit; None where git does not say.

        Args:
            own: what this tool writes into the folder: its last run's records are no change of what runs.
            decides: patterns of the files that decide what runs. Of others, those that git does not know
                do not count: a saved plan, a report.
        """
        known = self._ask(
            *("status", "--porcelain", "--untracked-files=no", "--", "."),
            *(f":(exclude,literal){name}" for name in own),
        )
        unknown = self._ask(
            *("ls-files", "--others", "--exclude-standard", "--"),
            *(f":(glob){pattern.removeprefix('./')}" for pattern in decides),
        )
        return None if known is None or unknown is None else bool(known or unknown)

    def reviewers(self, commit: str) -> tuple[str, ...]:
        """Who the commit's ``Reviewed-by`` trailers name, in their order."""
        said = self._ask(
            # A repository's own settings may have signatures checked, by a program that they name.
            *("-c", "log.showSignature=false", "log", "-1", "--no-color"),
            *("--format=%(trailers:key=Reviewed-by,valueonly,unfold)", "--end-of-options", commit, "--"),
        )
        names = (line.strip() for line in (said or "").splitlines())
        return tuple(dict.fromkeys(name for name in names if name))

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
