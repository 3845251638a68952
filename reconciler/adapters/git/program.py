"""Running git: it never waits for an answer, ends in bearable time, and nothing secret is in what it said.

It gets the caller's environment, since credentials, proxies and agents are found by it, but neither what
would lead it to another repository nor the variables that hold the services' keys. It has no terminal, so
that neither it nor ssh nor a hook can ask.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.model.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

#: Seconds for one call of git: hooks and big repositories take their time, and nobody waits for ever.
GIT_TIMEOUT = 600.0

# How often is asked whether a call is still wanted, in seconds.
_ASKED_EVERY = 0.2

# What leads git elsewhere, or has it say more than anybody asked for.
_NOT_FOR_GIT = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
        *("GIT_CURL_VERBOSE", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"),
    }
)
_TALKATIVE = "GIT_TRACE"

_ALWAYS = {
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_MERGE_AUTOEDIT": "no",
    "LC_ALL": "C",
}

_CREDENTIALS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s]*@")
_REDACTED = r"\1[redacted]@"

# So much of what git said is repeated.
_LINES, _LENGTH = 6, 600
_NOISE = ("hint:", "To ", "Everything up-to-date", "Done")


def redacted(text: str) -> str:
    """The text without what stands before the @ of an address."""
    return _CREDENTIALS.sub(_REDACTED, text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call. Nothing in it is a credential that stands in an address."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What git said against it, on one line and no longer than anybody reads."""
        lines = [line.strip() for line in self.err.splitlines() if not line.startswith(_NOISE)]
        told = [line for line in lines if line.removeprefix("remote:").strip()]
        return "; ".join(told[-_LINES:])[:_LENGTH] or f"git ended with {self.code}"


@dataclass(frozen=True, slots=True)
class Git:
    """The program in one folder.

    Attributes:
        folder: where it works.
        environ: what it gets.
        settings: ``NAME=VALUE`` that hold for its calls alone.
        over: whether whoever calls it is to end, so that nobody wants the answer any more; None for never.
    """

    folder: Path
    environ: Mapping[str, str]
    settings: tuple[str, ...] = ()
    over: Callable[[], bool] | None = None

    def at(self, folder: Path, *settings: str) -> Git:
        """The same in another folder, with more settings."""
        return replace(self, folder=folder, settings=(*self.settings, *settings))

    def ask(self, *words: str, given: Sequence[str] = ()) -> Answer:
        """Run git and give what came of it, whatever that is.

        Args:
            words: what to run.
            given: paths for its standard input, each ended by a NUL.

        Raises:
            StateError: there is no git, it did not end, or nobody wants the answer any more.
        """
        options = [part for setting in ("core.fsmonitor=false", *self.settings) for part in ("-c", setting)]
        command = ["git", *options, "-C", str(self.folder), *words]
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed program, without a shell
                command,
                env=dict(self.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # without a terminal there is nobody to ask for a password
            )
        except OSError as error:
            raise StateError(
                "git cannot be run", why=error.strerror or str(error), next="Install git, or put it on PATH"
            ) from error
        try:
            content = "".join(f"{item}\0" for item in given).encode("utf-8", "surrogateescape")
            out, err = self._talk(process, content, words[0])
        except subprocess.TimeoutExpired as error:
            raise StateError(
                f"git {words[0]} did not end within {GIT_TIMEOUT:.0f} s",
                where=str(self.folder),
                next=f"Run `git {words[0]}` there by hand and see what it waits for",
            ) from error
        finally:
            _end(process)
        return Answer(process.returncode, _text(out), redacted(_text(err)))

    def _talk(self, process: subprocess.Popen[bytes], content: bytes, word: str) -> tuple[bytes, bytes]:
        """Give it its input, and what it says once it has ended.

        Raises:
            subprocess.TimeoutExpired: it did not end in bearable time.
            StateError: nobody wants the answer any more.
        """
        if self.over is None:
            return process.communicate(content, timeout=GIT_TIMEOUT)
        until = time.monotonic() + GIT_TIMEOUT
        given: bytes | None = content
        while True:
            try:
                return process.communicate(given, timeout=_ASKED_EVERY)
            except subprocess.TimeoutExpired:
                given = None  # it has it
                if time.monotonic() >= until:
                    raise
                if self.over():
                    raise StateError(f"git {word} was ended", where=str(self.folder)) from None

    def must(self, *words: str, what: str, given: Sequence[str] = (), **more: str) -> str:
        """Run git and give what it printed, without white space around it.

        Args:
            words: what to run.
            what: the error's first sentence, should it fail.
            given: as for `ask`.
            more: where and what next, for that error.

        Raises:
            StateError: it failed.
        """
        answer = self.ask(*words, given=given)
        if answer.code:
            raise StateError(what, why=answer.said, **more)
        return answer.out.strip()


def git_in(folder: Path, environ: Mapping[str, str], secrets: Collection[str] = ()) -> Git:
    """A git in a folder, with what it may know of an environment.

    Args:
        folder: the folder.
        environ: environment variables.
        secrets: names of variables that are none of its business, nor of its hooks'.
    """
    known = {
        name: value
        for name, value in environ.items()
        if name not in _NOT_FOR_GIT and name not in secrets and not name.startswith(_TALKATIVE)
    }
    return Git(folder, known | _ALWAYS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of it behind: neither itself nor the transport or hook that it waits for."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
